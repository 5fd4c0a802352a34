# SPDX-License-Identifier: MIT
"""X25519MLKEM768 and ML-DSA certificates, where libcrypto has them: from OpenSSL 3.5 on."""

import json

from daemonlib.gate import (QUANTUM, Backend, Gate, Skip, TlsServer, echo, need, run, test, write)
from daemonlib.tool import handshake

SCHEMES = {"ML-DSA-44": "mldsa44", "ML-DSA-65": "mldsa65", "ML-DSA-87": "mldsa87"}


def need_quantum():
    if not QUANTUM:
        raise Skip("the libcrypto of this machine has neither ML-KEM nor ML-DSA: OpenSSL 3.5 does")


def make_private_ca():
    """q-ca.pem, and NAME.pem and NAME.key of each kind by it."""
    run("openssl", "req", "-x509", "-newkey", "ML-DSA-65", "-nodes", "-keyout", "q-ca.key", "-out", "q-ca.pem",
        "-subj", "/CN=private CA", "-days", "20", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    write("q-ext", "subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\n")
    for name in SCHEMES:
        run("openssl", "req", "-newkey", name, "-nodes", "-keyout", name + ".key", "-out", name + ".csr",
            "-subj", "/CN=" + name)
        run("openssl", "x509", "-req", "-in", name + ".csr", "-CA", "q-ca.pem", "-CAkey", "q-ca.key",
            "-CAcreateserial", "-days", "20", "-extfile", "q-ext", "-out", name + ".pem")


@test
def x25519mlkem768_is_what_both_ends_take():
    need_quantum()
    with Backend().echo() as backend, Gate("serve", backend.address, "--connection-log") as gate:
        report = json.loads(handshake(0, "localhost:%d" % gate.port, "--ca=ca.pem", "--json"))
        need(report["key_exchange"] == {"method": "ephemeral Diffie-Hellman", "group": "X25519MLKEM768",
                                        "client_bytes": 1216, "server_bytes": 1120},
             "%s" % report["key_exchange"])
        need(report["round_trips"] == 1, "%s" % report)


@test
def ml_dsa_certificates_are_served_and_verified():
    """Of a private CA, which signs by ML-DSA, too; the client's, too; OpenSSL's peers on either side."""
    need_quantum()
    make_private_ca()
    for name, scheme in SCHEMES.items():
        pair = ("--cert=%s.pem" % name, "--key=%s.key" % name)
        with Backend().echo() as backend, \
                Gate("serve", backend.address, "--client-ca=q-ca.pem", pair=pair) as gate:
            report = json.loads(handshake(0, "localhost:%d" % gate.port, "--ca=q-ca.pem", "--json", *pair))
            need(report["verified"] and report["scheme"] == scheme, "%s" % report)
            with gate.connect((name + ".pem", name + ".key"), ca="q-ca.pem") as connection:
                echo(connection)
        with TlsServer(client_ca="q-ca.pem", chain=name + ".pem", key=name + ".key") as server, \
                Gate("connect", server.address, "--ca=q-ca.pem", *pair) as gate:
            with gate.connect_plain() as plain:
                plain.sendall(b"line\n")
                need(plain.recv(100) == b"line\n", "the server echoes")
            need(server.names == [name], "the server saw: %s" % server.names)
