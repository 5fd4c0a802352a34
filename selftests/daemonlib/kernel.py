# SPDX-License-Identifier: MIT
"""tlsgated on the kernel data path; the module must be loaded."""

import contextlib
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

from daemonlib.gate import (DEADLINE, TLSGATE, Backend, Gate, Skip, TlsServer, echo, echo_at_once,
                            free_port, log_text, logs, need, need_alert,
                            need_keepalive, only_answerer, path, records, start, stopped, take, test, wait_until)

CCM = "--ciphersuites=TLS_AES_128_CCM_SHA256"    # the engine has it, the module does not


def sessions():
    text = subprocess.run([TLSGATE, "show", "--json"], check=True, capture_output=True, text=True,
                          timeout=DEADLINE).stdout
    return json.loads(text)


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def handed_over(count):
    wait_until(lambda: log_text().count("data path: kernel, session") >= count,
               "%d sessions in the kernel: %s" % (count, log_text()))


@test
def workers_keep_nothing_of_a_session():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--verbose", "--workers=1", path="kernel") as gate:
        worker = gate.workers()[0]
        before = descriptors(worker)
        held = [gate.connect() for _ in range(20)]
        for connection in held:
            echo(connection, os.urandom(5000))
        handed_over(20)
        need(descriptors(worker) == before, "descriptors: %d, then %d" %
             (before, descriptors(worker)))
        need(len(sessions()) >= 20, "tlsgate show: %s" % sessions())
        for connection in held:
            connection.unwrap()
        wait_until(lambda: not sessions(), "sessions end: %s" % sessions())


@test
def keepalive_goes_on_in_the_kernel():
    with Backend().echo() as backend, Gate("serve", backend.address, "--verbose", path="kernel") as gate, \
            gate.connect() as connection:
        echo(connection)
        handed_over(1)
        need_keepalive(gate, backend, 60, 120)


@test
def the_kernels_connections_have_a_line_at_their_end():
    logged = ("--connection-log", "--log-format=json")
    with Backend().echo() as backend, Gate("serve", backend.address, *logged, path="auto") as gate:
        connection = gate.connect()
        for size in (1000, 300000, 2000):       # the second is worth it
            echo(connection, os.urandom(size))
        wait_until(sessions, "it is handed over")
        echo(connection, os.urandom(3000))
        need(not records(), "a line before the end: " + log_text())
        connection.unwrap()
        wait_until(records, "a line: " + log_text())
        line = records()[0]
        need(line["path"] == "kernel" and line["session"] and line["from-client"] == line["from-backend"] == 306000 and
             line["reason"] == "finished" and line["version"] == "TLS 1.3", "%s" % line)
    with Backend().echo() as backend, Gate("serve", backend.address, *logged, path="kernel") as gate:
        held = [gate.connect() for _ in range(20)]      # some of them end before the monitor hears of them
        for number, connection in enumerate(held):
            echo(connection, bytes(number + 1))
            connection.close()
        wait_until(lambda: len(records()) == 20, "20 lines: " + log_text())
        need(sorted(r["from-client"] for r in records()) == list(range(1, 21)), "%s" % records())
        left = gate.connect()
        echo(left)
        wait_until(sessions, "it is handed over")
    need(records()[-1]["reason"] == "the daemon ends; the kernel goes on", log_text())
    left.close()


def forged(session, text=b'{"event":"connection","gate":"forged"'):
    """An entry as in daemon/ledger.h, for what a worker that was taken over may send."""
    return struct.pack("<IBBB65s28s4xQ28s4xQQQB7xQ", session, 1, 1, 0, b"", b"", 0, b"", 0, 0, 0, 1, len(text)) + text + b"\0"


def pipes_of(pid, mode):
    """Those that it has opened so: the descriptor's number by what it is."""
    found = {}
    for name in os.listdir("/proc/%d/fd" % pid):
        link = os.readlink("/proc/%d/fd/%s" % (pid, name))
        with open("/proc/%d/fdinfo/%s" % (pid, name), encoding="ascii") as info:
            flags = int(re.search(r"^flags:\s*([0-7]+)", info.read(), re.M)[1], 8)
        if link.startswith("pipe:") and flags & os.O_ACCMODE == mode:
            found[link] = name
    return found


def open_ledger(gate):
    """The worker's end of the only pipe into which it writes and out of which the monitor reads."""
    worker = gate.workers()[0]
    names = pipes_of(worker, os.O_WRONLY)
    shared, = names.keys() & pipes_of(gate.process.pid, os.O_RDONLY).keys()
    return take(worker, names[shared])


