# SPDX-License-Identifier: MIT
"""What sockets are set to: those that listen, what is accepted there, and those of backends."""

import os
import re
import socket
import stat
import subprocess

from daemonlib.gate import (DEADLINE, Backend, Gate, TlsServer, all_sockets_of, echo, free_port, log_text, need,
                            path, read_end, start, stopped, test, unread, wait_until, write)
from daemonlib.gate import listens as accepts
from daemonlib.limited import LimitedGate, UnixGate
from daemonlib.passing import SERVE, UpgradeGate, started_with

TCP_USER_TIMEOUT = 18
NOWHERE = "192.0.2.77"                          # no machine has it (RFC 5737)


def sockets(pid):
    """Copies of all TCP sockets of a process."""
    for copy in all_sockets_of(pid):
        with copy:
            if copy.family in (socket.AF_INET, socket.AF_INET6) and copy.type == socket.SOCK_STREAM:
                yield copy


def options(pid, listening, *names):
    return {tuple(s.getsockopt(socket.IPPROTO_TCP, name) for name in names) for s in sockets(pid)
            if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == listening}


@test
def tcp_gives_up_peers_when_the_gate_says():
    wanted = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, TCP_USER_TIMEOUT)
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--keepalive=40s", "--keepalive-interval=7s", "--keepalive-probes=3",
                 "--user-timeout=4500ms", "--workers=1") as gate, gate.connect() as connection:
        echo(connection)
        found = options(gate.workers()[0], 0, *wanted)
        need(found == {(40, 7, 3, 4500)}, "client and backend: %s" % found)


def listens(pid):
    """Backlogs of the sockets that listen, as ss has them, by their address."""
    text = subprocess.run(["ss", "-Hltnp"], check=True, capture_output=True, text=True).stdout
    return {line.split()[3]: int(line.split()[2]) for line in text.splitlines() if "pid=%d," % pid in line}


@test
def as_many_wait_to_be_accepted_as_the_gate_says():
    with Backend().echo() as backend, Gate("serve", backend.address, "--backlog=5", "--workers=1") as gate:
        need(set(listens(gate.process.pid).values()) == {5}, "%s" % listens(gate.process.pid))
        with gate.connect() as connection:
            echo(connection)
    with Backend() as backend, Gate("serve", backend.address, "--backlog=1000000") as gate:
        need("net.core.somaxconn is less" in log_text(), log_text())


class OptionGate(LimitedGate):
    """Of a file that reloads change."""

    def __init__(self, backend, setting):
        self.setting = setting
        super().__init__(backend, 1000)

    def settings(self):
        return self.setting

    def reload_with(self, setting):
        self.setting = setting
        self.config()
        return self.tlsgate("reload")


@test
def a_reload_changes_the_options_of_sockets_that_it_keeps():
    with Backend().echo() as backend, OptionGate(backend.address, "backlog = 7\n\tfast-open = true") as gate:
        pid = gate.process.pid
        need(set(listens(pid).values()) == {7}, "%s" % listens(pid))
        need(options(pid, 1, socket.TCP_FASTOPEN) != {(0,)}, "fast open is on")
        need(not gate.reload_with("backlog = 9").returncode, log_text())
        need(set(listens(pid).values()) == {9}, "%s" % listens(pid))
        need(options(pid, 1, socket.TCP_FASTOPEN) == {(0,)}, "fast open is off")
        need(not gate.reload_with("bind-device = lo").returncode, log_text())
        wait_until(lambda: set(listens(pid)) == {"127.0.0.1%%lo:%d" % gate.port}, "%s" % listens(pid))
        with gate.connect() as connection:
            echo(connection)
        ran = gate.reload_with("bind-device = nodevice0")
        need(ran.returncode and "there is no such network device" in ran.stdout + ran.stderr, "%s" % ran)
        with gate.connect() as connection:
            echo(connection)


def refused(*argv):
    """The log, with the line of a gate that does not start."""
    process = start("serve", *argv, "--cert", "one.pem", "--key", "one.key", "--workers=1")
    need(process.wait(30), "it starts")
    return log_text()


@test
def listens_where_no_address_is_yet():
    address = "%s:%d" % (NOWHERE, free_port())
    need("no interface of this machine has that address: give another one, or freebind" in
         refused(address, "127.0.0.1:9"), log_text())
    with Backend() as backend:
        process = start("serve", address, backend.address, "--cert", "one.pem", "--key", "one.key", "--freebind")
        wait_until(lambda: "listening on" in log_text() or process.poll() is not None, "it starts: " + log_text())
        need(address in listens(process.pid), "%s" % listens(process.pid))
        process.terminate()
        process.wait(30)


