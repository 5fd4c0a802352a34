# SPDX-License-Identifier: MIT
"""How connections live and end, on the user data path."""

import os
import re
import select
import socket
import ssl
import struct
import threading
import time

from daemonlib.gate import (DEADLINE, Backend, Gate, Hello, echo, echo_at_once, free_port,
                            keepalive_timers, log_text, need, need_alert, need_keepalive, path,
                            read_end, run, send_some, stopped, test, unread, wait_until)

SO_TIMESTAMPNS = 35                         # Linux's; Python has no name for it


def need_reset(plain):
    try:
        need(False, "a reset is wanted, not %r" % plain.recv(100))
    except ConnectionResetError:
        pass


@test
def relays_both_ways():
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with gate.connect(maximum_version=version, minimum_version=version) as connection:
                echo(connection)


def arrival(connection):
    """When the kernel got what a read returns, in seconds."""
    data, control, _, _ = connection.recvmsg(65536, 256)
    need(data, "bytes, not an end")
    for level, kind, value in control:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("qq", value)
            return seconds + nanoseconds / 1e9
    raise AssertionError("no time stamp")


@test
def tickets_do_not_wait():
    # The ACK of Finished travels with them: a client with Nagle's algorithm waits for it.
    with Backend() as backend, Gate("serve", backend.address, "--proxy-protocol") as gate:
        backend.listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        hello = Hello(gate)
        hello.finish()
        hello.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        with hello.socket, backend.accept() as plain:
            header = arrival(plain)
            tickets = arrival(hello.socket)
            need(tickets <= header, "tickets came %.0f ms after the backend was told of the client" %
                 ((tickets - header) * 1000))


def unacknowledged(connection):
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("I", info, 24)[0]     # tcpi_unacked


