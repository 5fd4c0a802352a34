# SPDX-License-Identifier: MIT
"""What sockets are set to, where the machine is the test's own: in a guest with the module."""

import socket
import ssl

from daemonlib.gate import Backend, Gate, TlsServer, echo, log_text, need, path, test
from daemonlib.kernel import handed_over, sessions
from daemonlib.limited import UnixGate


def netstat(name):
    with open("/proc/net/netstat", encoding="ascii") as file:
        lines = [line.split()[1:] for line in file if line.startswith("TcpExt:")]
    return int(dict(zip(*lines))[name])


def sysctl(name, value):
    with open("/proc/sys/" + name, "w", encoding="ascii") as file:
        file.write(value)


def connect_fast(gate):
    """The ClientHello leaves in the SYN, once the server has given a cookie."""
    connection = ssl.create_default_context(cafile=path("ca.pem"))
    to, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = connection.wrap_bio(to, out, server_hostname="localhost")
    with socket.socket() as plain:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            plain.sendto(out.read(), socket.MSG_FASTOPEN, ("127.0.0.1", gate.port))
        while True:
            to.write(plain.recv(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        plain.sendall(out.read())
        tls.write(b"fast")
        plain.sendall(out.read())
        while True:
            to.write(plain.recv(65536))
            try:
                return tls.read(100)
            except ssl.SSLWantReadError:
                pass


@test
def data_in_a_syn_is_taken():
    sysctl("net/ipv4/tcp_fastopen", "1")
    with Backend().echo() as backend, Gate("serve", backend.address, "--fast-open"):
        need("nothing comes of it" in log_text(), "no warning: " + log_text())
    sysctl("net/ipv4/tcp_fastopen", "3")
    for data_path in "user", "kernel":
        with Backend().echo() as backend, Gate("serve", backend.address, "--fast-open", path=data_path) as gate:
            need("nothing comes of it" not in log_text(), "a warning: " + log_text())
            connect_fast(gate)
            before = netstat("TCPFastOpenPassive")
            need(connect_fast(gate) == b"fast", "data comes back")
            need(netstat("TCPFastOpenPassive") == before + 1, "it came in the SYN")


@test
def the_kernel_carries_what_came_by_a_unix_socket_in_plain():
    with TlsServer() as server, UnixGate("connect", server.address, "--ca=ca.pem", "--server-name=localhost",
                                         "--verbose", path="kernel") as gate:
        with gate.connect_plain() as connection:
            echo(connection, bytes(100000))
            handed_over(1)
            echo(connection, bytes(100000))


@test
def the_daemon_carries_tls_on_a_unix_socket():
    with Backend().echo() as backend, UnixGate("serve", backend.address, "--verbose", path="auto") as gate:
        with gate.connect() as connection:
            for _ in range(3):
                echo(connection, bytes(300000))
            need(not sessions() and "refused" not in log_text(), "%s %s" % (sessions(), log_text()))