@test
def forged_accounts_do_not_stay():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--connection-log", "--log-format=json", "--workers=1", path="kernel") as gate:
        connection = gate.connect()
        echo(connection)
        wait_until(sessions, "it is handed over")
        session = sessions()[0]["id"]
        ledger = open_ledger(gate)
        for number in range(3):
            os.write(ledger, forged(session))               # there is one for it
            os.write(ledger, forged((1 << 30) + number))    # no such session
        os.close(ledger)
        wait_until(lambda: log_text().count('"gate":"forged"') == 3, "three of no session: " + log_text())
        need(log_text().count("how and after how much is not known") == 3, log_text())
        connection.unwrap()
        wait_until(lambda: len(records()) > 3, "the true one's line")
        need(len(records()) == 4 and records()[-1]["reason"] == "finished", "%s" % records())


@test
def accounts_of_another_module_are_not_taken():
    """A module counts its sessions from 1 on, as the one before did."""
    if not MODULE:
        raise Skip("TLSGATE_MODULE does not name the module's file")
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--connection-log", "--log-format=json", path="kernel") as gate, \
            Gate("serve", backend.address, path="kernel") as other:
        logs.reverse()                                  # the first one's is looked at
        subprocess.run(["rmmod", "tlsgate"], check=True)
        subprocess.run(["insmod", MODULE], check=True)
        for one, count in ((gate, 1), (other, 8)):      # the first one follows the new module from now on
            for _ in range(count):
                with one.connect() as connection:
                    echo(connection)
                    connection.unwrap()
        wait_until(lambda: len(records()) == 1 and not sessions(), "one account: " + log_text())
        subprocess.run(["rmmod", "tlsgate"], check=True)
        subprocess.run(["insmod", MODULE], check=True)
        held = [gate.connect() for _ in range(5)]
        for connection in held:
            echo(connection, b"12345")
        wait_until(lambda: len(sessions()) == 5, "they are handed over")
        need(len(records()) == 1, "nothing has ended: " + log_text())
        for connection in held:
            connection.unwrap()
        wait_until(lambda: len(records()) == 6, "their accounts: " + log_text())
        need([r["from-client"] for r in records()[1:]] == [5] * 5, "%s" % records())


