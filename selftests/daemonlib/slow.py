# SPDX-License-Identifier: MIT
"""Peers that say nothing, or a byte at a time: each program has a time for that, and others do not wait."""

import contextlib
import os
import select
import socket
import subprocess
import threading
import time

from daemonlib.control import ControlGate, is_gone
from daemonlib.gate import (DEADLINE, TLSGATE, Backend, Gate, Hello, echo, log_text, need, need_alert, path,
                            stopped, test, wait_until)
from daemonlib.names import NamesGate

PACE = 0.1                                  # seconds between the bytes of a slow peer


def drip(connection, data, pace=PACE):
    """One byte in each segment; ends when the other end is gone."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(pace)                # the pace of a peer, not a wait for something


def in_background(function, *args):
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    return thread


NOTHING = b""
RECORD = b"\x16\x03\x03\x40\x00" + bytes(16384)     # one that takes half an hour


def ends_in_time(connection, least, more=0):
    """It is over after the time-out and no earlier: no byte prolongs it.  more: before that began."""
    begun = time.monotonic()
    with connection, contextlib.suppress(ConnectionResetError):
        while connection.recv(100):
            pass
    took = time.monotonic() - begun
    need(least * .7 < took < least + more + 5, "it took %.1f s, with a time-out of %.1f s" % (took, least))


@test
def slow_clients_have_the_time_of_a_handshake():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--handshake-timeout=2s", "--workers=1") as gate:
        for data, more in ((NOTHING, 8), (RECORD, 0)):  # who says nothing is accepted after 7 s
            slow = gate.connect_plain()
            in_background(drip, slow, data)
            with gate.connect() as other:
                echo(other)
            ends_in_time(slow, 2, more)


class Bytewise:
    """A socket that sends each byte in a segment of its own."""

    def __init__(self, plain):
        self.plain = plain
        self.recv = plain.recv

    def sendall(self, data):
        drip(self.plain, data, 0)


@test
def a_client_may_send_byte_by_byte():
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        Hello(gate, Bytewise).finish()


@test
def slow_servers_have_the_time_of_a_handshake():
    with Backend() as backend, \
            Gate("connect", backend.address, "--ca=ca.pem", "--server-name=localhost",
                 "--handshake-timeout=2s", "--workers=1") as gate:
        for data in (NOTHING, RECORD):
            client = gate.connect_plain()
            server = backend.accept()
            in_background(drip, server, data)
            ends_in_time(client, 2)
            server.close()


def fill(listener):
    """Until it takes no further connection: clients that are held."""
    held = []
    while len(held) < 16:
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        held.append(client)
        if not select.select([], [client], [], .5)[1]:
            return held
    raise AssertionError("the listener takes everybody")


@test
def a_backend_that_takes_nobody_has_the_time_to_connect():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        held = fill(listener)
        with Gate("serve", "127.0.0.1:%d" % listener.getsockname()[1], "--connect-timeout=1s") as gate:
            need_alert(gate.connect())
            need("cannot be reached" in log_text(), log_text())
        for client in held:
            client.close()


@test
def a_byte_at_a_time_is_not_idle():
    with Backend().echo() as backend, Gate("serve", backend.address, "--idle-timeout=2s") as gate:
        connection = gate.connect()
        begun = time.monotonic()
        while time.monotonic() - begun < 4:
            echo(connection, b"x")
            time.sleep(.5)                  # the pace of a peer
        need_alert(connection)


@test
def slow_clients_of_the_control_socket():
    with Backend() as backend, ControlGate(backend.address) as gate:
        with gate.dial() as slow, gate.dial() as endless:
            def forever():
                with contextlib.suppress(OSError):
                    while True:
                        endless.send(b"g")
                        time.sleep(PACE)    # the pace of a peer

            in_background(forever)
            for byte in b"gates\n":
                slow.send(bytes([byte]))
                time.sleep(PACE)
            need(b'"ok"' in slow.recv(65536), "a slow request is answered")
            need(b"at most" not in endless.recv(1000) and is_gone(endless), "no byte prolongs its time")
            need(gate.ask(b"gates\n")["status"] == "ok", "others are served")


@contextlib.contextmanager
def fake_daemon(name, serve):
    """A control socket on which serve answers each connection."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path(name))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path(name))
        listener.listen(0)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    serve(listener.accept()[0])

        if serve:
            in_background(accept)
        yield path(name)


def say_forever(connection):
    with contextlib.suppress(OSError):
        while True:
            connection.send(b"{")
            time.sleep(1)                   # the pace of a peer


def in_time(pattern, *argv):
    """Starts the tool; the function to call then waits for its end."""
    process = subprocess.Popen([TLSGATE, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)

    def check():
        text, _ = process.communicate(timeout=2 * DEADLINE)
        need(process.returncode == 1 and pattern in text, "%s: %d, %s" % (argv, process.returncode, text))

    return check


@test
def the_tool_waits_for_no_slow_peer():
    with Backend() as backend, ControlGate(backend.address) as gate, stopped(gate.process.pid), \
            fake_daemon("deaf", None) as deaf, fake_daemon("slow", say_forever) as slow, \
            socket.socket(socket.AF_UNIX) as first, socket.create_server(("127.0.0.1", 0)) as silent:
        first.connect(deaf)                 # its backlog is full
        checks = [in_time("no answer from tlsgated: Connection timed out", "-S", gate.socket, "gates"),
                  in_time("no answer from tlsgated: Connection timed out", "-S", slow, "stats"),
                  in_time("no tlsgated answers", "-S", deaf, "gates"),
                  in_time("not complete within 10 s", "handshake", "127.0.0.1:%d" % silent.getsockname()[1],
                          "--insecure")]
        for check in checks:
            check()


@test
def a_name_server_that_says_nothing_holds_nobody():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, Backend().echo() as backend:
        try:
            silent.bind(("127.0.0.53", 53))
        except OSError as error:            # another answers there, or it is not for us
            need(False, "a name server of the test's: %s" % error)
        silent.settimeout(DEADLINE)
        with NamesGate(backend.address, "connect-timeout = 300ms\n", server="127.0.0.53") as gate:
            need(b"backend" in silent.recv(512), "it is asked")
            with gate.connect_to(gate.ports[0]) as connection:
                echo(connection)
            need_alert(gate.connect())
            wait_until(lambda: "its name is not resolved" in log_text(), log_text())
