#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# A fleet: hosts behind the kernel's own load balancer (IPVS, direct routing), each a network namespace
# with a tlsgated of its own, and one set of ticket keys.  Some carry connections in the kernel, some in the daemon.
# Needs root, and modules for IPVS, so run it in a guest:
#
#	selftests/vm/run.sh -- selftests/fleet.py
#
# TAP on standard output.

import contextlib
import ctypes
import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TLSGATED, TLSGATE = (os.path.join(TOP, "build", name) for name in ("tlsgated", "tlsgate"))
PATIENCE = 60.0                 # nothing waits for so long unless it is lost
SILENCE = 3.0                   # a connection that answers takes a fraction of it
ADDRESS = "10.0.0.10"           # of the service
DATA_PATHS = {"h1": "kernel", "h2": "user", "h3": "kernel", "h4": "auto"}
FIRST = ("h1", "h2", "h3")      # h4 comes later
CLONE_NEWNET = 0x40000000

tmp = tempfile.mkdtemp(prefix="tlsgate-fleet.")
results = []


def path(name):
    return os.path.join(tmp, name)


def run(*argv, **options):
    return subprocess.run(argv, check=True, cwd=tmp, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)


def need(condition, text):
    if not condition:
        raise AssertionError(text)


def wait_until(condition, text):
    begin = time.monotonic()
    while not condition():
        need(time.monotonic() - begin < PATIENCE, "not within %d s: %s" % (PATIENCE, text))
        select.select([], [], [], 0.05)


def enter(namespace):
    """This thread alone."""
    with open(namespace) as file:
        need(not ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET), "setns " + namespace)


@contextlib.contextmanager
def within(namespace):
    """For sockets, which stay there."""
    enter("/run/netns/" + namespace)
    try:
        yield
    finally:
        enter("/proc/1/ns/net")


# ---- the network -------------------------------------------------------------------------------


def plug(namespace, address):
    run("ip", "netns", "add", namespace)
    run("ip", "link", "add", namespace, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    run("ip", "link", "set", namespace, "up", "master", "lan")
    for command in ("link set lo up", "addr add %s/24 dev eth0" % address, "link set eth0 up"):
        run("ip", "-n", namespace, *command.split())


def make_network():
    run("modprobe", "-a", "veth", "bridge", "ip_vs", "ip_vs_rr")
    run("ip", "link", "add", "lan", "type", "bridge")
    run("ip", "link", "set", "lan", "up")
    plug("client", "10.0.0.100")
    plug("balancer", "10.0.0.1")
    run("ip", "-n", "balancer", "addr", "add", ADDRESS + "/32", "dev", "eth0")
    ipvs("-A", "-t", ADDRESS + ":443", "-s", "rr")


def ipvs(*argv):
    run("ip", "netns", "exec", "balancer", "ipvsadm", *argv)


def balance(action, name, *more):
    ipvs(action, "-t", ADDRESS + ":443", "-r", HOSTS[name].address + ":443", *more)


def make_certificate():
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem",
        "-out", "cert.pem", "-subj", "/CN=fleet.test", "-days", "30", "-addext", "subjectAltName=DNS:fleet.test")


# ---- a host ------------------------------------------------------------------------------------


class Host:
    """It has the service's address, too, and tells nobody on the wire: so the balancer sends it what comes there."""

    def __init__(self, name):
        self.name, self.address, self.starts = name, "10.0.0.2" + name[1:], 0
        plug(name, self.address)
        for knob, value in (("arp_ignore", 1), ("arp_announce", 2)):
            run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.conf.all.%s=%d" % (knob, value))
        run("ip", "-n", name, "addr", "add", ADDRESS + "/32", "dev", "lo")
        threading.Thread(target=self.serve, daemon=True).start()
        os.mkdir(path(name))
        self.control = path(name + "/control")
        with open(path(name + "/tlsgated.conf"), "w") as file:
            file.write("""workers = 1
user = nobody
control = "%s"
gate web {
	mode = serve
	data-path = %s
	listen = ":443"
	backend = "127.0.0.1:80"
	cert = "%s"
	key = "%s"
	ticket-keys = "%s"
}
""" % (self.control, DATA_PATHS[name], path("cert.pem"), path("key.pem"), path(name + "/tickets")))
        self.take_keys()
        self.start()

    def serve(self):
        """The backend: says which host this is, then sends back what comes."""
        with within(self.name):
            listener = socket.create_server(("127.0.0.1", 80), backlog=64)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.sendall(self.name.encode())
            while data := connection.recv(4096):
                connection.sendall(data)

    def start(self):
        self.starts += 1
        with open(path(self.name + "/log"), "a") as log:
            self.process = subprocess.Popen(["ip", "netns", "exec", self.name, TLSGATED, "-c",
                                             path(self.name + "/tlsgated.conf")], stdin=subprocess.DEVNULL, stderr=log)
        wait_until(lambda: self.log().count("listening on") == self.starts or self.process.poll() is not None, self.name + " serves")
        need(self.process.poll() is None, self.log())

    def stop(self):
        self.process.terminate()
        need(self.process.wait(PATIENCE) == 0, "exit status of %s: %s" % (self.name, self.log()))

    def log(self):
        with open(path(self.name + "/log")) as file:
            return file.read()

    def take_keys(self):
        """As who distributes them does: as a whole."""
        shutil.copy(path("tickets"), path(self.name + "/tickets.new"))
        os.rename(path(self.name + "/tickets.new"), path(self.name + "/tickets"))