@test
def who_follows_events_hears_of_the_modules_end():
    if not MODULE:
        raise Skip("TLSGATE_MODULE does not name the module's file")
    monitor = subprocess.Popen([TLSGATE, "monitor"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    need("following events" in monitor.stderr.readline(), "it follows")
    subprocess.run(["rmmod", "tlsgate"], check=True)
    try:
        _, said = monitor.communicate(timeout=DEADLINE)
        need(monitor.returncode == 1 and "the tlsgate module was unloaded" in said, "%s: %s" % (monitor.returncode, said))
    finally:
        monitor.kill()
        subprocess.run(["insmod", MODULE], check=True)


@test
def no_account_is_left_unread_at_the_end():
    """The monitor is told to end, and has no child to wait for, while a worker's entries wait for it."""
    count = 40
    with Backend().echo() as backend:
        gate = Gate("serve", backend.address, "--connection-log", "--log-format=json", "--workers=1", path="kernel")
        with stopped(gate.process.pid):
            held = [gate.connect() for _ in range(count)]
            for connection in held:
                echo(connection)
            wait_until(lambda: len(sessions()) == count, "all are handed over")
            for pid in (*gate.workers(), *gate.keyd()):
                os.kill(pid, signal.SIGKILL)
            gate.process.terminate()
        need(gate.process.wait(DEADLINE) == 0, "an end in order")
        need(len({r["session"] for r in records()}) == count and
             {r["reason"] for r in records()} == {"the daemon ends; the kernel goes on"}, "%d: %s" % (len(records()), records()))
        for connection in held:
            connection.close()


@contextlib.contextmanager
def set_back(seconds):
    """The time of day, for everybody."""
    before, began = time.time(), time.monotonic()
    time.clock_settime(time.CLOCK_REALTIME, before - seconds)
    try:
        yield
    finally:
        time.clock_settime(time.CLOCK_REALTIME, before + time.monotonic() - began)


@test
def nothing_waits_by_the_time_of_day():
    """Somebody sets it while a connection is idle, and while another is handed over and ends."""
    logged = ("--connection-log", "--log-format=json", "--idle-timeout=1s")
    for data_path in ("user", "kernel"):
        with Backend().echo() as backend, Gate("serve", backend.address, *logged, path=data_path) as gate, \
                gate.connect() as connection:
            echo(connection)
            if data_path == "kernel":
                wait_until(sessions, "it is handed over")
            with set_back(3600):
                wait_until(records, "its end, after a second: " + log_text())
            need(1 <= records()[0]["seconds"] < DEADLINE, "%s" % records())


@test
def who_lived_long_is_replaced_at_once_whoever_sets_the_clock():
    """A worker and its answerer; one that died within a second is replaced after a second."""
    with Backend() as backend, Gate("serve", backend.address, "--workers=1") as gate:
        for find in (lambda: gate.workers()[:1], lambda: [only_answerer(gate)]):
            quickest = DEADLINE
            for hours in range(1, 6):
                wait_until(lambda: find() not in ([], [None]), "it is there")
                old, seen = find(), time.monotonic()
                with set_back(3600 * hours):
                    wait_until(lambda: time.monotonic() > seen + 2, "it is old, and libev has looked at the clock")
                    killed = time.monotonic()
                    os.kill(old[0], signal.SIGKILL)
                    wait_until(lambda: find() not in ([], [None], old), "another")
                    quickest = min(quickest, time.monotonic() - killed)
                if quickest < 1:
                    break
            need(quickest < 1, "it takes %.1f s" % quickest)


@contextlib.contextmanager
def small_receive_buffers():
    """The event socket of a daemon that is started now has room for a handful of events."""
    name = "/proc/sys/net/core/rmem_max"
    with open(name) as file:
        before = file.read()
    with open(name, "w") as file:
        file.write("8192")
    try:
        yield
    finally:
        with open(name, "w") as file:
            file.write(before)


UNKNOWN = "closed; how and after how much is not known"


def account(bytes_each_way):
    return [r for r in records() if r["from-client"] == r["from-backend"] == bytes_each_way and
            r["reason"] == "finished"]


def come_and_go(gate, sizes):
    for size in sizes:
        connection = gate.connect()
        echo(connection, bytes(size))
        connection.unwrap()


@test
def accounts_go_on_after_events_were_lost():
    logged = ("--connection-log", "--log-format=json", "--workers=1")
    with Backend().echo() as backend, small_receive_buffers(), \
            Gate("serve", backend.address, *logged, path="kernel") as gate:
        before = gate.connect()
        echo(before, bytes(5000))
        wait_until(sessions, "it is handed over")
        with stopped(gate.process.pid):         # nobody reads events now
            come_and_go(gate, range(1, 31))
            meanwhile = gate.connect()
            echo(meanwhile, bytes(6000))
            wait_until(lambda: len(sessions()) == 2, "30 have ended: %s" % sessions())
        wait_until(lambda: len(records()) == 30, "30 lines: " + log_text())
        lost = [r for r in records() if r["reason"] == UNKNOWN]
        known = [size for size in range(1, 31) if account(size)]
        # The events of the first ones found room, so they are read, though the loss is told first.
        need(len(lost) > 1 and 1 in known and len(lost) + len(known) == 30,
             "%d lost, known: %s" % (len(lost), known))
        counts = re.findall(r"connection-log: (\d+) of the kernel's events were lost", log_text())
        need(sum(map(int, counts)) >= len(lost), "%s of %d counted" % (counts, len(lost)))

        for size in range(101, 121):            # one after the other: each event finds room
            come_and_go(gate, [size])
            wait_until(lambda: len(account(size)) == 1, "a line with %d: %s" % (size, log_text()))
        for connection, size in ((before, 5000), (meanwhile, 6000)):
            echo(connection, bytes(10))
            connection.unwrap()
            wait_until(lambda: len(account(size + 10)) == 1, "a line with %d: %s" % (size + 10, log_text()))
    need(len(records()) == 52, "one line of each: " + log_text())


@test
def all_sessions_are_closed_at_once():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--verbose", path="kernel") as gate:
        held = [gate.connect() for _ in range(5)]
        for connection in held:
            echo(connection)
        handed_over(5)
        subprocess.run([TLSGATE, "close", "--all"], check=True, timeout=DEADLINE)
        wait_until(lambda: not sessions(), "sessions end: %s" % sessions())
        for connection in held:
            need_alert(connection)


@test
def sessions_outlive_the_daemon():
    with Backend().echo() as backend:
        gate = Gate("serve", backend.address, "--verbose", path="kernel")
        connection = gate.connect()
        echo(connection)
        handed_over(1)
        for pid in [gate.process.pid, *gate.workers(), *gate.keyd()]:
            with contextlib.suppress(ProcessLookupError):   # it has seen the monitor go
                os.kill(pid, signal.SIGKILL)
        gate.process.wait()
        echo(connection, os.urandom(100000))
        need(len(sessions()) == 1, "tlsgate show: %s" % sessions())
        connection.unwrap()
        wait_until(lambda: not sessions(), "the session ends")


class Talker(threading.Thread):
    """Connects and echoes until told to stop, or until an error, which is kept."""

    def __init__(self, gate, stop):
        super().__init__(daemon=True)
        self.gate, self.stop = gate, stop
        self.connection = self.error = None
        self.start()

    def run(self):
        try:
            self.connection = self.gate.connect()
            while not self.stop.is_set():
                echo(self.connection, os.urandom(random.randrange(1, 60000)))
        except OSError as error:            # ssl.SSLError is one
            self.error = error
        except AssertionError as error:     # wrong bytes, or the end
            self.error = error

    def in_kernel(self, listed):
        peer = self.connection and "%s:%d" % self.connection.getsockname()[:2]
        return any(session["peer"] == peer for session in listed)


def kill_while_talking(number, backend):
    """One daemon, killed while connections are made and carry data."""
    stop = threading.Event()
    gate = Gate("serve", backend.address, path="kernel")
    talkers = [Talker(gate, stop) for _ in range(6)]
    if number % 2:                          # else in the middle of handshakes
        wait_until(sessions, "a session")
    select.select([], [], [], random.uniform(0, 0.8))
    for pid in [gate.process.pid, *gate.workers(), *gate.keyd()]:
        with contextlib.suppress(ProcessLookupError):       # it has seen the monitor go
            os.kill(pid, signal.SIGKILL)
    gate.process.wait()
    listed = sessions()
    with Gate("serve", backend.address, path="kernel"):
        need({s["id"] for s in listed} == {s["id"] for s in sessions()},
             "round %d: a new daemon lists what lives on" % number)
        stop.set()
        for talker in talkers:
            talker.join(DEADLINE)
            need("other bytes" not in str(talker.error), "round %d: %s" % (number, talker.error))
            # what the daemon still had ends with it, by a bare FIN, which Python may call an end
            if talker.in_kernel(listed):
                need(not talker.error, "round %d: an established session: %s" % (number, talker.error))
                echo(talker.connection, os.urandom(100000))
                talker.connection.unwrap()
            elif talker.connection:
                talker.connection.close()
    return len(listed)


@test
def killed_at_any_instant():
    seed = int(os.environ.get("SEED", int.from_bytes(os.urandom(4), "little")))
    print("# SEED=%d" % seed)
    random.seed(seed)
    with Backend().echo() as backend:
        survived = sum(kill_while_talking(number, backend) for number in range(12))
        print("# %d of 72 connections were established when their daemon was killed" % survived)
        need(survived, "no connection was established: seed %d" % seed)
        wait_until(lambda: not sessions(), "sessions end: %s" % sessions())


@test
def a_stop_ends_no_session():
    with Backend().echo() as backend:
        with Gate("serve", backend.address, "--verbose", path="kernel") as gate:
            connection = gate.connect()
            echo(connection)
            handed_over(1)
        echo(connection)
        connection.unwrap()


@test
def originates_in_the_kernel():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--verbose", path="kernel") as inner:
        with Gate("connect", "localhost:%d" % inner.port, "--ca=ca.pem", "--verbose",
                  path="kernel") as outer, outer.connect_plain() as plain:
            echo(plain, os.urandom(200000))
            handed_over(1)
            plain.shutdown(socket.SHUT_WR)
            need(plain.recv(100) == b"", "a clean end")


@test
def a_refused_session_falls_back():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, CCM, path="auto") as inner:
        with Gate("connect", "localhost:%d" % inner.port, "--ca=ca.pem", CCM,
                  path="auto") as outer, outer.connect_plain() as plain:
            echo(plain, os.urandom(300000))
            wait_until(lambda: "refused the session" in log_text(), "a line with the reason")
            need("data path: user for this connection" in log_text(), "which path was taken")
            echo(plain, os.urandom(300000))
        need(log_text().count("refused the session") == 1, "refused once: " + log_text())


@test
def a_refused_session_is_closed_when_the_kernel_was_asked_for():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, CCM, path="user") as inner:
        with Gate("connect", "localhost:%d" % inner.port, "--ca=ca.pem", CCM,
                  path="kernel") as outer, outer.connect_plain() as plain:
            try:
                need(not plain.recv(100), "no byte of a refused session")
                need(False, "a reset: a stream that never began is no empty one")
            except ConnectionResetError:
                pass
            need("connection closed" in log_text(), "a line: " + log_text())


