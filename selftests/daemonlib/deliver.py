# SPDX-License-Identifier: MIT
"""tlsgated delivers connections to a server's own socket; the module must be loaded."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

from daemonlib.gate import (DEADLINE, IPC_NOTE, IPC_VERSION, TLSGATE, TLSGATED, Gate, Hello, echo, echo_at_once,
                            free_port, log_text, need, need_alert, path, sockets_of, start, test, tmp, wait_until,
                            write)
from daemonlib.kernel import (ALLOW, descriptors, need_no_capability, records, sessions, setting,
                              without_privilege)

CLIENT = "127.0.0.2"            # a relay would come from 127.0.0.1


class Server:
    """A server without TLS, which knows nothing of gates: echoes, and notes who came."""

    def __init__(self, address=("127.0.0.1", 0), backlog=64, accepts=True, **options):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.listener = socket.create_server(address, family=family, backlog=backlog, **options)
        self.port = self.listener.getsockname()[1]
        self.address = ("[%s]:%d" if ":" in address[0] else "%s:%d") % (
            address[0].replace("::ffff:", ""), self.port)
        self.peers, self.empty = [], 0
        if accepts:
            self.serve()

    def one(self, connection):
        with connection, contextlib.suppress(OSError):
            came = False
            while data := connection.recv(65536):
                came = True
                connection.sendall(data)
            self.empty += not came
            connection.shutdown(socket.SHUT_WR)

    def accept_all(self):
        with contextlib.suppress(OSError):      # closed
            while True:
                connection, peer = self.listener.accept()
                self.peers.append(peer[0])
                threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def serve(self):
        threading.Thread(target=self.accept_all, daemon=True).start()
        return self

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)    # wakes accept()
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def tlsgate(*arguments):
    return subprocess.run([TLSGATE, "-S", path("control"), *arguments], check=True, timeout=DEADLINE,
                          stdout=subprocess.PIPE, text=True).stdout


class Delivery(Gate):
    """A gate that delivers."""

    def __init__(self, backend, *options, deliver="always", listen="127.0.0.1:%d", data_path="auto", before=(),
                 workers=2):
        self.port = free_port()
        self.backend, self.listen = backend, listen % self.port
        self.config(deliver, *options, data_path=data_path, workers=workers)
        self.process = start("-c", "deliver.conf", before=before)
        self.ready(1)

    def config(self, deliver, *options, data_path="auto", workers=2):
        write("deliver.conf", """control = "%s"
