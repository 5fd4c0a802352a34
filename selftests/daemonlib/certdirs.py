# SPDX-License-Identifier: MIT
"""Certificates of a folder: every form of it, and what becomes of changes."""

import os
import select
import shutil
import signal
import socket
import ssl

from daemonlib.control import ControlGate, outcome
from daemonlib.gate import DEADLINE, Backend, echo, free_port, log_text, need, path, peer_name, run, start, test, wait_until, write
from daemonlib.samples import metrics, total

QUIET = 0.5     # seconds that the daemon waits after a change


def make(folder, name, cert="tls.crt", key="tls.key", subject=None, kind="ec"):
    """A certificate for NAME.test, by the CA of all tests; key: cert's own name for a whole file."""
    os.makedirs(path(folder), exist_ok=True)
    write("certdir.ext", "subjectAltName=DNS:%s.test\n" % name)
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-newkey", "rsa:2048"]
    run("openssl", "req", "-new", *options, "-nodes", "-keyout", "certdir.key", "-out", "certdir.csr",
        "-subj", "/CN=" + (subject or name))
    run("openssl", "x509", "-req", "-in", "certdir.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "20", "-extfile", "certdir.ext", "-out", "certdir.pem")
    with open(path("certdir.pem")) as file:
        chain = file.read()
    with open(path("certdir.key")) as file:
        private = file.read()
    if cert != key:
        write(os.path.join(folder, cert), chain)
    with open(path(os.path.join(folder, key)), "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(private + chain if cert == key else private)


def make_secret(folder, name, version, subject=None):
    """As the kubelet writes a secret: into a folder of its own, and then it moves the link ..data."""
    make(os.path.join(folder, "..%d" % version), name, subject=subject)
    with_link(folder, "..data_tmp", "..%d" % version)
    os.rename(path(os.path.join(folder, "..data_tmp")), path(os.path.join(folder, "..data")))
    for file in "tls.crt", "tls.key":
        if not os.path.lexists(path(os.path.join(folder, file))):
            with_link(folder, file, "..data/" + file)


def with_link(folder, name, target):
    os.symlink(target, path(os.path.join(folder, name)))


class CertDirGate(ControlGate):
    def __init__(self, backend, more=""):
        self.port = free_port()
        self.socket = path("certdir.control")
        write("certdir.conf", """workers = 2
control = "%s"
gate web {
	mode = serve
	data-path = user
	listen = "127.0.0.1:%d"
	backend = "%s"
	cert-dir = certs
	%s
}
""" % (self.socket, self.port, backend, more))
        self.process = start("-c", "certdir.conf")

    def subject(self, name, kind=None):
        """Of the certificate that who asks for NAME.test gets, or for no name."""
        context = ssl.create_default_context(cafile=path("ca.pem"))
        context.check_hostname = False
        if kind:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("ECDHE-%s-AES128-GCM-SHA256" % kind)
        with context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE),
                                 server_hostname=name and name + ".test") as connection:
            echo(connection)
            return peer_name(connection)


def fresh():
    shutil.rmtree(path("certs"), ignore_errors=True)
    os.makedirs(path("certs"))


@test
def every_form_of_a_certificate_folder():
    fresh()
    make("certs", "b", "b.pem", "b.pem")
    make("certs", "a", "a.crt", "a.key")
    make("certs", "c", "c.pem", "c.pem.key")
    make("certs", "d", "d.pem.ecdsa", "d.pem.ecdsa", subject="d ecdsa")
    make("certs", "d", "d.pem.rsa", "d.pem.rsa", subject="d rsa", kind="rsa")
    make("certs/e", "e", "fullchain.pem", "privkey.pem")
    make_secret("certs/f", "f", 1)
    write("certs/README", "not a certificate\n")
    write("certs/.a.crt.swp", "nor this\n")
    with Backend().echo() as backend, CertDirGate(backend.address) as gate:
        gate.ready(1)
        for name in "abcef":
            need(gate.subject(name) == name, "for %s: %s" % (name, gate.subject(name)))
        need(gate.subject("d", "ECDSA") == "d ecdsa" and gate.subject("d", "RSA") == "d rsa", "two kinds for a name")
        need(gate.subject(None) == gate.subject("unknown") == "a", "the default is the first by name")
        files = [c["file"] for c in gate.ask(b"gates\n")["gates"][0]["certificates"]]
        need(files == sorted(files) and len(files) == 7, "tlsgate gates: %s" % files)


