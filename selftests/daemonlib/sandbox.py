# SPDX-License-Identifier: MIT
"""What the processes of tlsgated give up, and whom they run as."""

import os
import socket
import subprocess

from daemonlib.gate import (DEADLINE, TLSGATE, Backend, Gate, children, echo, need, test, tmp,
                            wait_until)

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
