# SPDX-License-Identifier: MIT
"""pq: ML-KEM accepted, preferred, required.  Where this machine's libcrypto has none, it is Debian sid's."""

import json
import os
import re
import subprocess

from daemonlib.gate import (DEADLINE, TLSGATE, QUANTUM, TLSGATED, TOP, Backend, Gate, Skip, log_text, need, receive_some, test,
                            tmp, wait_until, write)

SID = [] if QUANTUM else [os.path.join(TOP, "selftests", "with-debian.sh"), "sid"]
BOTH = "--groups=x25519:X25519MLKEM768"	# a share of the first
KEM = "X25519MLKEM768"


def need_sid():
    if SID and not os.path.exists(os.path.join(TOP, "build", "sid", ".complete")):
        raise Skip("there is no Debian sid in build/sid: see selftests/fetch-debian.sh sid")


def handshake(gate, groups, *options):
    result = subprocess.run([*SID, TLSGATE, "handshake", "localhost:%d" % gate.port, "--ca=ca.pem", "--json", groups,
                             *options], cwd=tmp, capture_output=True, text=True, timeout=DEADLINE)
    return json.loads(result.stdout)


def group_of(report):
    need(report["ok"], "%s" % report)
    return report["key_exchange"]["group"], bool(report.get("hello_retry_request"))


def check(*settings):
    write("pq.conf", "gate web {\n\tmode = serve\n\tlisten = \"127.0.0.1:1\"\n\tbackend = \"127.0.0.1:2\"\n"
          "\tcert = one.pem\n\tkey = one.key\n%s}\n" % "".join("\t%s\n" % line for line in settings))
    result = subprocess.run([TLSGATED, "-t", "-c", "pq.conf"], cwd=tmp, capture_output=True, text=True,
                            timeout=DEADLINE)
    return result.returncode, result.stderr


@test
def pq_that_cannot_be_is_refused_at_the_start():
    for value in ("prefer", "require"):
        for other in ("groups = x25519", "max-version = 1.2"):
            status, text = check(other, "pq = " + value)
            need(status == 1 and re.search("pq.conf:8:7: refused: gate .web.: pq .%s.: .*" % value, text), text)
    status, text = check("min-version = 1.2", "pq = require")
    need(status == 1 and "pq.conf:7:16: refused: gate 'web': min-version: with pq = require it is 1.3" in text, text)
    status, text = check("pq = perhaps")
    need(status == 1 and "pq.conf:7:" in text and "it must be accept, prefer or require" in text, text)
    status, text = check("groups = x25519", "pq = accept")
    need(status == 0, text)


@test
def pq_decides_the_group():
    need_sid()
    rows = (("accept", BOTH, ("x25519", False)), ("prefer", BOTH, (KEM, True)), ("prefer", "--groups=x25519", ("x25519", False)),
            ("require", BOTH, (KEM, True)), ("require", "--groups=" + KEM, (KEM, False)))
    for pq, groups, expected in rows:
        with Backend().echo() as backend, Gate("serve", backend.address, "--pq=" + pq, "--connection-log", before=SID) as gate:
            found = group_of(handshake(gate, groups))
            need(found == expected, "pq = %s, %s: %s" % (pq, groups, found))
            wait_until(lambda: "group=%s " % expected[0] in log_text(), "the group in the log: " + log_text())


@test
def pq_require_refuses_others_with_a_line():
    need_sid()
    with Backend().echo() as backend, Gate("serve", backend.address, "--pq=require", before=SID) as gate:
        for options, alert, line in (
                (("--groups=x25519",), "handshake_failure",
                 "the client has no ML-KEM group in common with us, and pq = require (it offers x25519)"),
                ((BOTH, "--max-version=1.2"), "protocol_version", "the client has no version in common with us")):
            report = handshake(gate, *options)
            need(not report["ok"] and alert in json.dumps(report), "%s" % report)
            wait_until(lambda: line in log_text(), "'%s' in %s" % (line, log_text()))


@test
def pq_of_a_gate_that_connects():
    need_sid()
    for server, pq, ok in (("--groups=x25519", "require", False), ("--groups=x25519", "prefer", True),
                           (BOTH, "require", True)):
        with Backend().echo() as backend, \
                Gate("serve", backend.address, server, before=SID) as far, \
                Gate("connect", "localhost:%d" % far.port, "--ca=ca.pem", "--pq=" + pq, "--connection-log", before=SID) as near:
            try:
                with near.connect_plain() as plain:
                    plain.sendall(b"hello")
                    answer = receive_some(plain)
            except ConnectionError:
                answer = b""
            need((answer == b"hello") == ok, "%s, pq = %s: %s" % (server, pq, answer))
            if not ok:
                wait_until(lambda: "the server may have no ML-KEM group, which pq = require wants" in log_text(),
                           log_text())


@test
def the_backend_hears_of_the_group():
    """PP2_SUBTYPE_SSL_GROUP of the PROXY header."""
    need_sid()
    with Backend() as backend, Gate("serve", backend.address, "--pq=require", "--proxy-protocol", before=SID) as gate:
        client = subprocess.Popen([*SID, TLSGATE, "handshake", "localhost:%d" % gate.port, "--ca=ca.pem"], cwd=tmp,
                                  stdout=subprocess.DEVNULL)
        with backend.accept() as connection:
            header = b""
            wanted = b"\x26\x00%c%s" % (len(KEM), KEM.encode())
            while wanted not in header:
                more = receive_some(connection)
                need(more, "no group in the header: %s" % header)
                header += more
        need(client.wait(DEADLINE) == 0, "the handshake failed")
