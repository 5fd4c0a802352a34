# SPDX-License-Identifier: MIT
"""tlsgated's control socket, and the commands of tlsgate that use it."""

import contextlib
import grp
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import time

from daemonlib.gate import (DEADLINE, TLSGATE, Backend, Gate, Skip, echo, free_port, listens, log_text, need,
                            path, read_end, start, stopped, test, tmp, unread, wait_until, write)

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def config(port, backend, head, key="one", data_path="user", workers="workers = 1"):
    return write("control.conf", """%s
%s
gate web {
	mode = serve
	data-path = %s
	listen = "127.0.0.1:%d"
	backend = "%s"
	cert = one.pem
	key = %s.key
}
""" % (head, workers, data_path, port, backend, key))


class ControlGate(Gate):
    """Listens on a control socket, too; its path is that of the setting unless given."""

    def __init__(self, backend, head=None, socket_path=None, before=(), key="one"):
        self.port = free_port()
        self.backend = backend
        self.socket = socket_path or path("control")
        self.config(head, key)
        self.process = start("-c", "control.conf", before=before)
        self.ready(1)

    def config(self, head=None, key="one", data_path="user"):
        config(self.port, self.backend, 'control = "%s"' % self.socket if head is None else head, key,
               data_path)

    def tlsgate(self, *argv, before=()):
        return subprocess.run([*before, TLSGATE, "-S", self.socket, *argv], cwd=tmp,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)

    def dial(self):
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.socket)
        client.settimeout(DEADLINE)
        return client

    def ask(self, line):
        with self.dial() as client:
            client.sendall(line)
            data = b""
            while piece := client.recv(65536):
                data += piece
        return json.loads(data)


ODD_ANSWERS = (
    b"", b"\n", b"nonsense\n", b"null\n", b"[]\n", b"{}\n", b'{"status":1}\n', b'{"status":null,"reason":{}}\n',
    b'{"status":"ok"}\n', b'{"status":"ok","gates":1,"workers":1,"lines":1}\n',
    b'{"status":"ok","gates":[1,null,[],{}],"workers":[1,null,[],{}],"lines":[1,null,[],{}]}\n',
    b'{"status":"ok","gates":[{"name":1,"listen":[null,1,{}],"paused":"x","accepted":"x","from-client":-1,'
    b'"certificates":[null,1,{"ends":"x"},{"ends":{}},{"ends":9000000000000000000}]}]}\n',
    b'{"status":"ok","gates":[{"listen":["' + 2000 * b"x" + b'"],"certificates":[{"ends":-9000000000000000000}]}]}\n',
    1000 * b"[" + b"\n", (1 << 20) * b"x")


@test
def the_tool_takes_a_long_answer_and_no_endless_one():
    """256 gates may have 64 certificates each, and each has a path."""
    certificates = [{"file": "/etc/" + 120 * "x", "ends": 1}] * 64
    gates = [{"name": "g%d" % number, "certificates": certificates} for number in range(256)]
    whole = json.dumps({"status": "ok", "gates": gates}).encode() + b"\n"
    need(len(whole) > 1 << 21, "%d bytes" % len(whole))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path("long"))
        listener.listen()
        for said, status, pattern in ((whole, 0, "g255 .* 1970-01-01"),
                                      (bytes(1 << 24), 1, "gates: .*over 16 MiB: what listens on the socket[?]")):
            tool = subprocess.Popen([TLSGATE, "-S", path("long"), "gates"], stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True)
            client = listener.accept()[0]
            with client, contextlib.suppress(OSError):
                client.sendall(said)
                client.recv(100)
                client.shutdown(socket.SHUT_WR)
            text, _ = tool.communicate(timeout=DEADLINE)
            need(tool.returncode == status and re.search(pattern, text), "%d: %s" % (tool.returncode, text[-300:]))


