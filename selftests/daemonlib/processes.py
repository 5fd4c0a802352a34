# SPDX-License-Identifier: MIT
"""The processes of tlsgated: their powers, their deaths, reloads, leaks."""

import contextlib
import ctypes
import fcntl
import os
import re
import resource
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

from daemonlib.gate import (DEADLINE, IPC_NEED_KEYS, IPC_VERSION, TOP, Backend, Gate, Hello, Skip, all_sockets_of,
                            children, echo, first_answerer, free_port, listens, log_text, make_certificate,
                            make_rsa_certificate, name_of, need, need_alert, need_keepalive, only_answerer, path,
                            peer_name, records, run, sockets_of, start, stopped, test, tmp, wait_until, write)


@test
def workers_are_powerless():
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        for pid in gate.workers() + gate.keyd() + children(gate.keyd()[0]):
            with open("/proc/%d/status" % pid) as file:
                status = dict(line.split(":", 1) for line in file)
                status = {key: value.strip() for key, value in status.items()}
            need(status["NoNewPrivs"] == "1", "no_new_privs of " + name_of(pid))
            need(status["Seccomp"] == "2", "seccomp filter of " + name_of(pid))
            need(int(status["CapEff"], 16) == 0, "capabilities of " + name_of(pid))
            if os.geteuid() == 0:
                need(status["Uid"].split()[0] != "0", "user of " + name_of(pid))


def memory_holds(pid, needle):
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            span, flags = line.split()[:2]
            begin, end = (int(word, 16) for word in span.split("-"))
            if not flags.startswith("rw"):
                continue
            try:
                memory.seek(begin)
                if needle in memory.read(end - begin):
                    return True
            except OSError:
                pass
    return False


@test
def only_keyd_holds_the_key():
    if os.geteuid() != 0:
        raise Skip("needs root to read the memory of processes")
    text = subprocess.run(["openssl", "ec", "-in", "one.key", "-noout", "-text"], cwd=tmp,
                          capture_output=True, text=True, check=True).stdout
    digits = re.search(r"priv:\s*((?:[0-9a-f]{2}[:\s]*)+)pub:", text).group(1)
    scalar = bytes.fromhex(re.sub(r"[:\s]", "", digits))[-32:]
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        with gate.connect() as connection:
            echo(connection)
        forms = (scalar, scalar[::-1])
        keyd = gate.keyd()[0]
        need(any(memory_holds(keyd, form) for form in forms), "keyd has it (or this test is blind)")
        for pid in [gate.process.pid, *gate.workers()]:
            need(not any(memory_holds(pid, form) for form in forms), "it is in " + name_of(pid))


def cpus_of(pid):
    with open("/proc/%d/status" % pid) as file:
        return next(line.split()[1] for line in file if line.startswith("Cpus_allowed_list:"))


@test
def quick_signatures_are_made_where_the_worker_runs():
    if len(os.sched_getaffinity(0)) < 2:
        raise Skip("needs two CPUs")
    make_rsa_certificate()
    with Backend().echo() as backend, Gate("serve", backend.address, "--cert=rsa.pem", "--key=rsa.key",
                                           "--workers=1") as gate:
        answerer = first_answerer(gate)
        everywhere = cpus_of(gate.workers()[0])
        for sigalgs, quick in (("RSA-PSS+SHA256", False), ("ECDSA+SHA256", True), ("RSA-PSS+SHA256", False)):
            run("openssl", "s_client", "-connect", "127.0.0.1:%d" % gate.port, "-CAfile", "ca.pem",
                "-verify_return_error", "-sigalgs", sigalgs)
            cpus = cpus_of(answerer)
            need(cpus.isdigit() if quick else cpus == everywhere, "after %s: CPUs %s" % (sigalgs, cpus))


def taken(port):
    """How many connections to port there are of which everything that came has been read."""
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in list(file)[1:]]
    return sum(row[1].endswith(":%04X" % port) and row[3] == "01" and row[4].endswith(":00000000")
               for row in rows)


