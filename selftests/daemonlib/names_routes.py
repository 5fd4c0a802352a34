# SPDX-License-Identifier: MIT
"""What server name and application protocol decide: certificate, backend, or no TLS of ours at all."""

import contextlib
import json
import socket
import ssl
import subprocess

from daemonlib.gate import (DEADLINE, TLSGATE, Backend, TlsServer, echo, free_port, log_text, need, path, read_end, run,
                            test, tmp, wait_until, write)
from daemonlib.pools import FileGate, NamedBackend, conf, list_of
from daemonlib.refusals import refused_file


def make_pair(file, *names):
    """FILE.pem and FILE.key for these names, by the CA of the tests."""
    write(file + ".ext", "subjectAltName=" + ",".join("DNS:" + name for name in names))
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", file + ".key",
        "-out", file + ".csr", "-subj", "/CN=" + names[0])
    run("openssl", "x509", "-req", "-in", file + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "30", "-extfile", file + ".ext", "-out", file + ".pem")


def s_client(tlsgated, *options, send=b""):
    """What `openssl s_client` says, with a server name or without."""
    result = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % tlsgated.port, "-CAfile", "ca.pem",
                             "-brief", *options], cwd=tmp, input=send, capture_output=True, timeout=DEADLINE)
    return result.stdout + result.stderr


TWO = "cert = { a.pem, b.pem }\nkey = { a.key, b.key }\n"


@test
def unknown_names_are_refused():
    make_pair("a", "a.test", "*.a.test")
    make_pair("b", "b.test")
    with Backend().echo() as backend, \
            FileGate('backend = "%s"\nunknown-name = refuse\n' % backend.address, pair=TWO) as tlsgated:
        for name in ("-servername", "a.test"), ("-servername", "X.A.test"), ("-servername", "b.test"), ("-noservername",):
            for version in "-tls1_2", "-tls1_3":
                said = s_client(tlsgated, *name, version)
                need(b"alert" not in said and b"Verification: OK" in said, "%s is served: %s" % (name, said))
        for name in "c.test", "x.b.test":
            for version in "-tls1_2", "-tls1_3":
                said = s_client(tlsgated, "-servername", name, version)
                need(b"alert number 112" in said, "%s: %s" % (name, said))
        wait_until(lambda: "alert unrecognized_name sent: the client asks for a name that no certificate of ours has (c.test)"
                   in log_text(), "the reason: " + log_text())


def two_pairs():
    make_pair("a", "a.test", "*.a.test")
    make_pair("b", "b.test")


def answerer(tlsgated, name=None, alpn=None, session=None):
    """Who answers a client that asks for this name (None: none) and these protocols; and the TLS connection's end."""
    context = ssl.create_default_context(cafile=path("ca.pem"))
    context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(alpn)
    with context.wrap_socket(tlsgated.connect_plain(), server_hostname=name, session=session,
                             suppress_ragged_eofs=False) as connection:
        return connection.recv(1).decode()


ROUTES = """alpn = "h2,http/1.1"
route a.test { %s }
route *.a.test { %s }
route b.test { %s }
route b.test {
    %s
    alpn = h2
}
"""


def routes(*backends):
    """Of a gate with a backend of its own, and four of its routes."""
    own, *rest = (list_of(*b) if isinstance(b, tuple) else list_of(b) for b in backends)
    return own + ROUTES % tuple(text.strip() for text in rest)


@test
def name_and_protocol_choose_the_backend():
    two_pairs()
    with NamedBackend(b"0") as own, NamedBackend(b"a") as a, NamedBackend(b"w") as wild, NamedBackend(b"b") as b, \
            NamedBackend(b"2") as two, FileGate(routes(own, a, wild, b, two), pair=TWO) as tlsgated:
        for name, alpn, want in (("a.test", None, "a"), ("a.test", ["h2"], "a"), ("x.a.test", None, "w"), ("X.A.TEST", None, "w"),
                                 ("b.test", None, "b"), ("b.test", ["http/1.1"], "b"), ("b.test", ["http/1.1", "h2"], "2"),
                                 ("b.test", ["h2"], "2"), ("c.test", ["h2"], "0"), (None, None, "0"), (None, ["h2"], "0"),
                                 ("y.x.a.test", None, "0")):
            got = answerer(tlsgated, name, alpn)
            need(got == want, "%s, %s: by %s, not %s" % (name, alpn, got, want))


