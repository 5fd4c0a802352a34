#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""disabled.py NAMES CONFIG ANDROID [lists]: the configuration as the runner takes it, on stdout.

config.json disables tests by patterns, each with its reason; under "Exceptions" it names tests
that a pattern matches and that run all the same; under "Only" it disables tests that just the
runner of one version of ANDROID has. The runner has no such things: it gets the names. Runners newer
than Android 14's want lists of errors in ErrorMap.
"""

import fnmatch
import json
import sys


class Config:
    """Test name -> reason, of those that do not run; stale: what matches no test."""

    def __init__(self, path, android, names):
        self.json = json.load(open(path))
        exceptions = self.json.pop("Exceptions")
        self.json["DisabledTests"].update(self.json.pop("Only")[android])
        self.disabled, used = {}, set()
        for pattern, reason in self.json["DisabledTests"].items():
            # Go's patterns negate a class by ^, Python's by !.
            found = fnmatch.filter(names, pattern.replace("[^", "[!"))
            used.update([pattern] if found else [])
            for name in found:
                self.disabled.setdefault(name, reason)
        self.stale = [p for p in self.json["DisabledTests"] if p not in used]
        self.stale += [name for name in exceptions if not self.disabled.pop(name, None)]


def main():
    config = Config(sys.argv[2], sys.argv[3], open(sys.argv[1]).read().split())
    config.json["DisabledTests"] = config.disabled
    if sys.argv[4:] == ["lists"]:
        config.json["ErrorMap"] = {name: [error] for name, error in config.json["ErrorMap"].items()}
    json.dump(config.json, sys.stdout)


if __name__ == "__main__":
    main()
