#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# tlsgated itself, on the build machine and its user data path: what it refuses, how it ends
# connections, that it survives its children and reloads, that it leaks nothing and that keys
# stay where they belong.  TAP on standard output.
#
#	selftests/daemon.py [NAME...]	only the tests whose name contains one of them

import os
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TLSGATED = os.environ.get("TLSGATED", os.path.join(TOP, "build", "tlsgated"))
DEADLINE = 15.0

tests = []


def test(function):
    tests.append(function)
    return function


class Skip(Exception):
    pass


def need(condition, text):
    if not condition:
        raise AssertionError(text)


def wait_until(condition, text, deadline=DEADLINE):
    end = time.monotonic() + deadline
    while not condition():
        need(time.monotonic() < end, "not within %d s: %s" % (deadline, text))
        select.select([], [], [], 0.02)


def run(*argv):
    subprocess.run(argv, cwd=tmp, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def path(name):
    return os.path.join(tmp, name)


def write(name, text):
    with open(path(name), "w") as file:
        file.write(text)
    return path(name)


def make_certificates():
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("openssl", "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem",
        "-subj", "/CN=test CA", "-days", "30")
    write("ext", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("one", "two"):
        run("openssl", "req", "-new", *key, "-keyout", name + ".key", "-out", name + ".csr",
            "-subj", "/CN=" + name)
        run("openssl", "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "20", "-extfile", "ext", "-out", name + ".pem")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Backend:
    """A plain server that hands each accepted socket to the test."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.listener.settimeout(DEADLINE)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]

    def accept(self):
        connection, _ = self.listener.accept()
        connection.settimeout(DEADLINE)
        return connection

    def echo(self):
        def one(connection):
            with connection:
                try:
                    while data := connection.recv(65536):
                        connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

        def serve():
            try:
                while True:
                    threading.Thread(target=one, args=(self.accept(),), daemon=True).start()
            except OSError:
                pass

        threading.Thread(target=serve, daemon=True).start()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


logs = []               # of this test, one for each tlsgated


def start(*argv):
    logs.append(path("log.%d" % len(logs)))
    with open(logs[-1], "wb") as log:
        return subprocess.Popen([TLSGATED, *argv], cwd=tmp, stdin=subprocess.DEVNULL, stdout=log,
                                stderr=log)


def log_text():
    """What the last one started has logged."""
    with open(logs[-1], errors="replace") as file:
        return file.read()


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return [int(word) for word in file.read().split()]


def name_of(pid):
    with open("/proc/%d/comm" % pid) as file:
        return file.read().strip()


class Gate:
    """A running tlsgated; ended in order, and checked for it, at the end of the with block."""

    def __init__(self, mode, backend, *options, port=None):
        self.port = port or free_port()
        if mode == "serve":
            options = ("--cert", "one.pem", "--key", "one.key", *options)
        if not any(o.startswith("--workers") for o in options):
            options += ("--workers=2",)
        self.process = start(mode, "127.0.0.1:%d" % self.port, backend, "--data-path=user",
                             *options)
        self.ready(1)

    def ready(self, times):
        wait_until(lambda: log_text().count("listening on") >= times or
                   self.process.poll() is not None, "tlsgated listens")
        need(self.process.poll() is None, "tlsgated ended: " + log_text())

    def connect(self, **options):
        context = ssl.create_default_context(cafile=path("ca.pem"))
        for key, value in options.items():
            setattr(context, key, value)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        return context.wrap_socket(plain, server_hostname="localhost",
                                   suppress_ragged_eofs=False)

    def workers(self):
        return [pid for pid in children(self.process.pid) if name_of(pid).startswith("tlsgated-w")]

    def keyd(self):
        return [pid for pid in children(self.process.pid) if name_of(pid) == "tlsgated-keyd"]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.terminate()
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "no end after SIGTERM"
        if kind is None:
            need(status == 0, "exit status %s" % status)


def echo(connection, data=b"hello"):
    connection.sendall(data)
    got = b""
    while len(got) < len(data):
        piece = connection.recv(len(data) - len(got))
        need(piece, "end before all %d bytes came back" % len(data))
        got += piece
    need(got == data, "other bytes came back")


# ---- what is refused -----------------------------------------------------------

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
    refused(2, "needs cert and key", "serve", ":1", ":2")
    refused(2, "1.2 or 1.3", "serve", ":1", ":2", *PAIR, "--min-version=1.1")


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


# ---- how connections live and end ----------------------------------------------------

@test
def relays_both_ways():
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with gate.connect(maximum_version=version, minimum_version=version) as connection:
                echo(connection)


def send_some(connection, data):
    try:
        return connection.send(data)
    except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
        return 0


def receive_some(connection):
    try:
        piece = connection.recv(1 << 16)
        need(piece, "end before all bytes came back")
        return piece
    except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
        return b""


@test
def backpressure_does_not_lose_bytes():
    data = os.urandom(1 << 20) * 24
    with Backend().echo() as backend, Gate("serve", backend.address) as gate, \
            gate.connect() as connection:
        connection.setblocking(False)
        sent = got = 0
        # nothing is read until everything in between is full
        while select.select([], [connection], [], 0.5)[1]:
            sent += send_some(connection, data[sent:sent + (1 << 16)])
        need(sent < len(data), "24 MiB fitted into the buffers between")
        while got < len(data):
            ready = select.select([connection], [connection] if sent < len(data) else [], [],
                                  DEADLINE)
            need(ready[0] or ready[1] or connection.pending(), "stuck at %d of %d" % (got, sent))
            if sent < len(data):
                sent += send_some(connection, data[sent:sent + (1 << 16)])
            piece = receive_some(connection)
            need(piece == data[got:got + len(piece)], "wrong bytes at %d" % got)
            got += len(piece)


@test
def close_notify_becomes_fin():
    with Backend() as backend, Gate("serve", backend.address) as gate:
        connection = gate.connect()
        connection.sendall(b"request")
        plain = backend.accept()
        need(plain.recv(100) == b"request", "request")
        # SSL_shutdown(): close_notify is sent, our own direction stays open
        closer = threading.Thread(target=lambda: connection.unwrap(), daemon=True)
        closer.start()
        need(plain.recv(100) == b"", "the backend sees the end")
        plain.close()
        closer.join(DEADLINE)
        need(not closer.is_alive(), "close_notify came back")


@test
def fin_becomes_close_notify():
    with Backend() as backend, Gate("serve", backend.address) as gate:
        connection = gate.connect()
        plain = backend.accept()
        plain.sendall(b"last words")
        plain.shutdown(socket.SHUT_WR)
        need(connection.recv(100) == b"last words", "data before the end")
        # suppress_ragged_eofs is off: a FIN without close_notify would raise
        need(connection.recv(100) == b"", "an authenticated end")
        connection.sendall(b"still open")
        need(plain.recv(100) == b"still open", "the other direction goes on")
        connection.close()
        plain.close()


@test
def truncation_becomes_reset():
    with Backend() as backend, Gate("serve", backend.address) as gate:
        connection = gate.connect()
        connection.sendall(b"half of a messa")
        plain = backend.accept()
        need(plain.recv(100) == b"half of a messa", "data")
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
        try:
            need(plain.recv(100) != b"", "truncation was passed on as a clean end")
        except ConnectionResetError:
            pass


@test
def forged_record_becomes_reset_and_alert():
    with Backend() as backend, Gate("serve", backend.address) as gate:
        connection = gate.connect()
        plain = backend.accept()
        raw = socket.socket(fileno=os.dup(connection.fileno()))
        raw.settimeout(DEADLINE)
        raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        try:
            need(False, "the client got %r" % connection.recv(100))
        except ssl.SSLError as error:
            need("BAD_RECORD_MAC" in str(error).upper(), "alert: %s" % error)
        try:
            need(plain.recv(100) != b"", "a forged record was passed on as a clean end")
        except ConnectionResetError:
            pass
        raw.close()
        connection.close()
        wait_until(lambda: "bad_record_mac sent" in log_text(), "a line in the log")


@test
def backend_reset_is_no_clean_end():
    with Backend() as backend, Gate("serve", backend.address) as gate:
        connection = gate.connect()
        connection.sendall(b"x")
        plain = backend.accept()
        need(plain.recv(1) == b"x", "data")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plain.close()
        try:
            need(connection.recv(100) != b"", "a reset was passed on as a clean end")
        except (ssl.SSLError, OSError):
            pass


@test
def backend_unreachable():
    port = free_port()
    with Gate("serve", "127.0.0.1:%d" % port) as gate:
        connection = gate.connect()
        need(connection.recv(100) == b"", "a clean close")
        wait_until(lambda: log_text().count("cannot be reached: Connection refused") == 1,
                   "one line in the log")


@test
def not_tls_at_all():
    with Backend() as backend, Gate("serve", backend.address) as gate, \
            socket.create_connection(("127.0.0.1", gate.port), timeout=DEADLINE) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        answer = plain.recv(100)
        need(answer[:1] == b"\x15" and plain.recv(100) == b"", "an alert and the end: %r" % answer)
        wait_until(lambda: "handshake failed" in log_text(), "one line in the log")


@test
def handshake_deadline():
    with Backend() as backend, Gate("serve", backend.address, "--handshake-timeout=300ms") as gate, \
            socket.create_connection(("127.0.0.1", gate.port), timeout=DEADLINE) as plain:
        plain.sendall(b"\x16\x03\x01\x02\x00")
        need(plain.recv(100) == b"", "closed")
        need("deadline" in log_text(), "one line in the log")


@test
def idle_deadline():
    with Backend() as backend, Gate("serve", backend.address, "--idle-timeout=300ms") as gate:
        connection = gate.connect()
        plain = backend.accept()
        need(plain.recv(100) == b"", "the backend sees the end")
        need(connection.recv(100) == b"", "the client sees close_notify")


@test
def connect_originates():
    with Backend().echo() as backend, Gate("serve", backend.address) as inner:
        address = "localhost:%d" % inner.port
        text = log_text()
        with Gate("connect", address, "--ca=ca.pem") as outer, \
                socket.create_connection(("127.0.0.1", outer.port), timeout=DEADLINE) as plain:
            echo(plain, os.urandom(100000))
            plain.shutdown(socket.SHUT_WR)
            need(plain.recv(100) == b"", "a clean end; " + text)


@test
def connect_verifies():
    with Backend().echo() as backend, Gate("serve", backend.address) as inner:
        address = "localhost:%d" % inner.port
        with Gate("connect", address, "--ca=ca.pem", "--server-name=other.example") as outer, \
                socket.create_connection(("127.0.0.1", outer.port), timeout=DEADLINE) as plain:
            plain.sendall(b"secret")
            try:
                need(plain.recv(100) == b"", "no byte came")
            except ConnectionResetError:
                pass
            wait_until(lambda: re.search("handshake failed.*mismatch", log_text()), "the reason")


@test
def unix_backend():
    name = path("socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        os.chmod(tmp, 0o755)
        os.chmod(name, 0o666)
        with Gate("serve", "unix:" + name) as gate, gate.connect() as connection:
            plain, _ = listener.accept()
            connection.sendall(b"to a path")
            need(plain.recv(100) == b"to a path", "data")
            plain.close()


# ---- processes -------------------------------------------------------------------------

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


@test
def dead_worker_is_replaced():
    with Backend().echo() as backend, Gate("serve", backend.address, "--workers=1") as gate:
        old = gate.workers()
        os.kill(old[0], signal.SIGKILL)
        wait_until(lambda: gate.workers() and gate.workers() != old, "another worker")
        with gate.connect() as connection:
            echo(connection)
        need("died: signal 9" in log_text(), "a line in the log")


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


@test
def ends_with_close_notify():
    with Backend().echo() as backend:
        with Gate("serve", backend.address) as gate:
            connection = gate.connect()
            echo(connection)
        need(connection.recv(100) == b"", "close_notify")


# ---- reload -----------------------------------------------------------------------------

def peer_name(connection):
    return dict(pair[0] for pair in connection.getpeercert()["subject"])["commonName"]


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
    def __init__(self, backend):
        self.port = free_port()
        config(self.port, backend, "one")
        self.process = start("-c", "conf")
        self.ready(1)

    def reload(self, text):
        count = log_text().count(text)
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: log_text().count(text) > count, text)


@test
def reload_changes_the_certificate_and_drops_nothing():
    with Backend().echo() as backend, ConfigGate(backend.address) as gate:
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
        failures, count, stop = [], [0], threading.Event()

        def load():
            while not stop.is_set():
                try:
                    with gate.connect() as connection:
                        echo(connection)
                        count[0] += 1
                except (OSError, AssertionError) as error:
                    failures.append(repr(error))

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(4):
                gate.reload("reloaded")
        finally:
            stop.set()
            for thread in threads:
                thread.join(DEADLINE)
        need(not failures, "%d of %d failed: %s" % (len(failures), count[0], failures[:2]))
        need(count[0] >= 8, "only %d connections in all" % count[0])


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


@test
def keylog_is_written_and_announced():
    os.chmod(tmp, 0o755)
    with Backend().echo() as backend, Gate("serve", backend.address, "--keylog=keys") as gate:
        need("WARNING" in log_text(), "a warning")
        with gate.connect() as connection:
            echo(connection)
        with open(path("keys")) as file:
            lines = file.read().splitlines()
        need(len(lines) >= 4 and all(re.match(r"[A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]{64,96}$", line)
                                     for line in lines), "lines: %s" % lines)
        need(os.stat(path("keys")).st_mode & 0o077 == 0, "readable by its owner only")


def main():
    failed = 0
    wanted = [t for t in tests if not sys.argv[1:] or any(w in t.__name__ for w in sys.argv[1:])]
    for number, function in enumerate(wanted, 1):
        name = function.__name__.replace("_", " ")
        logs.clear()
        try:
            function()
            print("ok %d - %s" % (number, name), flush=True)
        except Skip as skip:
            print("ok %d - %s # SKIP %s" % (number, name, skip), flush=True)
        except (AssertionError, OSError, subprocess.SubprocessError, IndexError) as error:
            failed += 1
            print("not ok %d - %s\n# %s: %s" % (number, name, type(error).__name__, error))
            for line in log_text().splitlines()[-6:] if logs else ():
                print("# log: " + line, flush=True)
    print("1..%d" % len(wanted))
    return 1 if failed or not wanted else 0


with tempfile.TemporaryDirectory(prefix="tlsgate-daemon.") as tmp:
    make_certificates()
    status = main()
sys.exit(status)
