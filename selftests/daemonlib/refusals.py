# SPDX-License-Identifier: MIT
"""What tlsgated refuses, in one line that says what to do."""

import os
import re
import socket
import subprocess

from daemonlib.gate import (DEADLINE, TLSGATED, Backend, Gate, Skip, free_port, need, run, test, tmp,
                            write)


def refused(status, pattern, *argv):
    result = subprocess.run([TLSGATED, *argv], cwd=tmp, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=DEADLINE)
    lines = [line for line in result.stderr.splitlines() if "data path: " not in line]
    need(result.returncode == status, "status %d: %s" % (result.returncode, result.stderr))
    need(len(lines) == 1, "not one line: " + result.stderr)
    need(re.search(pattern, lines[0]), "says: " + lines[0])


PAIR = ("--cert", "one.pem", "--key", "one.key")
USER = "--data-path=user"


@test
def bad_usage():
    refused(2, "what to do is missing")
    refused(2, "not known", "serve", ":1", ":2", "--nonsense")
    refused(2, "PORT", "serve", "nowhere", ":2", *PAIR)
    refused(2, "cert is missing", "serve", ":1", ":2")
    refused(2, "verify-client refused: it needs client-ca", "serve", ":1", ":2", *PAIR,
            "--verify-client=require")
    refused(2, "verify-client refused: it is not for mode connect", "connect", ":1", ":2",
            "--verify-client=require")
    refused(2, "given twice", "serve", ":1", ":2", *PAIR, "--alpn=a", "--alpn=b")
    refused(2, "1.2 or 1.3", "serve", ":1", ":2", *PAIR, "--min-version=1.1")


def refused_file(status, text, *patterns):
    """Each error is one line, in this order, with file, line and column."""
    write("gates.conf", text)
    result = subprocess.run([TLSGATED, "-c", "gates.conf"], cwd=tmp, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=DEADLINE)
    lines = [line for line in result.stderr.splitlines() if "data path: " not in line]
    need(result.returncode == status, "status %d: %s" % (result.returncode, result.stderr))
    need(len(lines) == len(patterns), "not %d lines: %s" % (len(patterns), result.stderr))
    for line, pattern in zip(lines, patterns):
        need(re.search("^tlsgated: gates.conf:" + pattern, line), "%r is not in: %s" % (pattern, line))


@test
def every_error_of_a_file_with_its_place():
    refused_file(2, """colour = red
gate a {
\tmode = connect
\tlisten = {":80",
\t\t":x"}
\tbackend = "h:443"
}
gate b { mode = connect  listen = ":81"  backend = "h:443"
  verify-client = require
  key = k }
gate c { mode = serve
  cert = { c }
  cert = { d }
  alpn a
}
""", "1:1: refused: no setting is called 'colour'", "5:3: refused: listen = ':x'",
                 "10:9: refused: gate 'b': key: it needs cert",
                 "9:19: refused: gate 'b': verify-client: it is not for mode connect",
                 "13:3: refused: cert was given already, in line 12",
                 "14:8: refused: 'a' is not understood here: = is wanted")


@test
def bad_files():
    write("garbage", "no PEM at all\n")
    refused(1, "absent.*No such file", "serve", ":1", ":2", "--cert=absent", "--key=one.key", USER)
    refused(1, "garbage.*PEM", "serve", ":1", ":2", "--cert=garbage", "--key=one.key", USER)
    refused(1, "garbage.*PEM", "serve", ":1", ":2", "--cert=one.pem", "--key=garbage", USER)
    refused(1, "not the key of certificate", "serve", ":%d" % free_port(), ":2", "--cert=one.pem",
            "--key=two.key", USER)
    refused(1, "CA.*no PEM", "connect", ":1", "localhost:2", "--ca=garbage", USER)
    run("openssl", "pkcs8", "-topk8", "-in", "one.key", "-passout", "pass:x", "-out", "locked")
    refused(1, "locked", "serve", ":%d" % free_port(), ":2", "--cert=one.pem", "--key=locked", USER)


@test
def bad_names():
    refused(1, "TLS_NOTHING.*not known", "serve", ":1", ":2", *PAIR, "--ciphersuites=TLS_NOTHING")
    refused(1, "nowhere.*not known", "serve", ":1", ":2", *PAIR, "--groups=x25519:nowhere")
    refused(1, "cannot listen on 192.0.2.77", "serve", "192.0.2.77:4433", ":2", *PAIR, USER)


@test
def port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused(1, "in use.*another port", "serve", "127.0.0.1:%d" % port, ":2", *PAIR, USER)


@test
def port_of_another_tlsgated():
    with Backend() as backend, Gate("serve", backend.address) as gate:
        refused(1, "in use.*another port", "serve", "127.0.0.1:%d" % gate.port, ":2", *PAIR, USER)


@test
def kernel_without_module():
    if os.path.exists("/sys/module/tlsgate"):
        raise Skip("the module is loaded here")
    refused(1, "data path kernel refused.*not loaded", "serve", ":%d" % free_port(), ":2", *PAIR,
            "--data-path=kernel")
