# SPDX-License-Identifier: MIT
"""Which of several backends takes a connection; checks of backends; backends that are drained."""

import collections
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time

from daemonlib import gate
from daemonlib.gate import (DEADLINE, IPC_CHECKED, IPC_VERSION, TLSGATE, Backend, Skip, TlsServer, echo, log_text, name_of, need,
                            need_alert, path, run, sockets_of, start, test, tmp, wait_until, write)
from daemonlib.pools import FileGate, NamedBackend, answerer, closed_port, list_of

OFTEN = "check = 200ms\n"
HOSTS = "mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf && exec \"$@\""


class BalanceGate(FileGate):
    """With a control socket."""

    def __init__(self, lines, workers=1, before=(), **options):
        self.before = before
        self.header = "workers = %d\nstop-time = 0\ncontrol = \"%s\"\n" % (workers, path("control"))
        super().__init__(lines, **options)

    def reload(self):
        before = log_text().count("reloaded:")
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: log_text().count("reloaded:") > before, "reloaded: " + log_text())

    def tool(self, *arguments, status=0):
        done = subprocess.run([TLSGATE, *arguments, "-S", path("control")], capture_output=True, text=True,
                              timeout=DEADLINE, check=False)
        need(done.returncode == status or (status is None and done.returncode in (0, 3)), "%s: %s" % (arguments, done))
        return done.stdout + done.stderr

    def backends(self):
        """Of the one gate, by address."""
        return {b["backend"]: b for b in json.loads(self.tool("gates", "--json", status=None))[0]["backends"]}

    def connections(self, *backends):
        known = self.backends()
        return [known[b.address]["connections"] for b in backends]

    def wait_for_state(self, backend, state):
        wait_until(lambda: self.backends()[backend.address]["state"] == state, "%s: %s" % (state, self.backends()))


def who_answers(tlsgated, count):
    return collections.Counter(answerer(tlsgated) for _ in range(count))


def hold(tlsgated, stack, source=None, header=b""):
    """A connection that stays open, and who answered."""
    plain = socket.create_connection(("127.0.0.1", tlsgated.port), DEADLINE, (source, 0) if source else None)
    plain.sendall(header)
    context = ssl.create_default_context(cafile=path("ca.pem"))
    connection = stack.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
    return connection, connection.recv(1)


class Stoppable:
    """A backend whose port is there, or not."""

    def __init__(self, name):
        self.name, self.backend = name, None
        self.address = closed_port()

    def start(self):
        self.backend = NamedBackend.__new__(NamedBackend)
        self.backend.listener = socket.create_server(("127.0.0.1", int(self.address.split(":")[1])), backlog=256)
        self.backend.name, self.backend.address = self.name, self.address
        gate.threading.Thread(target=self.backend.serve, daemon=True).start()
        return self

    def stop(self):
        if self.backend:
            self.backend.listener.shutdown(socket.SHUT_RDWR)    # wakes who waits in accept()
            self.backend.listener.close()
        self.backend = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


@test
def each_backend_has_its_share_by_weight():
    with NamedBackend(b"a") as a, NamedBackend(b"b") as b, \
            FileGate(list_of(a.address + " weight 3", b)) as tlsgated:
        need(who_answers(tlsgated, 8) == {b"a": 6, b"b": 2}, "3 to 1")


@test
def the_backend_with_the_fewest_connections_is_next():
    """Over two workers; by the kernel's data path, most of them are the kernel's."""
    with NamedBackend(b"a") as a, NamedBackend(b"b") as b, contextlib.ExitStack() as stack, \
            BalanceGate(list_of(a, b) + "balance = least\n", workers=2) as tlsgated:
        held = [hold(tlsgated, stack) for _ in range(2)]
        for wanted in range(2, 11):
            wait_until(lambda wanted=wanted: sum(tlsgated.connections(a, b)) == wanted, "all are counted")
            held.append(hold(tlsgated, stack))
        wait_until(lambda: sum(tlsgated.connections(a, b)) == 11, "all are counted")
        counts = tlsgated.connections(a, b)
        need(max(counts) - min(counts) == 1, "half to each: %s" % counts)
        for connection, name in held:
            if name == b"a":
                connection.close()
        wait_until(lambda: tlsgated.connections(a)[0] == 0, "those that ended are not counted")
        for wanted in range(4):
            need(hold(tlsgated, stack)[1] == b"a", "to the idle one")
            wait_until(lambda wanted=wanted: tlsgated.connections(a)[0] == wanted + 1, "it is counted")