@test
def a_daemon_that_is_about_to_end_answers():
    head = 'stop-time = 1h\ncontrol = "%s"' % path("control")
    with Backend().echo() as backend, ControlGate(backend.address, head) as gate, gate.connect() as connection:
        echo(connection)
        gate.process.terminate()
        wait_until(lambda: not listens(gate.port), "nothing more is accepted")
        shown = gate.ask(b"gates\n")
        need(shown["status"] == "ok" and shown["gates"][0]["drained"], "%s" % shown)
        for command in (b"stats\n", b"pause\n", b"resume\n"):
            need(gate.ask(command)["status"] == "ok", command)
        for command in (b"reload\n", b"drain\n", b"drain web\n", b"undrain\n"):
            need("about to end" in gate.ask(command)["reason"], command)
        echo(connection)
        connection.unwrap()


@test
def nobody_is_waited_for_by_what_a_client_passes_along():
    """The monitor's is the last descriptor of it: in what it reads, and in what it does not."""
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        for lines in ((b"g",), (b"gates\n", b"g")):
            connection, peer = unread(4 * int(DEADLINE))
            with peer, gate.dial() as client:
                with stopped(gate.process.pid):
                    for line in lines[:-1]:
                        client.sendall(line)
                    socket.send_fds(client, [lines[-1]], [connection.fileno()])
                    connection.close()
                need(gate.tlsgate("gates").returncode == 0, "it answers others")


