# SPDX-License-Identifier: MIT
"""What server name and application protocol decide: certificate, backend, or no TLS of ours at all."""

import subprocess

from daemonlib.gate import DEADLINE, Backend, log_text, need, run, test, tmp, wait_until, write
from daemonlib.pools import FileGate


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
