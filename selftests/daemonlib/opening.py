# SPDX-License-Identifier: MIT
"""Protocols that begin in plain text: peers of a gate that speak them, and what passes on either data path."""

import contextlib
import socket
import ssl
import struct
import threading

from daemonlib.gate import Backend, Gate, echo, need, path

SSL_REQUEST = struct.pack("!II", 8, 80877103)
STARTUP = struct.pack("!II", 14, 3 << 16) + b"user\0\0"
START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" b"1.3.6.1.4.1.1466.20037"
TLS_MAY_BEGIN = b"\x30\x24\x02\x01\x01\x78\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x16" b"1.3.6.1.4.1.1466.20037"

# Of each protocol: what begins TLS, and how a server's answer ends that says so; its server's greeting.
PROTOCOLS = {
    "postgresql": (SSL_REQUEST, b"S", b""),
    "smtp": (b"STARTTLS\r\n", b"220 2.0.0 Go ahead\r\n", b"220-one\r\n220 two\r\n"),
    "imap": (b"a STARTTLS\r\n", b"a OK Begin TLS\r\n", b"* OK [CAPABILITY IMAP4rev1] hello\r\n"),
    "pop3": (b"STLS\r\n", b"+OK Begin TLS\r\n", b"+OK hello\r\n"),
    "ldap": (START_TLS, TLS_MAY_BEGIN, b""),
}


def context(**options):
    made = ssl.create_default_context(cafile=path("ca.pem"))
    for name, value in options.items():
        getattr(made, name)(value)
    return made


def receive_until(connection, end):
    got = b""
    while not got.endswith(end):
        piece = connection.recv(4096)
        need(piece, "it ended after %r, not with %r" % (got, end))
        got += piece
    return got


def served(protocol, backend, *options, data_path="user"):
    return Gate("serve", backend.address, "--starttls=" + protocol, "--workers=1", *options, path=data_path)


def connect_plain(gate, protocol):
    """Also the gate's greeting, if it has one."""
    connection = gate.connect_plain()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if PROTOCOLS[protocol][2]:
        receive_until(connection, b"\r\n")
    return connection


def wrap(connection, made=None):
    return (made or context()).wrap_socket(connection, server_hostname="localhost", suppress_ragged_eofs=False)


def begin_tls(gate, protocol):
    request, answer, _ = PROTOCOLS[protocol]
    connection = connect_plain(gate, protocol)
    connection.sendall(request)
    receive_until(connection, answer)
    return wrap(connection)


def greet(backend, protocol, text=None):
    """Accepts, greets, and echoes what comes then."""
    greeting = PROTOCOLS[protocol][2] if text is None else text

    def serve():
        with contextlib.suppress(OSError), backend.accept() as connection:
            connection.sendall(greeting)
            while data := connection.recv(65536):
                connection.sendall(data)

    threading.Thread(target=serve, daemon=True).start()


def serves(data_path, each=lambda: None):
    """TLS after plain text, by each protocol."""
    for protocol in PROTOCOLS:
        with Backend() as backend, served(protocol, backend, "--verbose", data_path=data_path) as gate:
            greet(backend, protocol)
            with begin_tls(gate, protocol) as connection:
                echo(connection, b"EHLO anew\r\n")     # and no greeting before it
                each()


# ---- mode connect ----------------------------------------------------------------------------------

# What a server says and hears before TLS, in turn; the last it says lets TLS begin.
SERVERS = {
    "postgresql": ((SSL_REQUEST, b"S"),),
    "smtp": ((b"", b"220-a\r\n220 there\r\n"), (b"\r\n", b"250-there\r\n250 STARTTLS\r\n"), (b"STARTTLS\r\n", b"220 go\r\n")),
    "imap": ((b"", b"* OK [CAPABILITY STARTTLS LOGINDISABLED] there\r\n"), (b"t STARTTLS\r\n", b"t OK go\r\n")),
    "pop3": ((b"", b"+OK <1.2@there>\r\n"), (b"STLS\r\n", b"+OK go\r\n")),
    "ldap": ((START_TLS, TLS_MAY_BEGIN),),
}
OWED = {"postgresql": b"", "smtp": b"220 there\r\n", "imap": b"* OK ready\r\n", "pop3": b"+OK <1.2@there>\r\n", "ldap": b""}


def converse(connection, talk):
    for heard, said in talk:
        receive_until(connection, heard)
        connection.sendall(said)


def connected(protocol, backend, *options, data_path="user"):
    return Gate("connect", backend.address, "--starttls=" + protocol, "--ca=ca.pem", "--server-name=localhost",
                "--workers=1", *options, path=data_path)


def asks(data_path, each=lambda: None):
    """A server for TLS, by each protocol."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(path("one.pem"), path("one.key"))
    for protocol, talk in SERVERS.items():
        with Backend() as backend, connected(protocol, backend, "--verbose", data_path=data_path) as gate:
            client = gate.connect_plain()
            client.sendall(STARTUP if protocol == "postgresql" else b"hello")   # PostgreSQL's clients begin
            with backend.accept() as server:
                converse(server, talk)
                with made.wrap_socket(server, server_side=True) as tls, client:
                    receive_until(client, OWED[protocol])
                    need(tls.recv(100) == (STARTUP if protocol == "postgresql" else b"hello"), "it came through")
                    tls.sendall(b"world")
                    need(client.recv(100) == b"world", "and back")
                    each()
