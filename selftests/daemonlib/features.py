# SPDX-License-Identifier: MIT
"""OCSP stapling, revocation lists, and the certificates and sessions of a gate that connects."""

import contextlib
import os
import re
import shutil
import signal
import ssl
import subprocess
import time

from daemonlib.gate import (DEADLINE, TLSGATE, TOP, Backend, Gate, Skip, TlsServer, echo, first_answerer,
                            free_port, idle, listens, log_text, need, path, run, stopped, test, tmp, wait_until, write)
from daemonlib.refusals import PAIR, USER, refused
from daemonlib.who import proxy_header, read_exactly

TIME = re.compile(rb"\x18\x0f(\d{14}Z)")    # GeneralizedTime in DER


def ocsp_response(name, certificate, status="V", fields=("-ndays", "7")):
    serial = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-serial"], cwd=tmp,
                            check=True, capture_output=True, text=True).stdout.strip()[7:]
    write("index.txt", "%s\t400101000000Z\t%s\t%s\tunknown\t/CN=x\n" %
          (status, "250101000000Z" if status == "R" else "", serial))
    run("openssl", "ocsp", "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey",
        "ca.key", "-issuer", "ca.pem", "-cert", certificate, "-respout", name, *fields)
    return path(name)


def ends_at(name, when):
    """Another end in the response; that its signature is no good then, only a client finds."""
    with open(path(name), "rb") as file:
        data = bytearray(file.read())
    end = TIME.search(data, TIME.search(data, TIME.search(data).end()).end())
    data[end.start(1):end.end(1)] = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(when)).encode()
    with open(path("changed." + name), "wb") as file:
        file.write(data)
    return "changed." + name


def stapled(gate, version):
    """What openssl's client, which asks for it and verifies it, says of the response."""
    said = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % gate.port, "-CAfile",
                           "ca.pem", "-status", "-tls" + version], cwd=tmp, capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=DEADLINE, check=False).stdout
    serial = re.search("Serial Number: ([0-9A-F]+)", said)
    if "OCSP response: no response sent" in said:
        return None
    need("Cert Status: good" in said and serial, "openssl says of the response: " + said[:2000])
    return re.search("Next Update: (.*)", said).group(1)


@test
def staples_the_ocsp_response():
    ocsp_response("one.ocsp", "one.pem")
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--ocsp=one.ocsp", "--cert=two.pem", "--key=two.key") as gate:
        first = stapled(gate, "1_3")
        need(first and stapled(gate, "1_2") == first, "no response stapled")
        with gate.connect() as connection:      # Python's client asks for none
            echo(connection)
        ocsp_response("one.ocsp", "one.pem", fields=("-ndays", "9"))
        gate.process.send_signal(signal.SIGHUP)
        wait_until(lambda: stapled(gate, "1_3") not in (None, first), "the new response after SIGHUP")


@test
def staples_nothing_that_has_ended():
    ocsp_response("one.ocsp", "one.pem")
    old = ends_at("one.ocsp", time.time() - 60)
    with Backend() as backend, Gate("serve", backend.address, "--ocsp=" + old) as gate:
        need("out of date and is not stapled" in log_text(), "a line in the log: " + log_text())
        need(stapled(gate, "1_3") is None, "an old response was stapled")
    soon = ends_at("one.ocsp", time.time() + 3)
    with Backend() as backend, Gate("serve", backend.address, "--ocsp=" + soon, "--workers=1") as gate:
        need(stapled(gate, "1_3"), "no response while it lasts")
        wait_until(lambda: "has ended and is no longer stapled" in log_text(), "a line in the log", 30)
        need(stapled(gate, "1_3") is None, "a response that has ended was stapled")


@test
def bad_ocsp_responses():
    ocsp_response("two.ocsp", "two.pem")
    ocsp_response("revoked.ocsp", "one.pem", "R")
    ocsp_response("endless.ocsp", "one.pem", fields=())
    for name, why in (("two.ocsp", "about another certificate"), ("absent", "No such file"),
                      ("one.pem", "no OCSP response in DER"),
                      ("revoked.ocsp", "does not say that the certificate is good"),
                      ("endless.ocsp", "does not say until when")):
        refused(1, "ocsp.*" + why, "serve", ":1", "127.0.0.1:2", *PAIR, USER, "--ocsp=" + name)
    refused(2, "not for mode connect", "connect", ":1", "localhost:2", USER, "--ocsp=one.ocsp")


