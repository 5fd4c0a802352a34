#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Where the instructions go: count.c's addresses by the kernel's symbols.

hot.py KALLSYMS COUNTS PER [ROWS]: instructions per PER (bytes, or operations), most first.
"""
import bisect
import collections
import sys


def symbols(path):
    found = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            address, kind, name = line.split()[:3]
            if kind in "tTwW":
                found.setdefault(int(address, 16), name)
    return sorted(found.items())


def main():
    table = symbols(sys.argv[1])
    starts = [address for address, _ in table]
    per = float(sys.argv[3])
    rows = int(sys.argv[4]) if len(sys.argv) > 4 else 40
    sums = collections.Counter()
    with open(sys.argv[2], encoding="ascii") as lines:
        for line in lines:
            address, count = int(line.split()[0], 16), int(line.split()[1])
            if address < 1 << 47:
                sums["(userspace)"] += count
            else:
                sums[table[bisect.bisect_right(starts, address) - 1][1]] += count
    total = sum(sums.values())
    print(f"{total / per:14.3f} 100.0 % total")
    for name, count in sums.most_common(rows):
        print(f"{count / per:14.3f} {100 * count / total:5.1f} % {name}")


if __name__ == "__main__":
    main()