MODULE = os.environ.get("TLSGATE_MODULE")


@test
def the_module_goes_and_comes_back():
    """As an upgrade does it: what the daemon carries is not cut, and the new module is taken."""
    if not MODULE:
        raise Skip("TLSGATE_MODULE does not name the module's file")
    with Backend().echo() as backend, Gate("serve", backend.address, "--verbose", "--workers=1", path="auto") as gate:
        carries(gate, 1)
        wait_until(lambda: not sessions(), "no session is left")
        subprocess.run(["rmmod", "tlsgate"], check=True)
        try:
            with gate.connect() as connection:
                for _ in range(20):
                    echo(connection, os.urandom(150000))
                wait_until(lambda: "module was unloaded: connections stay here" in log_text(), "it is said")
                with gate.connect() as other:
                    echo(other, os.urandom(150000))
                need("refused the session" not in log_text() or
                     "data path: user for this connection" in log_text(), log_text())
        finally:
            subprocess.run(["insmod", MODULE], check=True)
        wait_until(lambda: "the kernel takes keys" in log_text(), "it is found without a signal")
        carries(gate, 2)


@test
def a_module_that_comes_late_is_taken():
    if not MODULE:
        raise Skip("TLSGATE_MODULE does not name the module's file")
    subprocess.run(["rmmod", "tlsgate"], check=True)
    try:
        with Backend().echo() as backend, \
                Gate("serve", backend.address, "--verbose", "--workers=1", path="auto") as gate:
            need("data path: user, until the kernel takes keys" in log_text(), log_text())
            with gate.connect() as connection:
                echo(connection, os.urandom(150000))
            subprocess.run(["insmod", MODULE], check=True)
            wait_until(lambda: "the kernel takes keys: connections" in log_text(), "it is found")
            carries(gate, 1)
    finally:
        subprocess.run(["insmod", MODULE], check=False, stderr=subprocess.DEVNULL)