def through(gate, data=b"hello"):
    with gate.connect_plain() as plain:
        echo(plain, data)


def make_crl(name, *revoked, fields=("-crldays", "7")):
    """A list of the CA's with these certificates in it."""
    entries = ""
    for certificate in revoked:
        serial = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-serial"], cwd=tmp,
                                check=True, capture_output=True, text=True).stdout.strip()[7:]
        entries += "R\t400101000000Z\t250101000000Z\t%s\tunknown\t/CN=x\n" % serial
    write("revoked.txt", entries)
    write("crl.cnf", "[ca]\ndefault_ca = x\n[x]\ndatabase = revoked.txt\ndefault_md = sha256\n")
    run("openssl", "ca", "-gencrl", "-config", "crl.cnf", "-cert", "ca.pem", "-keyfile", "ca.key",
        "-out", name, *fields)
    return name


EXPIRED = ("-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200201000000Z")


def is_taken(gate, pair):
    try:
        with gate.connect(pair) as connection:
            echo(connection)
        return True
    except ssl.SSLError as error:
        need("ALERT" in str(error), "not by an alert: %s" % error)
        return False


def server_is_taken(gate):
    try:
        through(gate)
        return True
    except (ConnectionResetError, AssertionError):
        return False


@test
def refuses_revoked_clients():
    make_crl("clients.crl")
    one, two = ("one.pem", "one.key"), ("two.pem", "two.key")
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--client-ca=ca.pem", "--crl=clients.crl") as gate:
        need(is_taken(gate, two), "a client in no list was refused: " + log_text())
        make_crl("clients.crl", "two.pem")
        run("openssl", "crl", "-in", "clients.crl", "-outform", "DER", "-out", "clients.crl")
        gate.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not is_taken(gate, two), "the new list after SIGHUP")
        need("certificate revoked (CRL)" in log_text(), "the reason in the log: " + log_text())
        need(is_taken(gate, one), "another client was refused: " + log_text())


@test
def refuses_revoked_servers():
    make_crl("none.crl")
    make_crl("servers.crl", "one.pem")
    with TlsServer() as server:
        with Gate("connect", server.address, "--ca=ca.pem", "--crl=none.crl") as gate:
            need(server_is_taken(gate), "a server in no list was refused: " + log_text())
        with Gate("connect", server.address, "--ca=ca.pem", "--crl=servers.crl") as gate:
            need(not server_is_taken(gate), "a revoked server was taken")
            need("certificate revoked (CRL)" in log_text(), "the reason in the log: " + log_text())


@test
def crls_that_have_expired():
    make_crl("old.crl", fields=EXPIRED)
    make_crl("old-and-revoked.crl", "one.pem", fields=EXPIRED)
    with TlsServer() as server:
        for options, taken in (((), False), (("--crl-expired=refuse",), False),
                               (("--crl-expired=warn",), True)):
            with Gate("connect", server.address, "--ca=ca.pem", "--crl=old.crl", *options) as gate:
                need(server_is_taken(gate) == taken, "%s: %s" % (options, log_text()))
                need("crl 'old.crl': it has expired on 2020-02-01 00:00:00 UTC" in log_text(),
                     "a line in the log: " + log_text())
        with Gate("connect", server.address, "--ca=ca.pem", "--crl=old-and-revoked.crl",
                  "--crl-expired=warn") as gate:
            need(not server_is_taken(gate), "a revoked server was taken")
        make_crl("soon.crl", fields=("-crlsec", "3"))
        with Gate("connect", server.address, "--ca=ca.pem", "--crl=soon.crl", "--workers=1") as gate:
            wait_until(lambda: "it has expired on" in log_text(), "a line in the log", 30)


