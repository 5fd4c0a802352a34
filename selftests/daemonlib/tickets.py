# SPDX-License-Identifier: MIT
"""Session tickets by keys from files: what they outlive, and what ends them; with openssl s_client."""

import base64
import contextlib
import os
import re
import shutil
import subprocess
import threading

from daemonlib.control import ControlGate
from daemonlib.gate import (DEADLINE, TLSGATE, Backend, Gate, Skip, children, free_port, log_text, name_of, need, path, run,
                            start, test, tmp, wait_until, write)

KEYS = [bytes([i]) * 79 + b"\0" for i in range(1, 10)]          # \0: no text


def write_keys(data, name="tickets", mode=0o600):
    """As a whole, by another file's name, as who rotates keys does it."""
    with open(path(name + ".new"), "wb") as file:
        file.write(data)
    os.chmod(path(name + ".new"), mode)
    os.rename(path(name + ".new"), path(name))


def text(*keys):
    return b"".join(base64.b64encode(key) + b"\n" for key in keys)


def configure(port, backend, name="web", more=""):
    return write("tickets.%d.conf" % port, """workers = 2
control = "%s"
gate %s {
	mode = serve
	data-path = user
	listen = "127.0.0.1:%d"
	backend = "%s"
	cert = one.pem
	key = one.key
	ticket-keys = tickets
	%s
}
""" % (path("control.%d" % port), name, port, backend, more))


