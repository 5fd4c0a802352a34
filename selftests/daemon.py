#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# tlsgated itself, on the build machine and its user data path: what it refuses, how it ends
# connections, that it survives its children and reloads, that it leaks nothing and that keys
# stay where they belong.  TAP on standard output.
#
#	selftests/daemon.py [NAME...]	only the tests whose name contains one of them
#	selftests/daemon.py --kernel [NAME...]	the kernel data path instead: needs the module, so run it
#					in a guest: selftests/vm/run.sh -- selftests/daemon.py --kernel
#	TLSGATED=FILE TLSGATE=FILE	other programs than those in build/

import importlib
import subprocess
import sys

sys.dont_write_bytecode = True		# the source tree stays as it is

from daemonlib import gate		# noqa: E402

NATIVE = (
    "refusals",
    "connections",
    "features",
    "proxied",
    "starttls",
    "admitted",
    "names",
    "dns",
    "names_routes",
    "nsswitch",
    "processes",
    "sandbox",
    "control",
    "hostile",
    "kills",
    "log_targets",
    "metrics",
    "reload",
    "tickets",
    "certdirs",
    "limits",
    "sockets",
    "slow",
    "tool",
    "pools",
    "balance",
    "pq",
    "shown",
    "ends",
    "files",
    "passing",
    "renewals",
    "quantum",
    "prometheus",
    "completion",
)
KERNEL = (
    "balance",
    "deliver",
    "kernel",
    "limits_kernel",
    "metrics_kernel",
    "names_routes",
    "pools",
    "proxied_kernel",
    "shown_kernel",
    "sockets_kernel",
    "starttls_kernel",
)

chosen = NATIVE
if sys.argv[1:2] == ["--kernel"]:
    del sys.argv[1]
    gate.PATH = "kernel"
    chosen = KERNEL
for name in chosen:
    importlib.import_module("daemonlib." + name)
# they import others, whose tests are run where these are chosen
tests = [t for t in gate.tests if t.__module__.partition(".")[2] in chosen]


def main():
    failed = 0
    names = [word.replace(" ", "_") for word in sys.argv[1:]]
    wanted = [t for t in tests if not names or any(name in t.__name__ for name in names)]
    if not wanted:
        print("daemon.py: no test has this in its name: " + " ".join(names), file=sys.stderr)
    for number, function in enumerate(wanted, 1):
        name = function.__name__.replace("_", " ")
        gate.logs.clear()
        try:
            function()
            gate.need_harmless_logs()
            print("ok %d - %s" % (number, name), flush=True)
        except gate.Skip as skip:
            print("ok %d - %s # SKIP %s" % (number, name, skip), flush=True)
        except (AssertionError, OSError, subprocess.SubprocessError, LookupError, ValueError) as error:
            failed += 1
            print("not ok %d - %s\n# %s: %s" % (number, name, type(error).__name__, error))
            for line in gate.log_text().splitlines()[-6:] if gate.logs else ():
                print("# log: " + line, flush=True)
    print("1..%d" % len(wanted))
    return 1 if failed or not wanted else 0


gate.make_certificates()
sys.exit(main())
