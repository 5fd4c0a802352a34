# SPDX-License-Identifier: MIT
"""What server name and application protocol decide: certificate, backend, or no TLS of ours at all."""

import json
import ssl
import subprocess

from daemonlib.gate import (DEADLINE, TLSGATE, Backend, free_port, log_text, need, path, run, test, tmp, wait_until,
                            write)
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
