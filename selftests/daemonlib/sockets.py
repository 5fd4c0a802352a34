# SPDX-License-Identifier: MIT
"""What sockets are set to: those that listen, what is accepted there, and those of backends."""

import socket
import subprocess

from daemonlib.gate import (DEADLINE, Backend, Gate, all_sockets_of, echo, free_port, log_text, need, start, test,
                            wait_until)
from daemonlib.limited import LimitedGate

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
    """Its line, of a gate that does not start."""
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
