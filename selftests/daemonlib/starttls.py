# SPDX-License-Identifier: MIT
"""Protocols that begin in plain text: what a gate says before TLS, and what it does not take."""

import contextlib
import imaplib
import os
import poplib
import smtplib
import socket
import ssl
import struct

from daemonlib.gate import (DEADLINE, Backend, all_sockets_of, echo, log_text, need, need_alert, path, read_end, test,
                            wait_until)
from daemonlib.opening import (PROTOCOLS, SERVERS, SSL_REQUEST, STARTUP, START_TLS, asks, begin_tls, connect_plain,
                               connected, context, converse, greet, receive_until, served, serves, wrap)
from daemonlib.proxied import HERE, line

GSSENC_REQUEST = struct.pack("!II", 8, 80877104)
CANCEL_REQUEST = struct.pack("!IIII", 16, 80877102, 1, 2)


@test
def begins_tls_after_plain_text():
    serves("user")


@test
def what_begins_tls_may_come_byte_by_byte():
    for protocol, (request, answer, _) in PROTOCOLS.items():
        with Backend() as backend, served(protocol, backend) as gate:
            greet(backend, protocol)
            connection = connect_plain(gate, protocol)
            for byte in request:
                connection.sendall(bytes([byte]))
            receive_until(connection, answer)
            with wrap(connection) as tls:
                echo(tls)


def deferred(gate):
    """Does a listening socket of the gate wait for the client's first bytes?"""
    found = []
    for one in all_sockets_of(gate.process.pid):
        with one:
            if one.family == socket.AF_INET and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                found.append(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) > 0)
    need(found, "no listening socket is found")
    return any(found)


@test
def who_waits_for_a_greeting_is_accepted_at_once():
    for protocol, (_, _, greeting) in PROTOCOLS.items():
        with Backend() as backend, served(protocol, backend) as gate:
            need(deferred(gate) == (not greeting), "TCP_DEFER_ACCEPT, " + protocol)


@test
def nothing_injected_at_starttls_passes():
    """CVE-2011-0411: what a man in the middle sends behind the command, in plain text, is not the client's."""
    injected = b"MAIL FROM:<evil@host.test>\r\n"
    for protocol, (request, answer, _) in PROTOCOLS.items():
        with Backend() as backend, served(protocol, backend) as gate:
            greet(backend, protocol)
            connection = connect_plain(gate, protocol)
            connection.sendall(request + injected)
            end = read_end(connection)
            need(repr(answer) != end, "%s was answered: %s" % (protocol, end))
            wait_until(lambda: "behind the start of TLS" in log_text(), "a line: " + log_text())
            # Behind the answer it is no TLS either.
            connection = connect_plain(gate, protocol)
            connection.sendall(request)
            receive_until(connection, answer)
            connection.sendall(injected)
            read_end(connection)
            wait_until(lambda: "handshake failed" in log_text(), "a line: " + log_text())
            with begin_tls(gate, protocol) as connection:
                echo(connection)


@test
def what_is_no_line_ends_the_connection():
    for protocol, data, why in (("smtp", b"STARTTLS\n", "CR LF"), ("imap", b"a STARTTLS\n", "CR LF"),
                                ("pop3", b"ST\0LS\r\n", "NUL"), ("smtp", b"x" * 513, "too long"),
                                ("imap", b"a LOGIN {5+}\r\n", "literal"), ("ldap", b"\x30\x80", "LDAP"),
                                ("ldap", b"\x30\x84\xff\xff\xff\xff", "LDAP"), ("postgresql", b"GET / HTTP", "request"),
                                ("postgresql", GSSENC_REQUEST * 2, "request")):
        with Backend() as backend, served(protocol, backend) as gate:
            connection = connect_plain(gate, protocol)
            connection.sendall(data)
            read_end(connection)
            wait_until(lambda: "refused before TLS" in log_text() and why in log_text(), "a line: " + log_text())
            with contextlib.suppress(OSError):
                need(not backend.listener.settimeout(0) and not backend.accept(), "the backend was connected")


@test
def who_says_nothing_has_the_time_of_a_handshake():
    for protocol in ("smtp", "postgresql"):
        with Backend() as backend, served(protocol, backend, "--handshake-timeout=1s") as gate:
            connection = connect_plain(gate, protocol)
            connection.sendall(b"N" if protocol == "smtp" else b"\0")
            read_end(connection)
            need("not complete at its deadline" in log_text(), log_text())


def ends_in_order(connection, last):
    """With these bytes and a FIN, whatever else was sent."""
    connection.settimeout(DEADLINE)
    got = b""
    while piece := connection.recv(4096):
        got += piece
    need(got.endswith(last), "its last words: %r" % got)
    connection.close()