verbose = true
connection-log = true
log-format = json
workers = %d
gate web { mode = serve listen = "%s" backend = "%s" cert = one.pem key = one.key
  data-path = %s deliver = %s
  %s
}
""" % (path("control"), workers, self.listen, self.backend, data_path, deliver, "\n".join(options)))

    def dial(self, source=CLIENT, to="127.0.0.1"):
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        plain = socket.socket(family)
        plain.settimeout(DEADLINE)
        plain.bind((source, 0))
        plain.connect((to, self.port))
        return plain

    def client(self, *where):
        context = ssl.create_default_context(cafile=path("ca.pem"))
        return context.wrap_socket(self.dial(*where), server_hostname="localhost", suppress_ragged_eofs=False)

    def state(self):
        return json.loads(tlsgate("gates", "--json"))[0]

    def undelivered(self):
        return {one["who"]: one["why"] for one in self.state()["undelivered"]}

    def stats(self):
        return json.loads(tlsgate("stats", "--json"))

    def count(self, key):
        return self.stats()["gates"][0][key]

    def relayed(self):
        return self.count("user") + self.count("kernel")


def come_and_go(gate, *where):
    connection = gate.client(*where)
    echo(connection, os.urandom(30000))
    connection.unwrap()


@test
def a_server_gets_connections_of_its_own():
    with Server() as server, Delivery(server.address) as gate:
        connection = gate.client()
        echo(connection, os.urandom(100000))
        echo_at_once(connection, os.urandom(3000000))
        need(server.peers == [CLIENT], "who came: %s" % server.peers)
        one = sessions()[0]
        need(one["delivery"] == "delivered" and one["server"] == server.address, "%s" % one)
        need(gate.count("delivered") == 1 and not gate.relayed(), "%s" % gate.stats())
        need(gate.state()["deliver"] == "always" and not gate.undelivered(), "%s" % gate.state())
        connection.unwrap()
        wait_until(records, "its line: " + log_text())
        need(records()[0]["path"] == "delivered" and records()[0]["reason"] == "finished" and
             records()[0]["from-client"] == records()[0]["from-backend"] == 3100000, "%s" % records())
        need(not server.empty, "the server saw an empty connection")


@contextlib.contextmanager
def events(lines):
    """What tlsgate monitor prints meanwhile."""
    with subprocess.Popen([TLSGATE, "monitor"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as monitor:
        need("following events" in monitor.stderr.readline(), "it follows")
        yield
        monitor.send_signal(signal.SIGINT)
        lines += monitor.communicate(timeout=DEADLINE)[0].splitlines()


@test
def events_say_whether_a_server_has_accepted():
    lines = []
    with Server() as server, Delivery(server.address) as gate, events(lines):
        come_and_go(gate)
        wait_until(lambda: not sessions(), "the session ends: %s" % sessions())
    with Server(accepts=False) as server, Delivery(server.address) as gate, events(lines):
        with gate.client():
            wait_until(sessions, "it is in the queue")
            server.stop()
            wait_until(lambda: not sessions(), "the session ends: %s" % sessions())
    ends = [re.search(r"closed .* server \S+ (\w+) .*: (\w+)", line).groups() for line in lines if " closed " in line]
    need(ends == [("delivered", "finished"), ("queued", "listener_closed")], "%s" % lines)


@test
def every_worker_delivers_and_keeps_nothing():
    with Server() as server, Delivery(server.address, workers=3) as gate:
        before = [descriptors(pid) for pid in gate.workers()]
        held = [gate.client("127.0.0.%d" % (i + 2)) for i in range(30)]
        for connection in held:
            echo(connection, os.urandom(5000))
        need(gate.count("delivered") == 30 and sorted(set(server.peers)) == sorted(server.peers), "%s" % server.peers)
        need(all(w["delivered"] for w in gate.stats()["workers"]), "%s" % gate.stats()["workers"])
        need(before == [descriptors(pid) for pid in gate.workers()], "descriptors")
        for pid in gate.workers() + gate.keyd():
            need_no_capability(pid)
        for connection in held:
            connection.unwrap()
        wait_until(lambda: not sessions(), "sessions end: %s" % sessions())


@test
def what_came_with_the_handshake_is_delivered():
    """The client's Finished and its request in one segment."""
    with Server() as server, Delivery(server.address, workers=1) as gate:
        for size in (1, 10000):
            request = os.urandom(size)
            hello = Hello(gate)
            while not hello.is_complete():      # which does not send the Finished
                hello.to.write(hello.socket.recv(65536))
            hello.tls.write(request)
            hello.socket.sendall(hello.out.read())
            got = b""
            while len(got) < size:
                with contextlib.suppress(ssl.SSLWantReadError):
                    got += hello.tls.read(65536)
                    continue
                hello.to.write(hello.socket.recv(65536))
            need(got == request, "other bytes came back")
        need(gate.count("delivered") == 2, "%s" % gate.stats())


DEVICE = b"lo\0"                # a server's socket that is bound to one is not delivered to


def bind_to_device(server, device):
    server.listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)


def until_delivered(gate, server, *where):
    """Each second one connection tries."""
    def delivered():
        come_and_go(gate, *where)
        return server.peers[-1].replace("::ffff:", "") == where[0] if where else server.peers[-1] == CLIENT

    wait_until(delivered, "a connection from %s: %s: %s" % (where, server.peers, log_text()))


def said(pattern):
    return len(re.findall(pattern, log_text()))


SESSIONS_MAX = "/sys/module/tlsgate/parameters/sessions_max"
IPV4_ALONE = "web: connections are delivered to .*; it is of IPv4, so that :PORT listens on IPv4 alone"
RELAYS = "web: .* are relayed, not delivered: "
V4, V4_MAPPED, V6 = "IPv4 clients", "IPv4 clients of [::]", "IPv6 clients"


