# SPDX-License-Identifier: MIT
"""What the processes of tlsgated give up, and whom they run as."""

import os
import shutil
import socket
import subprocess

from daemonlib.gate import (DEADLINE, TLSGATE, TLSGATED, Backend, Gate, Skip, children, echo, free_port,
                            need, test, tmp, wait_until)

CLOSED = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")


# ---- descriptors 0 to 2 ------------------------------------------------------------------------

class SilentGate(Gate):
    """Started with standard input, output and error closed: it says nothing, also not when it listens."""

    def ready(self, times):
        wait_until(lambda: self.listens() or self.process.poll() is not None, "tlsgated listens")
        need(self.process.poll() is None, "tlsgated ended")

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@test
def closed_standard_descriptors_are_nobodys():
    with Backend().echo() as backend, SilentGate("serve", backend.address, "--verbose",
                                                 before=CLOSED) as gate:
        wait_until(lambda: len(gate.workers()) == 2 and gate.keyd(), "children")
        with gate.connect() as connection:
            echo(connection)
            for pid in [gate.process.pid, *gate.workers(), *gate.keyd(), *children(gate.keyd()[0])]:
                for number in range(3):
                    what = os.readlink("/proc/%d/fd/%d" % (pid, number))
                    need(what == "/dev/null", "%d of process %d is %s" % (number, pid, what))


@test
def the_tool_prints_to_nobody_where_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tool = subprocess.Popen([*CLOSED, TLSGATE, "handshake",
                                 "127.0.0.1:%d" % listener.getsockname()[1]], cwd=tmp)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(DEADLINE)
            connection.recv(1)
            links = [os.readlink("/proc/%d/fd/%d" % (tool.pid, number)) for number in range(3)]
        tool.wait(DEADLINE)
    need(links == ["/dev/null"] * 3, "its descriptors 0 to 2 are %s" % links)


# ---- users and capabilities --------------------------------------------------------------------

def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root")


def status_of(pid):
    with open("/proc/%d/status" % pid) as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file)


def runs_as(pid, user, group):
    status = status_of(pid)
    for key, value in (("Uid", user), ("Gid", group)):
        need(status[key].split() == [str(value)] * 4, "%s of process %d is %s" % (key, pid, status[key]))
    need(status["Groups"].strip() == "", "groups of process %d are %s" % (pid, status["Groups"]))


@test
def users_may_be_ids_and_two():
    need_root()
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--user=4711", "--key-user=4712", "--workers=1") as gate:
        with gate.connect() as connection:
            echo(connection)
        runs_as(gate.workers()[0], 4711, 4711)
        for pid in [*gate.keyd(), *children(gate.keyd()[0])]:
            runs_as(pid, 4712, 4712)


def refusal(*options, before=()):
    result = subprocess.run([*before, TLSGATED, "serve", "127.0.0.1:%d" % free_port(), "127.0.0.1:1",
                             "--cert=one.pem", "--key=one.key", "--data-path=user", *options], cwd=tmp,
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)
    need(result.returncode == 1, "exit status %d: %s" % (result.returncode, result.stderr))
    return result.stderr


@test
def root_is_no_user_for_workers():
    need_root()
    for option, user, why in (("user", "root", "root"), ("user", "0", "root"), ("key-user", "root", "root"),
                              ("user", "no-such-user", "there is no such user"),
                              ("user", "4294967295", "there is no such user")):
        text = refusal("--%s=%s" % (option, user))
        need("%s '%s' refused: " % (option, user) in text and why in text, text)


def with_capabilities(names):
    if not shutil.which("setpriv"):
        raise Skip("setpriv is not installed")
    return ["setpriv", "--bounding-set=-all," + ",".join("+" + name for name in names)]


@test
def two_capabilities_are_enough_for_roots_part():
    need_root()
    with Backend().echo() as backend, \
            Gate("serve", backend.address, before=with_capabilities(("setuid", "setgid"))) as gate:
        with gate.connect() as connection:
            echo(connection)
        for pid in [*gate.workers(), *gate.keyd()]:
            for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                need(int(status_of(pid)[kind], 16) == 0, "%s of process %d" % (kind, pid))


@test
def a_capability_that_is_missing_is_named():
    need_root()
    for has, lacks in (("setuid", "CAP_SETGID"), ("setgid", "CAP_SETUID")):
        text = refusal(before=with_capabilities((has,)))
        need("root lacks " + lacks in text, text)
