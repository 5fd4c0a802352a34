# SPDX-License-Identifier: MIT
"""SIGQUIT and SIGUSR1: what is open goes on for drain-time, with the monitor or without it."""

import os
import select
import signal

from daemonlib.gate import (DEADLINE, Backend, Gate, Hello, echo, listens, log_text, need, need_alert, test,
                            wait_until)
from daemonlib.kills import session


def last_line():
    return log_text().splitlines()[-1]


def need_farewell(pattern=""):
    need("tlsgated: ended; " in last_line() and pattern in last_line(), "the last line: " + last_line())


def begun_handshake(gate):
    hello = Hello(gate)
    need(select.select([hello.socket], [], [], DEADLINE)[0], "no ServerHello")
    return hello


@test
def sigquit_lets_connections_go_on():
    with Backend().echo() as backend, Gate("serve", backend.address, "--stop-time=0") as gate:
        hello = begun_handshake(gate)
        with gate.connect() as connection:
            echo(connection)
            gate.process.send_signal(signal.SIGQUIT)
            wait_until(lambda: not listens(gate.port), "nothing more is accepted")
            hello.finish()
            hello.socket.close()
            echo(connection)
            need(gate.process.poll() is None, "it waits for them")
            connection.unwrap()
        need(gate.process.wait(DEADLINE) == 0, "exit status")
        need_farewell("the kernel")


@test
def sigquit_has_a_limit_and_a_second_signal_ends_at_once():
    for options, second in ((("--drain-time=1s",), None), ((), signal.SIGTERM), ((), signal.SIGQUIT)):
        with Backend().echo() as backend, Gate("serve", backend.address, *options) as gate, \
                gate.connect() as connection:
            echo(connection)
            gate.process.send_signal(signal.SIGQUIT)
            wait_until(lambda: not listens(gate.port), "nothing more is accepted")
            if second:
                gate.process.send_signal(second)
            need_alert(connection)
            need(gate.process.wait(DEADLINE) == 0, "exit status")


def left_behind(gate):
    """Its workers, after SIGUSR1 ended the monitor."""
    workers = gate.workers()
    gate.process.send_signal(signal.SIGUSR1)
    need(gate.process.wait(DEADLINE) == 0, "exit status")
    need(not listens(gate.port), "nothing more is accepted")
    return workers


def have_ended(gate):
    wait_until(lambda: not session(gate.process.pid), "every process ends")


@test
def sigusr1_leaves_connections_to_workers():
    with Backend().echo() as backend, Gate("serve", backend.address, before=["setsid"]) as gate:
        hello = begun_handshake(gate)
        with gate.connect() as connection:
            echo(connection)
            left_behind(gate)
            need_farewell("in workers, until drain-time: 2 (processes: ")
            need("monitor is gone" not in log_text(), "that is no fault")
            hello.finish()
            hello.socket.close()
            echo(connection)
            connection.unwrap()
        have_ended(gate)


@test
def workers_left_behind_have_a_limit():
    with Backend().echo() as backend, Gate("serve", backend.address, "--drain-time=1s", before=["setsid"]) as gate, \
            gate.connect() as connection:
        echo(connection)
        left_behind(gate)
        need_alert(connection)
        have_ended(gate)


@test
def workers_end_in_order_when_the_machine_stops():
    """SIGTERM is the monitor's, until there is none: then systemd sends it to what is left."""
    with Backend().echo() as backend, Gate("serve", backend.address, "--workers=1", before=["setsid"]) as gate, \
            gate.connect() as connection:
        echo(connection)
        os.kill(gate.workers()[0], signal.SIGTERM)
        echo(connection)
        os.kill(left_behind(gate)[0], signal.SIGTERM)
        need_alert(connection)
        have_ended(gate)