@test
def auto_relays_while_the_servers_socket_cannot_take_it():
    with Server() as server, Delivery(server.address, deliver="auto") as gate:
        come_and_go(gate)
        bind_to_device(server, DEVICE)
        for _ in range(10):
            come_and_go(gate)
        need(server.peers == [CLIENT] + 10 * ["127.0.0.1"], "who came: %s" % server.peers)
        need("bound to a device" in gate.undelivered()[V4] and said(RELAYS) == 1 and
             said(RELAYS + ".*bound to a device") == 1, "%s: %s" % (gate.state(), log_text()))
        table = tlsgate("gates")
        need("auto, relays" in table and re.search(RELAYS, table), table)
        os.kill(gate.workers()[0], signal.SIGKILL)      # another knows, too
        bind_to_device(server, b"")
        until_delivered(gate, server)
        need(not gate.undelivered() and said("web: IPv4 clients are delivered again") == 1, log_text())
        need(gate.relayed() == server.peers.count("127.0.0.1"), "%s: %s" % (gate.stats(), server.peers))
        for _ in range(10):
            come_and_go(gate)
        need(server.peers[-10:] == 10 * [CLIENT], "who came: %s" % server.peers)


@test
def always_refuses_what_it_cannot_deliver():
    with Server() as server, Delivery(server.address) as gate:
        bind_to_device(server, DEVICE)
        need_alert(gate.client())
        need(said("client %s:.*cannot be delivered to %s: the server's socket is bound to a device.*; connection closed" %
                  (CLIENT, server.address)) == 1, log_text())
        wait_until(records, "its line: " + log_text())
        need("bound to a device" in records()[0]["reason"] and records()[0]["path"] == "user", "%s" % records())
        need(not server.peers and gate.count("failed") == 1, "%s" % gate.stats())
        need("bound to a device" in gate.undelivered()[V4], "%s" % gate.state())
        table = tlsgate("gates")
        need("always, refuses" in table and "web: IPv4 clients are refused, not delivered: " in table, table)
        bind_to_device(server, b"")
        until_delivered(gate, server)
        wait_until(lambda: not gate.undelivered(), "delivered again: %s" % gate.state())
        need(said("web: IPv4 clients are refused, not delivered: ") == 1 and
             said("web: IPv4 clients are delivered again") == 1, log_text())


@test
def a_backend_elsewhere_is_not_delivered_to():
    with Delivery("192.0.2.1:80", deliver="auto") as gate:
        need_alert(gate.client())       # no route leads there
        need("not of this machine" in gate.undelivered()[V4] and said("backend 192.0.2.1:80.*cannot be reached"),
             log_text())
    with Delivery("192.0.2.1:80") as gate:
        need_alert(gate.client())
        need(said("cannot be delivered to 192.0.2.1:80: .*not of this machine"), log_text())


@test
def gate_and_server_listen_by_one_family():
    with Server() as server, Delivery(server.address, listen=":%d") as gate:
        come_and_go(gate)
        need(server.peers == [CLIENT] and said(IPV4_ALONE) == 1, "%s: %s" % (server.peers, log_text()))
        try:
            gate.dial("::1", "::1").close()
            need(False, "the gate takes IPv6")
        except ConnectionRefusedError:
            pass
    with Server(("::", 0), dualstack_ipv6=True) as server, Delivery("[::1]:%d" % server.port, listen=":%d") as gate:
        come_and_go(gate)
        come_and_go(gate, "::1", "::1")
        need(server.peers == ["::ffff:" + CLIENT, "::1"], "%s" % server.peers)
    with Server(("::ffff:127.0.0.1", 0), dualstack_ipv6=True) as server, \
            Delivery("127.0.0.1:%d" % server.port, listen="[::]:%d") as gate:       # as Java listens
        come_and_go(gate)
        need(server.peers == ["::ffff:" + CLIENT] and not said(IPV4_ALONE), "%s: %s" % (server.peers, log_text()))


@test
def each_family_is_decided_for_itself():
    """A server of IPv6 alone behind a gate of both: who comes by IPv4 changes nothing for those of IPv6."""
    with Server(("::1", 0)) as server, Delivery(server.address, deliver="auto", listen=":%d") as gate:
        for _ in range(4):
            come_and_go(gate, "::1", "::1")
            come_and_go(gate)
        need(gate.count("delivered") == 4 and gate.relayed() == 4, "%s" % gate.stats())
        need([*gate.undelivered()] == [V4_MAPPED] and "another address family" in gate.undelivered()[V4_MAPPED],
             "%s" % gate.state())
        need(said(RELAYS) == 1 and said(r"web: IPv4 clients of \[::\] are relayed, not delivered: ") == 1, log_text())
        server.stop()
        with Server(("::", server.port), dualstack_ipv6=True) as other:
            until_delivered(gate, other, CLIENT, "127.0.0.1")
            wait_until(lambda: not gate.undelivered(), "all are delivered: %s" % gate.state())