CROWD = 1000
CROWD_MEMORY = 1 << 20      # KiB that so many connections, their clients and their backend take, at most


class Crowd(threading.Thread):
    """Many connections that echo in turns, at half the load that they could make, until the end or an error."""

    def __init__(self, gate):
        super().__init__(daemon=True)
        self.gate, self.open, self.lock, self.over = gate, {}, threading.Lock(), threading.Event()
        self.rounds, self.error = 0, None
        self.start()

    def add(self, count):
        added = []
        for _ in range(count):
            connection = self.gate.connect()
            with self.lock:
                echo(connection)
                self.open[connection] = True
            added.append(connection)
        return added

    def run(self):
        try:
            while not self.over.is_set():
                began = time.monotonic()
                for connection in list(self.open):
                    with self.lock:
                        if connection in self.open:
                            echo(connection, os.urandom(random.randrange(1, 5000)))
                self.rounds += 1
                self.over.wait(time.monotonic() - began)
        except (OSError, AssertionError) as error:
            self.error = error

    def works(self):
        """A whole round from now on: every connection carries data."""
        seen = self.rounds
        wait_until(lambda: self.error or self.rounds > seen + 1, "a round of all", 10 * DEADLINE)
        need(not self.error, "a connection was cut: %r" % self.error)

    def finish(self, connections):
        for connection in connections:
            with self.lock:
                need(not self.error, "a connection was cut: %r" % self.error)
                del self.open[connection]
                echo(connection, os.urandom(5000))
                connection.unwrap()
                connection.close()


def available():
    with open("/proc/meminfo") as file:
        return int(re.search(r"MemAvailable: +(\d+)", file.read()).group(1))


@test
def an_upgrade_under_load_cuts_nothing():
    """pause, wait, unload, load, resume: docs/daemon.md, "An upgrade of the module"."""
    if not MODULE:
        raise Skip("TLSGATE_MODULE does not name the module's file")
    if available() < CROWD_MEMORY:
        raise Skip("%d connections want %d KiB of memory, %d are there" % (CROWD, CROWD_MEMORY, available()))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (16 * CROWD, 16 * CROWD))    # what is started has it, too
    control = path("control")

    def tlsgate(*argv):
        return subprocess.run([TLSGATE, "-S", control, *argv], check=True, capture_output=True, text=True,
                              timeout=DEADLINE).stdout

    try:
        with Backend().echo() as backend, Gate("serve", backend.address, "--control=" + control, path="auto") as gate:
            crowd = Crowd(gate)
            before = crowd.add(CROWD)
            wait_until(lambda: len(sessions()) == CROWD, "all of them are handed over", 4 * DEADLINE)
            crowd.works()
            tlsgate("pause")
            need(subprocess.run(["rmmod", "tlsgate"], capture_output=True).returncode, "unloaded amid sessions")
            need({session["label"] for session in sessions()} == {"serve 127.0.0.1:%d" % gate.port},
                 "tlsgate show says whose they are")
            during = crowd.add(CROWD)
            crowd.works()
            crowd.finish(before)
            wait_until(lambda: not sessions(), "what the kernel carried has run out: %s" % sessions()[:3])
            subprocess.run(["rmmod", "tlsgate"], check=True)
            try:
                crowd.works()
                during += crowd.add(10)
            finally:
                subprocess.run(["insmod", MODULE], check=True)
            crowd.works()
            need(not sessions(), "still paused")
            tlsgate("resume")
            after = crowd.add(10)
            wait_until(lambda: len(sessions()) == 10, "new ones are handed over")
            crowd.works()
            crowd.finish(during + after)
            crowd.over.set()
            crowd.join(DEADLINE)
            web = json.loads(tlsgate("stats", "--json"))["gates"][0]
            print("# %d connections, of which the kernel carried %d; %d rounds" %
                  (web["accepted"], web["kernel"], crowd.rounds))
            need((web["kernel"], web["broken"], web["failed"], web["refused"]) == (CROWD + 10, 0, 0, 0), "%s" % web)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@test