@test
def a_crowd_waits_for_its_key():
    """More than the pipe to the answerer has room for, after as many whose time was up meanwhile."""
    crowd = 200
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--workers=1", "--handshake-timeout=4s") as gate:
        with stopped(first_answerer(gate)):
            late = [Hello(gate) for _ in range(crowd)]
            for client in late:
                while client.socket.recv(65536):
                    pass
                client.socket.close()
            clients = [Hello(gate) for _ in range(crowd)]
            wait_until(lambda: taken(gate.port) == crowd, "all are taken")
        for client in clients:
            client.finish()
        with gate.connect() as connection:
            echo(connection)
        need("no more answers" not in log_text(), log_text())


@test
def a_worker_that_was_taken_over_leaves_a_whole_listener():
    """It may end the socket that all workers after it get."""
    nowhere = ctypes.create_string_buffer(16)       # AF_UNSPEC
    with Backend().echo() as backend, Gate("serve", backend.address, "--workers=1") as gate:
        worker = gate.workers()[0]
        for end in all_sockets_of(worker):
            with end:
                if end.family == socket.AF_INET and end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
                    need(ctypes.CDLL(None).connect(end.fileno(), nowhere, 16) == 0, "connect() to nowhere")
        need(not listens(gate.port), "it listens no more")
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: gate.workers() not in ([], [worker]), "another worker")
        with gate.connect() as connection:
            echo(connection)
            need_keepalive(gate, backend, 60, 120)
        for end in all_sockets_of(gate.workers()[0]):
            with end:
                need(end.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == bytes(8), "its options are ours")


@test
def a_worker_that_was_taken_over_does_not_keep_the_monitor():
    """It may end each socket for writing, whoever else has it."""
    with Backend() as backend, \
            Gate("serve", backend.address, "--workers=1", "--connection-log", path="auto") as gate:
        for end in all_sockets_of(gate.workers()[0]):
            with end:
                if end.family == socket.AF_UNIX:
                    end.shutdown(socket.SHUT_WR)
        gate.process.terminate()
        need(gate.process.wait(DEADLINE) == 0, "an end in order")


@test
def dead_worker_is_replaced():
    with Backend().echo() as backend, Gate("serve", backend.address, "--workers=1") as gate:
        old, answerer = gate.workers(), first_answerer(gate)
        os.kill(old[0], signal.SIGKILL)
        wait_until(lambda: gate.workers() not in ([], old), "another worker")
        with gate.connect() as connection:
            echo(connection)
        need("died: signal 9" in log_text(), "a line in the log")
        wait_until(lambda: only_answerer(gate) not in (None, answerer), "the old answerer ends")


@test
def dead_answerer_is_replaced():
    """Its worker goes on with what it carries, and asks the next one."""
    with Backend().echo() as backend, Gate("serve", backend.address, "--workers=1") as gate, \
            gate.connect() as before:
        echo(before)
        old, answerer = gate.workers(), first_answerer(gate)
        os.kill(answerer, signal.SIGSTOP)
        waiting = Hello(gate)
        wait_until(lambda: taken(gate.port) == 2, "the worker has its ClientHello")
        os.kill(answerer, signal.SIGKILL)
        waiting.finish()
        for _ in range(4):
            with gate.connect() as connection:
                echo(connection)
        echo(before)
        need(gate.workers() == old, "the same worker")
        need(only_answerer(gate) != answerer, "another answerer")
        need("no more answers from keyd: it is gone" in log_text(), log_text())


@test
def a_worker_that_was_taken_over_has_one_answerer():
    """It may ask for one after another, and keep the pipes to all of them."""
    with Backend().echo() as backend, Gate("serve", backend.address, "--workers=1") as gate:
        answerer, worker = first_answerer(gate), gate.workers()[0]
        with sockets_of(worker)[0] as control:
            began = time.monotonic()
            while time.monotonic() < began + 3:         # it gets one a second at most
                control.send(struct.pack("HH", IPC_VERSION, IPC_NEED_KEYS))
                need(children(gate.keyd()[0]) == [answerer], "answerers: %s" % children(gate.keyd()[0]))
                time.sleep(0.1)                 # the pace of a worker
        os.kill(answerer, signal.SIGKILL)
        wait_until(lambda: only_answerer(gate) not in (None, answerer), "another one takes its place")
        with gate.connect() as connection:
            echo(connection)
        need(gate.workers() == [worker], "the same worker")


class Load:
    """Threads that connect, echo and close; failures of them are kept."""

    def __init__(self, gate):
        self.gate, self.failures, self.count, self.over = gate, [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(4)]

    def run(self):
        while not self.over.is_set():
            try:
                with self.gate.connect() as connection:
                    echo(connection)
                    self.count += 1
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(DEADLINE)