@test
def a_pair_beside_a_secret_is_served_too():
    fresh()
    make("certs", "f", "tls.crt", "tls.key")
    make("certs", "b", "b.crt", "b.key")
    make("certs/e", "e", "fullchain.pem", "privkey.pem")
    shutil.copy(path("ca.pem"), path("certs/chain.pem"))
    with Backend().echo() as backend, CertDirGate(backend.address) as gate:
        gate.ready(1)
        for name in "bef":
            need(gate.subject(name) == name, "for %s: %s" % (name, gate.subject(name)))
        need(gate.subject(None) == "f", "the default")
        need(len(gate.ask(b"gates\n")["gates"][0]["certificates"]) == 3, "three")


@test
def the_default_certificate_is_that_of_cert():
    fresh()
    make("certs", "a", "a.crt", "a.key")
    with Backend().echo() as backend, CertDirGate(backend.address, "cert = two.pem key = two.key") as gate:
        gate.ready(1)
        need(gate.subject(None) == "two" and gate.subject("a") == "a", "cert comes first")
        need("can read this private key" not in log_text(), log_text())


@test
def a_key_that_all_can_read_is_said():
    fresh()
    shutil.copy(path("two.key"), path("open.key"))
    os.chmod(path("open.key"), 0o604)
    make("certs", "a", "a.crt", "a.key")
    os.chmod(path("certs/a.key"), 0o604)
    for key, line in ("open", "key 'open.key'"), ("two", "cert-dir 'certs/a.key'"):
        with Backend().echo() as backend, CertDirGate(backend.address, "cert = two.pem key = %s.key" % key) as gate:
            gate.ready(1)
            need(line + ": every user of this machine can read this private key: chmod o-r" in log_text(), log_text())


@test
def a_certificate_folder_is_taken_anew_when_it_changes():
    fresh()
    make_secret("certs/f", "f", 1, "one")
    with Backend().echo() as backend, CertDirGate(backend.address) as gate:
        gate.ready(1)
        need(gate.subject("f") == "one", "the first")
        make_secret("certs/f", "f", 2, "two")
        wait_until(lambda: gate.subject("f") == "two", "the link leads elsewhere: another certificate")
        make("certs/g", "g")
        wait_until(lambda: gate.subject("g") == "g", "a new folder")
        make("certs", "h", "h.pem", "h.pem")
        wait_until(lambda: gate.subject("h") == "h", "a new file")
        os.unlink(path("certs/h.pem"))
        wait_until(lambda: gate.subject("h") == "two", "a file that is gone")


@test
def a_bad_certificate_folder_leaves_what_ran():
    fresh()
    make("certs", "a", "a.crt", "a.key", subject="one")
    with Backend().echo() as backend, CertDirGate(backend.address) as gate:
        gate.ready(1)
        workers = gate.workers()
        shutil.copy(path("one.key"), path("certs/a.key"))
        wait_until(lambda: "reload refused" in log_text(), "another key is refused: %s" % log_text())
        need("cert-dir 'certs/a.key': it is not the key of certificate 'certs/a.crt'" in log_text(), log_text())
        need(gate.subject("a") == "one" and gate.workers() == workers, "what ran goes on")
        need(log_text().count("reload refused") == 1, "said once: %s" % log_text())
        need(total(metrics(gate), "tlsgated_last_reload_successful") == 0, "metrics tell")
        need(total(metrics(gate), "tlsgated_reloads_total", result="refused") == 1, "metrics count")
        for command in "gates", "stats":
            outcome(gate.tlsgate(command), 0, "the last reload was refused at 20.* UTC: what ran")
        make("certs", "a", "a.crt", "a.key", subject="two")
        wait_until(lambda: gate.subject("a") == "two", "it is mended")
        wait_until(lambda: total(metrics(gate), "tlsgated_last_reload_successful") == 1, "metrics tell")
        need("refused at" not in gate.tlsgate("gates").stdout, "the last one was not")


