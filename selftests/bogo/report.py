#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""report.py NAMES CONFIG ANDROID LOG PATTERNS MALLOC_LOG MALLOC_TESTS: TAP and totals from its output.

A test that is neither disabled nor in the log has not run, and a pattern in the
configuration that matches no test is out of date: both are failures.
"""

import collections
import fnmatch
import re
import sys

sys.dont_write_bytecode = True		# the source tree stays as it is
import disabled


PASSED_MIN = 1543		# of all tests, whichever runner it is


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def read_results(path):
    """Test name -> PASSED, FAILED or UNIMPLEMENTED, and what the failed ones said."""
    results, texts = {}, collections.defaultdict(list)
    name = None
    with open(path, errors="replace") as log:
        for line in log:
            found = re.match(r"(PASSED|FAILED|UNIMPLEMENTED) \((.*)\)$", line)
            if found:
                name = found.group(2)
                results[name] = found.group(1)
            elif name and results[name] == "FAILED" and line.strip():
                texts[name].append(line.strip())
    return results, texts


def report_family(number, family, members, results, texts):
    count = collections.Counter(results.get(name, "FAILED") for name in members)
    text = f"{number} - {family}: {count['PASSED']} passed"
    if count["UNIMPLEMENTED"]:
        text += f", {count['UNIMPLEMENTED']} unimplemented"
    if count["FAILED"]:
        print(f"not ok {text}, {count['FAILED']} failed")
    elif count["PASSED"]:
        print(f"ok {text}")
    else:
        print(f"ok {number} - {family} # SKIP {count['UNIMPLEMENTED']} unimplemented")
    for name in members:
        if results.get(name, "FAILED") == "FAILED":
            print(f"# {name}: {' | '.join(texts[name]) or 'it did not run'}")
    return count


def report_malloc(number, patterns, log, tests):
    """The tests with allocations that fail; the runner ends each with PASSED or FAILED."""
    text = f"{number} - with each allocation failing in turn: {tests.replace(';', ', ')}"
    if patterns:
        print(f"ok {text} # SKIP only some tests are run")
        return 0
    results, texts = read_results(log)
    failed = [name for name in tests.split(";") if results.get(name) != "PASSED"]
    print(f"{'not ok' if failed else 'ok'} {text}")
    for name in failed:
        print(f"# {name}: {' | '.join(texts[name]) or 'it did not run'}")
    return len(failed)


def main():
    names = open(sys.argv[1]).read().split()
    config = disabled.Config(*sys.argv[2:4], names)
    results, texts = read_results(sys.argv[4])
    chosen = sys.argv[5].split(";") if sys.argv[5] else ["*"]
    families = collections.defaultdict(list)
    off = 0
    for name in names:
        if name in config.disabled:
            off += 1
        elif matches(name, chosen):
            families[name.split("-")[0]].append(name)
    print(f"1..{len(families) + 2}")
    total = collections.Counter()
    for number, family in enumerate(sorted(families), 1):
        total += report_family(number, family, families[family], results, texts)
    stale = config.stale
    print(f"{'not ok' if stale else 'ok'} {len(families) + 1} - every disabled pattern and exception has a test")
    for pattern in stale:
        print(f"# no test is named, or disabled, like {pattern}")
    total["FAILED"] += report_malloc(len(families) + 2, sys.argv[5], *sys.argv[6:])
    print(f"bogo: {total['PASSED']} passed, {total['FAILED']} failed, "
          f"{total['UNIMPLEMENTED']} unimplemented, {off} disabled (of {len(names)})")
    return 1 if stale or total["FAILED"] or total["PASSED"] < (1 if sys.argv[5] else PASSED_MIN) else 0


if __name__ == "__main__":
    sys.exit(main())