@test
def answerers_killed_under_load():
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        workers, held = gate.workers(), [gate.connect() for _ in range(8)]
        with Load(gate) as load:
            for _ in range(4):
                seen = load.count
                wait_until(lambda: len(children(gate.keyd()[0])) >= 2 and load.count > seen + 5, "load")
                os.kill(children(gate.keyd()[0])[0], signal.SIGKILL)
        for connection in held:
            echo(connection)
            connection.close()
        need(gate.workers() == workers, "the same workers")
        need(not load.failures, "%d of %d failed: %s" % (len(load.failures), load.count, load.failures[:3]))


@test
def dead_keyd_is_replaced():
    with Backend().echo() as backend, Gate("serve", backend.address) as gate, \
            gate.connect() as before:
        echo(before)
        old = gate.keyd()
        os.kill(old[0], signal.SIGKILL)
        wait_until(lambda: gate.keyd() and gate.keyd() != old, "another keyd")
        gate.ready(2)
        with gate.connect() as connection:
            echo(connection)
        echo(before)


@test
def keyd_killed_under_load():
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        with Load(gate) as load:
            for times in (2, 3):
                wait_until(lambda: len(children(gate.keyd()[0])) == 2, "an answerer for each worker")
                os.kill(gate.keyd()[0], signal.SIGKILL)
                gate.ready(times)
        need(not load.failures, "%d of %d failed: %s" % (len(load.failures), load.count, load.failures[:2]))


def unit_capabilities():
    with open(os.path.join(TOP, "packaging", "tlsgated.service")) as unit:
        line = next(line for line in unit if line.startswith("CapabilityBoundingSet="))
    return [word[4:].lower() for word in line.split("=")[1].split()]


@test
def under_the_units_limits_a_child_that_hangs_is_ended():
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        raise Skip("needs root and setpriv")
    limits = ["setpriv", "--bounding-set", ",".join(["-all", *("+" + name for name in unit_capabilities())])]
    with Backend().echo() as backend, Gate("serve", backend.address, before=limits) as gate:
        with gate.connect() as connection:
            echo(connection)
        os.kill(gate.workers()[0], signal.SIGSTOP)
        gate.process.terminate()
        need(gate.process.wait(DEADLINE) == 0, "exit status")


@test
def connections_outlive_the_monitor():
    with Backend().echo() as backend:
        gate = Gate("serve", backend.address)
        workers = gate.workers()
        connection = gate.connect()
        echo(connection)
        gate.process.kill()
        gate.process.wait()
        wait_until(lambda: log_text().count("the monitor is gone") == 2, "workers notice")
        echo(connection)
        connection.unwrap()
        wait_until(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in workers),
                   "workers end with their last connection")


# ---- reload -----------------------------------------------------------------------------

def config(port, backend, cert):
    return write("conf", """
workers = 2
gate web {
	mode = serve
	listen = {"127.0.0.1:%d"}
	backend = "%s"
	cert = {"%s.pem"}
	key = {"%s.key"}
	data-path = user
}
""" % (port, backend, cert, cert))


class ConfigGate(Gate):
    def __init__(self, backend, listen="127.0.0.1:%d", before=()):
        self.port = free_port()
        text = open(config(self.port, backend, "one")).read()
        write("conf", text.replace("127.0.0.1:%d" % self.port, listen % self.port, 1))
        self.process = start("-c", "conf", before=before)
        self.ready(1)

    def reload(self, text):
        count = log_text().count(text)
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: log_text().count(text) > count, text)


@test
def reload_changes_the_certificate_and_drops_nothing():
    with Backend().echo() as backend, ConfigGate(backend.address) as gate:
        old = [*gate.keyd(), *children(gate.keyd()[0])]
        before = gate.connect()
        need(peer_name(before) == "one", "first certificate")
        config(gate.port, backend.address, "two")
        gate.reload("reloaded")
        with gate.connect() as after:
            need(peer_name(after) == "two", "second certificate")
            echo(after)
        echo(before)
        before.unwrap()
        wait_until(lambda: len(gate.workers()) == 2, "the old workers end")
        wait_until(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in old),
                   "and so do their keyd and answerers")


