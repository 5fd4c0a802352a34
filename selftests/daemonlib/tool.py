# SPDX-License-Identifier: MIT
"""tlsgate handshake, against tlsgated and against what is no TLS server."""

import base64
import itertools
import json
import re
import socket
import struct
import subprocess
import threading
import time

from daemonlib.features import EXPIRED, ends_at, make_crl, ocsp_response
from daemonlib.gate import (DEADLINE, TLSGATE, Backend, Gate, free_port, log_text, make_certificate, make_rsa_certificate,
                            need, path, run, test, tmp, wait_until, write)

STEPS = ("ClientHello", "ServerHello", "Authentication", "Key exchange", "Session keys", "Finished")


def handshake(status, *argv):
    result = subprocess.run([TLSGATE, "handshake", *argv], cwd=tmp, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=DEADLINE)
    need(result.returncode == status, "status %d, not %d: %s%s" %
         (result.returncode, status, result.stdout, result.stderr))
    return result.stdout + result.stderr


def says(text, *pieces):
    for piece in pieces:
        need(piece in text, "'%s' is not in: %s" % (piece, text))


@test
def handshake_explains_every_step():
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        target = "localhost:%d" % gate.port
        for version, trips in (("1.2", "2 round trips"), ("1.3", "1 round trip,")):
            text = handshake(0, target, "--ca=ca.pem", "--explain", "--max-version=" + version)
            for number, step in enumerate(STEPS, 1):
                need(re.search(r"^%d\. %s  \(\d+\.\d ms(, round trip [12])?\)$" % (number, step), text,
                               re.M), "no time for %s: %s" % (step, text))
            says(text, "TLS " + version, "CN=one", "verified for localhost", trips,
                 "its MAC over the whole handshake is right", "sent; the server checks it")
            need("value" not in text.replace("values", "").replace("public value", ""),
                 "a secret's value without --secrets: " + text)


@test
def handshake_ends_in_order():
    """The gate's tickets are read, too: unread, TCP would reset the connection."""
    with Backend().echo() as backend, Gate("serve", backend.address, "--connection-log", "--workers=1") as gate:
        for version in ("1.2", "1.3"):
            for _ in range(5):
                handshake(0, "localhost:%d" % gate.port, "--ca=ca.pem", "--min-version=" + version,
                          "--max-version=" + version)
        wait_until(lambda: log_text().count("connection gate=") == 10, "a line of each: " + log_text())
        need(log_text().count('reason="closed by both sides"') == 10, log_text())


@test
def handshake_explains_a_retry():
    with Backend().echo() as backend, Gate("serve", backend.address, "--groups=secp384r1") as gate:
        target = ("localhost:%d" % gate.port, "--ca=ca.pem", "--groups=x25519:secp384r1")
        says(handshake(0, *target, "--explain"), "key shares sent        x25519 (32 bytes)",
             "HelloRetryRequest      secp384r1", "key shares sent then   secp384r1 (97 bytes)",
             "client 97 bytes, server 97 bytes", "2 round trips")
        report = json.loads(handshake(0, *target, "--json"))
        need([report[name]["key_shares"][0]["group"] for name in ("client_hello", "client_hello_again")] ==
             ["x25519", "secp384r1"], "%s" % report)


@test
def handshake_explains_the_key_exchange():
    make_rsa_certificate()
    suite = "--ciphersuites=TLS_RSA_WITH_AES_128_GCM_SHA256"
    with Backend().echo() as backend, \
            Gate("serve", backend.address, suite, pair=("--cert=rsa.pem", "--key=rsa.key")) as gate:
        target = "localhost:%d" % gate.port
        text = handshake(0, target, "--ca=ca.pem", "--explain", suite,
                         "--max-version=1.2")
        says(text, "RSA: the client chose the premaster secret",
             "256 bytes, to the server's key (RSA 2048 bits)", "extended master secret")
        report = json.loads(handshake(0, target, "--ca=ca.pem", "--json", suite, "--max-version=1.2"))
        need(report["key_exchange"] == {"method": "RSA", "encrypted_premaster_bytes": 256},
             "%s" % report["key_exchange"])