@test
def bad_crls():
    make_crl("good.crl")
    write("garbage.crl", "garbage")
    for name, why in (("absent", "No such file"), ("garbage.crl", "neither PEM nor DER"),
                      ("one.pem", "neither PEM nor DER")):
        refused(1, "crl.*" + why, "connect", ":1", "localhost:2", "--ca=ca.pem", USER, "--crl=" + name)
    refused(1, "crl refused: it needs client-ca", "serve", ":1", "127.0.0.1:2", *PAIR, USER, "--crl=good.crl")
    refused(2, "crl-expired refused: it needs crl", "connect", ":1", "localhost:2", USER,
            "--crl-expired=warn")
    refused(2, "refuse or warn", "connect", ":1", "localhost:2", USER, "--crl-expired=maybe")


@test
def connects_with_a_certificate():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with TlsServer(version, "ca.pem") as server:
            with Gate("connect", server.address, "--ca=ca.pem", "--cert=two.pem", "--key=two.key") as gate:
                through(gate)
                need(server.names == ["two"], "the server saw: %s" % server.names)
            with Gate("connect", server.address, "--ca=ca.pem") as gate, gate.connect_plain() as plain:
                plain.sendall(b"hello")
                try:
                    need(not plain.recv(100), "a server that wants a certificate answered without")
                except ConnectionResetError:
                    pass
    refused(2, "cert refused: it needs key", "connect", ":1", "localhost:2", USER, "--cert=one.pem")
    refused(1, "not the key of certificate", "connect", ":1", "localhost:2", USER, "--cert=one.pem",
            "--key=two.key")


KINDS = {"p384": ("ec", "ec_paramgen_curve:P-384"), "p521": ("ec", "ec_paramgen_curve:P-521"),
         "ed448": ("ed448",), "rsa-pss": ("rsa-pss", "rsa_keygen_bits:2048")}


def make_kind(name):
    """name.pem by the CA, and name.key."""
    algorithm, *parameters = KINDS[name]
    run("openssl", "genpkey", "-algorithm", algorithm, *(w for p in parameters for w in ("-pkeyopt", p)),
        "-out", name + ".key")
    run("openssl", "req", "-new", "-key", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
    run("openssl", "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-days", "20", "-extfile", "ext", "-out", name + ".pem")
    return name + ".pem", name + ".key"


@test
def signs_with_the_longest_signature():
    """ML-DSA-87: more than one packet of the pipe from the answerer; by the libcrypto of Debian sid."""
    sid = [os.path.join(TOP, "selftests", "with-debian.sh"), "sid"]
    if not os.path.exists(os.path.join(TOP, "build", "sid", ".complete")):
        raise Skip("there is no Debian sid in build/sid")
    run(*sid, os.path.join(TOP, "build/sid/usr/bin/openssl"), "req", "-x509", "-newkey", "ML-DSA-87", "-nodes",
        "-keyout", "long.key", "-out", "long.pem", "-subj", "/CN=localhost", "-addext",
        "subjectAltName=DNS:localhost", "-days", "20")
    with Backend().echo() as backend, \
            Gate("serve", backend.address, before=sid, pair=("--cert=long.pem", "--key=long.key")) as gate:
        for _ in range(3):
            text = subprocess.check_output([*sid, TLSGATE, "handshake", "localhost:%d" % gate.port, "--ca=long.pem"],
                                           cwd=tmp, text=True, timeout=DEADLINE)
            need("mldsa87" in text, text)
        need("no more answers" not in log_text(), log_text())


@test
def shows_and_takes_keys_of_every_kind():
    """As OpenSSL's peers have them: of serve, of its clients, and of the servers of connect."""
    for name in KINDS:
        pem, key = make_kind(name)
        with Backend().echo() as backend, \
                Gate("serve", backend.address, "--client-ca=ca.pem", pair=("--cert", pem, "--key", key)) as gate:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with gate.connect((pem, key), maximum_version=version) as connection:
                    echo(connection)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with TlsServer(version, "ca.pem", pem, key) as server, \
                    Gate("connect", server.address, "--ca=ca.pem", "--cert", pem, "--key", key) as gate:
                through(gate)
                need(server.names == [name], "the server saw: %s" % server.names)


@test
def signs_long_transcripts():
    """In TLS 1.2 Ed25519 signs the messages themselves: here three packets to keyd each, of which
    there is room for 64 at once."""
    crowd = 40
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "20")
    write("wordy", "subjectAltName=DNS:localhost\nnsComment=" + 9000 * "x")
    run("openssl", "x509", "-req", "-in", "one.csr", *signed, "-extfile", "wordy", "-out", "wordy.pem")
    run("openssl", "req", "-newkey", "ed25519", "-nodes", "-keyout", "ed.key", "-out", "ed.csr",
        "-subj", "/CN=ed")
    run("openssl", "x509", "-req", "-in", "ed.csr", *signed, "-out", "ed.pem")
    with TlsServer(ssl.TLSVersion.TLSv1_2, "ca.pem", "wordy.pem") as server, \
            Gate("connect", server.address, "--ca=ca.pem", "--cert=ed.pem", "--key=ed.key",
                 "--workers=1") as gate, contextlib.ExitStack() as opened:
        with stopped(first_answerer(gate)):
            plain = [opened.enter_context(gate.connect_plain()) for _ in range(crowd)]
            wait_until(lambda: server.accepted == crowd, "all reach the server")
            wait_until(idle(gate.workers()[0]), "the worker waits for keyd")
        for connection in plain:
            echo(connection)
        need(server.names == crowd * ["ed"], "the server saw: %s" % server.names)


