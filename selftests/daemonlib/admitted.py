# SPDX-License-Identifier: MIT
"""Which clients a gate lets in by their certificates, at first and when a session goes on."""

import shutil
import ssl
import subprocess
import time

from daemonlib.features import make_crl
from daemonlib.gate import DEADLINE, Backend, Gate, Skip, log_text, need, run, test, tmp, wait_until, write
from daemonlib.refusals import PAIR, refused, refused_file
from daemonlib.samples import metrics, total
from daemonlib.tickets import KEYS, OneLine, TicketGate, write_keys
from daemonlib.who import CountingGate, outcome_of, session_of, showing

NOT_ALLOWED = "alert access_denied sent (the certificate is none of those that allow-client names (certificate 0, subject "


def make_request(name, subject):
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key",
        "-out", name + ".csr", "-utf8", "-subj", subject)


def make_client(name, subject, names=None):
    write("client.ext", "subjectAltName=%s\n" % names if names else "basicConstraints=CA:FALSE\n")
    make_request(name, subject)
    run("openssl", "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "20", "-extfile", "client.ext", "-out", name + ".pem")


def make_client_that_ends(name, seconds):
    """The time at which it does."""
    write("ends.txt", "")
    write("ends.cnf", "[ca]\ndefault_ca = x\n[x]\ndatabase = ends.txt\nnew_certs_dir = .\nrand_serial = yes\n"
          "default_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n")
    make_request(name, "/CN=" + name)
    end = int(time.time()) + seconds
    run("openssl", "ca", "-batch", "-config", "ends.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-notext",
        "-in", name + ".csr", "-out", name + ".pem", "-enddate", time.strftime("%Y%m%d%H%M%SZ", time.gmtime(end)))
    return end


def pin_of(name):
    """As tlsgated.conf(5) says."""
    command = "openssl x509 -in %s -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256" % name
    return subprocess.run(["sh", "-c", command], cwd=tmp, capture_output=True, text=True,
                          check=True).stdout.split()[-1]


@test
def lets_in_clients_by_their_certificates():
    make_client("named", "/CN=backup")
    make_client("service", "/CN=x", "DNS:a.svc.example")
    make_client("spiffe", "/", "URI:spiffe://example/ns/a")
    make_client("pinned", "/CN=y")
    make_client("other", "/CN=Backup\n\u00e9", "DNS:svc.example,URI:spiffe://example/n")
    make_client("nameless", "/", "URI:spiffe://example/n")
    with Backend().echo() as backend, CountingGate(
            "serve", backend.address, "--client-ca=ca.pem", "--allow-client=CN=backup",
            "--allow-client=DNS:*.svc.example", "--allow-client=URI:spiffe://example/ns/*",
            "--allow-client=SPKI-SHA256:" + pin_of("pinned.pem")) as gate:
        for name in ("named", "service", "spiffe", "pinned"):
            need(outcome_of(gate, name) == "echo", name)
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            for name in ("other", "nameless"):
                outcome = outcome_of(gate, name, maximum_version=version)
                need("access denied" in outcome, "%s: %s" % (name, outcome))
        # what a peer chose is escaped
        for subject in ('"CN=Backup\\x5c0A\\x5cC3\\x5cA9"', '"URI:spiffe://example/n"'):
            need(log_text().count(NOT_ALLOWED + subject) == 2, "%s: %s" % (subject, log_text()))
        need(total(metrics(gate), "tlsgated_handshake_failures_total", reason="certificate_not_allowed") == 4,
             "%s" % metrics(gate))


@test
def tells_gnutls_that_it_is_not_let_in():
    if not shutil.which("gnutls-cli"):
        raise Skip("no gnutls-cli on this machine")
    make_client("named", "/CN=backup")
    with Backend().echo() as backend, Gate("serve", backend.address, "--client-ca=ca.pem",
                                           "--allow-client=CN=backup") as gate:
        for name, taken in (("named", True), ("two", False)):
            done = subprocess.run(["gnutls-cli", "--x509cafile=ca.pem", "--x509certfile=%s.pem" % name,
                                   "--x509keyfile=%s.key" % name, "-p", str(gate.port), "localhost"], cwd=tmp,
                                  input="hello\n", capture_output=True, text=True, timeout=DEADLINE)
            said = done.stdout + done.stderr
            need(("hello" in said.splitlines()) == taken, said)
            need(("Access was denied" in said) != taken, said)


@test
def judges_a_client_again_when_its_session_goes_on():
    sessions = []
    with Backend().echo() as backend, Gate("serve", backend.address, "--client-ca=ca.pem",
                                           "--allow-client=CN=brief") as gate:
        end = make_client_that_ends("brief", 5)
        contexts = [showing("brief", version) for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]
        for context in contexts:
            session, reused = session_of(gate, context, session_of(gate, context)[0])
            need(reused, "while the certificate is valid")
            sessions.append(session)
        wait_until(lambda: time.time() > end + 1, "the certificate has ended")
        for context, session in zip(contexts, sessions):
            try:
                session_of(gate, context, session)
                need(False, "a session goes on without its certificate")
            except OSError as error:
                need("EXPIRED" in str(error).upper(), str(error))
        wait_until(lambda: log_text().count("alert certificate_expired sent (certificate has expired") == 2, "lines")


@test
def judges_sessions_by_the_crl_and_the_rules_of_today():
    """Tickets that outlive the reload; the client is openssl s_client."""
    client = ("-cert", "two.pem", "-key", "two.key")
    rules = 'client-ca = ca.pem crl = today.crl allow-client = { "CN=two", "CN=x" }'
    write_keys(KEYS[0])
    for version in "tls1_2", "tls1_3":
        make_crl("today.crl")
        with OneLine() as backend, TicketGate(backend.address, more=rules) as gate:
            gate.take(version=version, options=client)
            need(gate.client("-sess_in", "session", *client, version=version)[0], "nothing has changed: no resumption")
            make_crl("today.crl", "two.pem")
            gate.reload()
            gate.attempt("-sess_in", "session", *client, version=version)
            need("alert certificate_revoked sent (certificate revoked (CRL)" in log_text(), log_text())
            # a rule less: no ticket of before is taken
            make_crl("today.crl")
            gate.configure(more=rules.replace('"CN=two", ', ""))
            gate.reload()
            gate.attempt("-sess_in", "session", *client, version=version)
            need(NOT_ALLOWED + '"CN=two"' in log_text(), log_text())


@test
def rules_for_clients_that_are_none():
    gate = """gate a {
 mode = serve  listen = ":1"  backend = "127.0.0.1:2"  cert = one.pem  key = one.key
 client-ca = ca.pem
 allow-client = { "CN=a",
  "DNS:*", "URI:spiffe://example*" }
%s}
"""
    refused_file(1, gate % "", "5:3: refused: gate 'a': allow-client 'DNS:[*]': a DNS name must follow DNS:",
                 "5:12: refused: gate 'a': allow-client 'URI:spiffe://example[*]': [*] of a URI may only stand at its end")
    refused_file(2, gate % " verify-client = request\n", "6:18: refused: gate 'a': verify-client: with allow-client a client "
                 "must show a certificate: leave it out")
    refused(2, "allow-client refused: it needs client-ca", "serve", ":1", "127.0.0.1:2", *PAIR, "--allow-client=CN=a")
    refused(2, "--accept-proxy '10.0.0.1/8' refused: bits behind the network's are set", "serve", ":1", "127.0.0.1:2", *PAIR,
            "--accept-proxy=10.0.0.1/8")