VERSIONS = ("1.2", "1.3")
GROUPS = ("x25519", "secp256r1", "secp384r1", "secp521r1", "x448")


def offers():
    """Values of the options that say what is offered, each of them alone; none of them is another's."""
    suites = re.findall(r"TLS_[A-Z0-9_]+", subprocess.check_output([TLSGATE, "ciphers"], text=True))
    lists = {"min-version": VERSIONS, "max-version": VERSIONS, "ciphersuites": suites, "groups": GROUPS,
             "alpn": ("h2",)}
    return [[("--%s=%s" % (name, value)) for value in values] for name, values in lists.items()], suites


@test
def what_handshake_takes_it_can_offer():
    """Two options: refused before anything is sent, or a handshake with who takes everything succeeds."""
    make_rsa_certificate()
    make_certificate("ed", "ed25519")       # for who has none of ECDSA's curves
    lists, suites = offers()
    refused = 0
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--ciphersuites=" + ":".join(suites), "--cert=rsa.pem", "--key=rsa.key",
                 "--cert=ed.pem", "--key=ed.key", "--groups=" + ":".join(GROUPS), "--alpn=h2") as gate:
        for one, other in itertools.combinations(lists, 2):
            for options in itertools.product(one, other):
                result = subprocess.run([TLSGATE, "handshake", "localhost:%d" % gate.port, "--ca=ca.pem", *options],
                                        cwd=tmp, capture_output=True, text=True, timeout=DEADLINE)
                need(result.returncode in (0, 2), "%s: %s%s" % (options, result.stdout, result.stderr))
                need(not result.returncode or re.fullmatch("tlsgate: handshake: .*\nusage: .*\n", result.stderr),
                     "%s: %s" % (options, result.stderr))
                refused += result.returncode == 2
        # versions in the wrong order, and a suite of the version left out
        need(refused == 1 + len(suites), "%d pairs are refused" % refused)


@test
def handshake_shows_secrets_when_asked():
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        report = json.loads(handshake(0, "localhost:%d" % gate.port, "--ca=ca.pem", "--json",
                                      "--secrets"))
        values = [secret["value"] for secret in report["secrets"]]
        need(len(values) >= 4 and all(len(value) >= 64 for value in values), "values: %s" % values)


@test
def handshake_gives_json():
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        report = json.loads(handshake(0, "localhost:%d" % gate.port, "--ca=ca.pem", "--json", "--groups=x25519"))
        need(report["ok"] and report["verified"] and report["version"] == "TLS 1.3" and
             report["round_trips"] == 1 and report["finished_checked"], "%s" % report)
        need(not any("value" in secret for secret in report["secrets"]), "a secret's value")
        need(all(secret["from"] for secret in report["secrets"]), "a secret from nowhere")
        need([step["name"] for step in report["steps"]] == list(STEPS) and
             all(step["reached"] and step["ms"] >= 0 for step in report["steps"]), "%s" % report["steps"])
        took = sum(step["ms"] for step in report["steps"])
        need(0 < took <= report["handshake_ms"] + 1, "%s ms in steps, %s in all" %
             (took, report["handshake_ms"]))
        need(report["key_exchange"] == {"method": "ephemeral Diffie-Hellman", "group": "x25519",
                                        "client_bytes": 32, "server_bytes": 32},
             "%s" % report["key_exchange"])
        need(report["chain_and_name"] == "verified" and report["scheme"] and
             all(cert["verdict"].startswith("ok: ") for cert in report["certificates"]), "%s" % report)