def kinds_of(server, count):
    wait_until(lambda: len(server.sessions) == count, "%d handshakes: %s" % (count, server.sessions))
    return server.sessions


@test
def resumes_sessions_when_connecting():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with TlsServer(version) as server, \
                Gate("connect", server.address, "--ca=ca.pem", "--workers=1") as gate:
            through(gate)
            through(gate)
            need(kinds_of(server, 2) == ["new", "resumed"], "TLS handshakes: %s" % server.sessions)
            gate.process.send_signal(signal.SIGHUP)     # other CAs might be in force
            gate.ready(2)
            through(gate)
            need(kinds_of(server, 3)[2] == "new", "resumed over a reload")


@test
def offers_a_session_once():
    with TlsServer() as server, Gate("connect", server.address, "--ca=ca.pem", "--workers=1") as gate:
        through(gate)
        held = [gate.connect_plain() for _ in range(3)]
        kinds_of(server, 4)
        for plain in held:
            echo(plain)
        need(sorted(server.sessions) == ["new", "new", "new", "resumed"],
             "one session, three connections at once: %s" % server.sessions)
        for plain in held:
            plain.close()
        through(gate)       # each of the four gave one
        need(kinds_of(server, 5)[4] == "resumed", "handshakes: %s" % server.sessions)


@test
def keeps_few_sessions():
    with TlsServer() as server, Gate("connect", server.address, "--ca=ca.pem", "--workers=1") as gate:
        held = [gate.connect_plain() for _ in range(20)]
        for plain in held:
            echo(plain)
        for plain in held:
            plain.close()
        held = [gate.connect_plain() for _ in range(20)]
        need(kinds_of(server, 40)[20:].count("resumed") == 16, "handshakes: %s" % server.sessions[20:])
        for plain in held:
            plain.close()


@test
def a_server_may_forget_its_sessions():
    with TlsServer() as server, \
            Gate("connect", server.address, "--ca=ca.pem", "--workers=1") as gate:
        through(gate)
        server.context = other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)    # knows no ticket
        other.load_cert_chain(path("one.pem"), path("one.key"))
        through(gate)
        need(kinds_of(server, 2) == ["new", "new"], "handshakes: %s" % server.sessions)


def der_of(name):
    with open(path(name)) as file:
        return ssl.PEM_cert_to_DER_cert(file.read())


@test
def hands_on_who_the_client_is():
    with Backend() as backend, Gate("serve", backend.address, "--proxy-protocol", "--client-ca=ca.pem",
                                    "--verify-client=request", "--alpn=x",
                                    "--groups=x25519") as gate:
        context = ssl.create_default_context(cafile=path("ca.pem"))
        context.set_alpn_protocols(["x"])
        context.load_cert_chain(path("two.pem"), path("two.key"))
        session = None
        for kind, flags in (("new", 7), ("resumed", 5)):
            with gate.connect_with(context, session) as tls:
                tls.sendall(b"data")
                plain = backend.accept()
                addresses, outer, verdict, inner = proxy_header(plain)
                need(read_exactly(plain, 4) == b"data", "data follows the header")
                plain.sendall(b"answer")
                need(tls.recv(100) == b"answer", "an answer")
                need(tls.session_reused == (kind == "resumed"), kind)
                session = tls.session
                need(addresses == [tls.getsockname(), ("127.0.0.1", gate.port)], "%s" % addresses)
                need(outer == {1: b"x", 2: b"localhost"}, "%s" % outer)
                need(verdict == bytes([flags, 0, 0, 0, 0]), "client and verify: %s" % verdict.hex())
                need(inner[0x21] == b"TLSv1.3" and inner[0x22] == b"two" and
                     inner[0x23].decode() == tls.cipher()[0] and inner[0x26] == b"x25519" and
                     inner[0x28] == der_of("two.pem"), "%s" % inner)
                plain.close()