@test
def clients_may_leave_before_tls():
    for protocol, farewell, last in (("smtp", b"QUIT\r\n", b"closes the connection\r\n"),
                                     ("imap", b"a LOGOUT\r\n", b"a OK Completed\r\n"),
                                     ("pop3", b"QUIT\r\n", b"closes the connection\r\n"),
                                     ("ldap", b"\x30\x05\x02\x01\x02\x42\x00", b"")):
        with Backend() as backend, served(protocol, backend) as gate:
            connection = connect_plain(gate, protocol)
            connection.sendall(farewell)
            ends_in_order(connection, last)
            need("refused" not in log_text(), "no fault: " + log_text())


@test
def a_greeting_that_is_none_ends_the_connection():
    for protocol, text in (("smtp", b"421 busy\r\n"), ("imap", b"* PREAUTH you are root\r\n"),
                           ("imap", b"* BYE busy\r\n"), ("pop3", b"-ERR busy\r\n"), ("smtp", b"\x16\x03\x01\n")):
        with Backend() as backend, served(protocol, backend) as gate:
            greet(backend, protocol, text)
            need_alert(begin_tls(gate, protocol))
            wait_until(lambda: "backend %s refused" % backend.address in log_text(), "a line: " + log_text())


@test
def a_greeting_has_the_time_to_connect():
    with Backend() as backend, served("smtp", backend, "--connect-timeout=1s") as gate:
        greet(backend, "smtp", b"220-and")
        need_alert(begin_tls(gate, "smtp"))
        need("timed out" in log_text(), log_text())


@test
def postgresqls_clients_are_told_that_tls_is_required():
    for request in (STARTUP, CANCEL_REQUEST, GSSENC_REQUEST + STARTUP):
        with Backend() as backend, served("postgresql", backend) as gate:
            connection = gate.connect_plain()
            connection.sendall(request)
            ends_in_order(connection, b"verify-full\0\0")
            wait_until(lambda: "in plain text" in log_text(), "a line: " + log_text())


@test
def postgresqls_clients_may_begin_with_tls():
    with Backend() as backend, served("postgresql", backend) as gate:
        greet(backend, "postgresql")
        with wrap(gate.connect_plain(), context(set_alpn_protocols=["postgresql"])) as connection:
            need(connection.selected_alpn_protocol() == "postgresql", "ALPN")
            echo(connection)
        end = read_end(wrap(gate.connect_plain()))
        need("no application protocol" in end.lower().replace("_", " "), "an alert is wanted, not: " + end)
        need("needs the ALPN protocol postgresql" in log_text(), log_text())
        greet(backend, "postgresql")
        connection = gate.connect_plain()
        connection.sendall(GSSENC_REQUEST)
        receive_until(connection, b"N")
        connection.sendall(SSL_REQUEST)
        receive_until(connection, b"S")
        with wrap(connection) as tls:           # asked for, it needs none
            echo(tls)


@test
def mail_clients_of_python():
    with Backend() as backend, served("smtp", backend) as gate:
        with smtplib.SMTP("localhost", gate.port, timeout=DEADLINE) as client:
            need(client.noop()[0] == 250, "NOOP")
            need(client.docmd("MAIL FROM:<a@host.test>")[0] == 530, "no mail before TLS")
            need(client.ehlo()[0] == 250 and client.esmtp_features == {"starttls": ""}, "EHLO")
            client.starttls(context=context())
            with backend.accept() as server:
                server.sendall(b"220 here\r\n")
                server.settimeout(DEADLINE)
                client.send("EHLO client.test\r\n")
                receive_until(server, b"EHLO client.test\r\n")
    with Backend() as backend, served("imap", backend) as gate:
        client = imaplib.IMAP4("localhost", gate.port, timeout=DEADLINE)
        need(client.capabilities == ("IMAP4REV1", "STARTTLS", "LOGINDISABLED"), "CAPABILITY")
        with contextlib.suppress(client.error):
            client.login("me", "secret")
            need(False, "a password went in plain text")
        client.shutdown()
    with Backend() as backend, served("pop3", backend) as gate:
        client = poplib.POP3("localhost", gate.port, timeout=DEADLINE)
        need(client.capa() == {"STLS": []}, "CAPA")
        with contextlib.suppress(poplib.error_proto):
            client.user("me")
            need(False, "a name went in plain text")
        client.stls(context())
        with backend.accept() as server:
            server.sendall(b"+OK hello\r\n")
        client.close()


# ---- mode connect ----------------------------------------------------------------------------------

@test
def asks_servers_for_tls():
    asks("user")