@test
def connections_of_before_a_reload_have_a_limit():
    with Backend().echo() as backend, ConfigGate(backend.address) as gate:
        with open(path("conf")) as file:
            write("conf", "drain-time = 1s\n" + file.read())
        old = gate.workers()
        before = gate.connect()
        echo(before)
        gate.reload("reloaded")
        need_alert(before)
        wait_until(lambda: not set(old) & set(gate.workers()), "the old workers end")
        with gate.connect() as after:
            echo(after)


@test
def a_stop_gives_connections_time():
    with Backend().echo() as backend, Gate("serve", backend.address, "--stop-time=1h") as gate:
        connection = gate.connect()
        echo(connection)
        gate.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not listens(gate.port), "nothing more is accepted")
        echo(connection)
        connection.unwrap()
        need(gate.process.wait(DEADLINE) == 0, "exit status")


@test
def a_second_signal_ends_at_once():
    for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT), (signal.SIGINT, None)):
        with Backend().echo() as backend, Gate("serve", backend.address, "--stop-time=1h") as gate, \
                gate.connect() as connection:
            echo(connection)
            gate.process.send_signal(first)
            wait_until(lambda: not listens(gate.port), "nothing more is accepted")
            if second:
                gate.process.send_signal(second)
            need_alert(connection)


@test
def sessions_resume_with_any_worker_until_a_reload():
    with Backend().echo() as backend, ConfigGate(backend.address) as gate:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.create_default_context(cafile=path("ca.pem"))
            context.maximum_version = version
            with gate.connect_with(context) as first:
                echo(first)         # the ticket of TLS 1.3 comes before this does
                session = first.session
            for _ in range(6):      # some of them meet the other worker
                with gate.connect_with(context, session) as again:
                    need(again.session_reused, "%s is not resumed" % version.name)
                    echo(again)
            gate.reload("reloaded")
            with gate.connect_with(context, session) as after:
                need(not after.session_reused, "a ticket outlived the configuration it is from")
                echo(after)


@test
def bad_reload_changes_nothing():
    with Backend().echo() as backend, ConfigGate(backend.address) as gate:
        workers = sorted(gate.workers())
        for content in ("gate web {\n", "nonsense = 1\n"):
            write("conf", content)
            gate.reload("reload refused")
        config(gate.port, backend.address, "one")
        write("one.key.saved", open(path("one.key")).read())
        write("one.key", open(path("two.key")).read())
        try:
            gate.reload("reload refused")
        finally:
            write("one.key", open(path("one.key.saved")).read())
        need(sorted(gate.workers()) == workers, "the same workers")
        with gate.connect() as connection:
            echo(connection)


@test
def reloads_under_load_lose_no_connection():
    with Backend().echo() as backend, ConfigGate(backend.address) as gate:
        with Load(gate) as load:
            for _ in range(4):
                gate.reload("reloaded")
        need(not load.failures, "%d of %d failed: %s" % (len(load.failures), load.count, load.failures[:2]))
        need(load.count >= 8, "only %d connections in all" % load.count)


@test
def reload_changes_workers_and_addresses():
    with Backend().echo() as backend, ConfigGate(backend.address) as gate:
        first, second = gate.port, free_port()
        for workers, port in ((3, first), (1, first), (2, second), (2, first)):
            text = open(config(port, backend.address, "one")).read()
            write("conf", text.replace("workers = 2", "workers = %d" % workers))
            gate.reload("reloaded")
            wait_until(lambda: len(gate.workers()) == workers, "%d workers" % workers)
            gate.port = port
            for _ in range(6):
                with gate.connect() as connection:
                    echo(connection)
        need(not listens(second), "the address that is gone is closed")


@test
def reload_takes_an_address_within_another():
    with Backend().echo() as backend, ConfigGate(backend.address) as gate:
        text = open(path("conf")).read()
        for listen in (":%d", "0.0.0.0:%d", ":%d", "127.0.0.1:%d"):
            write("conf", text.replace("127.0.0.1:%d" % gate.port, listen % gate.port))
            gate.reload("reloaded")
            for _ in range(4):
                with gate.connect() as connection:
                    echo(connection)