@test
def whatever_answers_the_tool_says_what_it_is():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path("odd"))
        listener.listen()
        for said in ODD_ANSWERS:
            for command in (("gates",), ("gates", "--json"), ("stats",), ("stats", "--json"), ("reload",)):
                tool = subprocess.Popen([TLSGATE, "-S", path("odd"), *command], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
                client = listener.accept()[0]
                with client, contextlib.suppress(OSError):
                    client.sendall(said)
                    client.shutdown(socket.SHUT_WR)
                    client.recv(100)
                out, errors = tool.communicate(timeout=DEADLINE)
                need(tool.returncode == 0 or (tool.returncode == 1 and errors),
                     "%s of %r: %d, %r, %r" % (command, said[:80], tool.returncode, out[:80], errors))


def is_gone(client):
    """Within the time that a client has."""
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True


def outcome(result, status, *patterns):
    need(result.returncode == status, "status %d: %s" % (result.returncode, result.stderr))
    for pattern in patterns:
        need(re.search(pattern, result.stdout + result.stderr),
             "%r is not in: %s%s" % (pattern, result.stdout, result.stderr))


@test
def reload_says_what_came_of_it():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        workers = gate.workers()
        outcome(gate.tlsgate("reload"), 0, "^reloaded\n")
        wait_until(lambda: gate.workers() and not set(gate.workers()) & set(workers), "new workers")
        workers = gate.workers()
        gate.config('nonsense = 1\ncontrol = "%s"' % gate.socket)
        outcome(gate.tlsgate("reload"), 1, "tlsgate: control.conf:1:1: refused: no setting",
                "reload refused: what ran before goes on")
        gate.config(key="two")      # which keyd finds
        outcome(gate.tlsgate("reload"), 1, "tlsgate: control.conf:9:8: refused: .*'two.key': it is not")
        need(gate.workers() == workers, "the same workers")
        with gate.connect() as connection:
            echo(connection)
        gate.config()
        outcome(gate.tlsgate("reload"), 0, "^reloaded\n")
    outcome(gate.tlsgate("reload"), 1, "no tlsgated answers on .*No such file.*is it running")
    outcome(gate.tlsgate("reload", "now"), 2, r"usage: tlsgate \[-S PATH\] reload")


def plain(*argv):
    """Without the -S of a test's own gate."""
    return subprocess.run([TLSGATE, *argv], cwd=tmp, capture_output=True, text=True, timeout=DEADLINE)


@test
def the_option_for_a_socket_stands_where_it_means_something():
    with Backend() as backend, ControlGate(backend.address) as gate:
        outcome(plain("-S", gate.socket, "gates"), 0, "web +serve")
        outcome(plain("gates", "-S", gate.socket), 0, "web +serve")
        outcome(plain("gates", "--json", "-S", gate.socket), 0, '"web"')
        outcome(plain("-S", gate.socket, "gates", "-S", gate.socket), 2, "'-S' is not understood")
    for command in ("monitor", "rekey", "close", "ciphers", "handshake", "version", "help"):
        for arguments in (("-S", "x", command), (command, "-S", "x")):
            outcome(plain(*arguments), 2, "tlsgate: %s: -S refused: it names tlsgated's control socket" % command)
    for command in ("reload", "pause", "resume", "gates", "stats"):
        outcome(plain(command, "-S"), 2, "lacks its value", r"usage: tlsgate \[-S PATH\] " + command)
    outcome(plain("-S"), 2, "-S: no path is given")


@test
def close_needs_the_name_of_a_gate():
    for name, why in (((), "'--gate' is not understood, or lacks its value"), (("",), "--gate '' refused")):
        outcome(subprocess.run([TLSGATE, "close", "--gate", *name], capture_output=True, text=True, timeout=DEADLINE),
                2, why, "usage: tlsgate close")


@test
def gates_shows_what_is_served():
    with Backend() as backend, ControlGate(backend.address) as gate:
        outcome(gate.tlsgate("gates"), 0, r"web +serve +serving +127\.0\.0\.1:%d +%s +user +no +20\d\d-" %
                (gate.port, re.escape(backend.address)))
        shown = json.loads(gate.tlsgate("gates", "--json").stdout)
        need(shown[0]["name"] == "web" and shown[0]["certificates"][0]["file"] == "one.pem" and
             shown[0]["certificates"][0]["ends"] > time.time(), "says: %s" % shown)
        outcome(gate.tlsgate("gates"), 0, r"\n\nCERTIFICATE +GATE +ENDS +LEFT\none\.pem +web +20\d\d-\d\d-\d\d +in \d+ days\n")
        need(shown[0]["addresses"] == [backend.address], "%s" % shown)
        need(gate.ask(b"gates\n") == {"gates": shown, "status": "ok"}, "the answer on the socket")
        need(gate.ask(b"dance\n") == {"status": "unknown"}, "an unknown command")


def numbers(gate):
    return gate.ask(b"stats\n")["gates"][0]


@test
def stats_counts_what_workers_did():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        need(set(numbers(gate).values()) == {"web", 0}, "nothing at first: %s" % numbers(gate))
        with gate.connect() as connection:
            echo(connection, b"x" * 1024)
            need(numbers(gate)["open"] == 1, "one is open: %s" % numbers(gate))
            connection.unwrap().close()     # with close_notify
        with gate.connect_plain() as connection:
            connection.sendall(b"no TLS at all\n")
            read_end(connection)
        wait_until(lambda: numbers(gate)["open"] == 0, "none is open")
        want = {"name": "web", "accepted": 2, "handshakes": 1, "resumed": 0, "failed": 1, "broken": 0,
                "kernel": 0, "delivered": 0, "user": 1, "passed": 0, "refused": 0, "from-client": 1024, "from-backend": 1024, "open": 0}
        need(numbers(gate) == want, "says %s" % numbers(gate))
        outcome(gate.tlsgate("stats"), 0, r"GATE +ACCEPTED", r"web +2 +1 +0 +1 +0 +0 +1 +0 +0 +0 +0 +1\.0 KiB +1\.0 KiB")
        shown = json.loads(gate.tlsgate("stats", "--json").stdout)
        need(shown["workers"][0]["process"] == gate.workers()[0] and shown["workers"][0]["accepted"] == 2 and
             shown["since"] <= time.time() and "status" not in shown, "says: %s" % shown)


@test
def stats_outlive_workers_and_reloads_and_wait_for_none():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        with gate.connect() as connection:
            echo(connection)
            old = gate.workers()[0]
            os.kill(old, signal.SIGKILL)
            wait_until(lambda: gate.workers() and gate.workers()[0] != old, "another worker")
        need(numbers(gate)["accepted"] == 1 and numbers(gate)["open"] == 0, "of a dead one: %s" % numbers(gate))
        with gate.connect() as connection:
            echo(connection)
            outcome(gate.tlsgate("reload"), 0)
            echo(connection)
            need(numbers(gate)["accepted"] == 2 and numbers(gate)["open"] == 1, "two generations: %s" % numbers(gate))
            need([worker["retired"] for worker in gate.ask(b"stats\n")["workers"]] == [False, True], "their workers")
            with stopped(gate.workers()[0]), stopped(gate.workers()[1]):
                need(numbers(gate)["from-client"] == 15, "no worker is asked: %s" % numbers(gate))
        wait_until(lambda: len(gate.workers()) == 1, "the first generation is gone")
        need(numbers(gate)["accepted"] == 2 and numbers(gate)["open"] == 0, "it is counted: %s" % numbers(gate))


@test
def bad_clients_are_dropped_and_nobody_waits():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        silent = [gate.dial() for _ in range(40)]       # more than are served at once
        start = time.monotonic()
        need(gate.ask(b"gates\n")["status"] == "ok" and time.monotonic() - start < 8,
             "whoever comes later need not wait until they are dropped")
        half = gate.dial()
        half.sendall(b"rel")
        with gate.connect() as connection:
            echo(connection)
        need(all(is_gone(client) for client in silent[:16]), "silent clients are dropped")
        for client in silent:
            client.close()
        need(is_gone(half), "half a request is dropped")
        with gate.dial() as long:
            long.sendall(b"x" * 300)
            need("at most 256 bytes" in long.recv(1000).decode() and long.recv(1) == b"", "a long request is refused")
        with gate.dial() as early:
            early.shutdown(socket.SHUT_WR)
            need(is_gone(early), "no request is dropped")
        need(gate.ask(b"gates\n")["status"] == "ok", "others are served")


def cpu_seconds(pid):
    with open("/proc/%d/schedstat" % pid) as file:
        return int(file.read().split()[0]) / 1e9


@test
def a_monitor_without_descriptors_does_not_spin():
    with Backend() as backend, ControlGate(backend.address) as gate:
        pid = gate.process.pid
        limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = {int(name) for name in os.listdir("/proc/%d/fd" % pid)}
        free = min(set(range(len(used) + 1)) - used)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free + 1, limit[1]))
        before = cpu_seconds(pid)
        with gate.dial() as silent:             # has the last one, until its time is over
            need(gate.ask(b"gates\n")["status"] == "ok" and is_gone(silent), "the next one waits")
        need(cpu_seconds(pid) - before < 0.2, "%.1f s of CPU meanwhile" % (cpu_seconds(pid) - before))
        need("control: no client can be accepted: Too many open files" in log_text(), log_text())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)