@test
def handshake_says_why_it_failed():
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        target = "localhost:%d" % gate.port
        says(handshake(1, target, "--ca=two.pem"), "FAILED at Authentication", "unknown_ca sent",
             "likely cause")
        says(handshake(1, target, "--ca=ca.pem", "--server-name=other.example"),
             "FAILED at Authentication", "likely cause")
        says(handshake(1, target, "--ca=ca.pem", "--ciphersuites=TLS_RSA_WITH_AES_128_GCM_SHA256"),
             "handshake_failure received", "likely cause")
        says(handshake(0, target, "--insecure"), "NO (--insecure): unable to get local issuer")
        says(handshake(0, target, "--insecure", "--ca=ca.pem"), "yes, for localhost")
        says(handshake(0, target, "--insecure", "--explain"), "NOT TRUSTED: unable to get local issuer")
        report = json.loads(handshake(1, target, "--ca=two.pem", "--json"))
        need(not report["ok"] and not report["verified"] and report["alert_sent"] == "unknown_ca" and
             report["failed_step"] == "Authentication" and report["chain_and_name"] == "refused",
             "%s" % report)
        need([step["reached"] for step in report["steps"]] == [True] * 5 + [False],
             "%s" % report["steps"])


@test
def handshake_checks_the_stapled_response():
    ocsp_response("one.ocsp", "one.pem")
    forged = ends_at("one.ocsp", time.time() + 86400)
    for name, status, words in (("one.ocsp", 0, ("stapled by the server",)),
                                (forged, 1, ("bad_certificate_status_response sent", "likely cause"))):
        with Backend().echo() as backend, Gate("serve", backend.address, "--ocsp=" + name) as gate:
            target = "localhost:%d" % gate.port
            for version in ("1.2", "1.3"):
                says(handshake(status, target, "--ca=ca.pem", "--explain", "--max-version=" + version),
                     *words)
            says(handshake(0, target, "--ca=ca.pem", "--insecure"),
                 "yes, for" if status == 0 else "NO (--insecure): the OCSP response")


@test
def handshake_looks_into_revocation_lists():
    make_crl("none.crl")
    make_crl("one.crl", "one.pem")
    make_crl("old.crl", fields=EXPIRED)
    make_crl("old-one.crl", "one.pem", fields=EXPIRED)
    write("other.crl", "garbage")
    warn = "--crl-expired=warn"
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        target = "localhost:%d" % gate.port
        for status, options, words in (
                (0, ("--crl=none.crl",), "yes, for localhost"),
                (1, ("--crl=one.crl",), "certificate_revoked sent (certificate revoked (CRL)"),
                (0, ("--crl=one.crl", "--insecure"), "NO (--insecure): certificate revoked (CRL)"),
                (1, ("--crl=old.crl",), "the CRL by the certificate's issuer has expired"),
                (1, ("--crl=old.crl", "--crl-expired=refuse"), "CRL 'old.crl' has expired: get a new one"),
                (0, ("--crl=old.crl", warn), "CRL 'old.crl' has expired: it is used all the same"),
                (1, ("--crl=old-one.crl", warn), "certificate_revoked sent"),
                (1, ("--crl=absent",), "CRL 'absent' refused: No such file"),
                (1, ("--crl=other.crl",), "CRL 'other.crl' refused: there is no CRL in it"),
                (2, (warn,), "it needs --crl"),
                (2, ("--crl=none.crl", "--crl-expired=no"), "'no' refused: it must be refuse or warn"),
                (2, ("--crl=none.crl",) * 17, "more than 16")):
            says(handshake(status, target, "--ca=ca.pem", *options), words)


def write_serverinfo(name, extension, data):
    """As s_server -serverinfo reads it: for hellos of both versions and TLS 1.3's Certificate."""
    body = base64.encodebytes(struct.pack(">IHH", 0x1180, extension, len(data)) + data).decode()
    write(name, "-----BEGIN SERVERINFOV2 FOR X-----\n%s-----END SERVERINFOV2 FOR X-----\n" % body)


@test
def handshake_counts_timestamps():
    write_serverinfo("two.scts", 18, bytes.fromhex("000e 0004 05060708 0006 010203040506"))
    port = free_port()
    server = subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-cert", "one.pem",
                               "-key", "one.key", "-rev", "-serverinfo", "two.scts"], cwd=tmp,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: reachable(port), "s_server")
        for version in ("1.2", "1.3"):
            argv = ("localhost:%d" % port, "--ca=ca.pem", "--max-version=" + version)
            says(handshake(0, *argv, "--explain"), "timestamps (SCT)       2, from the server")
            need(json.loads(handshake(0, *argv, "--json"))["scts"] == 2, "not 2 in JSON")
    finally:
        server.kill()
        server.wait()


