#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""coverage.py MODULE FOLDER: what ran of a module, from the addresses that coverage.so wrote.

A line counts as run when an instruction of it ran, in whichever function it was inlined; a branch
has two ways, each counted where the instruction that it leads to ran.
"""
import collections
import os
import re
import subprocess
import sys

SECTIONS = (".text", ".text.unlikely")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t(\S+)(?:\s+([0-9a-f]+)\b)?")


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def instructions(module, section):
    """(address, mnemonic, target or None) of each instruction."""
    for line in run("objdump", "-d", "--no-show-raw-insn", "-j", section, module).splitlines():
        match = INSTRUCTION.match(line)
        if match:
            address, name, target = match.groups()
            yield int(address, 16), name, int(target, 16) if target else None


def places(module, section, addresses):
    """For each address the source lines it is of, from the inmost inlined function outwards."""
    text = "\n".join(f"{a:x}" for a in addresses)
    lines = run("addr2line", "-a", "-i", "-e", module, "-j", section, input=text).splitlines()
    found, at = collections.defaultdict(list), None
    for line in lines:
        if line.startswith("0x"):
            at = int(line, 16)
            continue
        match = re.search(r"/kmod/([a-z_]+\.[ch]):(\d+)", line)
        if match:
            found[at].append((match[1], int(match[2])))
    return found


class Report:
    def __init__(self):
        self.lines = collections.defaultdict(dict)      # file: line: it ran
        self.ways = self.ways_taken = 0

    def add(self, module, section, ran):
        code = list(instructions(module, section))
        where = places(module, section, [a for a, _, _ in code])
        for address, _, _ in code:
            for name, line in where[address]:
                seen = self.lines[name].get(line, False)
                self.lines[name][line] = seen or address in ran
        for (address, mnemonic, target), (following, _, _) in zip(code, code[1:]):
            if not mnemonic.startswith("j") or mnemonic == "jmp" or not where[address]:
                continue
            self.ways += 2
            self.ways_taken += (following in ran) + (target in ran)

    def print(self, source):
        total = covered = 0
        print(f"{'file':<20} {'lines':>6} {'run':>6}")
        for name in sorted(self.lines):
            lines = self.lines[name]
            total += len(lines)
            covered += sum(lines.values())
            print(f"{name:<20} {len(lines):>6} {100 * sum(lines.values()) / len(lines):>5.1f}%")
        print(f"{'all lines':<20} {total:>6} {100 * covered / total:>5.1f}%")
        print(f"{'all ways of branches':<20} {self.ways:>6} {100 * self.ways_taken / self.ways:>5.1f}%")
        print("\nnever run:")
        for name in sorted(self.lines):
            path = os.path.join(source, name)
            text = open(path, encoding="utf-8").read().splitlines() if os.path.exists(path) else []
            for line in sorted(l for l, ran in self.lines[name].items() if not ran):
                print(f"{name}:{line}: {text[line - 1].strip() if line <= len(text) else '?'}")


def main():
    module, folder = sys.argv[1:]
    with open(os.path.join(folder, "addresses"), encoding="ascii") as f:
        addresses = {int(line, 16) for line in f}
    report = Report()
    for section in SECTIONS:
        name = os.path.join(folder, "base" + section)
        if os.path.exists(name):
            with open(name, encoding="ascii") as f:
                base = int(f.read(), 16)
            report.add(module, section, {a - base for a in addresses})
    report.print(os.path.join(os.path.dirname(module), "kmod"))


main()
