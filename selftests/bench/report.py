#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""raw.csv, aead.txt and tcrypt.txt of inside.sh -> results.csv, report.md, one SVG a row.

report.py FOLDER-OF-INSIDE.SH FOLDER-TO-WRITE KERNEL
"""
import collections
import csv
import os
import re
import subprocess
import sys

RECORD = 16384
# HTTP headers of a request and of the backend's answer, bytes.
REQUEST, ANSWER = 45, 60
RELAYS = ("nginx-stream", "haproxy", "hitch", "stunnel")
# Kernel AEADs as measured by hand on 6.12, for what tcrypt did not say.
KERNEL_FACTS = {"aes128": (970, 2.22), "aes256": (970, 2.60), "chacha20": (970, 5.24)}

# row, what is compared, with whom ("best": the best relay) or how many, at most this ratio.
BARS = [
    ("download", "other", "best", 0.55), ("download", "total", "best", 0.78),
    ("download", "other", "ktls-splice", 1.00),
    ("upload", "other", "best", 0.60), ("both-ways", "other", "best", 0.60),
    ("download-chacha20", "other", "best", 0.60), ("upload-chacha20", "other", "best", 0.60),
    ("download-aes256", "other", "best", 0.60), ("upload-aes256", "other", "best", 0.60),
    ("transact-64", "total", "best", 0.60), ("transact-1k", "total", "best", 0.60),
    ("transact-16k", "total", "best", 0.60),
    ("churn", "total", "best", 0.80), ("churn", "total", "tlsgate-user", 1.00),
    ("resume", "total", "best", 0.70),
    ("socket-send-16k", "other-plain", "ktls-socket", 0.60),
    ("socket-send-256", "total", "ktls-socket", 0.50),
    ("socket-send-256", "other-plain", "ktls-socket", 0.50),
    ("socket-sendfile-64k", "total", "ktls-socket", 0.90),
    ("growth-new", "total", "live-2", 1.05), ("growth-record", "total", "live-2", 1.05),
    ("growth-daemon", "total", "live-100", 1.02),
    ("growth-handover", "total", "live-2", 1.05), ("growth-handover", "total", 25000, 1.00),
]
# Delivered, the total: against the best relay, and against nginx doing TLS itself (None: no bar).
DELIVERED = [
    ("transact-64", 0.53, 0.63), ("transact-1k", 0.55, 0.65), ("transact-16k", 0.67, 0.71),
    ("download", 0.79, 0.84), ("upload", 0.88, None), ("both-ways", 0.82, None),
]
UNIX_ROWS = ("download", "upload", "transact-64", "transact-1k", "transact-16k")


class Aeads:
    """Instructions for one record, linear between two sizes measured in this very guest."""

    def __init__(self, folder):
        points = collections.defaultdict(dict)
        for line in lines_of(folder, "aead.txt"):
            end, suite, size, cost = line.split()
            points[end, suite][int(size)] = int(cost)
        suite = None
        for line in lines_of(folder, "tcrypt.txt"):
            if "testing speed" in line:
                suite = {"gcm(aes)": "aes", "rfc7539esp(chacha20,poly1305)": "chacha20"}.get(
                    re.search(r"speed of (\S+)", line)[1])
            found = re.search(r"\((\d+) bit key, (\d+) byte blocks\).*?in (\d+) cycles", line)
            if found and suite and int(found[2]) in (256, 8192):
                name = suite + (found[1] if suite == "aes" else "")
                points["k", name][int(found[2])] = int(found[3])
        self.lines, self.facts = {}, []
        for key, measured in points.items():
            if len(measured) == 2:
                (small, a), (big, b) = sorted(measured.items())
                slope = (b - a) / (big - small)
                self.lines[key] = (a - slope * small, slope)
        for suite, line in KERNEL_FACTS.items():
            if ("k", suite) not in self.lines:
                self.lines["k", suite] = line
                self.facts.append(suite)

    def records(self, end, suite, size):
        fixed, slope = self.lines[end, suite]
        return -(-size // RECORD) * fixed + size * slope

    def operation(self, row):
        if row["ends"] == "-":
            return 0
        got, sent = int(row["got"]), int(row["sent"])
        if not row["subject"].endswith("-socket"):
            got, sent = got + ANSWER, sent + REQUEST
        return sum(self.records(end, row["suite"], size)
                   for end in row["ends"] for size in (got, sent) if size)


def lines_of(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii", errors="replace") as lines:
        return list(lines)


def results(folder, aeads):
    """{row: {subject: {total, aead, other, unit}}}, in the order measured."""
    rows = {}
    for row in csv.DictReader(lines_of(folder, "raw.csv"), fieldnames=(
            "row", "subject", "job", "ends", "suite", "got", "sent", "count", "used")):
        memory = row["job"] == "memory"
        bulk = not memory and (row["job"] in ("put", "both") or row["count"] == "1")
        per = int(row["got"]) + int(row["sent"]) if bulk else 1
        total = int(row["used"]) / int(row["count"]) / per
        aead = aeads.operation(row) / per
        rows.setdefault(row["row"], {})[row["subject"]] = {
            "total": total, "aead": aead, "other": total - aead,
            "unit": "bytes" if memory else
                    "instructions/byte" if bulk else "instructions/operation"}
    return rows


def ours(row):
    return next((row[name] for name in ("tlsgate", "tlsgate-socket", "live-10000", "live-1000")
                 if name in row), None)


def best(row, what):
    return min((row[name][what] for name in RELAYS if name in row), default=None)


def compared(row, what, versus):
    """(ours, theirs) or None where one was not measured."""
    if what == "other-plain":
        if not {"plain-socket", versus} <= row.keys() or not ours(row):
            return None
        plain = row["plain-socket"]["total"]
        return ours(row)["other"] - plain, row[versus]["other"] - plain
    if isinstance(versus, int):
        theirs = versus
    else:
        theirs = best(row, what) if versus == "best" else row.get(versus, {}).get(what)
    return (ours(row)[what], theirs) if ours(row) and theirs else None


def delivered(row, versus):
    """(delivered, theirs) or None where one was not measured."""
    mine = row.get("tlsgate-deliver", {}).get("total")
    theirs = best(row, "total") if versus == "best" else row.get(versus, {}).get("total")
    return (mine, theirs) if mine and theirs else None


def number(value, unit):
    return f"{value:.2f}" if unit.endswith("byte") else f"{value:,.0f}"


def comparisons(rows):
    """Row, what is compared, the bar, (ours, theirs) or None."""
    for name, what, versus, bound in BARS:
        yield name, f"{what} against {versus}", bound, compared(rows.get(name, {}), what, versus)
    for name in UNIX_ROWS:
        row = rows.get(name, {})
        yield name, "total, UNIX socket backend against TCP", 1.0, \
            "tlsgate" in row and "tlsgate-unix" in row and (
                row["tlsgate-unix"]["total"], row["tlsgate"]["total"])
    for name, *bounds in DELIVERED:
        for versus, bound in zip(("best", "nginx-http"), bounds):
            if bound:
                yield name, f"total, delivered, against {versus}", bound, \
                    delivered(rows.get(name, {}), versus)
    for name in ("churn", "resume"):
        yield name, "total, delivered, against tlsgate", 1.0, \
            delivered(rows.get(name, {}), "tlsgate")


def bar_lines(rows):
    for name, what, bound, pair in comparisons(rows):
        label = f"| {name} | {what} | {bound:.2f} |"
        if not pair:
            yield f"{label} - | not measured |"
            continue
        ratio = pair[0] / pair[1]
        met = ratio < bound if bound == 1.0 else ratio <= bound
        yield f"{label} {ratio:.2f} | {'met' if met else '**missed**'} |"


def table(row):
    best_total, best_other = best(row, "total"), best(row, "other")
    yield "| subject | total | AEAD | other | total / best relay | other / best relay |"
    yield "|---|---|---|---|---|---|"
    for subject, r in row.items():
        cells = [number(r[what], r["unit"]) for what in ("total", "aead", "other")]
        ratios = [f"{r['total'] / best_total:.2f}" if best_total else "",
                  f"{r['other'] / best_other:.2f}" if best_other else ""]
        yield f"| {subject} | " + " | ".join(cells + ratios) + " |"


def write_report(path, kernel, rows, aeads, missing):
    with open(path, "w", encoding="ascii") as out:
        print(f"# Bench, Linux {kernel}\n\nInstructions of the whole guest: client, relay and "
              "backend on one CPU. Lower is better; the best relay is the best of "
              f"{', '.join(RELAYS)}.\n\n## Bars\n\n| row | what | bar | ratio | |\n|---|---|---|---|---|",
              file=out)
        print("\n".join(bar_lines(rows)), file=out)
        for line in missing:
            print(f"\nNot measured: {line.strip()}", file=out)
        print("\n## AEADs alone\n\n| where | suite | a record | a byte |\n|---|---|---|---|", file=out)
        for (end, suite), (fixed, slope) in sorted(aeads.lines.items()):
            where = "kernel" if end == "k" else "OpenSSL"
            if end == "k" and suite in aeads.facts:
                where += " (constant, not measured in this run)"
            print(f"| {where} | {suite} | {fixed:,.0f} | {slope:.3f} |", file=out)
        for name, row in rows.items():
            unit = next(iter(row.values()))["unit"]
            print(f"\n## {name}, {unit}\n\n" + "\n".join(table(row)) + f"\n\n![{name}]({name}.svg)",
                  file=out)


def write_results(path, rows):
    with open(path, "w", encoding="ascii") as out:
        print("row,subject,total,aead,other,unit", file=out)
        for name, row in rows.items():
            for subject, r in row.items():
                print(f"{name},{subject},{r['total']:.4f},{r['aead']:.4f},{r['other']:.4f},{r['unit']}",
                      file=out)


def plot(folder, name, row):
    data = "\n".join(f"{subject} {r['aead']} {r['other']}" for subject, r in row.items())
    unit = next(iter(row.values()))["unit"]
    script = f"""set terminal svg size 800,420
set output '{folder}/{name}.svg'
set title '{name}'
set ylabel '{unit}'
set style data histograms
set style histogram rowstacked
set style fill solid border -1
set boxwidth 0.7
set yrange [0:*]
set xtics rotate by -30
$data << end
{data}
end
plot $data using 2:xtic(1) title 'AEAD', '' using 3 title 'everything else'
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def main():
    source, folder, kernel = sys.argv[1:]
    aeads = Aeads(source)
    rows = results(source, aeads)
    if not rows:
        sys.exit(f"report.py: nothing was measured: {source}/raw.csv is missing or empty")
    write_results(os.path.join(folder, "results.csv"), rows)
    write_report(os.path.join(folder, "report.md"), kernel, rows, aeads, lines_of(source, "missing"))
    for name, row in rows.items():
        plot(folder, name, row)


if __name__ == "__main__":
    main()