CROWD = """
import socket, sys
sys.stdin.readline()
clients = [socket.socket(socket.AF_UNIX) for _ in range(%d)]
for client in clients:
    client.connect(sys.argv[1])
print("there", flush=True)
if sys.stdin.readline():
    clients[0].sendall(b"gates\\n")
    print(b'"ok"' in clients[0].recv(1000), flush=True)
"""


@contextlib.contextmanager
def crowd(gate, count, before=()):
    """A process with so many clients, which come when it is told to, and of which one asks when it is told again."""
    with subprocess.Popen([*before, "python3", "-c", CROWD % count, gate.socket], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        yield process
        process.stdin.close()


def tell(process, answer, text):
    process.stdin.write("\n")
    process.stdin.flush()
    need(process.stdout.readline() == answer + "\n", text)


@test
def a_user_with_many_clients_drops_its_own():
    if os.geteuid() != 0:
        raise Skip("needs root to be somebody else")
    with Backend() as backend, ControlGate(backend.address, 'control = "%s"\ncontrol-mode = 0666' %
                                           path("control")) as gate, \
            crowd(gate, 40, NOBODY) as many, crowd(gate, 1, ("setpriv", "--reuid=1", "--clear-groups")) as one:
        tell(one, "there", "one comes")
        tell(many, "there", "many come")
        tell(one, "True", "the oldest, of another user, has kept its place")
    with Backend() as backend, ControlGate(backend.address, 'control = "%s"\ncontrol-mode = 0666' %
                                           path("control")) as gate, crowd(gate, 20) as many:
        tell(many, "there", "they come")
        outcome(gate.tlsgate("gates", before=NOBODY), 1, "no answer from tlsgated: ")
        outcome(gate.tlsgate("gates"), 0, "web")


@test
def who_waits_for_connections_keeps_nobody_out():
    """A worker that does not answer has them wait for seconds."""
    with Backend() as backend, ControlGate(backend.address) as gate, stopped(gate.workers()[0]), \
            contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(gate.dial()) for _ in range(16)]
        for client in waiting:
            client.sendall(b"connections\n")
        need(gate.ask(b"gates\n")["status"] == "ok", "another is answered")
        need(is_gone(waiting[0]) and b'"silent":1' in waiting[1].recv(1000), "in the place of the oldest")