@test
def answers_are_marked():
    with Backend().echo() as backend, Gate("serve", backend.address, "--mark=0x2a", "--workers=1") as gate, \
            gate.connect() as connection:
        echo(connection)
        marks = sorted(s.getsockopt(socket.SOL_SOCKET, socket.SO_MARK) for s in sockets(gate.workers()[0])
                       if not s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        need(marks == [0, 42], "the backend's, and the client's: %s" % marks)


class AbstractBackend(Backend):
    """Of the network namespace, without a file."""

    def __init__(self):
        self.address = "unix:@tlsgate-test-%d" % free_port()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind("\0" + self.address[len("unix:@"):])
        self.listener.listen()
        self.listener.settimeout(DEADLINE)


@test
def a_backend_may_be_an_abstract_socket():
    with AbstractBackend().echo() as backend, Gate("serve", backend.address) as gate:
        with gate.connect() as connection:
            echo(connection, bytes(100000))


@test
def listens_on_a_unix_socket():
    with Backend().echo() as backend:
        for limit in (), ("--max-connections=50", "--max-per-address=1", "--accept-proxy=192.0.2.1", "--proxy-protocol"):
            with UnixGate("serve", backend.address, "--connection-log", *limit) as gate:
                need(stat.S_IMODE(os.stat(gate.path).st_mode) == 0o660, "mode %o" % os.stat(gate.path).st_mode)
                held = [gate.connect() for _ in range(20)]
                for connection in held:
                    if not limit:               # the header comes back first
                        echo(connection, bytes(100000))
                    connection.close()
                wait_until(lambda: log_text().count('client="unix:"') + log_text().count("client=unix:") == 20,
                           log_text())
            need(not os.path.exists(gate.path), "its file is left")


@test
def no_worker_waits_for_what_a_client_of_a_unix_socket_passes_along():
    """Before TLS, and where a PROXY header speaks for a client of TCP."""
    for options, first, then in ((("--starttls=smtp",), b"EHLO here\r\n", b"NOOP\r\n"),
                                 (("--accept-proxy=unix",), b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b"\x16\3\1"),
                                 (("--accept-proxy=unix", "--starttls=smtp"),
                                  b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b"NOOP\r\n")):
        with Backend() as backend, UnixGate("serve", backend.address, *options, "--workers=1") as gate:
            passed, peer = unread(4 * int(DEADLINE))
            with gate.connect_plain() as client, passed, peer:
                client.sendall(first)
                with stopped(gate.workers()[0]):
                    socket.send_fds(client, [then], [passed.fileno()])
                    passed.close()              # now the one underway is the last
                need(read_end(client), "it ends")
                with gate.connect_plain() as other:
                    other.sendall(b"PROXY UNKNOWN\r\n" if "proxy" in options[0] else b"")
                    other.sendall(b"no TLS\r\n\r\n")
                    other.recv(1)               # within its time


@test
def a_plain_client_may_come_by_a_unix_socket():
    with TlsServer() as server, \
            UnixGate("connect", server.address, "--ca=ca.pem", "--server-name=localhost") as gate, \
            gate.connect_plain() as connection:
        echo(connection, bytes(100000))


@test
def listens_on_an_abstract_socket():
    name = "unix:@tlsgate-test-%d" % free_port()
    with Backend().echo() as backend, UnixGate("serve", backend.address, listen=name) as gate:
        with gate.connect() as connection:
            echo(connection)
        need("another process listens there" in
             refused(name, backend.address), "a second daemon takes it: " + log_text())
    with UnixGate("serve", "127.0.0.1:9", listen=name):
        pass


@test
def the_file_of_a_unix_socket_has_the_rights_that_were_asked_for():
    file = path("gate.sock")
    with Backend().echo() as backend:
        listen = "unix:%s,mode=0604,user=65534,group=65534" % file
        with UnixGate("serve", backend.address, listen=listen) as gate:
            found = os.stat(file)
            need((stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o604, 65534, 65534), "%s" % (found,))
            need("another process listens there" in refused("unix:" + file, backend.address), log_text())
            with gate.connect() as connection:
                echo(connection)
        killed = UnixGate("serve", backend.address)
        killed.process.kill()
        killed.process.wait()
        need(os.path.exists(file), "nobody removed it")
        wait_until(lambda: "the monitor is gone" in log_text(), "its workers end")
        with UnixGate("serve", backend.address) as gate, gate.connect() as connection:
            echo(connection)                    # the next one takes its place
        write("gate.sock", "no socket")
        need("there is a file that is no socket" in refused("unix:" + file, backend.address), log_text())
        need(os.path.exists(file), "it is removed")
        os.unlink(file)
        for words, why in ((",mode=9", "may stand"), (",colour=red", "may stand"), (",user=nobody.of.that.name", "no such user")):
            need(why in refused("unix:" + file + words, backend.address), log_text())
            need(not os.path.exists(file), "its file is left")
        need("stays in the daemon" in refused("unix:" + file, backend.address, "--data-path=kernel"), log_text())
        os.symlink(os.path.dirname(file), path("here"))
        for same in file, file.replace("/tmp/", "/tmp//"), path("here/gate.sock"):
            need("it leads back to what this gate listens on" in refused("unix:" + file, "unix:" + same), log_text())


class UnixControlGate(UpgradeGate):
    """Of a file, and on a UNIX socket as well."""

    def config(self, *argv, **options):
        self.file = path("second.sock")
        super().config(*argv, **options)
        self.listen_on('{"unix:%s", "127.0.0.1:%d"}' % (self.file, self.port))

    def listen_on(self, addresses):
        with open(path("control.conf"), encoding="ascii") as file:
            text = file.read()
        write("control.conf", re.sub("listen = .*", "listen = " + addresses, text))

    def connect_plain(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE)
        connection.connect(self.file)
        return connection


@test
def a_unix_socket_outlives_reloads_and_upgrades():
    with Backend().echo() as backend, UnixControlGate(backend.address) as gate:
        inode = os.stat(gate.file).st_ino
        for order in "reload", "upgrade":
            with gate.connect() as connection:
                ran = gate.tlsgate(order)
                need(not ran.returncode, "%s: %s" % (ran, log_text()))
                echo(connection)
            with gate.connect() as connection:
                echo(connection)
            need(os.stat(gate.file).st_ino == inode, "it is another one after " + order)
    need(not os.path.exists(gate.file), "its file is left")


def rights(file):
    found = os.stat(file)
    return oct(stat.S_IMODE(found.st_mode)), found.st_uid, found.st_gid


@test
def a_reload_changes_the_rights_of_a_unix_socket():
    with Backend().echo() as backend, UnixControlGate(backend.address) as gate:
        need(rights(gate.file) == ("0o660", 0, 0), "%s" % (rights(gate.file),))
        for words, wanted in ((",mode=0604,user=65534", ("0o604", 65534, 0)), (",mode=0604,group=65534", ("0o604", 0, 65534)),
                              (",mode=0600,user=nobody.of.that.name", None), ("", ("0o660", 0, 0))):
            before = rights(gate.file)
            gate.listen_on('{"unix:%s%s", "127.0.0.1:%d"}' % (gate.file, words, gate.port))
            ran = gate.tlsgate("reload")
            need(bool(ran.returncode) == (not wanted), "%s: %s" % (ran, log_text()))
            need(rights(gate.file) == (wanted or before), "%s: %s" % (words, rights(gate.file)))
        os.chmod(gate.file, 0o777)
        gate.upgrade()
        need(rights(gate.file) == ("0o660", 0, 0), "after an upgrade: %s" % (rights(gate.file),))
        with gate.connect_plain():
            pass


@test
def a_drain_leaves_unix_sockets_alone():
    """Those of one gate keep no other address from being drained; a gate that has no other is refused."""
    with Backend().echo() as backend, UnixControlGate(backend.address) as gate:
        for order in ("drain",), ("drain", "--gate", "web"):
            ran = gate.tlsgate(*order)
            need(ran.returncode == 0 and "drained: " in ran.stdout + ran.stderr and
                 "web: unix:%s goes on listening: a UNIX socket cannot" % gate.file in ran.stdout + ran.stderr, "%s" % ran)
            need(not accepts(gate.port), "the TCP listener")
            need(" drained " in gate.tlsgate("gates").stdout, "its state")
            with gate.connect() as connection:
                echo(connection)
            ran = gate.tlsgate(*order).returncode or gate.tlsgate("un" + order[0], *order[1:]).returncode
            need(not ran and accepts(gate.port), "undrain: %s" % ran)
        gate.listen_on('"unix:%s"' % gate.file)
        need(not gate.tlsgate("reload").returncode, log_text())
        ran = gate.tlsgate("drain")
        need(ran.returncode == 1 and "cannot listen again" in ran.stdout + ran.stderr, "%s" % ran)
        need(" serving " in gate.tlsgate("gates").stdout, "its state")


@test
def nobody_is_waited_for_by_what_waits_at_a_unix_socket():
    """The last to close it is the worker that drains, or the monitor where nobody accepts."""
    with Backend().echo() as backend, UnixControlGate(backend.address) as gate, gate.connect() as connection:
        echo(connection)
        passed, peer = unread(4 * int(DEADLINE))
        with peer:
            with stopped(gate.workers()[0]):
                client = gate.connect_plain()
                socket.send_fds(client, [b"x"], [passed.fileno()])
                passed.close()
                gate.listen_on('"127.0.0.1:%d"' % gate.port)
                need(not gate.tlsgate("reload").returncode, log_text())
            with client:
                echo(connection)


class UnitGate(UnixGate):
    """Its socket is a socket unit's."""

    def __init__(self, backend, listener):
        self.path = path("unit.sock")
        self.listen = "unix:" + self.path
        self.process = started_with([listener.fileno()], ["tlsgated.socket"], "serve", self.listen, backend,
                                    *SERVE, "--workers=2")
        self.ready(1)


@test
def a_unix_socket_may_be_a_socket_units():
    with Backend().echo() as backend, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path("unit.sock"))
        listener.listen()
        with UnitGate(backend.address, listener) as gate:
            for _ in range(8):
                with gate.connect() as connection:
                    echo(connection)
        need(os.path.exists(gate.path), "its file is removed, which is systemd's")
    os.unlink(path("unit.sock"))