@test
def hands_on_a_client_without_a_certificate():
    with Backend() as backend, Gate("serve", backend.address, "--proxy-protocol") as gate:
        with gate.connect(maximum_version=ssl.TLSVersion.TLSv1_2), backend.accept() as plain:
            _, outer, verdict, inner = proxy_header(plain)
            need(verdict == b"\1\0\0\0\1" and outer == {2: b"localhost"} and
                 inner.keys() == {0x21, 0x23, 0x26} and inner[0x21] == b"TLSv1.2",
                 "%s %s %s" % (verdict.hex(), outer, inner))
    refused(2, "proxy-protocol refused: it is not for mode connect", "connect", ":1", "localhost:2", USER,
            "--proxy-protocol")


def openssl_server(response):
    port = free_port()
    server = subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-cert", "one.pem",
                               "-key", "one.key", "-rev", "-status_file", response], cwd=tmp,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    return server, "localhost:%d" % port


@contextlib.contextmanager
def redis_server():
    port = free_port()
    server = subprocess.Popen(["redis-server", "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1",
                               "--tls-cert-file", "one.pem", "--tls-key-file", "one.key", "--tls-ca-cert-file",
                               "ca.pem", "--tls-auth-clients", "no", "--save", "", "--dir", tmp], cwd=tmp,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port), "redis-server listens")
        yield "localhost:%d" % port
    finally:
        server.terminate()
        server.wait()


@test
def connects_to_the_server_of_the_examples():
    """As README.md, tlsgated.conf(5) and tlsgated.conf.example have it."""
    if not shutil.which("redis-server"):
        raise Skip("redis-server is not installed")
    with redis_server() as address, Gate("connect", address, "--ca=ca.pem") as gate, \
            gate.connect_plain() as plain:
        plain.sendall(b"PING\r\n")
        answer = plain.recv(100)
        need(answer == b"+PONG\r\n", "answer: %r" % answer)


def answers(gate):
    try:
        with gate.connect_plain() as plain:
            plain.sendall(b"abc\n")
            return plain.recv(100) == b"cba\n"
    except (ConnectionResetError, BrokenPipeError):
        return False


@test
def checks_the_staple_of_the_server_when_asked():
    ocsp_response("one.ocsp", "one.pem")
    forged = ends_at("one.ocsp", time.time() + 86400)
    for response, asked, wanted in (("one.ocsp", True, True), (forged, True, False), (forged, False, True)):
        server, address = openssl_server(response)
        options = ("--request-ocsp",) if asked else ()
        try:
            with Gate("connect", address, "--ca=ca.pem", *options) as gate:
                said = "bad_certificate_status_response sent"
                wait_until(lambda: answers(gate) or said in log_text(), "an outcome")   # or it just starts
                need(answers(gate) == wanted, "%s, asked: %s: %s" % (response, asked, log_text()))
                need((said in log_text()) != wanted, log_text())
        finally:
            server.kill()
            server.wait()


@test
def limits_handshake_messages():
    with open(path("two.pem")) as leaf, open(path("ca.pem")) as authority:
        write("long.pem", leaf.read() + 7 * authority.read())
    for limit, wanted in ((), True), (("--max-message=2048",), False):
        with Backend().echo() as backend, \
                Gate("serve", backend.address, "--client-ca=ca.pem", *limit) as gate:
            try:
                with gate.connect(("long.pem", "two.key")) as connection:
                    echo(connection)
                    came = True
            except (OSError, AssertionError):
                came = False
            need(came == wanted, "limit %s: %s" % (limit, log_text()))
            need(wanted or "illegal_parameter sent" in log_text(), log_text())