CONFINED = """
import ctypes, os, socket, sys
prctl = ctypes.CDLL(None).prctl
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
allow_all = bytes.fromhex("06000000" "0000ff7f")
if sys.argv[2] != "free":
    assert not prctl(38, 1, 0, 0, 0) and not prctl(22, 2, ctypes.byref(Program(1, allow_all)), 0, 0)
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b"pause\\n")
if sys.argv[2] == "gone":
    os._exit(0)
print(client.recv(1000).decode())
"""


def ask_as_nobody(gate, how):
    return subprocess.run([*NOBODY, "python3", "-c", CONFINED, gate.socket, how], check=True, text=True,
                          capture_output=True, timeout=DEADLINE).stdout


@test
def a_child_of_the_daemons_user_changes_nothing():
    """A worker of a daemon that was not started as root could connect where a gate has a UNIX backend."""
    if os.geteuid() != 0:
        raise Skip("needs root to be somebody else")
    os.makedirs(path("own"), exist_ok=True)
    os.chown(path("own"), 65534, 65534)
    shutil.copy(path("one.key"), path("own.key"))
    os.chown(path("own.key"), 65534, 65534)
    with Backend() as backend, \
            ControlGate(backend.address, socket_path=path("own/control"), before=NOBODY, key="own") as gate:
        need('"denied"' in ask_as_nobody(gate, "confined"), "one under a filter, as all children are")
        with stopped(gate.process.pid):
            ask_as_nobody(gate, "gone")
        need(gate.ask(b"gates\n")["status"] == "ok", "the monitor has seen it")
        need("control: pause, for user" not in log_text(), log_text())
        need('"ok"' in ask_as_nobody(gate, "free"), "the daemon's user may")


@test
def a_child_of_control_group_changes_nothing():
    """Its user's group may be control-group."""
    if os.geteuid() != 0:
        raise Skip("needs root to be somebody else")
    head = 'control = "%s"\nuser = nobody\ncontrol-group = %s' % (path("control"), grp.getgrgid(65534).gr_name)
    with Backend() as backend, ControlGate(backend.address, head=head) as gate:
        need('"denied"' in ask_as_nobody(gate, "confined"), "one under a filter, as all children are")
        need('"ok"' in ask_as_nobody(gate, "free"), "a member may")


@test
def denials_do_not_fill_the_log():
    if os.geteuid() != 0:
        raise Skip("needs root to be somebody else")
    many = ("import socket\n"
            "for _ in range(300):\n"
            "    client = socket.socket(socket.AF_UNIX)\n"
            "    client.connect('%s')\n"
            "    client.sendall(b'reload\\n')\n"
            "    assert b'denied' in client.recv(1000)\n" % path("control"))
    with Backend() as backend, ControlGate(backend.address, 'control = "%s"\ncontrol-mode = 0666' % path("control")):
        started = time.monotonic()
        subprocess.run([*NOBODY, "python3", "-c", many], check=True, timeout=DEADLINE)
        most = 50 + 20 * (time.monotonic() - started + 1)
        need(0 < log_text().count("reload denied to user 65534") <= most, "as many lines as the log takes")


