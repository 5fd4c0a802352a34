# SPDX-License-Identifier: MIT
"""Limits count what the kernel carries; the module must be loaded."""

import fcntl
import os

from daemonlib.gate import Backend, Gate, echo, need, stopped, test, wait_until
from daemonlib.kernel import descriptors, handed_over, open_ledger, sessions
from daemonlib.limited import LimitedGate, close_all, connect_from, is_refused, is_taken

F_SETPIPE_SZ = 1031


def in_kernel(count):
    wait_until(lambda: len(sessions()) == count, "%d sessions: %s" % (count, sessions()))


@test
def limits_count_what_the_kernel_carries():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--max-connections=4", "--max-per-address=3", "--verbose",
                 path="kernel") as gate:
        held = [gate.connect() for _ in range(3)]
        handed_over(3)
        # the monitor hears of the last hand-over a moment later
        wait_until(lambda: is_refused(gate.connect), "a fourth connection of the address is refused")
        held.append(connect_from(gate, "127.0.0.2"))
        wait_until(lambda: is_refused(connect_from, gate, "127.0.0.3"), "a fifth connection is refused")
        in_kernel(4)
        for connection in held:
            echo(connection)
        held.pop().close()
        wait_until(lambda: not is_refused(connect_from, gate, "127.0.0.3"), "one is taken once another has ended")
        held.pop().close()
        wait_until(lambda: is_taken(gate, held), "also of the address")
        close_all(*held)
        in_kernel(0)


@test
def limits_count_what_a_daemon_of_before_left_in_the_kernel():
    with Backend().echo() as backend:
        with LimitedGate(backend.address, 2, "kernel") as gate:
            held = [gate.connect() for _ in range(2)]
            for connection in held:
                echo(connection)
            in_kernel(2)
        with LimitedGate(backend.address, 2, "kernel") as gate:
            need(is_refused(gate.connect), "a third connection is taken")
            gate.reload(3)
            held.append(gate.connect())
            wait_until(lambda: is_refused(gate.connect), "a fourth connection is refused after a reload")
            for connection in held:
                echo(connection)
            close_all(*held)
            wait_until(lambda: not is_refused(gate.connect), "one is taken once those have ended")
        in_kernel(0)


@test
def hand_overs_that_the_monitor_misses_count_as_well():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--max-connections=20", "--workers=1", path="kernel") as gate:
        ledger = open_ledger(gate)
        fcntl.fcntl(ledger, F_SETPIPE_SZ, 4 * 4096)
        os.close(ledger)
        with stopped(gate.process.pid):
            held = [gate.connect() for _ in range(20)]      # more than the pipe to it has room for
            in_kernel(20)
        wait_until(lambda: is_refused(gate.connect), "one more is refused")
        close_all(*held)
        in_kernel(0)


@test
def slow_clients_in_the_kernel_take_nothing_of_a_worker():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--max-connections=100", "--verbose", "--workers=1", path="kernel") as gate:
        before = descriptors(gate.workers()[0])
        held = [gate.connect() for _ in range(30)]
        handed_over(30)
        for _ in range(3):
            for connection in held:
                echo(connection, b"a")
        need(descriptors(gate.workers()[0]) == before, "descriptors: %d, then %d" %
             (before, descriptors(gate.workers()[0])))
        close_all(*held)
        in_kernel(0)
