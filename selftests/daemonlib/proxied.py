# SPDX-License-Identifier: MIT
"""Gates behind a proxy, which says by a PROXY header who its client is, and gates that say it to a backend."""

import contextlib
import socket
import ssl

from daemonlib.gate import (Backend, Gate, Hello, echo, idle, log_text, need, path, read_end, test,
                            wait_until)
from daemonlib.samples import metrics, total
from daemonlib.who import (CLIENT, CLIENT6, HERE, SERVER, SERVER6, SIGNATURE, CountingGate, behind, binary, line,
                           proxy_header, read_exactly)


def drop_by_drop(gate, data):
    connection = gate.connect_plain()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in data:
        connection.sendall(bytes([byte]))
    return connection


@test
def believes_a_proxy_who_the_client_is():
    with Backend() as backend, Gate("serve", backend.address, HERE, "--accept-proxy=2001:db8::/32",
                                    "--proxy-protocol", "--verbose") as gate:
        for header, client, server in ((line(), CLIENT, SERVER), (binary(), CLIENT, SERVER),
                                       (line(CLIENT6, SERVER6, "TCP6"), CLIENT6, SERVER6),
                                       (binary(CLIENT6, SERVER6, b"\4\0\1x"), CLIENT6, SERVER6)):
            # alone, and in one segment with the ClientHello
            for flags in (0, socket.MSG_MORE):
                with behind(gate, header, flags) as tls, backend.accept() as plain:
                    need(proxy_header(plain)[0] == [client, server], "the backend is told: %s" % (client,))
                    tls.sendall(b"data")
                    need(plain.recv(100) == b"data", "data")
        for client in ("203.0.113.5:4660", "[2001:db8::5]:4660"):
            need(log_text().count("client %s: TLS 1.3" % client) == 4, client)


@test
def tells_a_backend_by_a_line():
    with Backend() as backend, Gate("serve", backend.address, HERE, "--proxy-protocol=1") as gate:
        for header, told in ((line(), line()), (binary(CLIENT6, SERVER6), line(CLIENT6, SERVER6, "TCP6")),
                             (b"PROXY UNKNOWN\r\n", None)):
            with behind(gate, header) as tls, backend.accept() as plain:
                told = told or line(tls.getsockname(), tls.getpeername())
                tls.sendall(b"data")
                need(read_exactly(plain, len(told) + 4) == told + b"data", "%r" % told)


@test
def believes_a_proxy_that_speaks_for_itself():
    with Backend() as backend, Gate("serve", backend.address, HERE, "--proxy-protocol") as gate:
        for header in (b"PROXY UNKNOWN\r\n", binary(command=0x20)):
            with behind(gate, header) as tls, backend.accept() as plain:
                need(proxy_header(plain)[0] == [tls.getsockname(), tls.getpeername()], "the connection's own ends")


@test
def reads_a_proxy_header_byte_by_byte():
    with Backend().echo() as backend, Gate("serve", backend.address, HERE, "--workers=1") as gate:
        for header in (line(), binary(more=b"\4\0\x80" + b"x" * 128)):
            connection = drop_by_drop(gate, header)
            with ssl.create_default_context(cafile=path("ca.pem")).wrap_socket(
                    connection, server_hostname="localhost") as tls:
                echo(tls)
        # half of one is waited for: nothing spins on what has come
        with drop_by_drop(gate, binary()[:20]):
            wait_until(idle(gate.workers()[0]), "the worker sleeps")


def refused_header(gate, data, why):
    before = log_text().count(why)
    with gate.connect_plain() as connection:
        connection.sendall(data)
        end = read_end(connection)
        need(end == "b''" or "reset" in end, "%r: %s" % (data, end))
    wait_until(lambda: log_text().count(why) == before + 1, why)


@test
def refuses_a_proxy_without_a_good_header():
    with Backend() as backend, CountingGate("serve", backend.address, "--accept-proxy=127.0.0.1") as gate:
        none = "PROXY header refused: what came is none"
        for data, why in ((b"\x16\x03\x01\0\x05hello", none), (b"GET / HTTP/1.0\r\n\r\n", none),
                          (line(("203.0.113.5", 70000)), "PROXY header refused: its line has no addresses"),
                          (b"PROXY " + b"x" * 101, "PROXY header refused: its line does not end within 107 bytes"),
                          (SIGNATURE + b"\x21\x11\0\x04abcd", "PROXY header refused: it is shorter than its addresses"),
                          (SIGNATURE + b"\x21\x11\xff\xff", "PROXY header refused: it is longer than 16 KiB"),
                          (binary(more=b"\4\0\5x"), "PROXY header refused: a TLV in it is longer than the header"),
                          (binary(more=b"\3\0\4abcd"), "PROXY header refused: its checksum is wrong")):
            refused_header(gate, data, why)
        now = metrics(gate)
        need(total(now, "tlsgated_handshake_failures_total", reason="proxy_header") == 8, "%s" % now)
        gate.connect_plain().close()
        with gate.connect_plain() as connection:
            connection.sendall(line()[:20])
        wait_until(lambda: log_text().count("it ended before TLS: the peer closed the connection") == 1, "who leaves")


@test
def a_health_check_of_a_proxy_is_no_failure():
    """It connects and leaves, in order or by a reset, with a header or without."""
    with Backend().echo() as backend, CountingGate("serve", backend.address, "--accept-proxy=127.0.0.1",
                                                   "--connection-log") as gate:
        for header in b"", binary(command=0x20), line():
            for reset in False, True:
                with gate.connect_plain() as connection:
                    connection.sendall(header)
                    if reset:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        wait_until(lambda: log_text().count("closed before TLS, as a health check does") >= 2, log_text())
        with behind(gate, line()) as tls:
            echo(tls)
        need(not [row for row in log_text().splitlines() if "failed" in row or "it ended before TLS" in row], log_text())
        need(total(metrics(gate), "tlsgated_handshake_failures_total") == 0, "counted")
        with gate.connect_plain() as connection:
            connection.sendall(line() + b"\x16\3\1")
        wait_until(lambda: "the client closed within its ClientHello" in log_text(), log_text())


@test
def refuses_a_proxy_header_of_a_stranger():
    with Backend().echo() as backend, Gate("serve", backend.address, "--accept-proxy=10.0.0.0/8") as gate:
        for header in (line(), binary()):
            with gate.connect_plain() as connection:
                connection.sendall(header)
                need(connection.recv(1) == b"\x15", "an alert")
        wait_until(lambda: log_text().count("a PROXY header, a second one or of who is not in accept-proxy") == 2, "lines")
        with gate.connect() as connection:
            echo(connection)


@test
def one_time_for_proxy_header_and_handshake():
    with Backend() as backend, Gate("serve", backend.address, HERE, "--handshake-timeout=1s") as gate:
        with gate.connect_plain() as connection:
            connection.sendall(line()[:20])
            read_end(connection)
        need("it ended before TLS: not complete at its deadline" in log_text(), "half a header")
        with behind_hello(gate) as connection, contextlib.suppress(OSError):
            while connection.recv(1000):
                pass
        need("203.0.113.5:4660: handshake failed: not complete at its deadline" in log_text(), "half a handshake")


def behind_hello(gate):
    hello = Hello(gate, wrap=lambda plain: plain.sendall(line()) or plain)
    return hello.socket
