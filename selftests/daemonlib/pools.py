# SPDX-License-Identifier: MIT
"""Gates with several backends."""

import contextlib
import os
import socket
import threading
import time

from daemonlib import gate
from daemonlib.gate import (Backend, Gate, TlsServer, echo, free_port, log_text, need, need_alert, path,
                            start, test, wait_until, write)
from daemonlib.refusals import refused_file


class FileGate(Gate):
    """One gate of a file: lines are its settings beside mode, listen and data-path."""

    header = "workers = 1\nstop-time = 0\n"
    before = ()

    def __init__(self, lines, mode="serve", data_path=None, pair="cert = one.pem\nkey = one.key\n", process=""):
        self.port = free_port()
        write("gate.conf", self.header + process + "gate web {\nmode = %s\nlisten = \"127.0.0.1:%d\"\n"
              "data-path = %s\n%s%s\n}\n" %
              (mode, self.port, data_path or gate.PATH, pair if mode == "serve" else "", lines))
        self.process = start("-c", "gate.conf", before=self.before)
        self.ready(1)


def list_of(*backends):
    return "backend = { %s }\n" % ", ".join('"%s"' % (b if isinstance(b, str) else b.address) for b in backends)


class NamedBackend(Backend):
    """Says at once who it is."""

    def __init__(self, name, unix=None):
        super().__init__()
        if unix:
            self.listener.close()
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(unix)
            os.chmod(unix, 0o666)
            self.listener.listen()
            self.address = "unix:" + unix
        self.name = name
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with contextlib.suppress(OSError):      # a check that is gone already
                    connection.sendall(self.name)
                threading.Thread(target=self.end, args=(connection,), daemon=True).start()

    @staticmethod
    def end(connection):
        with connection, contextlib.suppress(OSError):
            connection.recv(1)


def answerer(tlsgated, **options):
    """Who answers a connection."""
    with tlsgated.connect(**options) as connection:
        return connection.recv(1)


def closed_port():
    return "127.0.0.1:%d" % free_port()


@contextlib.contextmanager
def deaf():
    """Where nobody answers a SYN: the backlog is full, and nobody accepts."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield "127.0.0.1:%d" % listener.getsockname()[1]


@test
def backends_have_their_turn():
    with NamedBackend(b"a") as a, NamedBackend(b"b") as b, NamedBackend(b"c") as c, \
            FileGate(list_of(a, b, c)) as tlsgated:
        got = [answerer(tlsgated) for _ in range(6)]
        need(sorted(got[:3]) == [b"a", b"b", b"c"] and got[:3] == got[3:], "in turn: %s" % got)


@test
def a_backend_that_refuses_is_passed_over():
    with NamedBackend(b"a") as a, FileGate(list_of(closed_port(), a, closed_port())) as tlsgated:
        need([answerer(tlsgated) for _ in range(4)] == [b"a"] * 4, "by the one that is there")
        need("cannot be reached" not in log_text(), log_text())


@test
def a_backend_that_does_not_answer_leaves_time_for_the_next():
    with deaf() as nowhere, NamedBackend(b"a") as a, \
            FileGate(list_of(nowhere, a) + "connect-timeout = 2s\n") as tlsgated:
        begun = time.monotonic()
        need(answerer(tlsgated) == b"a", "reached")
        need(time.monotonic() - begun > 0.9, "the first had its share of the time")


@test
def no_backend_is_reached():
    with deaf() as nowhere, FileGate(list_of(closed_port(), nowhere, closed_port()) +
                                     "connect-timeout = 300ms\ncheck = 0\n") as tlsgated:
        need_alert(tlsgated.connect())
        wait_until(lambda: "nor can the others; connection closed" in log_text(), "it is said")
        need(log_text().count("cannot be reached") == 1, log_text())


@test
def a_name_not_resolved_is_passed_over():
    with NamedBackend(b"a") as a, FileGate(list_of("nowhere.invalid:1", a)) as tlsgated:
        need([answerer(tlsgated) for _ in range(3)] == [b"a"] * 3, "by the one that is known")


@test
def unix_and_tcp_backends_together():
    with NamedBackend(b"a") as a, NamedBackend(b"u", path("member.sock")) as u, \
            FileGate(list_of(u, a), data_path="auto" if gate.PATH == "kernel" else "user") as tlsgated:
        got = [answerer(tlsgated) for _ in range(4)]
        need(sorted(got) == [b"a", b"a", b"u", b"u"], "both: %s" % got)


@test
def servers_of_mode_connect_have_sessions_of_their_own():
    with TlsServer() as one, TlsServer() as two, \
            FileGate(list_of(one.address, two.address) + 'ca = "ca.pem"\ncheck = 0\n', mode="connect") as tlsgated:
        for _ in range(2):
            for _ in range(2):
                with tlsgated.connect_plain() as connection:
                    echo(connection)
        for server in (one, two):
            wait_until(lambda server=server: server.sessions == ["new", "resumed"], "resumed: %s" % server.sessions)


def conf(lines, ports=None):
    """A file of one gate, and of another that leads to it."""
    return ("gate web {\nmode = serve\nlisten = 127.0.0.1:%d\n%s\ncert = one.pem\nkey = one.key\n}\n"
            "gate chain {\nmode = serve\nlisten = 127.0.0.1:%d\nbackend = 127.0.0.1:%d\ncert = one.pem\nkey = one.key\n"
            "}\n" % (ports[0], lines, ports[1], ports[0]))


@test
def backends_that_are_refused():
    ports = free_port(), free_port()
    for lines, pattern in (
            ("backend = { 127.0.0.1:1, 127.0.0.1:1 }", r"4:26: refused: backend = '127.0.0.1:1': it is in the list twice"),
            ('backend = { "127.0.0.1:1 weight 0" }', r"its weight must be a number from 1 to 256"),
            ('backend = { "127.0.0.1:1 weight 3x" }', r"its weight must be a number from 1 to 256"),
            ("backend = { %s }" % ", ".join("10.0.0.1:%d" % port for port in range(1, 258)), "more than 256 backends"),
            ("deliver = always\nbackend = { 127.0.0.1:1, 127.0.0.1:2 }", "it delivers to one server")):
        refused_file(2, conf(lines, ports), ".*" + pattern)
    leads_back = "refused: gate '%s': backend '127.0.0.1:%d': it leads back to what this gate listens on"
    refused_file(1, conf("backend = { 127.0.0.1:1, 127.0.0.1:%d }" % ports[1], ports),
                 "4:26: " + leads_back % ("web", ports[1]), ".*" + leads_back % ("chain", ports[0]))


@test
def several_backends_are_not_delivered_to():
    with NamedBackend(b"a") as a, NamedBackend(b"b") as b, \
            FileGate(list_of(a, b) + "deliver = auto\n", data_path="auto") as tlsgated:
        need("all clients are relayed, not delivered, until a reload: the gate has several backends" in log_text(), log_text())
        need(sorted(answerer(tlsgated) for _ in range(2)) == [b"a", b"b"], "relayed to both")
