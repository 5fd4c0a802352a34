# SPDX-License-Identifier: MIT
"""What tlsgated counts, as metrics."""

import json
import os
import re
import signal
import ssl
import time

from daemonlib.control import ControlGate, outcome
from daemonlib.gate import Backend, echo, free_port, need, path, read_end, test, wait_until, write

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)\n')


def parse(text):
    """{(name, frozenset of (label, value)): number}."""
    samples = {}
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
    outcome(shown, 0)
    need(shown.stdout.endswith("# EOF\n"), "no end: %r" % shown.stdout[-40:])
    return parse(shown.stdout)


def total(samples, name, **labels):
    """The sum of those that have these labels."""
    return sum(value for (sample, having), value in samples.items()
               if sample == name and set(labels.items()) <= having)


def fail(gate, context=None):
    """A TLS connection that comes to nothing."""
    try:
        with gate.connect_with(context) if context else gate.connect() as connection:
            read_end(connection)
    except OSError:             # ssl.SSLError is one
        pass


@test
def metrics_count_handshakes_by_what_they_agreed_on():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        with gate.connect(maximum_version=ssl.TLSVersion.TLSv1_2) as connection:
            echo(connection, b"x" * 1000)
            need(total(metrics(gate), "tlsgated_connections_active", path="user") == 1, "one is open")
        for _ in range(2):
            with gate.connect() as connection:
                suite = connection.cipher()[0]
                echo(connection)
        wait_until(lambda: total(metrics(gate), "tlsgated_connections_active") == 0, "all are over")
        now = metrics(gate)
        need(total(now, "tlsgated_connections_accepted_total", gate="web") == 3, "accepted: %s" % now)
        need(total(now, "tlsgated_handshakes_total") == 3, "handshakes: %s" % now)
        need(total(now, "tlsgated_handshakes_total", version="1.3", suite=suite, group="x25519",
                   resumed="no", client_certificate="no") == 2, "of TLS 1.3: %s" % now)
        need(total(now, "tlsgated_handshakes_total", version="1.2") == 1, "of TLS 1.2: %s" % now)
        for name in ("handshake", "backend_connect"):
            name = "tlsgated_%s_seconds" % name
            need(total(now, name + "_count") == total(now, name + "_bucket", le="+Inf") == 3, "times: %s" % now)
            need(0 < total(now, name + "_sum") < 30, "their sum: %s" % now)
        need(total(now, "tlsgated_bytes_total", path="user", **{"from": "client"}) == 1010, "bytes: %s" % now)
        need(total(now, "tlsgated_bytes_total", path="user", **{"from": "backend"}) == 1010, "bytes: %s" % now)


@test
def metrics_count_failures_by_reason():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        with gate.connect_plain() as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            read_end(connection)
        fail(gate, ssl.create_default_context())        # without the CA
        gate.connect_plain().close()
        wait_until(lambda: total(metrics(gate), "tlsgated_handshake_failures_total") == 3, "failures")
        now = metrics(gate)
        for reason in ("protocol_error", "peer_rejected_certificate", "peer_closed"):
            need(total(now, "tlsgated_handshake_failures_total", gate="web", reason=reason) == 1,
                 "%s: %s" % (reason, now))
        need(total(now, "tlsgated_connections_failed_total") == 3, "failed: %s" % now)


@test
def metrics_count_a_backend_that_is_down():
    with ControlGate("127.0.0.1:%d" % free_port()) as gate:
        fail(gate)
        wait_until(lambda: total(metrics(gate), "tlsgated_backend_connect_failures_total") == 1, "a failure")
        now = metrics(gate)
        need(total(now, "tlsgated_backend_connect_seconds_count") == 0, "no success: %s" % now)
        need(total(now, "tlsgated_handshake_failures_total") == 0, "no handshake failed: %s" % now)


@test
def metrics_never_go_back():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        with gate.connect() as connection:
            echo(connection)
        before = metrics(gate)
        old = gate.workers()[0]
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: gate.workers() and gate.workers()[0] != old, "another worker")
        outcome(gate.tlsgate("reload"), 0)
        wait_until(lambda: len(gate.workers()) == 1, "the first generation is gone")
        after = metrics(gate)
        for key, value in before.items():
            if re.search("_(total|count|sum|bucket)$", key[0]):
                need(after.get(key, 0) >= value, "%s went from %s to %s" % (key, value, after.get(key)))
        need(total(after, "tlsgated_worker_restarts_total") == 1, "restarts: %s" % after)


@test
def metrics_tell_what_is_configured():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        now = metrics(gate)
        end = total(now, "tlsgated_certificate_not_after_timestamp_seconds", gate="web", file="one.pem")
        need(19 < (end - time.time()) / 86400 <= 20, "the certificate's end: %s" % end)
        need(0 <= total(now, "tlsgated_ticket_key_age_seconds", gate="web") < 100, "age of the ticket key: %s" % now)
        need(total(now, "tlsgated_build_info") == 1 and total(now, "tlsgated_workers") == 1, "says %s" % now)
        need(total(now, "tlsgate_module_loaded") == 0 == total(now, "tlsgated_gate_wants_kernel"), "says %s" % now)
        need(time.time() - total(now, "tlsgated_start_time_seconds") < 100, "the start: %s" % now)
        shown = json.loads(gate.tlsgate("stats", "--json").stdout)["metrics"]
        said = {family["name"]: family for family in shown}
        need(said["tlsgated_connections_accepted_total"]["type"] == "counter" and
             said["tlsgated_connections_accepted_total"]["samples"] ==
             [{"name": "tlsgated_connections_accepted_total", "labels": {"gate": "web"}, "value": 0}],
             "JSON: %s" % shown)
        names = {sample["name"] for family in shown for sample in family["samples"]}
        need(names == {name for name, _ in now}, "JSON has the same: %s" % (names ^ {name for name, _ in now}))


@test
def metrics_survive_any_gate_name():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        name = 'a"b{c}=,\u00e4\\\\'
        text = open(path("control.conf")).read()
        write("control.conf", text.replace("gate web", "gate '%s'" % name))
        outcome(gate.tlsgate("reload"), 0)
        labels = {dict(labels).get("gate") for _, labels in metrics(gate)} - {None}
        need(labels == {r'a\"b{c}=,\\xc3\\xa4\\x5c\\x5c'}, "labels: %s" % labels)


@test
def metrics_are_documented():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        families = {family["name"] for family in json.loads(gate.tlsgate("stats", "--json").stdout)["metrics"]}
    with open(os.path.join(os.path.dirname(__file__), "../../docs/metrics.md")) as file:
        rows = [line.split("|")[1] for line in file if line.startswith("| `tlsgate")]
    documented = re.findall(r"`(\w+)`", "".join(rows))
    need(len(documented) == len(set(documented)), "twice: %s" % documented)
    need(families == set(documented), "docs/metrics.md or the daemon lacks %s" % (families ^ set(documented)))