WITHOUT_IPV6 = """
import ctypes, errno, os, socket, sys

class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]

seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
filter = ctypes.c_void_p(seccomp.seccomp_init(0x7fff0000))
refuse = ctypes.c_uint32(0x50000 | errno.EAFNOSUPPORT)
number = seccomp.seccomp_syscall_resolve_name(b"socket")
family = Compare(0, 4, socket.AF_INET6, 0)      # SCMP_CMP_EQ
if seccomp.seccomp_rule_add_array(filter, refuse, number, 1, ctypes.byref(family)) or seccomp.seccomp_load(filter):
    sys.exit("no filter")
os.execv(sys.argv[1], sys.argv[1:])
"""


@test
def without_ipv6_every_address_is_ipv4s():
    """As on a kernel that has none, or under RestrictAddressFamilies=AF_INET."""
    write("without-ipv6.py", WITHOUT_IPV6)
    with Backend().echo() as backend, \
            ConfigGate(backend.address, ":%d", [sys.executable, path("without-ipv6.py")]) as gate:
        for _ in range(2):
            with gate.connect() as connection:
                echo(connection)
            gate.reload("reloaded")
        with gate.connect() as connection:
            echo(connection)


def half_open(port):
    """Clients that have connected to port, but whom TCP does not let be accepted yet."""
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in list(file)[1:]]
    return [row for row in rows if row[1].endswith(":%04X" % port) and row[3] == "03"]


@test
def reload_to_connect_waits_for_no_client_to_speak():
    with Backend() as backend, ConfigGate(backend.address) as gate:
        with gate.connect_plain():
            need(half_open(gate.port), "a TLS client speaks first: it is accepted when it does")
        write("conf", """
workers = 2
gate web {
	mode = connect
	listen = {"127.0.0.1:%d"}
	backend = "%s"
	ca = "ca.pem"
	server-name = "localhost"
	data-path = user
}
""" % (gate.port, backend.address))
        gate.reload("reloaded")
        with gate.connect_plain():
            need(not half_open(gate.port), "a plain client may wait for the server's greeting")


@test
def out_of_descriptors_is_survived():
    few = ["prlimit", "--nofile=24:24"]
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--workers=1", before=few) as gate:
        worker = gate.workers()[0]
        held = [socket.create_connection(("127.0.0.1", gate.port), DEADLINE) for _ in range(30)]
        for connection in held:
            connection.sendall(b"\x16")         # or they would not be accepted at all
        wait_until(lambda: "no connection can be accepted" in log_text(), "a line in the log")
        ticks = cpu_ticks(worker)
        select.select([], [], [], 0.5)
        need(cpu_ticks(worker) - ticks < 20, "the worker spins")
        for connection in held:
            connection.close()
        with gate.connect() as connection:
            echo(connection)
        need(gate.workers() == [worker], "the same worker")