def in_kernel(function):
    """A test of the kernel's data path alone."""
    return test(function) if gate.PATH == "kernel" else function


def need_counts_after_a_restart(a, b, **options):
    with contextlib.ExitStack() as stack, BalanceGate(list_of(a, b) + "balance = least\n", **options) as tlsgated:
        tlsgated.tool("drain", "web", b.address)
        held = [hold(tlsgated, stack) for _ in range(5)]
        wait_until(lambda: tlsgated.connections(a, b) == [5, 0], "all are a's: %s" % tlsgated.connections(a, b))
        tlsgated.process.kill()
        tlsgated.process.wait(DEADLINE)
        tlsgated.process = start("-c", "gate.conf", before=tlsgated.before)
        tlsgated.ready(1)
        wait_until(lambda: tlsgated.connections(a, b) == [5, 0], "still: %s" % tlsgated.connections(a, b))
        for backend in (a, b):                  # a name may be resolved only now
            tlsgated.wait_for_state(backend, "up")
        for wanted in range(5):
            need(hold(tlsgated, stack)[1] == b"b", "to the one with none")
            wait_until(lambda wanted=wanted: tlsgated.connections(b)[0] == wanted + 1, "it is counted")
        for connection, _ in held:
            connection.close()
        wait_until(lambda: tlsgated.connections(a, b) == [0, 5], "those that ended are not: %s" % tlsgated.connections(a, b))


def in_daemon(function):
    """A test of what no data path has a part in."""
    return test(function) if gate.PATH == "user" else function


@in_kernel
def what_the_kernel_carries_is_counted_after_a_restart():
    with NamedBackend(b"a") as a, NamedBackend(b"b") as b:
        need_counts_after_a_restart(a, b)


@in_kernel
def what_the_kernel_carries_to_a_name_is_counted_after_a_restart():
    with NamedBackend(b"a") as a, NamedBackend(b"b") as b:
        write("hosts", "127.0.0.1 a.test b.test\n")
        write("resolv.conf", "")
        for backend in (a, b):
            backend.address = backend.address.replace("127.0.0.1", backend.name.decode() + ".test")
        need_counts_after_a_restart(a, b, before=["unshare", "-m", "sh", "-c", HOSTS, "sh"])


@test
def a_client_comes_to_the_same_backend_again():
    with NamedBackend(b"a") as a, NamedBackend(b"b") as b, NamedBackend(b"c") as c, \
            FileGate(list_of(a, b, c) + "balance = hash-of-client\n") as tlsgated, contextlib.ExitStack() as stack:
        sources = ["127.0.7.%d" % i for i in range(1, 31)]
        first = [hold(tlsgated, stack, source)[1] for source in sources]
        need(len(set(first)) == 3, "to each some: %s" % first)
        need([hold(tlsgated, stack, source)[1] for source in sources] == first, "and again")
        write("gate.conf", open(path("gate.conf")).read().replace(', "%s"' % c.address, ""))
        tlsgated.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in log_text(), "reloaded")
        need(all(before in (now, b"c") for before, now in
                 zip(first, [hold(tlsgated, stack, source)[1] for source in sources])), "only those of c move")


@test
def the_client_is_the_one_that_a_proxy_names():
    with NamedBackend(b"a") as a, NamedBackend(b"b") as b, contextlib.ExitStack() as stack, \
            FileGate(list_of(a, b) + "balance = hash-of-client\naccept-proxy = 127.0.0.0/8\n") as tlsgated:
        headers = [b"PROXY TCP4 192.0.2.%d 192.0.2.200 1000 443\r\n" % i for i in range(20)]
        first = [hold(tlsgated, stack, header=header)[1] for header in headers]
        need(len(set(first)) == 2, "to each some: %s" % first)
        need([hold(tlsgated, stack, header=header)[1] for header in headers] == first, "and again")