@test
def pause_survives_a_reload():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        outcome(gate.tlsgate("resume"), 0, "^resumed")      # no gate wants the kernel
        outcome(gate.tlsgate("pause"), 0, "^paused")
        outcome(gate.tlsgate("pause", "now"), 2, r"usage: tlsgate \[-S PATH\] pause")
        need(gate.ask(b"gates\n")["gates"][0]["paused"] is False, "a gate of the user path has nothing to pause")
        gate.config('control = "%s"' % gate.socket, data_path="auto")
        outcome(gate.tlsgate("reload"), 0)
        need(gate.ask(b"gates\n")["gates"][0]["paused"] is True, "it is the daemon's, not a configuration's")
        outcome(gate.tlsgate("gates"), 0, "auto, paused")
        if not os.path.exists("/sys/module/tlsgate"):
            outcome(gate.tlsgate("resume"), 1, "resume: the tlsgate kernel module is not loaded: run modprobe")
            outcome(gate.tlsgate("gates"), 0, "auto, paused")
        with gate.connect() as connection:
            echo(connection)
        if os.geteuid() == 0:
            gate.config('control = "%s"\ncontrol-mode = 0666' % gate.socket)
            outcome(gate.tlsgate("reload"), 0)
            outcome(gate.tlsgate("pause", before=NOBODY), 1, "pause: denied")
            outcome(gate.tlsgate("resume", before=NOBODY), 1, "resume: denied")


def all_serve(*ports):
    """Sockets of one address, one for each worker, are many: none may be left out."""
    for port in ports:
        for _ in range(8):
            with tls_to(port) as connection:
                echo(connection)


def tls_to(port):
    context = ssl.create_default_context(cafile=path("ca.pem"))
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE),
                               server_hostname="localhost")


def nanoseconds(pid):
    """How long it has run."""
    with open("/proc/%d/schedstat" % pid) as file:
        return int(file.read().split()[0])


def need_rest(pids):
    before = [nanoseconds(pid) for pid in pids]
    select.select([], [], [], 0.5)
    spent = [nanoseconds(pid) - was for pid, was in zip(pids, before)]
    need(max(spent) < 2e7, "in half a second they ran for %s ns" % spent)


@test
def a_drain_ends_no_connection_and_lasts():
    with Backend().echo() as backend:
        other = free_port()
        head = """control = "%s"
gate other { mode = serve  data-path = user  cert = one.pem  key = one.key
	listen = "127.0.0.1:%d"  backend = "%s" }
""" % (path("control"), other, backend.address)
        with ControlGate(backend.address, head) as gate, gate.connect() as before:
            echo(before)
            outcome(gate.tlsgate("drain", "--gate", "web"), 0, "^drained: ")
            need(not listens(gate.port) and listens(other), "this address refuses connections, the other does not")
            outcome(gate.tlsgate("gates"), 3, r"web +serve +drained +", r"other +serve +serving +127\.0\.0\.1:%d" % other)
            need([g["drained"] for g in gate.ask(b"gates\n")["gates"]] == [False, True], "as JSON")
            need_rest(gate.workers())
            echo(before)
            config(gate.port, backend.address, head, workers="workers = 3")
            outcome(gate.tlsgate("reload"), 0)
            echo(before)
            wait_until(lambda: len(gate.workers()) == 4, "the new workers, and the old one")
            os.kill(gate.workers()[-1], signal.SIGKILL)
            wait_until(lambda: log_text().count("another is started") == 1 and len(gate.workers()) == 4, "another")
            need(not listens(gate.port), "a reload leaves it so, and so does a worker's death")
            need_rest(gate.workers())
            all_serve(other)
            outcome(gate.tlsgate("undrain"), 0, "^undrained: ")
            all_serve(gate.port, other)
            outcome(gate.tlsgate("drain"), 0)
            need(not listens(gate.port) and not listens(other), "all gates")
            outcome(gate.tlsgate("undrain", "--gate", "other"), 0)
            all_serve(other)
            need(not listens(gate.port), "that one only")
            outcome(gate.tlsgate("drain", "--gate", "nosuch"), 1, "drain: there is no such gate")
            outcome(gate.tlsgate("drain", "--gate", ""), 2, "no gate has such a name")
            outcome(gate.tlsgate("drain", "web"), 2, r"usage: tlsgate \[-S PATH\] drain")
            need(gate.ask(b"gates web\n") == {"status": "unknown"}, "an operand that nobody takes")