@test
def a_finished_that_comes_last_is_acknowledged():
    # Resumed in TLS 1.2, the server has nothing to send after it that could carry the ACK.
    context = ssl.create_default_context(cafile=path("ca.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    left, session = [], None
    with Backend() as backend, Gate("serve", backend.address) as gate:
        for _ in range(4):
            with gate.connect_with(context, session) as connection, backend.accept():
                if connection.session_reused:
                    left.append(unacknowledged(connection))
                session = connection.session
        need(len(left) == 3 and 0 in left, "unacknowledged once the backend was reached: %s" % left)


@test
def peers_that_vanish_are_found_out():
    for options, least, most in ((), 60, 120), (("--keepalive=9h",), 20000, 32400):
        with Backend().echo() as backend, Gate("serve", backend.address, *options) as gate, \
                gate.connect() as connection:
            echo(connection)
            need_keepalive(gate, backend, least, most)
    with Backend().echo() as backend, Gate("serve", backend.address, "--keepalive=0") as gate, \
            gate.connect() as connection:
        echo(connection)
        need(keepalive_timers(gate.port) == [None, None], "probes though none are wanted")


@test
def backpressure_does_not_lose_bytes():
    data = os.urandom(1 << 20) * 64
    with Backend().echo() as backend, Gate("serve", backend.address) as gate, \
            gate.connect() as connection:
        connection.setblocking(False)
        sent = 0
        # nothing is read until everything in between is full
        while sent < len(data) and select.select([], [connection], [], 0.5)[1]:
            sent += send_some(connection, data[sent:sent + (1 << 16)])
        need(sent < len(data), "64 MiB fitted into the buffers between")
        echo_at_once(connection, data[:sent + (1 << 20)], sent)


@test
def close_notify_becomes_fin():
    with Backend() as backend, Gate("serve", backend.address) as gate:
        connection = gate.connect()
        connection.sendall(b"request")
        plain = backend.accept()
        need(plain.recv(100) == b"request", "request")
        # SSL_shutdown(): close_notify is sent, our own direction stays open
        closer = threading.Thread(target=lambda: connection.unwrap(), daemon=True)
        closer.start()
        need(plain.recv(100) == b"", "the backend sees the end")
        plain.close()
        closer.join(DEADLINE)
        need(not closer.is_alive(), "close_notify came back")


@test
def fin_becomes_close_notify():
    with Backend() as backend, Gate("serve", backend.address) as gate:
        connection = gate.connect()
        plain = backend.accept()
        plain.sendall(b"last words")
        plain.shutdown(socket.SHUT_WR)
        need(connection.recv(100) == b"last words", "data before the end")
        # suppress_ragged_eofs is off: a FIN without close_notify would raise
        need(connection.recv(100) == b"", "an authenticated end")
        connection.sendall(b"still open")
        need(plain.recv(100) == b"still open", "the other direction goes on")
        connection.close()
        plain.close()


@test
def truncation_becomes_reset():
    with Backend() as backend, Gate("serve", backend.address) as gate:
        connection = gate.connect()
        connection.sendall(b"half of a messa")
        plain = backend.accept()
        need(plain.recv(100) == b"half of a messa", "data")
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
        need_reset(plain)


@test
def forged_record_becomes_reset_and_alert():
    with Backend() as backend, Gate("serve", backend.address) as gate:
        connection = gate.connect()
        plain = backend.accept()
        raw = socket.socket(fileno=os.dup(connection.fileno()))
        raw.settimeout(DEADLINE)
        raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        try:
            need(False, "the client got %r" % connection.recv(100))
        except ssl.SSLError as error:
            need("BAD_RECORD_MAC" in str(error).upper(), "alert: %s" % error)
        need_reset(plain)
        raw.close()
        connection.close()
        wait_until(lambda: "bad_record_mac sent" in log_text(), "a line in the log")


@test
def backend_reset_is_no_clean_end():
    with Backend() as backend, Gate("serve", backend.address) as gate:
        connection = gate.connect()
        connection.sendall(b"x")
        plain = backend.accept()
        need(plain.recv(1) == b"x", "data")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plain.close()
        try:
            need(connection.recv(100) != b"", "a reset was passed on as a clean end")
        except (ssl.SSLError, OSError):
            pass


@test
def backend_unreachable():
    port = free_port()
    with Gate("serve", "127.0.0.1:%d" % port) as gate:
        need_alert(gate.connect())
        wait_until(lambda: log_text().count("cannot be reached: Connection refused") == 1,
                   "one line in the log")


@test
def a_backend_that_is_down_is_no_line_for_each_client():
    with Gate("serve", "127.0.0.1:%d" % free_port(), "--workers=1") as gate:
        begun = time.monotonic()
        clients = 6
        for _ in range(clients):
            need_alert(gate.connect())
        spent = time.monotonic() - begun
        need(log_text().count("cannot be reached") <= 1 + spent // 5, log_text())
        # the next line has those that had none
        while "more since the last line" not in log_text():
            need(time.monotonic() - begun < DEADLINE, log_text())
            need_alert(gate.connect())
            clients += 1
        lines = [line for line in log_text().splitlines() if "cannot be reached" in line]
        need(len(lines) + int(re.search("as ([0-9]+) more", lines[-1]).group(1)) == clients, "%d: %s" % (clients, lines))


@test
def not_tls_at_all():
    with Backend() as backend, Gate("serve", backend.address) as gate, \
            socket.create_connection(("127.0.0.1", gate.port), timeout=DEADLINE) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        answer = plain.recv(100)
        need(answer[:1] == b"\x15" and plain.recv(100) == b"", "an alert and the end: %r" % answer)
        wait_until(lambda: "alert unexpected_message sent: an HTTP request: this port speaks TLS" in log_text(),
                   "one line in the log says what came: %s" % log_text())


@test
def nothing_in_common():
    context = ssl.create_default_context(cafile=path("ca.pem"))
    context.set_alpn_protocols(["x\n"])
    with Backend() as backend, Gate("serve", backend.address, "--alpn=h2") as gate:
        try:
            gate.connect_with(context)
            need(False, "refused")
        except ssl.SSLError:
            pass
        wait_until(lambda: "alert no_application_protocol sent: the client has no application protocol in common with us "
                   "(it offers x?)" in log_text(), "the line says what: %s" % log_text())


@test
def handshake_deadline():
    with Backend() as backend, Gate("serve", backend.address, "--handshake-timeout=300ms") as gate, \
            socket.create_connection(("127.0.0.1", gate.port), timeout=DEADLINE) as plain:
        plain.sendall(b"\x16\x03\x01\x02\x00")
        need(plain.recv(100) == b"", "closed")
        need("deadline" in log_text(), "one line in the log")


@test
def idle_deadline():
    with Backend() as backend, Gate("serve", backend.address, "--idle-timeout=300ms") as gate:
        connection = gate.connect()
        need_reset(backend.accept())
        need_alert(connection)


@test
def a_stop_is_no_clean_end():
    ends = []
    with Backend() as backend:
        with Gate("serve", backend.address) as gate:
            connection = gate.connect()
            connection.sendall(b"half of a messa")
            plain = backend.accept()
            need(plain.recv(100) == b"half of a messa", "data")
            plain.sendall(b"half of an answ")
            need(connection.recv(100) == b"half of an answ", "data")
            # the worker waits for it to go
            reader = threading.Thread(target=lambda: ends.append(read_end(connection)))
            reader.start()
        reader.join()
        need("INTERNAL_ERROR" in ends[0].upper(), "an alert is wanted, not: " + ends[0])
        need_reset(plain)


@test
def connect_originates():
    with Backend().echo() as backend, Gate("serve", backend.address) as inner:
        address = "localhost:%d" % inner.port
        text = log_text()
        with Gate("connect", address, "--ca=ca.pem") as outer, \
                socket.create_connection(("127.0.0.1", outer.port), timeout=DEADLINE) as plain:
            echo(plain, os.urandom(100000))
            plain.shutdown(socket.SHUT_WR)
            need(plain.recv(100) == b"", "a clean end; " + text)


@test
def connect_verifies():
    with Backend().echo() as backend, Gate("serve", backend.address) as inner:
        address = "localhost:%d" % inner.port
        with Gate("connect", address, "--ca=ca.pem", "--server-name=other.example") as outer:
            try:
                with outer.connect_plain() as plain:
                    plain.sendall(b"secret")
                    need(plain.recv(100) == b"", "no byte came")
            except (ConnectionResetError, BrokenPipeError):     # perhaps before it was sent
                pass
            wait_until(lambda: re.search("client 127[^ ]*, server %s: handshake failed.*mismatch" % address, log_text()),
                       "the reason: " + log_text())


def echo_of(client, backend):
    client.sendall(b"there")
    need(backend.recv(100) == b"there", "there")
    backend.sendall(b"and back")
    need(client.recv(100) == b"and back", "and back")


@test
def nobody_is_waited_for_by_what_a_unix_backend_passes_along():
    """The worker's is the last descriptor of it: in what it reads, and in what it does not."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path("passes"))
        os.chmod(path("passes"), 0o777)
        listener.listen()
        with Gate("serve", "unix:" + path("passes"), "--workers=1", "--verbose") as gate:
            for end in (b"", b"x"):
                passed, peer = unread(4 * int(DEADLINE))
                client = gate.connect()
                with peer, listener.accept()[0] as backend:
                    echo_of(client, backend)
                    with stopped(gate.workers()[0]):
                        if end:
                            client.close()          # not read any more
                        socket.send_fds(backend, [b"x"], [passed.fileno()])
                        passed.close()
                    with gate.connect() as other, listener.accept()[0] as another:
                        echo_of(other, another)
                    if not end:
                        need("EOF" in read_end(client), "an end without close_notify")
                        wait_until(lambda: "the peer passed a descriptor along, which TLS cannot carry" in log_text(),
                                   "the reason: " + log_text())
                client.close()


@test
def unix_backend():
    name = path("socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        os.chmod(name, 0o666)
        with Gate("serve", "unix:" + name) as gate, gate.connect() as connection:
            plain, _ = listener.accept()
            connection.sendall(b"to a path")
            need(plain.recv(100) == b"to a path", "data")
            plain.close()


def fill(name):
    """Connects until the backlog of the socket is full."""
    held = []
    while True:
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].setblocking(False)
        try:
            held[-1].connect(name)
        except BlockingIOError:
            return held


@test
def a_full_unix_backend_is_waited_for():
    name = path("full")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen(0)
        os.chmod(name, 0o666)
        held = fill(name)
        with Gate("serve", "unix:" + name, "--connect-timeout=300ms") as gate:
            need_alert(gate.connect())
            wait_until(lambda: "cannot be reached: Resource temporarily unavailable" in log_text(), "the reason")
        with Gate("serve", "unix:" + name) as gate, gate.connect() as connection:
            connection.sendall(b"to a path")
            while held:
                held.pop().close()
            plain, _ = listener.accept()
            while (got := plain.recv(100)) == b"":      # of those that filled it
                plain, _ = listener.accept()
            need(got == b"to a path", "data")
            plain.close()


@test
def client_certificates():
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", "client.key", "-out", "client.pem", "-subj", "/CN=client", "-days", "30",
        "-addext", "extendedKeyUsage=clientAuth")
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--client-ca=client.pem") as gate:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with gate.connect(pair=("client.pem", "client.key"), maximum_version=version) as good:
                echo(good)
            try:
                with gate.connect(maximum_version=version) as bad:
                    echo(bad)
                need(False, "a client without a certificate got through")
            except (ssl.SSLError, OSError):
                pass
        need(log_text().count("handshake failed") == 2, "two lines: " + log_text())