@test
def a_backend_that_is_down_is_left_out_until_a_check_finds_it():
    with NamedBackend(b"a") as a, Stoppable(b"b") as b, BalanceGate(list_of(a, b) + OFTEN) as tlsgated:
        tlsgated.wait_for_state(b, "up")
        b.stop()
        need(who_answers(tlsgated, 4) == {b"a": 4}, "at once by the other")
        tlsgated.wait_for_state(b, "down")
        known = tlsgated.backends()[b.address]
        need(known["why"] == "Connection refused" and known["checks-failed"] and
             time.time() - known["since"] < DEADLINE * gate.BUSY, "%s" % known)
        need("web: backend '%s' is down: Connection refused" % b.address in log_text(), log_text())
        tlsgated.reload()
        need(tlsgated.backends()[b.address]["state"] == "down", "a reload does not forget it")
        b.start()
        tlsgated.wait_for_state(b, "up")
        need(who_answers(tlsgated, 4) == {b"a": 2, b"b": 2}, "both again")
        need("web: backend '%s' is up again" % b.address in log_text(), log_text())


@in_daemon
def checks_go_on_after_the_death_of_the_worker_that_makes_them():
    with NamedBackend(b"a") as a, Stoppable(b"b") as b, BalanceGate(list_of(a, b) + OFTEN) as tlsgated:
        tlsgated.wait_for_state(b, "up")
        old, = tlsgated.workers()[-1:]
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: "another is started" in log_text() and old not in tlsgated.workers(), "another worker")
        b.stop()
        tlsgated.wait_for_state(b, "down")


@in_daemon
def without_checks_each_connection_tries():
    with NamedBackend(b"a") as a, Stoppable(b"b") as b, BalanceGate(list_of(a, b) + "check = 0\n") as tlsgated:
        b.stop()
        need(who_answers(tlsgated, 4) == {b"a": 4}, "by the other")
        b.start()
        need(who_answers(tlsgated, 4) == {b"a": 2, b"b": 2}, "both at once")
        need(tlsgated.backends()[b.address]["state"] == "unchecked", "%s" % tlsgated.backends())


@test
def no_backend_up_is_one_line_for_each_interval():
    with Stoppable(b"a") as a, Stoppable(b"b") as b, BalanceGate(list_of(a, b) + "check = 1s\n") as tlsgated:
        for backend in (a, b):
            tlsgated.wait_for_state(backend, "up")
            backend.stop()
        for backend in (a, b):
            tlsgated.wait_for_state(backend, "down")
        before, begun = log_text(), time.monotonic()
        for _ in range(20):
            need_alert(tlsgated.connect())
        wait_until(lambda: re.search(r"web: no backend is up; connections closed for it since the last check: [1-9]", log_text()),
                   "said: " + log_text())
        took = time.monotonic() - begun
        lines = log_text()[len(before):].splitlines()
        need(len([line for line in lines if "no backend is up" in line]) <= took + 2 and
             not any("cannot be reached" in line for line in lines), "one each second: %s" % lines)
        a.start()
        need(answerer(tlsgated) == b"a", "no mark keeps a client from a backend that works")


@test
def a_drained_backend_keeps_what_it_has():
    with NamedBackend(b"a") as a, Backend().echo() as b, contextlib.ExitStack() as stack, \
            BalanceGate(list_of(b, a)) as tlsgated:
        context = ssl.create_default_context(cafile=path("ca.pem"))
        connection = stack.enter_context(tlsgated.connect_with(context))
        echo(connection)                                        # so it is b's
        need("it gets no new connection" in tlsgated.tool("drain", "web", b.address), "drained")
        need("control: drain web %s, for user" % b.address in log_text(), "who was drained: " + log_text())
        need(who_answers(tlsgated, 4) == {b"a": 4}, "the other alone")
        echo(connection)
        known = tlsgated.backends()[b.address]
        need(known["drained"] and known["connections"] == 1, "%s" % known)
        need(re.search(r"%s +web +\w+, drained" % re.escape(b.address), tlsgated.tool("gates")), tlsgated.tool("gates"))
        tlsgated.reload()
        need(who_answers(tlsgated, 4) == {b"a": 4}, "after a reload, too")
        tlsgated.tool("drain", "web", a.address)
        need_alert(tlsgated.connect())
        wait_until(lambda: "all backends are drained" in log_text(), log_text())
        tlsgated.tool("undrain", "web", b.address)
        with tlsgated.connect() as other:
            echo(other)
        for gate_name, address in (("web", "10.9.8.7:6"), ("nobody", b.address)):
            said = tlsgated.tool("drain", gate_name, address, status=1)
            need("there is no such gate, or backend of a gate: tlsgate gates lists them" in said, said)