@test
def who_may_drain_and_what():
    port = free_port()
    address = "127.0.0.1:%d" % port
    with Backend() as backend, ControlGate(backend.address, 'control = "%s"\ncontrol-mode = 0666' %
                                           path("control")) as gate:
        if os.geteuid() == 0:
            outcome(gate.tlsgate("drain", before=NOBODY), 1, "drain: denied")
            need(listens(gate.port), "it listens")
        if not shutil.which("systemd-socket-activate"):
            return
        activated = start("serve", address, backend.address, "--data-path=user", "--cert=one.pem", "--key=one.key",
                          "--control=" + path("activated"), before=["systemd-socket-activate", "-l", address])
        wait_until(lambda: listens(port) and os.path.exists(path("activated")), "it listens")
        outcome(subprocess.run([TLSGATE, "-S", path("activated"), "drain"], capture_output=True, text=True,
                               timeout=DEADLINE), 1, "drain: systemd has the gate's socket")
        need(listens(port), "it listens")
        activated.terminate()
        need(activated.wait(DEADLINE) == 0, "exit status")


def has_hung_up(client):
    return any(events & select.POLLHUP for _, events in poll_once(client))


def poll_once(client):
    poll = select.poll()
    poll.register(client, 0)
    return poll.poll(0)


@test
def answers_that_nobody_reads_are_dropped():
    with Backend() as backend, ControlGate(backend.address) as gate:
        more = "".join("gate %s%d { mode = connect  data-path = user  ca = ca.pem  server-name = localhost\n"
                       ' listen = "127.0.1.%d:%d"  backend = "127.0.0.1:2" }\n' %
                       ("g" * 60, i, i, gate.port) for i in range(1, 151))
        gate.config('control = "%s"\n%s' % (gate.socket, more))     # more than the socket holds
        outcome(gate.tlsgate("reload"), 0)
        with gate.dial() as deaf:
            deaf.sendall(b"gates\n")
            need(len(gate.ask(b"gates\n")["gates"]) == 151, "others get their answer meanwhile")
            wait_until(lambda: has_hung_up(deaf), "who does not read is dropped")


@test
def rights_of_the_socket():
    if os.geteuid() != 0:
        raise Skip("needs root to be somebody else")
    group = grp.getgrgid(65534).gr_name
    with Backend() as backend, ControlGate(backend.address) as gate:
        def rights():
            status = os.stat(gate.socket)
            return stat.S_IMODE(status.st_mode), status.st_gid

        need(rights() == (0o660, 0), "by default: %o, group %d" % rights())
        outcome(gate.tlsgate("gates", before=NOBODY), 1, "Permission denied.*control-group")
        gate.config('control = "%s"\ncontrol-mode = 0666' % gate.socket)
        outcome(gate.tlsgate("reload"), 0)
        need(rights() == (0o666, 0), "mode as set: %o, group %d" % rights())
        outcome(gate.tlsgate("gates", before=NOBODY), 0, "web")
        outcome(gate.tlsgate("reload", before=NOBODY), 1, "reload: denied")
        need("reload denied to user 65534" in log_text(), "a line in the log")
        gate.config('control = "%s"\ncontrol-group = %s' % (gate.socket, group))
        outcome(gate.tlsgate("reload"), 0)
        need(rights() == (0o660, 65534), "group as set: %o, group %d" % rights())
        outcome(gate.tlsgate("reload", before=NOBODY), 0, "reloaded")
        outcome(gate.tlsgate("reload", before=("setpriv", "--reuid=65534", "--regid=1", "--groups=65534")),
                0, "reloaded")
        gate.config('control = "%s"\ncontrol-group = nosuchgroup' % gate.socket)
        outcome(gate.tlsgate("reload"), 1, "refused: control-group 'nosuchgroup': there is no such group: create it")
        need(rights() == (0o660, 65534), "unchanged: %o, group %d" % rights())