def a_gate_of_the_kernel_is_paused_too():
    """And its worker, whose module was replaced without its notice, cuts nobody on the new one."""
    if not MODULE:
        raise Skip("TLSGATE_MODULE does not name the module's file")
    control = path("control")

    def tlsgate(command, status=0):
        result = subprocess.run([TLSGATE, "-S", control, command], capture_output=True, text=True, timeout=DEADLINE)
        need(result.returncode == status, "%s: %s" % (command, result.stderr))
        return result.stderr

    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--control=" + control, "--verbose", "--workers=1", path="kernel") as gate:
        tlsgate("pause")
        with gate.connect() as stays:
            echo(stays, os.urandom(300000))
            need(not sessions(), "it stays")
            subprocess.run(["rmmod", "tlsgate"], check=True)
            try:
                need("module is not loaded" in tlsgate("resume", 1), "resume says what is missing")
                echo(stays)
                with gate.connect() as other:
                    echo(other)
                    other.unwrap()
            finally:
                subprocess.run(["insmod", MODULE], check=True)
            tlsgate("resume")
            carries(gate, 1)
            need("was unloaded" not in log_text() and "refused the session" not in log_text(), log_text())
            echo(stays)
            stays.unwrap()


RANGE = "/proc/sys/net/tlsgate/install_group_range"
ALLOW = "/proc/sys/net/tlsgate/allow_install"


@contextlib.contextmanager
def setting(name, value, default):
    with open(name, "w") as file:
        file.write(value)
    try:
        yield
    finally:
        with open(name, "w") as file:
            file.write(default)


def without_privilege(*more):
    return ["setpriv", "--bounding-set=-net_admin", *more]


def need_no_capability(pid):
    with open("/proc/%d/status" % pid) as file:
        held = [line for line in file if re.match("Cap(Inh|Prm|Eff|Amb)", line)]
    need(len(held) == 4 and all(int(line.split()[1], 16) == 0 for line in held), "".join(held))


def carries(gate, count):
    """A connection is handed over, by workers without a capability."""
    with gate.connect() as connection:
        echo(connection, os.urandom(100000))
        handed_over(count)
        connection.unwrap()
    for pid in [*gate.workers(), *gate.keyd()]:
        need_no_capability(pid)


@test
def without_privilege_auto_stays_here():
    with Backend().echo() as backend:
        with Gate("serve", backend.address, path="auto", before=without_privilege()) as gate:
            with gate.connect() as connection:
                echo(connection, os.urandom(300000))
                connection.unwrap()
        said = re.findall("data path: user.*net.tlsgate.install_group_range", log_text())
        need(len(said) == 1, "one line says why: " + log_text())


@test
def without_privilege_kernel_is_refused():
    process = start("serve", "127.0.0.1:%d" % free_port(), "127.0.0.1:2", "--cert=one.pem", "--key=one.key",
                    "--data-path=kernel", before=without_privilege())
    need(process.wait(DEADLINE) == 1, "exit status %s" % process.returncode)
    need(re.search("data-path 'kernel' refused.*net.tlsgate.install_group_range", log_text()),
         log_text())


@test
def a_group_that_is_named_hands_over():
    with setting(RANGE, "4242 4242", "1 0"), Backend().echo() as backend, \
            Gate("serve", backend.address, "--verbose", "--connection-log", path="kernel",
                 before=without_privilege("--groups=4242")) as gate:
        carries(gate, 1)
        carries(gate, 2)
        need(log_text().count("lines of what the kernel carries are written at the hand-over") == 1 and
             len(re.findall('connection gate=.* path=kernel session=.* reason="handed over"', log_text())) == 2,
             log_text())


@test
def another_user_with_the_capability_hands_over():
    shutil.copy(path("one.key"), path("nobody.key"))
    os.chown(path("nobody.key"), 65534, 65534)
    admin = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
             "--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin"]
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--verbose",
                 path="kernel", before=admin,
                 pair=("--cert", "one.pem", "--key", "nobody.key")) as gate:
        carries(gate, 1)


@test
def new_workers_hand_over_too():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--verbose", "--workers=1", path="kernel") as gate:
        carries(gate, 1)
        old = gate.workers()
        os.kill(old[0], signal.SIGKILL)
        wait_until(lambda: gate.workers() not in ([], old), "another worker")
        carries(gate, 2)
        old = gate.workers()
        gate.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in log_text(), "a reload")
        wait_until(lambda: not os.path.exists("/proc/%d" % old[0]), "the old worker ends")
        carries(gate, 3)


@test
def switched_off_meanwhile_it_stays_here():
    with Backend().echo() as backend, Gate("serve", backend.address, path="auto") as gate:
        with setting(ALLOW, "0", "1"), gate.connect() as connection:
            echo(connection, os.urandom(300000))
            wait_until(lambda: "net.tlsgate.allow_install" in log_text(), "a line with the reason")
            echo(connection, os.urandom(300000))
            connection.unwrap()


def counter(name):
    with open("/proc/net/tlsgate_stat") as file:
        return next(int(line.split()[1]) for line in file if line.split()[0] == name)