@test
def always_refuses_one_family_and_delivers_the_other():
    with Server(("::1", 0)) as server, Delivery(server.address, listen=":%d") as gate:
        need_alert(gate.client())
        come_and_go(gate, "::1", "::1")
        need(gate.count("delivered") == 1 and not gate.relayed(), "%s" % gate.stats())
        need([*gate.undelivered()] == [V4_MAPPED], "%s" % gate.state())


@test
def what_a_server_cannot_take_is_said_at_the_start():
    """And at a reload: before anybody comes, and without a connection that the server sees."""
    with Server(("::1", 0)) as server:
        for deliver, does in (("auto", "relayed"), ("always", "refused")):
            with Delivery(server.address, deliver=deliver, listen=":%d") as gate:
                need([*gate.undelivered()] == [V4_MAPPED] and "another address family" in gate.undelivered()[V4_MAPPED],
                     "%s" % gate.state())
                need(said(r"web: IPv4 clients of \[::\] are %s, not delivered: the server's socket" % does) == 1, log_text())
                bind_to_device(server, DEVICE)
                tlsgate("reload")
                need([*gate.undelivered()] == [V4_MAPPED, V6] and "device" in gate.undelivered()[V6], "%s" % gate.state())
                bind_to_device(server, b"")
                tlsgate("reload")
                need([*gate.undelivered()] == [V4_MAPPED], "%s" % gate.state())
        need(not server.peers and not sessions(), "who came: %s" % server.peers)


def try_out(*before):
    """Status and lines of tlsgated -t."""
    result = subprocess.run([*before, TLSGATED, "-t", "-c", path("deliver.conf")], cwd=tmp, capture_output=True,
                            text=True, timeout=DEADLINE)
    return result.returncode, result.stderr


@test
def a_configuration_is_tried_with_its_server():
    with Server() as server, Delivery(server.address, deliver="auto") as gate:
        status, lines = try_out()
        need(not status and server.address in lines, "%s %s" % (status, lines))
        bind_to_device(server, DEVICE)
        status, lines = try_out()
        need(status == 2 and "IPv4 clients are relayed, not delivered: the server's socket is bound to a device" in lines,
             "%s %s" % (status, lines))
        server.stop()
        for deliver in ("auto", "always"):
            gate.config(deliver)
            status, lines = try_out()
            need(status == 2 and re.search("backend '%s': nobody listens there yet" % server.address, lines),
                 "%s %s" % (status, lines))
        gate.backend = "192.0.2.1:80"
        gate.config("auto")
        status, lines = try_out()
        need(status == 2 and "IPv4 clients are relayed, not delivered: the server's address is not of this machine" in lines,
             "%s %s" % (status, lines))
        status, lines = try_out(*without_privilege())
        need(status == 2 and "backend '192.0.2.1:80': it is not on this machine" in lines, "%s %s" % (status, lines))
        need(not server.peers, "who came: %s" % server.peers)


def delivered(connection):
    return any(session["peer"] == "%s:%d" % connection.getsockname() for session in sessions())


@test
def a_full_backlog_is_waited_for():
    with Server(backlog=1, accepts=False) as server, Delivery(server.address, deliver="auto") as gate:
        many = [gate.client() for _ in range(6)]
        wait_until(lambda: gate.count("delivered") == 2, "as many as fit: %s" % gate.stats())
        need(gate.count("open") == 4 and [s["delivery"] for s in sessions()] == ["queued", "queued"], "%s" % sessions())
        server.serve()
        for connection in many:
            echo(connection, os.urandom(10000))
            connection.unwrap()
        need(server.peers == 6 * [CLIENT] and gate.count("delivered") == 6 and not said(RELAYS), "%s" % server.peers)