def refused_by(protocol, talk, why):
    with Backend() as backend, connected(protocol, backend, "--connect-timeout=2s") as gate:
        client = gate.connect_plain()
        if protocol == "postgresql":
            client.sendall(STARTUP)
        with backend.accept() as server:
            converse(server, talk)
            need("reset" in read_end(client).lower(), "the client's connection is reset")
            wait_until(lambda: "backend refused" in log_text() and why in log_text(), "a line: " + log_text())
            with contextlib.suppress(ConnectionResetError):
                need(not server.recv(100), "nothing more went to the server")


@test
def no_server_gets_plain_text_in_place_of_tls():
    refused_by("postgresql", ((SSL_REQUEST, b"N"),), "no TLS")
    refused_by("smtp", ((b"", b"220 there\r\n"), (b"\r\n", b"250 there\r\n")), "offers no STARTTLS")
    refused_by("imap", ((b"", b"* OK there\r\n"), (b"\r\n", b"t BAD what?\r\n")), "refuses STARTTLS")
    refused_by("imap", ((b"", b"* PREAUTH there\r\n"),), "PREAUTH")
    refused_by("pop3", ((b"", b"+OK there\r\n"), (b"\r\n", b"-ERR what?\r\n")), "refuses STLS")
    refused_by("ldap", ((START_TLS, b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00"),), "result code 52")
    refused_by("smtp", ((b"", b"220 the"),), "timed out")


@test
def nothing_injected_by_a_server_passes():
    """CVE-2021-23222: what comes behind its answer, in plain text, is not the server's."""
    for protocol, talk in SERVERS.items():
        *first, (heard, said) = talk
        refused_by(protocol, (*first, (heard, said + b"* injected\r\n")), "behind the start of TLS")


@test
def postgresqls_clients_are_told_no_where_the_gate_asks():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(path("one.pem"), path("one.key"))
    for requests in ((), (SSL_REQUEST,), (GSSENC_REQUEST, SSL_REQUEST)):
        with Backend() as backend, connected("postgresql", backend) as gate:
            client = gate.connect_plain()
            for request in requests:
                client.sendall(request)
                receive_until(client, b"N")
            client.sendall(STARTUP)
            with backend.accept() as server:
                converse(server, SERVERS["postgresql"])
                with made.wrap_socket(server, server_side=True) as tls, client:
                    need(tls.recv(100) == STARTUP, "what the client began with")
                    tls.sendall(b"world")
                    need(client.recv(100) == b"world", "and back")


@test
def half_a_request_holds_nobody():
    with Backend() as backend, connected("postgresql", backend) as gate:
        with gate.connect_plain() as client:
            client.sendall(SSL_REQUEST[:5])
            read_end(client)
        wait_until(lambda: "a part of a message" in log_text(), "a line: " + log_text())


@test
def requests_without_end_hold_nobody():
    """A client that streams them, and reads each N, is not the only one that its worker has."""
    with Backend() as backend, connected("postgresql", backend) as gate:
        with gate.connect_plain() as client:
            client.sendall(SSL_REQUEST * 1000)
            read_end(client)
        wait_until(lambda: "asked for encryption again" in log_text(), "a line: " + log_text())


@test
def checks_ask_for_tls():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(path("one.pem"), path("one.key"))
    with Backend() as backend, connected("smtp", backend, "--check=100ms"):
        with backend.accept() as server:
            converse(server, ((b"", b"220 there\r\n"), (b"\r\n", b"250 there\r\n")))
            wait_until(lambda: "is down: it offers no STARTTLS" in log_text(), "a line: " + log_text())
        with backend.accept() as server:
            converse(server, SERVERS["smtp"])
            with contextlib.suppress(OSError), made.wrap_socket(server, server_side=True):
                pass
        wait_until(lambda: "is up again" in log_text(), "a line: " + log_text())


# ---- beside other settings ---------------------------------------------------------------------------

@test
def proxies_speak_first_on_either_side():
    with Backend() as backend, served("smtp", backend, HERE, "--proxy-protocol=1") as gate:
        client = gate.connect_plain()
        client.sendall(line())
        receive_until(client, b"ESMTP\r\n")
        client.sendall(b"STARTTLS\r\n")
        receive_until(client, b"Go ahead\r\n")
        with wrap(client) as tls, backend.accept() as server:
            receive_until(server, line())
            server.sendall(b"220 there\r\n")
            tls.sendall(b"EHLO client.test\r\n")
            receive_until(server, b"EHLO client.test\r\n")


@test
def a_backend_that_greets_may_be_a_unix_socket():
    with Backend() as backend, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path("greeter"))
        os.chmod(path("greeter"), 0o777)
        listener.listen()
        listener.settimeout(DEADLINE)
        backend.listener.close()
        backend.listener, backend.address = listener, "unix:" + path("greeter")
        with served("pop3", backend) as gate:
            greet(backend, "pop3")
            with begin_tls(gate, "pop3") as connection:
                echo(connection)