def reachable(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answer_once(data):
    """A server that answers the first bytes it gets with data and closes; its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(4096)
        connection.close()
        listener.close()

    threading.Thread(target=serve, daemon=True).start()
    return "127.0.0.1:%d" % listener.getsockname()[1]


@test
def handshake_with_what_is_no_tls_server():
    says(handshake(1, answer_once(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "--insecure"),
         "FAILED at ClientHello", "answers in HTTP", "does not speak TLS")
    says(handshake(1, answer_once(b""), "--insecure"), "FAILED at ClientHello", "without a word")
    says(handshake(1, "127.0.0.1:%d" % free_port(), "--insecure"), "cannot be reached: Connection refused")


@test
def handshake_bad_usage():
    says(handshake(2), "exactly one HOST:PORT")
    says(handshake(2, "localhost"), "PORT")
    says(handshake(2, "localhost:1", "--min-version=1.1"), "1.2 or 1.3")
    says(handshake(2, "localhost:1", "--groups=nowhere"), "nowhere", "groups in tlsgated.conf(5)")
    says(handshake(2, "localhost:1", "--frobnicate"), "--frobnicate")
    says(handshake(1, "localhost:1", "--ca=absent"), "absent", "No such file")


@test
def handshake_waits_for_what_the_server_says_of_the_client():
    with Backend().echo() as backend, Gate("serve", backend.address, "--client-ca=ca.pem") as gate:
        target = "localhost:%d" % gate.port
        for version in ("1.2", "1.3"):
            fixed = (target, "--ca=ca.pem", "--min-version=" + version, "--max-version=" + version)
            text = handshake(1, *fixed)
            says(text, "FAILED", "alert", "received")
            need(version == "1.2" or "FAILED at Authentication" in text and "--cert and --key" in text, text)
            text = handshake(0, *fixed, "--cert=two.pem", "--key=two.key", "--explain")
            says(text, "asked for by the server, and sent")
    says(handshake(1, "localhost:1", "--cert=one.pem", "--key=two.key"), "it is not the key of certificate 'one.pem'")
    says(handshake(2, "localhost:1", "--cert=one.pem"), "--cert and --key go together")


@test
def handshake_has_a_deadline_for_all():
    """A record that never ends, byte by byte."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def drip():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"\x16\x03\x03\x40\x00")
                try:
                    while True:
                        connection.sendall(b"\0")
                        time.sleep(1)           # the pace of a peer, not a wait for something
                except OSError:
                    pass

        threading.Thread(target=drip, daemon=True).start()
        says(handshake(1, "localhost:%d" % listener.getsockname()[1]), "not complete within 10 s")


@test
def handshake_says_how_it_is_called():
    says(handshake(0, "--help"), "usage: tlsgate handshake HOST:PORT", "--cert FILE")


@test
def handshake_shows_no_hostile_byte():
    with open(path("hostile"), "wb") as file:
        file.write(b"subjectAltName=@names\n[names]\nDNS.1=localhost\nDNS.2=a\x1b[2Jb\\nverified\nDNS.3=\xff\xc3\xbc\n")
    run("openssl", "x509", "-req", "-in", "one.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "20", "-extfile", "hostile", "-out", "hostile.pem")
    with Backend() as backend, Gate("serve", backend.address, pair=("--cert=hostile.pem", "--key=one.key")) as gate:
        target = "localhost:%d" % gate.port
        says(handshake(0, target, "--ca=ca.pem", "--explain"),
             "localhost, a\\x1b[2Jb\\x0averified, \\xff\\xc3\\xbc\n")
        report = json.loads(handshake(0, target, "--ca=ca.pem", "--json"))
        need(report["certificates"][0]["names"] == ["localhost", "a\x1b[2Jb\nverified", "\ufffd\xfc"],
             "%s" % report["certificates"][0])