HOSTS = {}


# ---- the client --------------------------------------------------------------------------------


def context_of(version):
    context = ssl.create_default_context(cafile=path("cert.pem"))
    context.minimum_version = context.maximum_version = version
    return context


class Connection:
    def __init__(self, context, session=None):
        with within("client"):
            plain = socket.create_connection((ADDRESS, 443), timeout=PATIENCE)
        self.tls = context.wrap_socket(plain, server_hostname="fleet.test", session=session)
        self.host = self.tls.recv(10).decode()
        self.session, self.resumed = self.tls.session, self.tls.session_reused

    def works(self):
        self.tls.settimeout(SILENCE)
        try:
            self.tls.sendall(b"hello")
            return self.tls.recv(10) == b"hello"
        except OSError:
            return False

    def close(self):
        self.tls.close()


def visit(context, session=None):
    connection = Connection(context, session)
    connection.close()
    return connection


def visit_all(names, context, session=None):
    """As many connections as there are hosts: by turns, one to each."""
    seen = [visit(context, session) for _ in names]
    need(sorted(c.host for c in seen) == sorted(names), "hosts that answered: %s" % [c.host for c in seen])
    return seen


# ---- tests -------------------------------------------------------------------------------------


def need_resumption(names, context, session, when):
    for connection in visit_all(names, context, session):
        need(connection.resumed, "%s, %s made a full handshake" % (when, connection.host))


def resumption_on_whichever_host_answers(version):
    context = context_of(version)
    for first in visit_all(FIRST, context):
        need(not first.resumed, "the first of %s" % first.host)
        need_resumption(FIRST, context, first.session, "with a ticket of " + first.host)


def one_rotated_key_set():
    """Host after host takes the new file, and meanwhile each takes the tickets of all."""
    context = context_of(ssl.TLSVersion.TLSv1_3)
    sessions = [visit(context).session for _ in FIRST]
    run(TLSGATE, "ticket-key", "new", "tickets")
    for name in FIRST:
        HOSTS[name].take_keys()
        wait_until(lambda: "ticket keys have changed" in HOSTS[name].log(), "%s reads the keys" % name)
        sessions.append(visit(context).session)
        for session in sessions:
            need_resumption(FIRST, context, session, "after the rotation on " + name)


def a_host_without_weight_keeps_what_it_has():
    context = context_of(ssl.TLSVersion.TLSv1_3)
    held = [Connection(context) for _ in range(6)]
    balance("-e", "h1", "-g", "-w", "0")
    need_resumption(("h2", "h3"), context, held[0].session, "without h1")
    need(all(connection.works() for connection in held), "a connection of before does not work")
    for connection in held:
        connection.close()
    HOSTS["h1"].stop()
    HOSTS["h1"].start()
    balance("-e", "h1", "-g", "-w", "1")
    wait_until(lambda: visit(context).host == "h1", "h1 answers again")
    need_resumption(FIRST, context, held[0].session, "after h1 was started again")


def a_host_taken_out_loses_only_its_own():
    context = context_of(ssl.TLSVersion.TLSv1_3)
    held = [Connection(context) for _ in range(6)]
    need({connection.host for connection in held} == set(FIRST), "hosts: %s" % [c.host for c in held])
    run("ip", "-n", "h2", "link", "set", "eth0", "down")
    balance("-d", "h2")
    for connection in held:
        need(connection.works() == (connection.host != "h2"), "a connection of %s" % connection.host)
    need_resumption(("h1", "h3"), context, held[0].session, "without h2")


def a_host_added_serves_at_once():
    context = context_of(ssl.TLSVersion.TLSv1_3)
    session = visit(context).session
    HOSTS["h4"] = Host("h4")
    balance("-a", "h4", "-g")
    need_resumption(("h1", "h3", "h4"), context, session, "with h4")


def case(name, function, *arguments):
    try:
        function(*arguments)
        results.append(True)
        print("ok %d - %s" % (len(results), name), flush=True)
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        results.append(False)
        print("not ok %d - %s\n# %s: %s" % (len(results), name, type(error).__name__, error), flush=True)


def set_up():
    make_network()
    make_certificate()
    run(TLSGATE, "ticket-key", "new", "tickets")
    for name in FIRST:
        HOSTS[name] = Host(name)
        balance("-a", name, "-g")


def main():
    os.chmod(tmp, 0o755)
    set_up()
    case("TLS 1.3: resumption on whichever host answers", resumption_on_whichever_host_answers, ssl.TLSVersion.TLSv1_3)
    case("TLS 1.2: resumption on whichever host answers", resumption_on_whichever_host_answers, ssl.TLSVersion.TLSv1_2)
    case("one key set is rotated, host after host", one_rotated_key_set)
    case("a host without weight keeps what it has, and is started again", a_host_without_weight_keeps_what_it_has)
    case("a host taken out loses only its own connections", a_host_taken_out_loses_only_its_own)
    case("a host added serves at once, and takes tickets of the others", a_host_added_serves_at_once)
    for host in HOSTS.values():
        host.stop()
    print("1..%d" % len(results))
    shutil.rmtree(tmp)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