@contextlib.contextmanager
def crowd(gate, count):
    """More than a worker shakes hands with at once: connections that say nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3000:
        raise Skip("needs 3000 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (3000, hard))
    held = []
    try:
        for _ in range(count):
            held.append(gate.connect_plain())
        yield held
    finally:
        for connection in held:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@test
def silent_connections_do_not_shut_others_out():
    with Backend().echo() as backend, Gate("serve", backend.address, "--workers=1") as gate, \
            crowd(gate, 2500) as held:
        for connection in held:
            with contextlib.suppress(OSError):
                connection.sendall(b"\x16")
        with gate.connect() as connection:
            echo(connection)
        wait_until(lambda: "handshake given up" in log_text(), "a line in the log")


@test
def a_handshake_that_is_given_up_is_no_empty_stream():
    """The plain client must not take it for one."""
    with socket.create_server(("127.0.0.1", 0)) as server, \
            Gate("connect", "127.0.0.1:%d" % server.getsockname()[1], "--server-name=localhost", "--ca=ca.pem",
                 "--workers=1") as gate, crowd(gate, 2100) as held:
        wait_until(lambda: "handshake given up" in log_text(), "a line in the log")
        try:
            need(held[0].recv(1), "a clean end")
        except ConnectionResetError:
            pass


def cpu_ticks(pid):
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


@test
def socket_activation():
    if not shutil.which("systemd-socket-activate"):
        raise Skip("systemd-socket-activate is not installed")
    port = free_port()
    address = "127.0.0.1:%d" % port
    with Backend().echo() as backend:
        gate = Gate.__new__(Gate)
        gate.port = port
        gate.process = start("serve", address, backend.address, "--data-path=user", "--workers=2",
                             "--cert=one.pem", "--key=one.key",
                             before=["systemd-socket-activate", "-l", address])
        with gate:
            wait_until(lambda: listens(port), "systemd-socket-activate listens")
            gate.ready(1)
            for _ in range(4):
                with gate.connect() as connection:
                    echo(connection)


# ---- leaks --------------------------------------------------------------------------------

def footprint(pids):
    fds = sum(len(os.listdir("/proc/%d/fd" % pid)) for pid in pids)
    kilobytes = 0
    for pid in pids:
        with open("/proc/%d/status" % pid) as file:
            kilobytes += int(re.search(r"VmRSS:\s*(\d+)", file.read()).group(1))
    return fds, kilobytes


@test
def thousand_connections_leave_nothing():
    with Backend().echo() as backend, Gate("serve", backend.address, "--workers=1") as gate:
        pids = [gate.process.pid, *gate.workers(), *gate.keyd()]

        def rounds(count):
            for number in range(count):
                if number % 4 == 3:         # a handshake that fails
                    with socket.create_connection(("127.0.0.1", gate.port), DEADLINE) as plain:
                        plain.sendall(b"\x16\x03\x01\x00\x05hello")
                        plain.recv(10)
                    continue
                connection = gate.connect()
                echo(connection)
                if number % 2:              # truncated, or in order
                    connection.close()
                else:
                    connection.unwrap()

        rounds(100)
        wait_until(lambda: footprint(pids)[0] <= 40, "descriptors are closed")
        fds, memory = footprint(pids)
        rounds(1000)
        wait_until(lambda: footprint(pids)[0] <= fds, "descriptors are closed")
        need(footprint(pids)[1] <= memory + 400, "memory grew from %d to %d kB" %
             (memory, footprint(pids)[1]))


# ---- the log ------------------------------------------------------------------------------

def scan(gate, count):
    """Each leaves a line in the log; the alert that ends it comes after that."""
    for _ in range(count):
        with gate.connect_plain() as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while plain.recv(100):
                pass


AS_JOURNAL = ["sh", "-c", 'JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2); export JOURNAL_STREAM; exec "$@"',
              "sh"]


@test
def lines_have_priorities():
    """What alarms go by: of a backend that is down, not of clients that talk nonsense."""
    with Gate("serve", "127.0.0.1:%d" % free_port(), before=AS_JOURNAL) as gate:
        scan(gate, 60)
        need_alert(gate.connect())
        wait_until(lambda: re.search("^<4>.*cannot be reached", log_text(), re.M), "a warning: " + log_text())
        need(re.search("^<6>.*handshake failed", log_text(), re.M), "a client's fault is none: " + log_text())
        wait_until(lambda: "more lines about peers were kept back" in log_text() or
                   log_text().count("handshake failed") == 60, "what was kept back is counted", 30)


@test
def each_connection_has_a_line_at_its_end():
    hostile = 'x" gate=other \033[2J\\u0000 \u20ac'
    run("openssl", "req", "-new", "-key", "two.key", "-utf8", "-subj", "/CN=" + hostile.replace("\\", "\\\\"),
        "-out", "hostile.csr")
    run("openssl", "x509", "-req", "-in", "hostile.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "20", "-extfile", "ext", "-out", "hostile.pem")
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--client-ca=ca.pem", "--verify-client=request", "--alpn=h2,x",
                 "--connection-log", "--log-format=json") as gate:
        with gate.connect(pair=("hostile.pem", "two.key")) as first:
            echo(first, b"hello")
            first.unwrap()
            peer = "%s:%d" % first.getsockname()
        scan(gate, 1)
        with gate.connect(maximum_version=ssl.TLSVersion.TLSv1_2) as cut:
            echo(cut, b"hi")
        wait_until(lambda: len(records()) == 3, log_text())
        whole, failed, cut = sorted(records(), key=lambda r: -r["from-client"])[0], \
            next(r for r in records() if "version" not in r), next(r for r in records() if r["from-client"] == 2)
        need(whole["client"] == peer and whole["client-cert"] == hostile and whole["name"] == "localhost" and
             whole["backend"] == backend.address and whole["version"] == "TLS 1.3" and
             whole["suite"].startswith("TLS_") and whole["group"] and whole["resumed"] is False and
             whole["path"] == "user" and whole["from-client"] == whole["from-backend"] == 5 and
             whole["reason"] == "closed by both sides" and 0 <= whole["seconds"] < 60, "%s" % whole)
        need("unexpected_message" in failed["reason"], "%s" % failed)
        need(cut["version"] == "TLS 1.2" and cut["reason"] != whole["reason"], "%s" % cut)
        with gate.connect() as broken:
            echo(broken, b"broken")
            os.write(broken.fileno(), b"no record")
            wait_until(lambda: len(records()) == 4, log_text())
        broken = next(r for r in records() if r["from-client"] == 6)
        need(broken["version"] == "TLS 1.3" and broken["suite"] and broken["group"] and
             "unexpected_message" in broken["reason"], "%s" % broken)
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--client-ca=ca.pem", "--connection-log") as gate:
        with gate.connect(pair=("hostile.pem", "two.key")) as connection:
            echo(connection)
        wait_until(lambda: "connection gate=" in log_text(), "a line")
        need(re.search(r' client-cert="x\\x22 gate=other \\x1b\[2J\\x5cu0000 \\xe2\\x82\\xac" version="TLS 1.3" ',
                       log_text()), log_text())


def tlv(tag, value):
    size = len(value).to_bytes((len(value).bit_length() + 7) // 8, "big")
    return bytes([tag]) + (bytes([len(value)]) if len(value) < 0x80 else bytes([0x80 | len(size)]) + size) + value


def tlv_end(der, at):
    """Where the element at this place ends, and where its value begins."""
    more = der[at + 1] & 0x7f if der[at + 1] & 0x80 else 0
    start = at + 2 + more
    return start + int.from_bytes(der[at + 2:start] if more else der[at + 1:at + 2], "big"), start


def sign_with_zero(name, zero):
    """name.pem with a zero byte for the character between two x of its common name, by the CA of all tests."""
    with open(path(name + ".pem")) as file:
        der = ssl.PEM_cert_to_DER_cert(file.read())
    _, start = tlv_end(der, 0)
    algorithm, _ = tlv_end(der, start)
    end, _ = tlv_end(der, algorithm)
    tbs = der[start:algorithm].replace(b"x" + zero + b"x", b"x\0x")
    signature = subprocess.check_output(["openssl", "dgst", "-sha256", "-sign", "ca.key"], input=tbs, cwd=tmp)
    write(name + ".pem", ssl.DER_cert_to_PEM_cert(tlv(0x30, tbs + der[algorithm:end] + tlv(3, b"\0" + signature))))


@test
def a_zero_in_a_clients_name_does_not_end_it():
    make_certificate("adminx_x", "rsa:2048")
    sign_with_zero("adminx_x", b"_")
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--client-ca=ca.pem", "--connection-log") as gate:
        with gate.connect(pair=("adminx_x.pem", "adminx_x.key")) as connection:
            echo(connection)
        wait_until(lambda: "connection gate=" in log_text(), "a line")
        need(r" client-cert=adminx\x00x " in log_text(), log_text())


@test
def a_log_that_nobody_reads_stops_nothing():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with Backend().echo() as backend:
        gate = Gate.__new__(Gate)
        gate.port = free_port()
        gate.process = start("serve", "127.0.0.1:%d" % gate.port, backend.address, "--data-path=user",
                             "--workers=1", "--cert=one.pem", "--key=one.key", stderr=writer)
        os.close(writer)
        with gate, open(reader, "rb", 0) as log:
            wait_until(lambda: listens(gate.port), "tlsgated listens")
            scan(gate, 80)
            with gate.connect() as connection:
                echo(connection)
            text = log.read(65536)

            def counted():
                nonlocal text
                if select.select([log], [], [], 0)[0]:
                    text += log.read(65536)
                return b" lines were lost" in text

            wait_until(counted, "the loss is told, though no line follows", 30)


@test
def keylog_is_written_and_announced():
    with Backend().echo() as backend, Gate("serve", backend.address, "--keylog=keys") as gate:
        need("WARNING" in log_text(), "a warning")
        with gate.connect() as connection:
            echo(connection)
        with open(path("keys")) as file:
            lines = file.read().splitlines()
        need(len(lines) >= 4 and all(re.match(r"[A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]{64,96}$", line)
                                     for line in lines), "lines: %s" % lines)
        need(os.stat(path("keys")).st_mode & 0o077 == 0, "readable by its owner only")
