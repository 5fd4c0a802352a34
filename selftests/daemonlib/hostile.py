# SPDX-License-Identifier: MIT
"""No printer hands on what moves a terminal's cursor: what peers, files and sockets say, from every place."""

import contextlib
import json
import re
import ssl
import subprocess

from daemonlib.control import ControlGate
from daemonlib.gate import DEADLINE, TLSGATE, Backend, Gate, Hello, echo, log_text, need, path, test, wait_until
from daemonlib.slow import fake_daemon

HOSTILE = "a\033[2J\r\b\x9b\u202eb\nforged: ok"


def harmless(output):
    """Printable ASCII, in lines."""
    return not re.search(rb"[^\n\x20-\x7e]", output)


def with_hostile_texts(value, keep=("status", "path")):
    if isinstance(value, dict):
        return {key: item if key in keep else with_hostile_texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_hostile_texts(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def commands():
    text = subprocess.run([TLSGATE, "--help"], check=True, capture_output=True, text=True, timeout=DEADLINE).stdout
    return sorted(set(re.findall(r"^ +(?:tlsgate )?([a-z]+)\b", text, re.MULTILINE)))


def told(answers, *argv):
    """All that the tool prints when what listens on the socket answers so."""
    def serve(connection):
        with connection:
            name = connection.recv(300).split()[0].decode()
            connection.sendall(json.dumps(answers(name), ensure_ascii=False).encode() + b"\n")

    with fake_daemon("hostile.socket", serve) as there:
        done = subprocess.run([TLSGATE, "-S", there, *argv], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=DEADLINE, check=False)
    return done.stdout + done.stderr


@test
def no_answer_on_the_control_socket_reaches_the_terminal_as_it_is():
    true = {}
    with Backend().echo() as backend, ControlGate(backend.address) as gate, gate.connect() as connection:
        echo(connection)
        for name in ("gates", "stats", "connections", "metrics"):
            true[name] = gate.ask(name.encode() + b"\n")
    printed = 0
    for status in ("ok", "refused", HOSTILE):
        def answers(name):
            return {**with_hostile_texts(true.get(name, {})), "status": status, "reason": HOSTILE,
                    "lines": [HOSTILE] * 2}

        for name in set(commands()) - {"monitor", "handshake"}:     # these have no answer of the daemon
            output = told(answers, name)
            need(harmless(output), "%s, told %r: %r" % (name, status, output))
            printed += b"\\x1b[2J" in output
        output = told(answers, "stats", "--openmetrics")
        need(harmless(output) and b"tlsgate: stats: " in output, "metrics, told %r: %r" % (status, output))
        if status == "ok":
            need(b"\\x1b[2J" in told(answers, "show"), "show prints %r" % told(answers, "show"))
        for name in ("gates", "stats", "show"):
            output = told(answers, name, "--json")
            need(harmless(output), "%s --json, told %r: %r" % (name, status, output))
            if status == "ok":
                need(b"\\u009b\\u202e" in output, "%s --json prints %r" % (name, output))
    need(printed > 5, "%d answers were printed" % printed)


class Spoiled:
    """A socket whose first flight has other bytes in a place of the ClientHello."""

    def __init__(self, plain, old, new):
        self.plain, self.old, self.new = plain, old, new
        self.recv = plain.recv

    def sendall(self, data):
        self.plain.sendall(data.replace(self.old, self.new))


@test
def what_a_client_names_is_harmless_in_every_log():
    """main() looks at the log of each test; here it has what it could choke on."""
    name, protocol = b"a\033[2J\x9b\nbc", "h\033[2J\r\n\x7f\""
    for logged in ((), ("--verbose",), ("--connection-log",), ("--connection-log", "--log-format=json")):
        with Backend() as backend, \
                Gate("serve", backend.address, "--alpn=h2", "--handshake-timeout=1s", *logged) as gate:
            context = ssl.create_default_context(cafile=path("ca.pem"))
            context.set_alpn_protocols([protocol])
            with contextlib.suppress(OSError):
                gate.connect_with(context)
            with contextlib.suppress(OSError, AssertionError):
                Hello(gate, lambda plain: Spoiled(plain, b"localhost", name)).finish()
            ends = "reason" if "--connection-log" in logged else "handshake failed"
            wait_until(lambda: log_text().count(ends) >= 2, log_text())
            need("(it offers h" in log_text(), "what it offers is told: " + log_text())