class TicketGate(ControlGate):
    def __init__(self, backend, **options):
        self.port, self.backend = free_port(), backend
        self.socket = path("control.%d" % self.port)
        self.start(**options)

    def configure(self, **options):
        configure(self.port, self.backend, **options)

    def start(self, **options):
        self.configure(**options)
        self.process = start("-c", "tickets.%d.conf" % self.port)
        self.ready(1)

    def reload(self, code=0):
        result = self.tlsgate("reload")
        need(result.returncode == code, "reload: %s" % result.stderr)
        return result.stderr

    def restart(self, **options):
        self.__exit__(None)
        self.start(**options)

    def attempt(self, *options, version="tls1_3"):
        return subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.port, "-servername", "localhost",
                               "-CAfile", "ca.pem", "-" + version, *options], cwd=tmp, capture_output=True,
                              input=b"x\n", timeout=DEADLINE)

    def client(self, *options, version="tls1_3"):
        """True: it resumed the session; what it printed."""
        result = self.attempt(*options, version=version)
        said = result.stdout.decode(errors="replace")
        need(re.search("^(New|Reused), TLS", said, re.M), "no handshake: %s" % (said + result.stderr.decode(errors="replace")))
        return bool(re.search("^Reused, TLS", said, re.M)), said

    def take(self, name="session", version="tls1_3", options=()):
        """A session, into a file; the name of the key that sealed its ticket."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path(name))
        _, said = self.client("-sess_out", name, "-ign_eof", *options, version=version)
        need(os.path.exists(path(name)), "no ticket came: %s" % said)
        session = subprocess.run(["openssl", "sess_id", "-in", name, "-noout", "-text"], cwd=tmp, capture_output=True,
                                 check=True).stdout.decode(errors="replace")
        return re.search("TLS session ticket:\n +0000 - ([0-9a-f -]{47})", session)[1]

    def resumes(self, name="session", version="tls1_3"):
        return self.client("-sess_in", name, version=version)[0]


class OneLine:
    """A backend that answers the first bytes, so that a client has its ticket before the end."""

    def __init__(self):
        self.backend = Backend()
        self.address = self.backend.address

    def __enter__(self):
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection = self.backend.accept()
                    with connection, contextlib.suppress(OSError):
                        if connection.recv(100):
                            connection.sendall(b"bye\n")

        threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.backend.listener.close()


@test
def tickets_outlive_reload_and_restart_and_are_for_every_host():
    write_keys(text(*KEYS[:3]))
    with OneLine() as backend, TicketGate(backend.address) as gate, TicketGate(backend.address) as other:
        for version in "tls1_3", "tls1_2":
            sealed = gate.take(version=version)
            need(gate.resumes(version=version), "the same daemon: no resumption")
            gate.reload()
            need(gate.resumes(version=version), "after a reload: no resumption")
            gate.restart()
            need(gate.resumes(version=version), "after a restart: no resumption")
            need(other.resumes(version=version), "on another host: no resumption")
            need(other.take("other", version=version) == sealed, "another host seals with another key")


@test
def without_ticket_keys_a_reload_makes_new_ones():
    write_keys(KEYS[0])
    with OneLine() as backend, TicketGate(backend.address) as gate:
        config = "tickets.%d.conf" % gate.port
        run("sed", "-i", "/ticket-keys/d", config)
        gate.reload()
        gate.take()
        need(gate.resumes(), "no resumption")
        gate.reload()
        need(not gate.resumes(), "a ticket of before the reload is taken")


@test
def a_ticket_ends_with_the_rules_for_clients():
    write_keys(KEYS[0])
    shutil.copy(path("ca.pem"), path("rules.pem"))
    rules = 'client-ca = rules.pem verify-client = request'
    with OneLine() as backend, TicketGate(backend.address, more=rules) as gate:
        gate.take()
        need(gate.resumes(), "no resumption")
        gate.configure(more='verify-client = request client-ca = "rules.pem" alpn = h2')
        gate.reload()
        need(gate.resumes(), "the same rules in another order: no resumption")
        run("sh", "-c", "cat one.pem >>rules.pem")
        gate.reload()
        need(not gate.resumes(), "client-ca has other content, and the ticket is taken")
        shutil.copy(path("ca.pem"), path("rules.pem"))
        gate.reload()
        need(gate.resumes(), "the CAs of before again: no resumption")
        gate.configure(more=rules + ' route localhost { backend = "%s" }' % backend.address)
        gate.reload()
        need(not gate.resumes(), "there is a route, and the ticket is taken")
        gate.configure(more="client-ca = rules.pem")
        gate.reload()
        need(not resumes_with(gate), "verify-client differs, and the ticket is taken")
        gate.client("-sess_out", "session", "-ign_eof", *SHOWN)
        need(resumes_with(gate), "a client with a certificate: no resumption")
        gate.configure(more='client-ca = rules.pem allow-client = "CN=one"')
        gate.reload()
        need(not resumes_with(gate), "allow-client differs, and the ticket is taken")
        gate.configure(name="other", more=rules)
        gate.reload()
        need(not gate.resumes(), "another gate takes the ticket")


SHOWN = "-cert", "one.pem", "-key", "one.key"


def resumes_with(gate):
    return gate.client("-sess_in", "session", *SHOWN)[0]


@test
def ticket_keys_are_taken_anew_when_the_file_changes():
    write_keys(text(*KEYS[:3]))
    with OneLine() as backend, TicketGate(backend.address) as gate:
        workers = gate.workers()
        first = gate.take("first")
        write_keys(text(*KEYS[1:4]))
        wait_until(lambda: "session ticket keys have changed: there are 3" in log_text(), "the keys are read: %s" % log_text())
        wait_until(lambda: gate.take("second") != first and gate.take("third") != first, "both workers seal with the next key")
        need(gate.resumes("first") and gate.resumes("second"), "a ticket by a key that is still there: no resumption")
        write_keys(text(*KEYS[4:7]))
        wait_until(lambda: not gate.resumes("first") and not gate.resumes("first"), "keys that are gone open nothing")
        write_keys(b"short")
        wait_until(lambda: "session ticket keys of before stay" in log_text(), "a bad file is refused: %s" % log_text())
        need("ticket-keys 'tickets'" in log_text(), log_text())
        gate.take("last")
        need(gate.resumes("last"), "what ran goes on: no resumption")
        need(gate.workers() == workers, "the workers are others")


BAD = (
    (b"", 0o600, "it is empty"),
    (bytes(79), 0o600, "no whole number of keys"),
    (b"\0" + os.urandom(9 * 80 - 1), 0o600, "more than 8 keys"),
    (bytes(100000), 0o600, "no whole number of keys"),
    (text(*KEYS[:2]), 0o600, "fewer than 3 lines"),
    (text(*KEYS[:9]), 0o600, "more than 8 keys"),
    (text(KEYS[0], KEYS[1], b"short"), 0o600, "no base64 of 80 or 48 bytes"),
    (b"# ours\n" + text(*KEYS[:3]), 0o600, "leave comments and blanks out"),
    (text(*KEYS[:3]), 0o640, "others than its owner"),
    (text(*KEYS[:3]), 0o604, "others than its owner"),
)


@test
def bad_ticket_keys_are_refused():
    write_keys(text(*KEYS[:3]))
    with OneLine() as backend, TicketGate(backend.address) as gate:
        gate.take()
        for data, mode, line in BAD:
            write_keys(data, "bad", mode)
            gate.configure()
            run("sed", "-i", "s/ticket-keys = tickets/ticket-keys = bad/", "tickets.%d.conf" % gate.port)
            said = gate.reload(code=1)
            need(line in said and "ticket-keys 'bad'" in said, "%s: %s" % (line, said))
            need(not any(key.hex() in log_text() for key in KEYS), "a key in the log")
        if not os.geteuid():
            write_keys(text(*KEYS[:3]), "bad")
            os.chown(path("bad"), 65534, 0)
            need("it belongs to another user" in gate.reload(code=1), log_text())
        need(gate.resumes(), "what ran goes on: no resumption")


def ticket_key(*argv):
    return subprocess.run([TLSGATE, "ticket-key", *argv], cwd=tmp, capture_output=True, text=True, timeout=DEADLINE)


def lines_of(name):
    with open(path(name), "rb") as file:
        return file.read().splitlines()


def need_rights_kept():
    """Those of the file that a link leads to, which stays a link."""
    write_keys(text(*KEYS[:3]), "far", 0o400)
    if not os.geteuid():
        os.chown(path("far"), 65534, 65534)
    before = os.stat(path("far"))
    os.symlink("far", path("near"))
    result = ticket_key("new", "near")
    need(result.returncode == 0, "through a link: %s" % result)
    after = os.stat(path("far"))
    need(os.path.islink(path("near")) and lines_of("far") == lines_of("near") != text(*KEYS[:3]).splitlines(), "it leads there")
    need((after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode), "rights: %s" % (after,))
    os.unlink(path("near"))


@test
def the_tool_makes_and_rotates_ticket_keys():
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path("tickets"))
    need(ticket_key("new", "tickets").returncode == 0, "a new file")
    first = lines_of("tickets")
    need(len(set(first)) == 3 and os.stat(path("tickets")).st_mode & 0o777 == 0o600, "three keys, mode 0600: %s" % first)
    need(all(len(base64.b64decode(line)) == 80 for line in first), "80 bytes each")
    with OneLine() as backend, TicketGate(backend.address) as gate:
        sealed = gate.take("before")
        need(ticket_key("new", "tickets").returncode == 0, "it is rotated")
        second = lines_of("tickets")
        need(second[:2] == first[1:] and second[2] not in first, "the oldest goes: %s, %s" % (first, second))
        wait_until(lambda: gate.take() != sealed and gate.take() != sealed, "both workers seal with the next key")
        need(gate.resumes("before"), "a ticket of before the rotation: no resumption")
    need_rights_kept()
    write_keys(KEYS[0], "raw")
    write_keys(text(*KEYS[:3]), "open", 0o644)
    with contextlib.suppress(FileExistsError):
        os.symlink("nothing", path("astray"))
    for argv, code, line in ((("new", "raw"), 1, "it has raw keys"), (("new", "open"), 1, "others than its owner"),
                             (("new", "astray"), 1, "a link to a file that is not there"), (("new", "nowhere/x"), 1, "No such file or directory"), (("new",), 2, "new FILE"),
                             (("old", "tickets"), 2, "new FILE"), ((), 2, "new FILE")):
        result = ticket_key(*argv)
        need(result.returncode == code and line in result.stderr, "%s: %s" % (argv, result))
    need(lines_of("raw") and lines_of("open") == text(*KEYS[:3]).splitlines(), "what is refused stays as it was")
    need(not [name for name in os.listdir(tmp) if name.startswith("tickets.") and not name.endswith(".conf")],
         "nothing is left behind: %s" % os.listdir(tmp))


def locked_kib(pid):
    with open("/proc/%d/status" % pid) as file:
        return int(re.search(r"^VmLck:\s+(\d+) kB", file.read(), re.M)[1])


@test
def ticket_keys_are_in_locked_memory():
    write_keys(KEYS[0] + KEYS[1])
    with OneLine() as backend, TicketGate(backend.address) as gate:
        need(all(locked_kib(pid) >= 8 for pid in (gate.process.pid, *gate.workers())), "memory is not locked")
    with Backend() as backend, Gate("serve", backend.address, "--ticket-keys=tickets",
                                    before=("prlimit", "--memlock=0", "setpriv", "--bounding-set=-ipc_lock",
                                            "--inh-caps=-ipc_lock")) as gate:
        need("may be written to swap: raise the limit" in log_text() and not locked_kib(gate.process.pid), log_text())


def memory_of(pid):
    """What it may write, and what it shares with the monitor, piece by piece."""
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", buffering=0) as memory:
        for line in maps:
            where, rights = line.split()[:2]
            if not rights.startswith("rw") and "memfd:tlsgated-shared" not in line:
                continue
            begin, end = (int(number, 16) for number in where.split("-"))
            memory.seek(begin)
            yield memory.read(end - begin)


@test
def ticket_keys_are_in_processes_of_their_generation_alone():
    if os.geteuid() != 0:
        raise Skip("only root reads another process's memory")
    write_keys(text(*KEYS[:3]))
    with OneLine() as backend, TicketGate(backend.address) as gate:
        name = bytes.fromhex(gate.take().replace("-", " "))
        with gate.connect():
            old = gate.workers(), gate.keyd()
            gate.configure(name="next")
            gate.reload()
            new = [pid for pid in gate.workers() + gate.keyd() if pid not in old[0] + old[1]]
            need(len(new) >= 3 and any(name in piece for piece in memory_of(gate.process.pid)), "one goes on: %s" % new)
            for pid in new:
                need(not any(name in piece for piece in memory_of(pid)), "%s has a key of before" % name_of(pid))


@test
def the_keys_of_a_file_stay_in_no_memory():
    """Only what is derived from them, and that in the monitor and the workers alone: it begins with the ticket's name."""
    if os.geteuid() != 0:
        raise Skip("only root reads another process's memory")
    keys = [os.urandom(80) for _ in range(3)]
    write_keys(text(*keys))
    with OneLine() as backend, TicketGate(backend.address) as gate:
        name = bytes.fromhex(gate.take().replace("-", " "))
        processes = [gate.process.pid, *gate.workers(), *gate.keyd(), *children(gate.keyd()[0])]
        need(len(processes) >= 6, "processes: %s" % processes)
        for pid in processes:
            holds = any(name in piece for piece in memory_of(pid))
            need(holds == (pid == gate.process.pid or pid in gate.workers()), "%s, with derived keys: %s" % (name_of(pid), holds))
        for pid in processes:
            for piece in memory_of(pid):
                for key in keys:
                    need(key[20:36] not in piece and base64.b64encode(key)[20:44] not in piece, "%s has a key" % name_of(pid))