def need_state(tlsgated, state, status):
    said = tlsgated.tool("gates", status=status)
    need(re.search(r"^web +\w+ +%s  " % state, said, re.MULTILINE), said)
    need(json.loads(tlsgated.tool("gates", "--json", status=status))[0]["state"] == state, "the same as JSON")


@test
def the_tool_tells_of_a_gate_without_backend():
    """By its exit status: by that a host withdraws its address (docs/fleet.md)."""
    with Stoppable(b"a") as a, Stoppable(b"b") as b, BalanceGate(list_of(a, b) + "check = 1s\n") as tlsgated:
        for backend in (a, b):
            tlsgated.wait_for_state(backend, "up")
        need_state(tlsgated, "serving", 0)
        need("no backend is left" not in tlsgated.tool("drain", "web", a.address), "one is left")
        need("web: no backend is left: its new clients are refused" in tlsgated.tool("drain", "web", b.address), "said")
        need_state(tlsgated, "no backend", 3)
        tlsgated.tool("undrain", "web", b.address)
        need_state(tlsgated, "serving", 0)
        b.stop()
        wait_until(lambda: "'%s' is down" % b.address in log_text(), log_text())
        need_state(tlsgated, "no backend", 3)
        tlsgated.tool("undrain", "web", a.address)
        need_state(tlsgated, "serving", 0)
        tlsgated.tool("drain")
        need_state(tlsgated, "drained", 3)


@in_daemon
def a_worker_that_was_taken_over_misleads_no_more_than_it_must():
    """What it says of backends is looked at; only the one that checks is heard; a backend that is up is reached all the same."""
    with NamedBackend(b"a") as a, BalanceGate(list_of(a) + "check = 1h\n", workers=2) as tlsgated:
        tlsgated.wait_for_state(a, "up")
        names = {name_of(pid): pid for pid in tlsgated.workers()}
        for name, numbers, text in (("tlsgated-w1", (0, 0, 0), b"another worker"), ("tlsgated-w0", (1, 0, 0), b"no gate"),
                                    ("tlsgated-w0", (0, 1, 0), b"no pool"), ("tlsgated-w0", (0, 0, 1), b"no member"),
                                    ("tlsgated-w0", (0, 0, 0), b"\x1b[2J" * 52)):
            need(tlsgated.backends()[a.address]["state"] == "up", "before %r" % text[:20])
            with sockets_of(names[name])[0] as theirs:
                theirs.send(struct.pack("<HHHHHH256s", IPC_VERSION, IPC_CHECKED, *numbers, 1, text))
        tlsgated.wait_for_state(a, "down")
        need("\\x1b" in tlsgated.backends()[a.address]["why"] and "is down: \\x1b" in log_text(), log_text())
        need(who_answers(tlsgated, 4) == {b"a": 4}, "by the one there is")