@test
def curl_is_routed_by_name():
    """Each connection's name counts, also where the session is resumed."""
    two_pairs()

    def page(text):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n" + text

    with NamedBackend(page(b"0")) as own, NamedBackend(page(b"a")) as a, NamedBackend(page(b"w")) as wild, \
            NamedBackend(page(b"b")) as b, NamedBackend(page(b"2")) as two, \
            FileGate(routes(own, a, wild, b, two), pair=TWO) as tlsgated:
        urls = ["https://%s:%d/" % (name, tlsgated.port) for name in ("a.test", "b.test", "x.a.test", "a.test", "b.test")]
        resolve = [word for name in ("a.test", "b.test", "x.a.test")
                   for word in ("--resolve", "%s:%d:127.0.0.1" % (name, tlsgated.port))]
        got = subprocess.run(["curl", "-sS", "--http1.1", "--no-keepalive", "--cacert", path("ca.pem"), *resolve, *urls],
                             capture_output=True, text=True, timeout=DEADLINE)
        need(got.stdout == "abwab", "pages %r %s" % (got.stdout, got.stderr))


@test
def a_route_with_several_backends_passes_over_one():
    two_pairs()
    with NamedBackend(b"a") as a, NamedBackend(b"0") as own, \
            FileGate(list_of(own) + "route a.test { %s }\n" % list_of("127.0.0.1:%d" % free_port(), a).strip(),
                     pair=TWO) as tlsgated:
        need([answerer(tlsgated, "a.test") for _ in range(4)] == ["a"] * 4, "by the one that is there")
        need(answerer(tlsgated, "b.test") == "0", "the gate's own")


@test
def gates_and_connection_log_name_the_backend():
    two_pairs()
    with NamedBackend(b"a") as a, NamedBackend(b"0") as own:
        text = list_of(own) + 'alpn = h2\nroute a.test { %s alpn = h2 }\n' % list_of(a).strip()
        with FileGate(text, pair=TWO, process='connection-log = yes\ncontrol = "%s"\n' % path("routes.sock")) as tlsgated:
            need(answerer(tlsgated, "a.test", ["h2"]) == "a" and answerer(tlsgated, "b.test") == "0", "both")
            wait_until(lambda: "name=a.test" in log_text() and "name=b.test" in log_text(), "two lines")
            for name, backend in ("a.test", a), ("b.test", own):
                line = [line for line in log_text().splitlines() if "name=" + name in line][0]
                need("backend=" + backend.address in line, line)
            tool = [TLSGATE, "-S", path("routes.sock"), "gates"]
            answer = json.loads(subprocess.run([*tool, "--json"], check=True, capture_output=True).stdout)[0]
            route, = answer["routes"]
            need([route[key] for key in ("kind", "name", "alpn", "backend", "addresses")] ==
                 ["route", "a.test", "h2", a.address, [a.address]], "%s" % route)
            need([b["backend"] for b in route["backends"]] == [a.address], "%s" % route)
            table = subprocess.run(tool, check=True, capture_output=True, text=True).stdout
            need("  route a.test alpn h2 " in table and a.address in table and own.address in table, table)
            need(all(line == line.rstrip() for line in table.splitlines()), "no blanks at the end: %r" % table)


@test
def routes_that_are_refused():
    two_pairs()
    ports = free_port(), free_port()
    for text, pattern in (
            ("route c.test { backend = 127.0.0.1:1 }", "5:7: refused: gate 'web': route 'c.test': no certificate of the gate is for this name"),
            ("route *.b.test { backend = 127.0.0.1:1 }", r"5:7: refused: gate 'web': route '\*.b.test': no certificate of the gate"),
            ("route * { backend = 127.0.0.1:%d }" % ports[0], "5:21: refused: gate 'web': route '\\*': backend '127.0.0.1:%d': it leads back" % ports[0])):
        refused_file(1, conf("backend = 127.0.0.1:1\n" + text, ports), pattern)
    refused_file(2, conf("deliver = always\nbackend = 127.0.0.1:1\nroute * { backend = 127.0.0.1:1 }", ports),
                 ".*it delivers to one server")


def connect(tlsgated, name, alpn=None, ca="ca.pem", version=None):
    """A client that verifies the server by that name."""
    context = ssl.create_default_context(cafile=path(ca))
    context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(alpn)
    if version:
        context.minimum_version = context.maximum_version = version
    return context.wrap_socket(tlsgated.connect_plain(), server_hostname=name, suppress_ragged_eofs=False)


def shown(connection):
    """The first name of the certificate that the server showed."""
    return connection.getpeercert()["subjectAltName"][0][1]


PASS = """control = "%s"
connection-log = yes
"""


