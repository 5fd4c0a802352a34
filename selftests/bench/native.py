#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""native.csv of native.sh -> native.md, printed, too.

native.py CSV MARKDOWN [UNIT]
"""
import collections
import csv
import statistics
import sys

OURS = ("tlsgate-user", "tlsgate")
# row, the most that we may need of what the best of the others needs
BARS = {"handshake": 0.70, "handshake-8": 0.70, "resumption": 0.70, "churn": 0.80}
WORKERS_BAR = 1.8
HELD_BAR = 32 << 10
FIRST_BAR = 200         # microseconds more than the best of the others
TITLES = {
    "handshake": "connect, full handshake, close",
    "resumption": "connect, resumption, close",
    "churn": "connect, full handshake, request of 64 bytes, close",
    "churn-resumed": "the same, resumed",
    "handshake-8": "as handshake, 8 clients at once",
    "churn-8": "as churn, 8 clients at once",
    "memory-handshake": "full handshake in memory: no socket, one thread",
    "memory-resumption": "resumption in memory",
}


def read(path):
    """{row: {subject: [values]}} in the order measured."""
    rows = collections.defaultdict(lambda: collections.defaultdict(list))
    with open(path, encoding="ascii") as lines:
        for line in csv.DictReader(lines):
            rows[line["row"]][line["subject"]].append(float(line["value"]))
    return rows


def verdict(met):
    return "met" if met else "**missed**"


def quartiles(values):
    if len(values) < 4:
        return f"{min(values):.0f} to {max(values):.0f}"
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low:.0f} to {high:.0f}"


def time_table(name, row, unit):
    """Ratios are medians of the rounds' ratios: what disturbs a round, disturbs both."""
    ours = next(row[name] for name in OURS if name in row)
    yield f"### {name}: {TITLES[name]}\n"
    yield f"| subject | median, {unit} | middle half | tlsgate / it, by rounds |"
    yield "|---|---|---|---|"
    ratios = []
    for subject, values in row.items():
        ratio = ""
        if values is not ours:
            ratios.append(statistics.median(a / b for a, b in zip(ours, values)))
            ratio = f"{ratios[-1]:.2f}"
        yield f"| {subject} | {statistics.median(values):.0f} | {quartiles(values)} | {ratio} |"
    if ratios and name in BARS:
        yield f"\nAgainst the best {max(ratios):.2f}; bar {BARS[name]:.2f}: " + \
            verdict(max(ratios) <= BARS[name])
    yield ""


def workers(row, unit):
    one, two = (statistics.median(row[s]) for s in ("tlsgate-user", "tlsgate-two"))
    yield f"### workers: the busiest process, {unit} a connection\n"
    yield f"One worker {one:.0f}, two workers {two:.0f}: {one / two:.2f} times as many connections " \
        f"before it is busy all the time; bar {WORKERS_BAR}: {verdict(one / two >= WORKERS_BAR)}\n"


def held(row):
    ours, theirs = (statistics.median(row[s]) for s in ("tlsgate", "libssl"))
    yield "### memory-held: bytes of a server's handshake that waits for the client's Finished\n"
    yield f"tlsgate {ours:.0f}, libssl {theirs:.0f}; bar {HELD_BAR}: {verdict(ours <= HELD_BAR)}\n"


def first_request(row):
    yield "### first-request: from a new connection's first request to its answer, default socket options\n"
    yield "| subject | median, µs | middle half |"
    yield "|---|---|---|"
    for subject, values in row.items():
        yield f"| {subject} | {statistics.median(values):.0f} | {quartiles(values)} |"
    ours = next(row[name] for name in OURS if name in row)
    others = [statistics.median(values) for values in row.values() if values is not ours]
    if others:
        more = statistics.median(ours) - min(others)
        yield f"\nAgainst the best {more:+.0f} µs; bar {FIRST_BAR:+d} µs: " + verdict(more <= FIRST_BAR)
    yield ""


def report(rows, unit):
    for name, row in rows.items():
        if name == "workers":
            yield from workers(row, unit)
        elif name == "memory-held":
            yield from held(row)
        elif name == "first-request":
            yield from first_request(row)
        else:
            yield from time_table(name, row, unit)


def main():
    source, target = sys.argv[1:3]
    unit = sys.argv[3] if sys.argv[3:] and sys.argv[3] else "µs"
    text = "\n".join(report(read(source), unit))
    with open(target, "w", encoding="utf-8") as out:
        out.write(text)
    print(text)


if __name__ == "__main__":
    main()