class Nginx:
    """A real server; its page is its name."""

    def __init__(self, name):
        if not shutil.which("nginx"):
            raise Skip("no nginx")
        self.name, self.address = name, closed_port()
        write(name + ".conf", "daemon off; master_process off; error_log stderr; pid %s.pid;\nevents { }\n"
              "http { access_log off; server { listen %s; location / { return 200 %s; } } }\n" % (path(name), self.address, name))
        self.start()

    def start(self):
        self.process = subprocess.Popen(["nginx", "-p", tmp, "-c", path(self.name + ".conf"), "-e", "stderr"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: gate.listens(int(self.address.split(":")[1])), "nginx listens")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


@test
def curl_is_served_while_real_servers_come_and_go():
    with Nginx("one") as one, Nginx("two") as two, BalanceGate(list_of(one, two) + OFTEN) as tlsgated:
        def pages():
            got = subprocess.run(["curl", "-sS", "--http1.1", "-H", "Connection: close", "--cacert", path("ca.pem"), "--resolve",
                                  "localhost:%d:127.0.0.1" % tlsgated.port, *["https://localhost:%d/" % tlsgated.port] * 4],
                                 capture_output=True, text=True, timeout=DEADLINE, check=False)
            need(got.returncode == 0, "curl: %s" % got)
            return got.stdout

        need(sorted(pages()) == sorted("onetwo" * 2), "both")
        one.stop()
        need(pages() == "two" * 4, "at once by the other")
        tlsgated.wait_for_state(one, "down")
        one.start()
        tlsgated.wait_for_state(one, "up")
        need(sorted(pages()) == sorted("onetwo" * 2), "both again")


@in_daemon
def unix_backends_are_checked():
    with NamedBackend(b"u", path("checked.sock")) as unix, \
            BalanceGate(list_of(unix) + OFTEN, data_path="auto" if gate.PATH == "kernel" else "user") as tlsgated:
        tlsgated.wait_for_state(unix, "up")
        unix.listener.shutdown(socket.SHUT_RDWR)
        unix.listener.close()
        tlsgated.wait_for_state(unix, "down")


@in_daemon
def a_server_that_fails_its_handshake_is_down():
    """Mode connect: a check verifies it."""
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
        "stranger.key", "-out", "stranger.pem", "-subj", "/CN=localhost", "-days", "3",
        "-addext", "subjectAltName=DNS:localhost")
    with TlsServer() as good, TlsServer(client_ca="ca.pem") as asks, \
            TlsServer(chain="stranger.pem", key="stranger.key") as bad, \
            BalanceGate(list_of(good.address, asks.address, bad.address) + OFTEN + 'ca = "ca.pem"\n', mode="connect") as tlsgated:
        tlsgated.wait_for_state(good, "up")
        tlsgated.wait_for_state(asks, "up")
        tlsgated.wait_for_state(bad, "down")
        why = tlsgated.backends()[bad.address]["why"]
        need("handshake failed" in why and "certificate" in why, why)
        wait_until(lambda: any("ALERT_UNKNOWN_CA" in end.upper() for end in bad.sessions), "it is told: %s" % bad.sessions)


@in_daemon
def checks_end_with_the_daemon():
    """Also one that is under way: its server says nothing."""
    with Backend() as silent, BalanceGate(list_of(silent.address.replace("127.0.0.1", "localhost")) + OFTEN +
                                          'ca = "ca.pem"\n', mode="connect") as tlsgated:
        connection = silent.accept()
        tlsgated.process.terminate()
        need(tlsgated.process.wait(DEADLINE) == 0, "ended")
        with contextlib.suppress(ConnectionResetError), connection:
            while connection.recv(4096):
                pass


@test
def metrics_tell_of_each_backend():
    with NamedBackend(b"a") as a, Stoppable(b"b") as b, contextlib.ExitStack() as stack, \
            BalanceGate(list_of(a, b) + OFTEN) as tlsgated:
        b.stop()
        tlsgated.wait_for_state(b, "down")
        tlsgated.wait_for_state(a, "up")
        hold(tlsgated, stack)
        tlsgated.tool("drain", "web", b.address)
        wait_until(lambda: tlsgated.connections(a) == [1], "it is counted")
        text = tlsgated.tool("stats", "--openmetrics")
        for name, backend, value in (("up", a, "1"), ("up", b, "0"), ("drained", a, "0"), ("drained", b, "1"),
                                     ("connections_active", a, "1"), ("connections_active", b, "0"),
                                     ("checks_failed_total", b, "[1-9][0-9]*")):
            need(re.search(r'^tlsgated_backend_%s\{gate="web",backend="%s"\} %s$' %
                           (name, re.escape(backend.address), value), text, re.M), "%s: %s" % (name, text))
