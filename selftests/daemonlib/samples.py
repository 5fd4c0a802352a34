# SPDX-License-Identifier: MIT
"""Reads metrics, as tlsgate stats --openmetrics prints them."""

import re

from daemonlib.gate import need

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)\n')


class Samples(dict):
    """{(name, frozenset of (label, value)): number}."""

    def __str__(self):
        return ", ".join("%s%s %g" % (name, sorted(labels), value) for (name, labels), value in self.items() if value)


def parse(text):
    samples = Samples()
    for line in text.splitlines(True):
        if line.startswith("#"):
            continue
        match = SAMPLE.fullmatch(line)
        need(match, "a line is no sample: %r" % line)
        labels = re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', match[2] or "")
        key = (match[1], frozenset(labels))
        need(key not in samples, "twice: %r" % line)
        samples[key] = float(match[3])
    return samples


def metrics(gate):
    shown = gate.tlsgate("stats", "--openmetrics")
    need(shown.returncode == 0, "tlsgate stats: %s" % shown.stderr)
    need(shown.stdout.endswith("# EOF\n"), "no end: %r" % shown.stdout[-40:])
    return parse(shown.stdout)


def total(samples, name, **labels):
    """The sum of those that have these labels."""
    return sum(value for (sample, having), value in samples.items()
               if sample == name and set(labels.items()) <= having)