@test
def a_renewal_takes_the_settings_that_run():
    fresh()
    make("certs", "a", "a.crt", "a.key", subject="one")
    with Backend().echo() as backend, CertDirGate(backend.address) as gate:
        gate.ready(1)
        with open(path("certdir.conf")) as file:
            settings = file.read()
        write("certdir.conf", settings.replace("workers = 2", "workers = 1"))
        make("certs", "a", "a.crt", "a.key", subject="two")
        wait_until(lambda: gate.subject("a") == "two", "a certificate, beside a file that was edited")
        need("workers: 1" not in log_text(), "nobody asked for what was edited: %s" % log_text())
        write("certdir.conf", settings + "gate {")
        make("certs", "a", "a.crt", "a.key", subject="three")
        wait_until(lambda: gate.subject("a") == "three", "a certificate, in the middle of an edit: %s" % log_text())
        old = gate.keyd()
        os.kill(old[0], signal.SIGKILL)
        wait_until(lambda: gate.keyd() and gate.keyd()[0] not in old, "another keyd, in the middle of it: %s" % log_text())
        need(gate.subject("a") == "three", "it goes on")
        need("refused" not in log_text(), log_text())


@test
def a_certificate_folder_is_left_alone_where_nothing_of_it_has_changed():
    fresh()
    make("certs", "a", "a.crt", "a.key")
    with Backend().echo() as backend, CertDirGate(backend.address) as gate:
        gate.ready(1)
        for name in "README", "a.crt~", "chain.tmp":
            write("certs/" + name, "not a certificate\n")
        times = os.stat(path("certs/a.key"))
        os.utime(path("certs/a.key"), ns=(times.st_atime_ns, times.st_mtime_ns))
        os.chmod(path("certs"), 0o700)
        select.select([], [], [], 3 * QUIET)
        need("have changed" not in log_text(), "no file of a certificate has: %s" % log_text())
        make("certs", "b", "b.crt", "b.key")
        wait_until(lambda: gate.subject("b") == "b", "a file of another certificate")


@test
def what_was_refused_in_a_certificate_folder_is_tried_again():
    """A folder that was not there when the watch began, and what comes into it after it was refused."""
    fresh()
    make("certs", "a", "a.crt", "a.key")
    with Backend().echo() as backend, CertDirGate(backend.address) as gate:
        gate.ready(1)
        os.makedirs(path("certs/g"))
        wait_until(lambda: "reload refused" in log_text(), "an empty folder is refused: %s" % log_text())
        make("certs/g", "g")
        wait_until(lambda: gate.subject("g") == "g", "it is not empty any more: %s" % log_text())


def refused(line):
    with Backend() as backend:
        gate = CertDirGate(backend.address)
        need(gate.process.wait(DEADLINE) == 1, "exit status")
        need("cert-dir 'certs" in log_text() and line in log_text(), log_text())


@test
def a_certificate_folder_without_any_is_refused():
    fresh()
    refused("there is no certificate in it")
    shutil.copy(path("ca.pem"), path("certs/ca.pem"))
    refused("cert-dir 'certs/ca.pem': there is no private key in it, nor a file beside it that ends in .key")
    write("certs/ca.pem", "-----BEGIN DH PARAMETERS-----\n")
    refused("cert-dir 'certs/ca.pem': there is no PEM certificate in it: if it is none of the gate's, take it out")
    os.unlink(path("certs/ca.pem"))
    os.makedirs(path("certs/x"))
    refused("this folder has neither tls.crt and tls.key nor")
    shutil.rmtree(path("certs"))
    refused("No such file or directory")
    write("certs", "")
    refused("Not a directory")
    os.unlink(path("certs"))