@test
def switched_off_before_it_is_asked_ever_less_often():
    """Each question is counted: after one second, two and four; and the module is taken once it is switched on."""
    with Backend().echo() as backend:
        with setting(ALLOW, "0", "1"), \
                Gate("serve", backend.address, "--workers=1", path="auto") as gate:
            before, began = counter("reason_refused_perm"), time.monotonic()
            wait_until(lambda: counter("reason_refused_perm") >= before + 3, "three questions")
            need(time.monotonic() - began > 5, "three questions in %.1f s" % (time.monotonic() - began))
            with open(ALLOW, "w") as file:
                file.write("1")
            wait_until(lambda: "the kernel takes keys: connections" in log_text(), "it is taken", 40)
            with gate.connect() as connection:
                echo(connection)


@test
def a_module_that_replaces_one_that_refused_is_asked_at_once():
    """The next question to the old one would come 16 seconds after the last."""
    if not MODULE:
        raise Skip("TLSGATE_MODULE does not name the module's file")
    with Backend().echo() as backend:
        with setting(ALLOW, "0", "1"), \
                Gate("serve", backend.address, "--workers=1", "--verbose", path="auto") as gate:
            before = counter("reason_refused_perm")
            wait_until(lambda: counter("reason_refused_perm") >= before + 4, "four questions", 40)
            began = time.monotonic()
            subprocess.run(["rmmod", "tlsgate"], check=True)
            subprocess.run(["insmod", MODULE], check=True)
            wait_until(lambda: "the kernel takes keys: connections" in log_text(), "the new one is asked", 40)
            need(time.monotonic() - began < 8, "asked after %.1f s" % (time.monotonic() - began))
            carries(gate, 1)


@test
def the_user_limit_of_relays_is_told():
    few = ["prlimit", "--nofile=64:64"]
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--workers=1", before=few, path="auto") as gate:
        held = []
        while "refused the session" not in log_text():
            need(len(held) < 200, "200 relays with 64 descriptors allowed")
            connection = gate.connect()
            try:
                echo(connection, bytes(100000))     # worth handing over
                held.append(connection)
            except OSError:             # the keys were in already: closed, and said so
                wait_until(lambda: "RLIMIT_NOFILE" in log_text(), "a line with the reason")
        need(held, "not one relay was allowed")
        for connection in held:
            echo(connection)
        for connection in held:
            connection.unwrap()
        wait_until(lambda: not sessions(), "sessions end")


