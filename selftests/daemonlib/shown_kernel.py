# SPDX-License-Identifier: MIT
"""tlsgate show where the kernel carries connections: what the daemon knows of them is there, too."""

import json
import subprocess

from daemonlib.gate import DEADLINE, GROUP, TLSGATE, Backend, Gate, echo, need, path, test, tmp, wait_until
from daemonlib.kernel import sessions


def show(*argv):
    return subprocess.run([TLSGATE, "-S", path("control"), "show", *argv], cwd=tmp, check=True, capture_output=True,
                          text=True, timeout=DEADLINE).stdout


def listed():
    return json.loads(show("--json"))


@test
def show_tells_what_the_daemon_knows_of_sessions():
    control = "--control=" + path("control")
    for log in ((), ("--connection-log",), ("--connection-log", "--log-format=json")):
        with Backend().echo() as backend, \
                Gate("serve", backend.address, control, "--client-ca=ca.pem", "--alpn=http/1.1", *log, path="kernel") as gate:
            with gate.connect(("two.pem", "two.key")) as connection:
                echo(connection, b"x" * 1000)
                wait_until(lambda: len(listed()) == 1 and "connection" in listed()[0], "the daemon's account: " + show())
                one = listed()[0]
                known = one["connection"]
                client = "127.0.0.1:%d" % connection.getsockname()[1]
                need(known["gate"] == one["label"] and known["client"] == one["peer"] == client, "%s" % one)
                need((known["name"], known["client-cert"], known["group"], known["path"], known["mode"]) ==
                     ("localhost", "two", GROUP, "kernel", "serve") and int(known["session"]) == one["id"], "%s" % known)
                need(known["from-client"] + one["rx_bytes"] == 1000, "bytes since accept: %s" % one)
                table = show("--sort", "age")
                need(" two " in table and " %s " % GROUP in table and " kernel " in table, table)
                text = show(str(one["id"]))
                need("client cert    two\n" in text and "group          %s\n" % GROUP in text, text)
            wait_until(lambda: not sessions(), "it ends")
            wait_until(lambda: not listed(), "and so does the account")


@test
def show_has_bytes_from_before_the_hand_over():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--control=" + path("control"), path="auto") as gate:
        with gate.connect() as connection:
            echo(connection)
            need(len(listed()) == 1, "it is there: " + show())
            wait_until(lambda: listed()[0].get("connection", {}).get("path") == "kernel", "it is handed over: " + show())
            one = listed()[0]
            need(one["connection"]["from-client"] + one["rx_bytes"] == 5, "%s" % one)


@test
def show_knows_no_more_of_others_than_the_kernel():
    """No daemon answers: a dash each."""
    with Backend().echo() as backend, Gate("serve", backend.address, path="kernel") as gate, gate.connect() as connection:
        echo(connection)
        text = subprocess.run([TLSGATE, "show"], check=True, capture_output=True, text=True, timeout=DEADLINE).stdout
        need(len(text.splitlines()) == 2 and " kernel " in text and text.split("\n")[1].split().count("-") == 4, text)


@test
def show_hides_bytes_from_who_may_not_see_the_kernel():
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--control=" + path("control"), "--control-mode=0666", path="kernel") as gate:
        with gate.connect() as connection:
            echo(connection)
            wait_until(lambda: "connection" in listed()[0], "the daemon's account: " + show())
            result = subprocess.run([*nobody, TLSGATE, "-S", path("control"), "show"], capture_output=True, text=True,
                                    timeout=DEADLINE)
            need(result.returncode == 0 and "is told to root alone" in result.stderr, result.stderr)
            row = result.stdout.splitlines()[1].split()
            need(gate.port and "kernel" in row and "localhost" in row and " 5 B " not in result.stdout, result.stdout)
    need("no tlsgated answers" in subprocess.run([TLSGATE, "-S", path("control"), "show"], capture_output=True, text=True,
                                                 timeout=DEADLINE).stderr, "with -S it has to answer")


@test
def ss_tells_which_sockets_are_keyed():
    with Backend().echo() as backend, Gate("serve", backend.address, path="kernel") as gate, gate.connect() as connection:
        echo(connection)
        text = subprocess.run(["ss", "-tin", "sport", "=", ":%d" % gate.port], check=True, capture_output=True, text=True,
                              timeout=DEADLINE).stdout
        need(text.count(" tcp-ulp-tlsgate version: 1.3 cipher: aes-gcm-") == 1, text)
        need(text.count(" rxconf: sw txconf: sw") == 1, text)