@test
def the_limit_of_sessions_is_waited_for():
    """Clients can reach it: they must not be relayed for that."""
    with open(SESSIONS_MAX) as file:
        before = file.read()
    with Server() as server, Delivery(server.address, deliver="auto") as gate, setting(SESSIONS_MAX, "1", before):
        first, second = gate.client(), gate.client()
        wait_until(lambda: len(server.peers) == 1 and gate.count("open") == 1, "one waits: %s" % gate.stats())
        for connection in (first, second) if delivered(first) else (second, first):
            echo(connection, os.urandom(10000))
            connection.unwrap()
        need(server.peers == 2 * [CLIENT] and not said(RELAYS), "%s: %s" % (server.peers, log_text()))


@test
def who_waits_in_vain_gets_an_alert():
    with Server(backlog=1, accepts=False) as server, \
            Delivery(server.address, "connect-timeout = 1s", deliver="auto") as gate:
        many = [gate.client() for _ in range(3)]
        need_alert(many[2])
        need(said(r"cannot be delivered to %s within \d+\.\d s: the server's backlog is full: .*net.core.somaxconn" %
                  server.address) == 1 and not said(RELAYS), log_text())
        server.stop()
        need_alert(gate.client())
        need(said(r"cannot be delivered to \S+ within \d+\.\d s: nobody listens") == 1 and not said(RELAYS), log_text())
        need(gate.count("failed") == 2 and not gate.relayed(), "%s" % gate.stats())


@test
def a_server_that_comes_late_is_waited_for():
    port = free_port()
    with Delivery("127.0.0.1:%d" % port, deliver="auto") as gate:
        connection = gate.client()
        gone = gate.client()
        wait_until(lambda: gate.count("open") == 2, "both wait")
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.close()                    # a reset
        wait_until(lambda: gate.count("open") == 1, "nobody waits for who is gone")
        with Server(("127.0.0.1", port)) as server:
            echo(connection, os.urandom(100000))
            need(server.peers == [CLIENT], "%s" % server.peers)
            connection.unwrap()


def read(name):
    with open(path(name)) as file:
        return file.read()


class Visitors(threading.Thread):
    """Come and go until told to stop; what goes wrong is counted."""

    def __init__(self, gate):
        super().__init__(daemon=True)
        self.gate, self.stop = gate, threading.Event()
        self.served = self.failed = 0
        self.start()

    def run(self):
        while not self.stop.is_set():
            try:
                come_and_go(self.gate)
                self.served += 1
            except OSError:             # ssl.SSLError is one
                self.failed += 1
            except AssertionError as error:
                if "other bytes" in str(error):
                    raise
                self.failed += 1


def wait_served(crowd):
    before = sum(one.served for one in crowd)
    wait_until(lambda: sum(one.served for one in crowd) > before + len(crowd) / 4, "the crowd is served")


@contextlib.contextmanager
def visitors(gate, count):
    all_of_them = [Visitors(gate) for _ in range(count)]
    yield all_of_them
    for one in all_of_them:
        one.stop.set()
    for one in all_of_them:
        one.join(DEADLINE)
        need(not one.is_alive(), "a visitor is stuck")


@test
def a_server_may_restart_under_load():
    server = Server()
    with Delivery(server.address, deliver="auto") as gate, visitors(gate, 4) as crowd:
        peers = []
        for _ in range(5):
            wait_until(lambda: len(server.peers) > 5, "it serves")
            server.stop()
            peers += server.peers
            wait_until(lambda: gate.count("open"), "somebody waits for it")
            server = Server(("127.0.0.1", server.port))
        wait_until(lambda: len(server.peers) > 5, "it serves")
        need(set(peers + server.peers) == {CLIENT} and not said(RELAYS), "who came: %s" % set(peers))
    server.stop()
    wait_until(lambda: not sessions(), "sessions end: %s" % sessions())
    print("# %d served, %d failed" % (sum(v.served for v in crowd), sum(v.failed for v in crowd)))


def kill_daemon(gate):
    for pid in [gate.process.pid, *gate.workers(), *gate.keyd()]:
        with contextlib.suppress(ProcessLookupError):           # it has seen the monitor go
            os.kill(pid, signal.SIGKILL)
    gate.process.wait()


@test
def delivered_connections_outlive_the_daemon():
    with Server() as server:
        gate = Delivery(server.address)
        connection = gate.client()
        echo(connection)
        kill_daemon(gate)
        echo_at_once(connection, os.urandom(1000000))
        need(len(sessions()) == 1 and server.peers == [CLIENT], "%s" % sessions())
        connection.unwrap()
        wait_until(lambda: not sessions(), "the session ends")
        with Delivery(server.address) as gate:
            come_and_go(gate)