@contextlib.contextmanager
def passing(lines=""):
    """A gate for a.test, whose clients for b.test and for acme-tls/1 come to the TLS server of b.test."""
    two_pairs()
    with TlsServer(chain="b.pem", key="b.key") as server, Backend().echo() as plain, \
            FileGate(list_of(plain) + lines + "pass b.test { %s }\npass acme-tls/1 { %s }\n" %
                     (list_of(server.address).strip(), list_of(server.address).strip()),
                     pair="cert = a.pem\nkey = a.key\n", process=PASS % path("pass.sock")) as tlsgated:
        server.context.minimum_version = ssl.TLSVersion.TLSv1_2
        yield tlsgated, server, plain


@test
def tls_of_somebody_else_is_passed():
    with passing("alpn = h2\n") as (tlsgated, server, _):
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            for name, alpn, want in (("a.test", None, "a.test"), ("b.test", None, "b.test"), ("B.test", ["h2"], "b.test"),
                                     ("c.test", None, "a.test"), (None, None, "a.test"), ("x.b.test", None, "a.test"),
                                     ("a.test", ["h2"], "a.test"), ("a.test", ["acme-tls/1"], "b.test")):
                with connect(tlsgated, name, alpn, version=version) as connection:
                    need(shown(connection) == want, "%s %s: %s" % (name, alpn, shown(connection)))
                    echo(connection)
        need(server.accepted == 6, "accepted %d" % server.accepted)
        wait_until(lambda: log_text().count(" path=pass ") == 6, "six lines: " + log_text())
        lines = [line for line in log_text().splitlines() if " path=pass " in line]
        need( "name=b.test" in lines[0] and "backend=" + server.address in lines[0], "%s" % lines)
        stats = json.loads(subprocess.run([TLSGATE, "-S", path("pass.sock"), "stats", "--json"], check=True,
                                          capture_output=True).stdout)
        counted = (stats["gates"] if isinstance(stats, dict) else stats)[0]
        need(counted["passed"] == 6 and counted["handshakes"] == 10 and counted["failed"] == 0, "%s" % counted)


@test
def what_pass_cannot_do_is_said():
    two_pairs()
    head = 'gate web {\nmode = serve\nlisten = "127.0.0.1:%d"\ndata-path = user\n' % free_port()
    pair = 'cert = one.pem\nkey = one.key\nbackend = "127.0.0.1:1"\n'
    for lines, *patterns in (
            (pair + "pass 10.0.0.1 { backend = 127.0.0.1:2 }", "8:6: refused: .*pass '10.0.0.1': it is an address"),
            (pair + 'route 10.0.0.1 { backend = 127.0.0.1:2 }', "8:7: refused: .*route '10.0.0.1': it is an address"),
            (pair + 'alpn = "h2,http/1.1"\npass http/1.1 { backend = 127.0.0.1:2 }',
             "9:6: refused: .*pass 'http/1.1': the alpn of the gate has it"),
            (pair + 'pass h2 { backend = 127.0.0.1:2 }\nlog-level = 1', "9:1: ",
             "8:6: .*pass 'h2': it is taken for a host's name"),
            (pair + 'proxy-protocol = 2\npass b.test { backend = 127.0.0.1:2 }\nlog-level = 1',
             "10:1: ", "9:6: .*pass 'b.test': its backend gets no PROXY header"),
            ('alpn = h2\npass b.test { backend = 127.0.0.1:2 }', "5:8: refused: .*alpn: the gate only passes TLS"),
            ('pass b.test { backend = 127.0.0.1:2 }\nroute a.test { backend = 127.0.0.1:2 }', ".*backend is missing",
             ".*cert is missing"),
            ('backend = "127.0.0.1:1"\npass b.test { backend = 127.0.0.1:2 }', ".*cert is missing")):
        refused_file(2, head + lines + "\n}\n", *patterns)


@test
def a_gate_may_do_nothing_but_pass():
    """No certificate and no backend of its own: who fits no block is told so by an alert."""
    two_pairs()
    with TlsServer(chain="b.pem", key="b.key") as server, \
            FileGate("pass b.test { %s }\npass acme-tls/1 { %s }\n" % (list_of(server.address).strip(), list_of(server.address).strip()),
                     pair="", process=PASS % path("pass.sock")) as tlsgated:
        for name, alpn in ("b.test", None), ("c.test", ["acme-tls/1"]), (None, ["acme-tls/1"]):
            with connect(tlsgated, name, alpn) as connection:
                need(shown(connection) == "b.test", "%s: %s" % (name, shown(connection)))
                echo(connection)
        for version in "-tls1_2", "-tls1_3":
            said = s_client(tlsgated, "-servername", "a.test", version)
            need(b"alert number 112" in said, "%s" % said)
            said = s_client(tlsgated, "-noservername", version)
            need(b"alert" in said and b"Verification" not in said, "%s" % said)
        wait_until(lambda: "no certificate of ours has (a.test)" in log_text(), log_text())
        need(server.accepted == 3, "accepted %d" % server.accepted)
        shown_gates = subprocess.run([TLSGATE, "-S", path("pass.sock"), "gates"], capture_output=True, text=True,
                                     timeout=DEADLINE, check=False)
        need(shown_gates.returncode == 0 and " serving " in shown_gates.stdout, "%s" % shown_gates)


