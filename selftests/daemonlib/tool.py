# SPDX-License-Identifier: MIT
"""tlsgate handshake, against tlsgated and against what is no TLS server."""

import json
import socket
import subprocess
import threading

from daemonlib.gate import DEADLINE, TLSGATE, Backend, Gate, free_port, need, test, tmp

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
            says(text, *("%d. %s\n" % pair for pair in enumerate(STEPS, 1)))
            says(text, "TLS " + version, "CN=one", "verified for localhost", trips,
                 "its MAC over the whole handshake is right", "sent; the server checks it")
            need("value" not in text.replace("values", "").replace("public value", ""),
                 "a secret's value without --secrets: " + text)


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
        report = json.loads(handshake(0, "localhost:%d" % gate.port, "--ca=ca.pem", "--json"))
        need(report["ok"] and report["verified"] and report["version"] == "TLS 1.3" and
             report["round_trips"] == 1 and report["finished_checked"], "%s" % report)
        need(not any("value" in secret for secret in report["secrets"]), "a secret's value")


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
        says(handshake(0, target, "--insecure"), "NO (--insecure)")
        report = json.loads(handshake(1, target, "--ca=two.pem", "--json"))
        need(not report["ok"] and not report["verified"] and report["alert_sent"] == "unknown_ca" and
             report["failed_step"] == "Authentication", "%s" % report)


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
         "FAILED at ClientHello", "not TLS")
    says(handshake(1, answer_once(b""), "--insecure"), "FAILED at ClientHello", "without a word")
    says(handshake(1, "127.0.0.1:%d" % free_port(), "--insecure"), "cannot be reached: Connection refused")


@test
def handshake_bad_usage():
    says(handshake(2), "exactly one HOST:PORT")
    says(handshake(2, "localhost"), "PORT")
    says(handshake(2, "localhost:1", "--min-version=1.1"), "1.2 or 1.3")
    says(handshake(2, "localhost:1", "--groups=nowhere"), "nowhere")
    says(handshake(2, "localhost:1", "--frobnicate"), "--frobnicate")
    says(handshake(1, "localhost:1", "--ca=absent"), "absent", "No such file")