@test
def no_rights_are_given_through_a_link():
    """Who may write in the socket's folder must not choose what root's daemon opens to others."""
    with Backend() as backend, ControlGate(backend.address, 'control = "%s"' % path("control")) as gate:
        write("victim", "")
        os.chmod(path("victim"), 0o600)
        os.unlink(gate.socket)
        os.symlink("victim", gate.socket)
        gate.config('control = "%s"\ncontrol-mode = 0666' % gate.socket)
        gate.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in log_text() or "reload refused" in log_text(), "a reload: " + log_text())
        need(stat.S_IMODE(os.stat(path("victim")).st_mode) == 0o600, "the victim's mode: " + log_text())
        need("there is a file that is no socket" in log_text(), log_text())
        os.unlink(gate.socket)


@test
def sockets_of_several_daemons():
    with Backend() as backend, ControlGate(backend.address) as gate:
        other = path("other.conf")
        os.rename(config(free_port(), backend.address, 'control = "%s"' % gate.socket), other)
        second = start("-c", other)
        need(second.wait(DEADLINE) == 1 and "another tlsgated answers there" in log_text(),
             "a socket in use is refused: " + log_text())
        need(gate.ask(b"gates\n")["status"] == "ok", "and goes on")
        old, gate.socket = gate.socket, path("moved")
        gate.config()
        result = subprocess.run([TLSGATE, "-S", old, "reload"], capture_output=True, text=True,
                                timeout=DEADLINE)
        outcome(result, 0, "reloaded")
        need(not os.path.exists(old) and gate.ask(b"gates\n")["status"] == "ok", "it moves with a reload")
        gate.config("control = none")
        outcome(gate.tlsgate("reload"), 0)
        need(not os.path.exists(gate.socket), "none takes it away")
    write("plain", "")
    config(free_port(), backend.address, 'control = "%s"' % path("plain"))
    third = start("-c", "control.conf")
    need(third.wait(DEADLINE) == 1 and os.path.exists(path("plain")), "a file that is no socket stays")


@test
def socket_of_a_daemon_that_was_killed():
    with Backend() as backend:
        gate = ControlGate(backend.address)
        gate.process.send_signal(signal.SIGKILL)
        gate.process.wait(DEADLINE)
        need(os.path.exists(gate.socket), "it was left behind")
        with ControlGate(backend.address) as again:
            need(again.ask(b"gates\n")["status"] == "ok", "the next one takes its place")
            os.unlink(again.socket)
            again.process.send_signal(signal.SIGHUP)
            wait_until(lambda: os.path.exists(again.socket), "a reload makes it anew")
            wait_until(lambda: "reloaded" in log_text(), "the reload is over")
            need(again.ask(b"gates\n")["status"] == "ok", "and it answers there")
        need(not os.path.exists(gate.socket), "nothing is left behind")


@test
def default_socket_is_in_the_folder_of_the_unit():
    os.mkdir(path("runtime"))
    with Backend() as backend, ControlGate(backend.address, "", path("runtime/control"),
                                           ("env", "RUNTIME_DIRECTORY=" + path("runtime"))) as gate:
        result = subprocess.run([TLSGATE, "reload"], capture_output=True, text=True, timeout=DEADLINE,
                                env={"RUNTIME_DIRECTORY": path("runtime")})
        outcome(result, 0, "reloaded")
        need(gate.ask(b"gates\n")["status"] == "ok", "it answers there")