@test
def the_peers_record_size_is_kept():
    if not shutil.which("gnutls-cli"):
        raise Skip("gnutls-cli is not installed")
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--verbose", path="kernel") as gate:
        client = subprocess.Popen(["gnutls-cli", "--insecure", "--recordsize=1024", "-p",
                                   str(gate.port), "127.0.0.1"], stdin=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            handed_over(1)
            size = sessions()[0]["record_size"]
            need(1000 < size <= 1024, "the kernel was told %d bytes" % size)
        finally:
            client.stdin.close()
            client.wait(DEADLINE)


@test
def resumes_and_hands_over_when_connecting():
    """TLS 1.3 tickets come after the handshake: until then, a connection is relayed here."""
    with TlsServer() as server, \
            Gate("connect", server.address, "--ca=ca.pem", "--verbose", "--workers=1", path="kernel") as gate:
        for number in (1, 2, 3):
            with gate.connect_plain() as plain:
                echo(plain)
                handed_over(number)
                echo(plain, os.urandom(300000))
        need(server.sessions == ["new", "resumed", "resumed"], "handshakes: %s" % server.sessions)
        wait_until(lambda: not sessions(), "sessions end: %s" % sessions())


@test
def hands_over_without_a_ticket_too():
    with TlsServer() as server:
        server.context.num_tickets = 0
        with Gate("connect", server.address, "--ca=ca.pem", "--verbose", "--workers=1",
                  path="kernel") as gate:
            with gate.connect_plain() as silent:    # neither side says a word
                handed_over(1)
                echo(silent, os.urandom(100000))
            for number in (2, 3, 4, 5):             # data says that no ticket will come
                with gate.connect_plain() as plain:
                    echo(plain)
                    handed_over(number)
            with gate.connect_plain():              # and now nobody waits for one
                handed_over(6)
        need(server.sessions == ["new"] * 6, "handshakes: %s" % server.sessions)


# ---- --data-path=auto: handed over when it is worth it ------------------------------------


HEAD = 512 << 10        # what a worker may carry before; in a second, a slow one carries more


class Adaptive(Gate):
    def __init__(self, mode, backend, *options):
        super().__init__(mode, backend, "--verbose", "--workers=1", *options, path="auto")
        need("data path: kernel, for connections of" in log_text(), log_text())


def counted(word):
    """Of the worker that has ended: how many connections it says were relayed there."""
    return int(re.search(r"ends: .*?(\d+) %s" % word, log_text()).group(1))


@test
def short_connections_stay_here():
    with Backend().echo() as backend, Adaptive("serve", backend.address) as gate:
        for number in range(1, 11):     # several: a slow machine may take too long over one
            with gate.connect() as connection:
                echo(connection)
                connection.unwrap()
            wait_until(lambda: log_text().count(", data path: ") == number, "one line each")
        lines = log_text()
    here, kernel = lines.count(", data path: user"), lines.count(", data path: kernel, session")
    need(here, "not one stayed: " + lines)
    need((counted("here"), counted("relayed by the kernel")) == (here, kernel), log_text())


@test
def kernel_hands_over_short_ones_too():
    with Backend().echo() as backend:
        with Gate("serve", backend.address, "--verbose", "--workers=1", path="kernel") as gate, \
                gate.connect() as connection:
            echo(connection)
            connection.unwrap()
        need((counted("here"), counted("relayed by the kernel")) == (0, 1), log_text())


def hand_over_on_the_way(source, sink, counter):
    data = os.urandom(1 << 20) * 16
    source.settimeout(None)         # of sendall() it would be for the whole
    threading.Thread(target=source.sendall, args=(data,), daemon=True).start()
    got = bytearray(sink.recv(1))
    while len(got) < len(data):
        got += sink.recv(1 << 20)
    need(got == data, "other bytes came")
    carried = sessions()[0][counter]
    need(carried > len(data) - HEAD, "the kernel carried %d of %d" % (carried, len(data)))


@test
def a_download_is_handed_over_on_its_way():
    with Backend() as backend, Adaptive("serve", backend.address) as gate, \
            gate.connect() as connection, backend.accept() as plain:
        hand_over_on_the_way(plain, connection, "tx_bytes")


@test
def an_upload_is_handed_over_on_its_way():
    with Backend() as backend, Adaptive("serve", backend.address) as gate, \
            gate.connect() as connection, backend.accept() as plain:
        hand_over_on_the_way(connection, plain, "rx_bytes")


@test
def handed_over_while_both_directions_carry():
    with Backend().echo() as backend, Adaptive("serve", backend.address) as gate:
        for number in range(1, 9):
            with gate.connect() as connection:
                for size in (1, 5000, 30000, 100000, random.randrange(4 << 20)):
                    echo_at_once(connection, os.urandom(size))
                handed_over(number)
                connection.unwrap()


@test
def an_idle_one_is_handed_over_and_outlives_the_daemon():
    with Backend().echo() as backend:
        gate = Adaptive("serve", backend.address)
        connection = gate.connect()
        handed_over(1)
        for pid in [gate.process.pid, *gate.workers(), *gate.keyd()]:
            # The others end by themselves once the monitor is gone.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        gate.process.wait()
        echo(connection, os.urandom(100000))
        connection.unwrap()


@test
def a_stop_hands_over_what_stayed_here():
    with Backend().echo() as backend:
        with Adaptive("serve", backend.address) as gate:
            connection = gate.connect()
            echo(connection)
        echo(connection, os.urandom(100000))
        connection.unwrap()


@test
def a_reload_hands_over_what_stayed_here():
    with Backend().echo() as backend, Adaptive("serve", backend.address) as gate, \
            gate.connect() as connection:
        echo(connection)
        old = gate.workers()
        gate.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not os.path.exists("/proc/%d" % old[0]), "the old worker ends")
        handed_over(1)
        echo(connection, os.urandom(100000))
        connection.unwrap()


@test
def a_half_closed_one_stays_here():
    data = os.urandom(1 << 20)
    with Backend() as backend, Adaptive("serve", backend.address) as inner, \
            Adaptive("connect", "localhost:%d" % inner.port, "--ca=ca.pem") as outer, \
            outer.connect_plain() as plain:
        plain.sendall(b"request")
        plain.shutdown(socket.SHUT_WR)
        server = backend.accept()
        request = b""
        while piece := server.recv(100):
            request += piece
        need(request == b"request", "the backend got %r" % request)
        threading.Thread(target=lambda: (server.sendall(data), server.close()), daemon=True).start()
        got = bytearray()
        while piece := plain.recv(1 << 16):
            got += piece
        need(got == data, "other bytes came: %d of %d" % (len(got), len(data)))


@test
def key_updates_before_the_hand_over():
    with Backend().echo() as backend, Adaptive("serve", backend.address) as gate:
        client = subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % gate.port,
                                   "-CAfile", path("ca.pem"), "-tls1_3", "-msg", "-msgfile", path("messages")],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
        said = []
        reader = threading.Thread(target=lambda: said.extend(client.stdout), daemon=True)
        reader.start()
        line = b"x" * 999 + b"\n"
        client.stdin.write(line)
        client.stdin.flush()
        wait_until(lambda: line in said, "the first line comes back")
        client.stdin.write(b"K\n")         # ours, and ask for the peer's
        client.stdin.flush()
        handed_over(1)
        for _ in range(200):
            client.stdin.write(line)
        client.stdin.flush()
        wait_until(lambda: said.count(line) == 201, "all lines come back")
        client.stdin.close()
        client.wait(DEADLINE)
        with open(path("messages")) as messages:
            need(re.search("^<<<.*KeyUpdate", messages.read(), re.M), "the gate's KeyUpdate")
        need("refused the session" not in log_text(), log_text())