KILLABLE = """
import socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        print(self.client_address[0], flush=True)
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 64
Server(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""


def start_killable(port):
    with open(path("peers"), "a") as peers:
        return subprocess.Popen([sys.executable, "-c", KILLABLE, str(port)], stdin=subprocess.DEVNULL, stdout=peers,
                                stderr=subprocess.DEVNULL)


@test
def a_crowd_outlives_kills():
    """Server and daemon are killed under 300 clients: nobody gets other bytes or is relayed, and nothing is left."""
    write("peers", "")
    port = free_port()
    server = start_killable(port)
    with Delivery("127.0.0.1:%d" % port, deliver="auto") as gate, visitors(gate, 300) as crowd:
        wait_served(crowd)
        server.kill()
        server.wait()
        server = start_killable(port)
        wait_served(crowd)
        kill_daemon(gate)
        gate.process = start("-c", "deliver.conf")
        gate.ready(1)
        wait_served(crowd)
        for one in crowd:
            one.stop.set()
        for one in crowd:
            one.join(DEADLINE)
        wait_until(lambda: not sessions(), "sessions end: %s" % sessions())
        need(not gate.relayed() and not said(RELAYS), "%s" % gate.stats())
    server.kill()
    server.wait()
    need(set(read("peers").split()) == {CLIENT}, "who came: %s" % set(read("peers").split()))
    print("# %d served, %d failed" % (sum(v.served for v in crowd), sum(v.failed for v in crowd)))


@test
def a_reload_switches_delivery_on_and_off():
    with Server() as server, Delivery(server.address, deliver="no") as gate, visitors(gate, 3) as crowd:
        held = []
        for deliver in ("no", "auto", "always", "no", "always"):
            gate.config(deliver)
            tlsgate("reload")
            need(gate.state()["deliver"] == deliver, "%s" % gate.state())
            held.append(gate.client("127.0.0.3"))
            echo(held[-1])
        need([p for p in server.peers if p == "127.0.0.3"] == 3 * ["127.0.0.3"], "%s" % server.peers)
        for connection in held:
            echo(connection, os.urandom(100000))
            connection.unwrap()
        need(not any(v.failed for v in crowd), "%s" % [v.failed for v in crowd])
    need({CLIENT, "127.0.0.1", "127.0.0.3"} == set(server.peers), "%s" % set(server.peers))


@test
def another_family_after_a_reload():
    """:PORT is IPv4 where it delivers to an IPv4 server, and both elsewhere."""
    with Server() as server, Delivery(server.address, deliver="no", listen=":%d") as gate:
        for deliver in ("no", "always", "no"):
            gate.config(deliver)
            tlsgate("reload")
            come_and_go(gate)
            need(server.peers[-1] == (CLIENT if deliver == "always" else "127.0.0.1"), "%s" % server.peers)
            try:
                come_and_go(gate, "::1", "::1")
                need(deliver == "no", "IPv6 is served")
            except ConnectionRefusedError:
                need(deliver == "always", "IPv6 is not served")


@test
def without_privilege_auto_relays_and_always_is_refused():
    group = without_privilege()
    with Server() as server:
        with Delivery(server.address, deliver="auto", before=group) as gate:
            come_and_go(gate)
            need(server.peers == ["127.0.0.1"], "%s" % server.peers)
            need(said("web: all clients are relayed, not delivered, until a reload: ") == 1, log_text())
            need("install_group_range" in gate.undelivered()["all clients"], "%s" % gate.state())
        process = start("-c", write("refused.conf", read("deliver.conf").replace("deliver = auto", "deliver = always")),
                        before=group)
        need(process.wait(DEADLINE) == 1, "exit status %s" % process.returncode)
        need(said(r"refused.conf:\d+:\d+: refused: gate 'web': deliver 'always': .*install_group_range.*, or take "
                  "deliver = auto"), log_text())
        result = subprocess.run([*group, TLSGATED, "-t", "-c", path("refused.conf")], cwd=tmp, capture_output=True,
                                text=True, timeout=DEADLINE)
        need(result.returncode == 1 and "deliver 'always'" in result.stderr, result.stderr)


@test
def without_the_right_to_install_auto_relays():
    """It is taken from the daemon while that runs, and given back."""
    with Server() as server, Delivery(server.address, deliver="auto", workers=1) as gate:
        with setting(ALLOW, "0", "1"):
            come_and_go(gate)
            need("net.tlsgate.allow_install" in gate.undelivered()[V4], "%s" % gate.state())
            old = gate.workers()
            os.kill(old[0], signal.SIGKILL)
            wait_until(lambda: gate.workers() not in ([], old), "another worker")
            come_and_go(gate)           # it has never had the right
            need(server.peers == 2 * ["127.0.0.1"], "%s" % server.peers)
        until_delivered(gate, server)
        need(not gate.undelivered() and said(RELAYS) == 2, log_text())


@test
def a_pause_relays_or_refuses():
    with Server() as server:
        for deliver in ("auto", "always"):
            with Delivery(server.address, deliver=deliver) as gate:
                need(said("data path: kernel, right after the handshake") == (deliver == "always") and
                     said("data path of what is relayed: ") == (deliver == "auto"), log_text())
                need(("web: new connections are refused" in tlsgate("pause")) == (deliver == "always"), "it is said")
                if deliver == "auto":
                    come_and_go(gate)
                    need(server.peers == ["127.0.0.1"], "%s" % server.peers)
                else:
                    need_alert(gate.client())
                    need(said("cannot be delivered to .*paused"), log_text())
                tlsgate("resume")
                come_and_go(gate)
                need(server.peers[-1] == CLIENT, "%s" % server.peers)


def handles(pid):
    fds = "/proc/%d/fd/" % pid
    return [fd for fd in os.listdir(fds) if os.readlink(fds + fd) == "anon_inode:[tlsgate]"]


@test
def handles_end_with_the_last_handshake():
    """A worker of before a reload may live for drain-time: it must not hold the module meanwhile."""
    with Server() as server, Delivery(server.address, deliver="auto", workers=1) as gate:
        [worker] = gate.workers()
        tlsgate("pause")
        relayed = gate.client()
        echo(relayed)
        with gate.dial() as silent:
            silent.send(b"\x16")        # no more of a handshake
            wait_until(lambda: gate.count("accepted") == 2, "the handshake begins")
            gate.config("no", workers=1)
            tlsgate("reload")
            need(len(handles(worker)) == 1, "a connection that is not delivered yet needs the handle")
        wait_until(lambda: not handles(worker), "the worker has closed its handle")
        echo(relayed)
        relayed.unwrap()
        tlsgate("resume")


@test
def a_suite_that_the_module_lacks_is_refused():
    """The client chooses it: it must not choose to be relayed."""
    with Server() as server, Delivery(server.address, "ciphersuites = TLS_AES_128_CCM_SHA256", deliver="auto") as gate:
        result = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % gate.port, "-ciphersuites",
                                 "TLS_AES_128_CCM_SHA256", "-bind", CLIENT + ":0", "-ign_eof"],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)
        need("alert internal error" in result.stderr, result.stderr)
        need(said("cannot be delivered to .*suite") == 1 and not said(RELAYS) and not server.peers, log_text())


def note(gate=0, kind=0, refused=1, text=b"forged"):
    """As in common/ipc.h, for what a worker that was taken over may send."""
    return struct.pack("<HHHBB256s", IPC_VERSION, IPC_NOTE, gate, kind, refused, text)


def sends(packets, packet):
    with contextlib.suppress(BlockingIOError):
        return packets.send(packet)


@test
def forged_notes_do_no_harm():
    with Server() as server, Delivery(server.address, deliver="auto", workers=1) as gate:
        [control] = sockets_of(gate.workers()[0])
        with control:
            for forged in (note(gate=1), note(gate=65535), note(kind=3), note(kind=255)):
                control.send(forged)
            come_and_go(gate)
            need(server.peers == [CLIENT] and not said(RELAYS), log_text())
            control.send(note(kind=2, text=b"\x1b[2Jevil\nline" + bytes(range(128, 256)) + bytes(1) * 4))
            wait_until(lambda: said(RELAYS) == 1, "a line: " + log_text())
            for number in range(1000):
                wait_until(lambda: sends(control, note(kind=2, text=b"%d" % number + 253 * b"x")), "the monitor reads")
            wait_until(lambda: gate.undelivered()[V6].startswith("999x"), "the last one")
            need(said(RELAYS) < 200, "lines: %d" % said(RELAYS))
