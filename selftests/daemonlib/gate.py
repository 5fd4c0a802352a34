# SPDX-License-Identifier: MIT
"""What the tests of the daemon share: a private folder, certificates, a backend, a tlsgated."""

import contextlib
import ctypes
import json
import os
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TLSGATED = os.environ.get("TLSGATED", os.path.join(TOP, "build", "tlsgated"))
TLSGATE = os.environ.get("TLSGATE", os.path.join(TOP, "build", "tlsgate"))
DEADLINE = 30.0                 # for what comes at once where nothing is wrong
TURN = 0.02
PATH = "user"                   # daemon.py --kernel has another
QUANTUM = ssl.OPENSSL_VERSION_INFO >= (3, 5)    # with ML-KEM and ML-DSA; and TLSGATED's is the same
GROUP = "X25519MLKEM768" if QUANTUM else "x25519"       # what both ends like best
BUSY = 4                        # so many times slower may a machine be that others use, too

# nobody must get through to the unix socket and the files in it
_folder = tempfile.TemporaryDirectory(prefix="tlsgate-daemon.")
tmp = _folder.name
os.chmod(tmp, 0o755)

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
    """deadline: seconds of a machine with nothing else to do; a turn of another one takes longer."""
    begin = turn = time.monotonic()
    spent = 0.0
    while not condition():
        need(spent < deadline, "not within %d s: %s" % (turn - begin, text))
        select.select([], [], [], TURN)
        before, turn = turn, time.monotonic()
        spent += max(TURN, (turn - before) / BUSY)


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
        "-subj", "/CN=test CA", "-days", "30", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    write("ext", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("one", "two"):
        run("openssl", "req", "-new", *key, "-keyout", name + ".key", "-out", name + ".csr",
            "-subj", "/CN=" + name)
        run("openssl", "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "20", "-extfile", "ext", "-out", name + ".pem")


def make_certificate(name, key):
    """name.pem and name.key, by the CA of all tests."""
    run("openssl", "req", "-newkey", key, "-nodes", "-keyout", name + ".key", "-out", name + ".csr",
        "-subj", "/CN=" + name)
    run("openssl", "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-days", "20", "-extfile", "ext", "-out", name + ".pem")


def make_rsa_certificate():
    make_certificate("rsa", "rsa:2048")


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
            connection.settimeout(None)     # a test may hold many for long
            with connection:
                try:
                    while data := connection.recv(65536):
                        connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

        def serve():
            while True:
                try:
                    connection = self.accept()
                except (TimeoutError, ConnectionError):     # nobody came, or went away before
                    continue
                except OSError:                             # closed
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


class TlsServer:
    """A TLS server that echoes lines; sessions tells of each connection whether it was resumed."""

    def __init__(self, version=ssl.TLSVersion.TLSv1_3, client_ca=None, chain="one.pem", key="one.key"):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(path(chain), path(key))
        self.context.minimum_version = self.context.maximum_version = version
        if client_ca:
            self.context.load_verify_locations(path(client_ca))
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = "localhost:%d" % self.listener.getsockname()[1]
        self.sessions, self.names, self.accepted = [], [], 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                connection, _ = self.listener.accept()
                self.accepted += 1
                threading.Thread(target=self.one, args=(connection,), daemon=True).start()
        except OSError:
            pass

    def one(self, connection):
        try:
            with self.context.wrap_socket(connection, server_side=True) as tls:
                self.sessions.append("resumed" if tls.session_reused else "new")
                subject = (tls.getpeercert() or {}).get("subject", ())
                self.names.append(dict(item[0] for item in subject).get("commonName"))
                while data := tls.recv(65536):
                    tls.sendall(data)
        except OSError as error:
            self.sessions.append(str(error))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


logs = []               # of this test, one for each tlsgated


def start(*argv, before=(), stderr=None, pass_fds=(), program=TLSGATED):
    logs.append(path("log.%d" % len(logs)))
    with open(logs[-1], "wb") as log:
        return subprocess.Popen([*before, program, *argv], cwd=tmp, stdin=subprocess.DEVNULL, stdout=log,
                                stderr=log if stderr is None else stderr, pass_fds=pass_fds)


def log_text():
    """What the last one started has logged."""
    with open(logs[-1], errors="replace") as file:
        return file.read()


def records():
    """The connection-log's lines, as objects; of the last one perhaps only the beginning is written."""
    return [json.loads(line[line.index("{"):]) for line in log_text().split("\n")[:-1] if '{"event"' in line]


def need_harmless_logs():
    """Whoever wrote a line: it moves no terminal's cursor."""
    for line in log_text().split("\n") if logs else ():
        need(not re.search(r"[^\x20-\x7e]", line), "a line that is not printable ASCII: %r" % line)


def keepalive_timers(port):
    """Of each established socket to or from port: seconds until TCP probes the peer, None: never."""
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in list(file)[1:]]
    ours = [row for row in rows if row[3] == "01" and (":%04X" % port in row[1] or ":%04X" % port in row[2])]
    return [int(row[5][3:], 16) / 100 if row[5].startswith("02:") else None for row in ours]


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return [int(word) for word in file.read().split()]


def name_of(pid):
    """Empty for one that is gone."""
    try:
        with open("/proc/%d/comm" % pid) as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def may_write_shared(pid):
    """Which memory that others have, too, the process can write, or can make writable: inodes and where they come from."""
    found, name = [], ""
    with open("/proc/%d/smaps" % pid) as file:
        for line in file:
            word = line.split()
            if not word[0].endswith(":"):
                name = word[4] + " " + word[-1]
            elif word[0] == "VmFlags:" and "sh" in word and "mw" in word:
                found.append(name)
    return found


SYS_PIDFD_GETFD = 438
IPC_VERSION, IPC_NEED_KEYS, IPC_NOTE, IPC_LISTED, IPC_LIST, IPC_CHECKED = 8, 3, 4, 8, 14, 15     # common/ipc.c, common/ipc.h


def take(pid, name):
    """A descriptor of another process's, by its number there."""
    handle = os.pidfd_open(pid)
    number = ctypes.CDLL(None, use_errno=True).syscall(SYS_PIDFD_GETFD, handle, int(name), 0)
    os.close(handle)
    need(number >= 0, "pidfd_getfd: " + os.strerror(ctypes.get_errno()))
    return number


def open_files_of(pid):
    """What each of another process's descriptors is, by its number; it may open and close some meanwhile."""
    links = {}
    for name in sorted(os.listdir("/proc/%d/fd" % pid), key=int):
        with contextlib.suppress(FileNotFoundError):
            links[name] = os.readlink("/proc/%d/fd/%s" % (pid, name))
    return links


def all_sockets_of(pid):
    """Another process's sockets, for what it might do with them if it was taken over."""
    return [socket.socket(fileno=take(pid, name)) for name, link in open_files_of(pid).items()
            if link.startswith("socket:")]


def sockets_of(pid):
    """Its end of each pair that keeps packets apart."""
    return [s for s in all_sockets_of(pid) if s.family == socket.AF_UNIX and s.type == socket.SOCK_SEQPACKET]


def unread(seconds):
    """A TCP socket whose close() waits so long: its peer does not read."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            connection.send(bytes(1 << 16))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
    return connection, peer


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def idle(pid):
    """A condition: pid has not run since it was last looked at."""
    last = None

    def still():
        nonlocal last
        before = last
        with open("/proc/%d/schedstat" % pid) as file:
            last = file.read()
        return last == before

    return still


class Gate:
    """A running tlsgated; ended in order, and checked for it, at the end of the with block."""

    def __init__(self, mode, backend, *options, before=(), path="user",
                 pair=("--cert", "one.pem", "--key", "one.key"), listen=None):
        self.port = free_port()
        if mode == "serve":
            options = (*pair, *options)
        if not any(o.startswith("--workers") for o in options):
            options += ("--workers=2",)
        self.process = start(mode, listen or "127.0.0.1:%d" % self.port, backend, "--data-path=" + path,
                             *options, before=before)
        self.ready(1)

    def ready(self, times):
        wait_until(lambda: log_text().count("listening on") >= times or
                   self.process.poll() is not None, "tlsgated listens")
        need(self.process.poll() is None, "tlsgated ended: " + log_text())

    def connect(self, pair=None, ca="ca.pem", **options):
        """A TLS connection that verifies; options are attributes of the SSLContext."""
        context = ssl.create_default_context(cafile=path(ca))
        if pair:
            context.load_cert_chain(*(path(name) for name in pair))
        for key, value in options.items():
            setattr(context, key, value)
        return self.connect_with(context)

    def connect_with(self, context, session=None):
        return context.wrap_socket(self.connect_plain(), server_hostname="localhost",
                                   suppress_ragged_eofs=False, session=session)

    def connect_plain(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

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


class Hello:
    """A client that has sent its ClientHello, and can wait with what follows."""

    def __init__(self, gate, wrap=lambda plain: plain):
        self.socket = wrap(gate.connect_plain())
        self.to, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = ssl.create_default_context(cafile=path("ca.pem")).wrap_bio(
            self.to, self.out, server_hostname="localhost")
        self.step()

    def is_complete(self):
        """As far as it comes without sending."""
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def step(self):
        """True: the handshake is complete."""
        done = self.is_complete()
        self.socket.sendall(self.out.read())
        return done

    def finish(self):
        while not self.step():
            data = self.socket.recv(65536)
            need(data, "the connection ended in its handshake")
            self.to.write(data)


def need_keepalive(gate, backend, least, most):
    """One of the two ends of each connection is ours, the other the test's."""
    for port in (gate.port, int(backend.address.split(":")[1])):
        wait_until(lambda: sorted(t is None for t in keepalive_timers(port)) == [False, True],
                   "TCP's timers at port %d: %s" % (port, keepalive_timers(port)))
        left = max(t for t in keepalive_timers(port) if t is not None)
        need(least <= left <= most, "probes in %d s" % left)


def first_answerer(gate):
    """A worker is ready before its answerer is."""
    wait_until(lambda: only_answerer(gate), "an answerer")
    return only_answerer(gate)


def only_answerer(gate):
    """The one of a gate with one worker; None while there is none, or a defunct one beside it."""
    pids = children(gate.keyd()[0])
    return pids[0] if len(pids) == 1 else None


def read_end(connection):
    with connection:
        try:
            return repr(connection.recv(100))
        except OSError as error:            # ssl.SSLError is one
            return str(error)


def need_alert(connection):
    end = read_end(connection)
    need("INTERNAL_ERROR" in end.upper(), "an alert is wanted, not: " + end)


def echo(connection, data=b"hello"):
    connection.sendall(data)
    got = b""
    while len(got) < len(data):
        piece = connection.recv(len(data) - len(got))
        need(piece, "end before all %d bytes came back" % len(data))
        got += piece
    need(got == data, "other bytes came back")


def peer_name(connection):
    return dict(pair[0] for pair in connection.getpeercert()["subject"])["commonName"]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


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


def echo_at_once(connection, data, sent=0):
    """Both directions carry data at the same time; sent bytes of it are under way already."""
    connection.setblocking(False)
    got = 0
    while got < len(data):
        ready = select.select([connection], [connection] if sent < len(data) else [], [], DEADLINE)
        need(ready[0] or ready[1] or connection.pending(), "stuck at %d of %d" % (got, sent))
        if sent < len(data):
            sent += send_some(connection, data[sent:sent + (1 << 16)])
        piece = receive_some(connection)
        need(piece == data[got:got + len(piece)], "wrong bytes at %d" % got)
        got += len(piece)
    connection.settimeout(DEADLINE)