@test
def much_is_passed_both_ways_and_ends_in_order():
    with passing() as (tlsgated, _, _), connect(tlsgated, "b.test") as connection:
        data = bytes(range(256)) * 4096
        echo(connection, data)
        shown_rows = json.loads(subprocess.run([TLSGATE, "-S", path("pass.sock"), "show", "--json"], check=True,
                                               capture_output=True).stdout)
        need(any(row["connection"]["path"] == "pass" and row["connection"]["state"] == "passed" and
                 row["connection"]["name"] == "b.test" for row in shown_rows), "%s" % shown_rows)
        connection.close()
        wait_until(lambda: 'reason="closed by both sides"' in log_text(), "its end: " + log_text())


@test
def a_client_hello_in_pieces_is_passed():
    """One byte at a time, which is one record, and a record for each byte."""
    with passing() as (tlsgated, server, _):
        for name, want in ("b.test", "b.test"), ("a.test", "a.test"):
            to, out = ssl.MemoryBIO(), ssl.MemoryBIO()
            context = ssl.create_default_context(cafile=path("ca.pem"))
            tls = context.wrap_bio(to, out, server_hostname=name)
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            hello = out.read()
            with tlsgated.connect_plain() as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for i in range(len(hello)):
                    connection.sendall(hello[i:i + 1])
                while True:
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        connection.sendall(out.read())
                        data = connection.recv(65536)
                        need(data, "it goes on")
                        to.write(data)
                need(tls.getpeercert()["subjectAltName"][0][1] == want, "the certificate of " + want)
        need(server.accepted == 1, "one was passed")


@test
def what_is_no_client_hello_is_refused_as_ever():
    with passing() as (tlsgated, server, _):
        for data, why in ((b"GET / HTTP/1.1\r\n\r\n", "an HTTP request"), (b"\x16\x03\x01\x40\x00" + bytes(16379), "sent"),
                          (b"\x16\x03\x01\0\4\2\0\0\0", "alert unexpected_message sent")):
            with tlsgated.connect_plain() as connection:
                connection.sendall(data)
                connection.settimeout(DEADLINE)
                with contextlib.suppress(ConnectionError):
                    while connection.recv(1000):
                        pass
            wait_until(lambda why=why: why in log_text(), why + ": " + log_text())
        need(not server.accepted, "nothing was passed")


@test
def a_backend_of_pass_that_is_not_there_resets_the_client():
    two_pairs()
    with Backend().echo() as plain, FileGate(list_of(plain) + "pass b.test { backend = 127.0.0.1:%d }" % free_port(),
                                             pair=TWO) as tlsgated:
        try:
            connect(tlsgated, "b.test").close()
            need(False, "a handshake")
        except (ConnectionResetError, ssl.SSLError, BrokenPipeError):
            pass
        wait_until(lambda: "cannot be reached: Connection refused; connection closed" in log_text(), log_text())
        with connect(tlsgated, "a.test") as connection:
            echo(connection)


@test
def ends_are_passed():
    """Half-closes and resets, and idle connections end."""
    two_pairs()
    with Backend() as raw, Backend().echo() as plain, \
            FileGate(list_of(plain) + "idle-timeout = 2s\npass b.test { %s }" % list_of(raw).strip(), pair=TWO) as tlsgated:
        out = ssl.MemoryBIO()
        tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="b.test")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = out.read()

        def opened():
            client = tlsgated.connect_plain()
            client.sendall(hello)
            backend = raw.accept()
            got = b""
            while len(got) < len(hello):
                got += backend.recv(65536)
            need(got == hello, "the ClientHello, and nothing else")
            return client, backend

        client, backend = opened()
        client.shutdown(socket.SHUT_WR)
        need(backend.recv(1) == b"", "the client's FIN")
        backend.sendall(b"still")
        need(client.recv(5) == b"still", "the other direction goes on")
        backend.close()
        need(client.recv(1) == b"", "the backend's FIN")
        client.close()
        for one, other in ((0, 1), (1, 0)):
            ends = opened()
            ends[one].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            ends[one].close()
            need("Connection" in read_end(ends[other]), "a reset is one for the other side")
            ends[other].close()
        client, backend = opened()
        need("Connection" in read_end(client) and "Connection" in read_end(backend), "idle: both are reset")
