# SPDX-License-Identifier: MIT
"""Reloads and starts that take their time: nothing waits for the processes that get ready."""

import contextlib
import os
import signal
import socket
import subprocess
import time

from daemonlib.control import ControlGate, is_gone, outcome
from daemonlib.gate import (DEADLINE, TLSGATE, Backend, children, echo, free_port, listens, log_text, name_of, need,
                            path, peer_name, run, start, test, tmp, wait_until, write)

# A process for which there is a file hold.NAME stops when it would load its filter, which is
# the last that it does before it is ready.
HOLD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int seccomp_load(void *filter)
{
	int (*real)(void *) = (int (*)(void *))dlsym(RTLD_NEXT, "seccomp_load");
	char name[16] = "", file[32];

	prctl(PR_GET_NAME, name, 0, 0, 0);
	snprintf(file, sizeof(file), "hold.%s", name);
	if (!access(file, F_OK))
		raise(SIGSTOP);
	return real(filter);
}
"""


def holdable():
    if not os.path.exists(path("hold.so")):
        run("gcc", "-shared", "-fPIC", "-o", "hold.so", write("hold.c", HOLD), "-ldl")
    return ["env", "LD_PRELOAD=" + path("hold.so")]


@contextlib.contextmanager
def held(name):
    """Processes of that name that are started meanwhile stop, and go on, or are gone, afterwards."""
    write("hold." + name, "")
    try:
        yield
    finally:
        os.unlink(path("hold." + name))


def state_of(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def stopped_child(process, name):
    """Waits for it."""
    def find():
        return [pid for pid in children(process.pid) if name_of(pid) == name and state_of(pid) == "T"]

    wait_until(lambda: find() or process.poll() is not None, name + " stops")
    need(process.poll() is None, log_text())
    return find()[0]


def is_running(pid):
    return state_of(pid) not in ("", "Z")


class SlowGate(ControlGate):
    """A reload of it takes until a process that is held goes on."""

    def __init__(self, backend, **options):
        super().__init__(backend, before=holdable(), **options)

    def reload(self):
        return subprocess.Popen([TLSGATE, "-S", self.socket, "reload"], cwd=tmp, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def need_end(process, status, text):
    said, _ = process.communicate(timeout=DEADLINE)
    need(process.returncode == status and text in said, "status %d: %s" % (process.returncode, said))


@test
def nothing_waits_for_a_reload():
    with Backend().echo() as backend, SlowGate(backend.address) as gate:
        old = gate.workers()
        with held("tlsgated-keyd"):
            reload = gate.reload()
            keyd = stopped_child(gate.process, "tlsgated-keyd")
        need(gate.ask(b"stats\n")["status"] == "ok" and gate.ask(b"gates\n")["status"] == "ok", "others are answered")
        outcome(gate.tlsgate("reload"), 1, "reload: a reload is under way")
        gate.process.send_signal(signal.SIGHUP)
        os.kill(old[0], signal.SIGKILL)
        wait_until(lambda: gate.workers() not in ([], old), "a dead worker is replaced")
        with gate.connect() as connection:
            echo(connection)
        silent = [gate.dial() for _ in range(40)]       # more than are served at once
        need(all(is_gone(client) for client in silent), "silent clients are dropped")
        need(reload.poll() is None and keyd in gate.keyd(), "it is still under way")
        os.kill(keyd, signal.SIGCONT)
        need_end(reload, 0, "reloaded")
        wait_until(lambda: log_text().count("reloaded") == 2, "SIGHUP was not forgotten")
        wait_until(lambda: len(gate.workers()) == len(gate.keyd()) == 1, "one generation is left")
        need("reload refused" not in log_text(), log_text())


@test
def a_stop_does_not_wait_for_a_reload():
    with Backend().echo() as backend, SlowGate(backend.address) as gate, held("tlsgated-keyd"):
        reload = gate.reload()
        keyd = stopped_child(gate.process, "tlsgated-keyd")
        begin = time.monotonic()
        gate.process.send_signal(signal.SIGTERM)
        need(gate.process.wait(DEADLINE) == 0 and time.monotonic() - begin < 5, "it ends at once")
        need_end(reload, 1, "reload refused: tlsgated ends")
        wait_until(lambda: not is_running(keyd), "keyd is gone")


@test
def a_stop_does_not_wait_for_the_start():
    with Backend() as backend, held("tlsgated-keyd"):
        port = free_port()
        process = start("serve", "127.0.0.1:%d" % port, backend.address, "--data-path=user", "--cert=one.pem",
                        "--key=one.key", before=holdable())
        keyd = stopped_child(process, "tlsgated-keyd")
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        need(process.wait(DEADLINE) == 0 and time.monotonic() - begin < 5, "it ends at once")
        wait_until(lambda: not is_running(keyd), "keyd is gone")
        need(not listens(port), "nobody listens")


@test
def a_process_that_never_gets_ready_is_given_up():
    for name, text in (("tlsgated-keyd", "keyd did not get ready: it takes too long"),
                       ("tlsgated-w0", "worker 0 did not get ready: it takes too long")):
        with Backend().echo() as backend, SlowGate(backend.address) as gate, held(name):
            workers = gate.workers()
            reload = gate.reload()
            pid = stopped_child(gate.process, name)
            wait_until(lambda: reload.poll() is not None, "the reload is given up", 30)
            need_end(reload, 1, text)
            wait_until(lambda: not is_running(pid), "it is gone")
            need(gate.workers() == workers, "the same workers")
            with gate.connect() as connection:
                echo(connection)


@test
def a_late_worker_that_never_gets_ready_is_replaced():
    with Backend().echo() as backend, SlowGate(backend.address) as gate:
        with held("tlsgated-w0"):
            os.kill(gate.workers()[0], signal.SIGKILL)
            pid = stopped_child(gate.process, "tlsgated-w0")
            wait_until(lambda: not is_running(pid), "it is ended", 30)
            second = stopped_child(gate.process, "tlsgated-w0")
        need("worker 0 did not get ready: it takes too long" in log_text(), log_text())
        os.kill(second, signal.SIGCONT)
        with gate.connect() as connection:
            echo(connection)


@test
def a_keyd_of_before_that_does_not_end_is_killed():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        with gate.connect() as connection:
            echo(connection)
            old = gate.keyd()[0]
            os.kill(old, signal.SIGSTOP)
            outcome(gate.tlsgate("reload"), 0)
            wait_until(lambda: not is_running(old), "its end")
            echo(connection)
        need("keyd of before (process %d) does not end: it is killed" % old in log_text(), log_text())


def shown(gate, times=8):
    """The names of the certificates that clients are shown."""
    names = set()
    for _ in range(times):
        with gate.connect() as connection:
            echo(connection)
            names.add(peer_name(connection))
    return names


@test
def no_worker_serves_before_all_are_ready():
    with Backend().echo() as backend, SlowGate(backend.address) as gate:
        for goes_on in (False, True):
            with open(path("control.conf")) as file:
                write("control.conf", file.read().replace("workers = 1", "workers = 2").replace("one.", "two."))
            with held("tlsgated-w1"):
                reload = gate.reload()
                worker = stopped_child(gate.process, "tlsgated-w1")
            need(shown(gate) == {"one"}, "a new worker accepts though the reload may be refused")
            os.kill(worker, signal.SIGCONT if goes_on else signal.SIGKILL)
            need_end(reload, 0 if goes_on else 1, "reloaded" if goes_on else "worker 1 did not get ready: signal 9")
            need(shown(gate) == {"two" if goes_on else "one"}, "and so goes on")


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


@test
def workers_of_before_leave_new_sockets_alone():
    """They are bound already, but nothing listens on them yet: to watch them would be to spin."""
    with Backend().echo() as backend, SlowGate(backend.address) as gate:
        old = gate.workers()
        had = descriptors(old[0])
        with open(path("control.conf")) as file:
            write("control.conf", file.read().replace("workers = 1", "workers = 3"))
        with held("tlsgated-keyd"):
            reload = gate.reload()
            keyd = stopped_child(gate.process, "tlsgated-keyd")
        os.kill(old[0], signal.SIGKILL)
        wait_until(lambda: gate.workers() not in ([], old), "a dead worker is replaced")
        need(shown(gate) == {"one"}, "it serves")
        wait_until(lambda: descriptors(gate.workers()[0]) == had, "it has sockets that do not listen")
        os.kill(keyd, signal.SIGCONT)
        need_end(reload, 0, "reloaded")
        need(shown(gate) == {"one"}, "all serve")


@test
def systemd_is_told_of_each_reload():
    with Backend() as backend, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path("notify"))
        notify.settimeout(DEADLINE)

        def states(count):
            lines = []
            while count:
                text = notify.recv(4096).decode()
                count -= not text.startswith("FDSTORE")
                lines += text.split("\n")
            return [line for line in lines if not line.startswith(("MONOTONIC_USEC=", "FD"))]

        with ControlGate(backend.address, before=["env", "NOTIFY_SOCKET=" + path("notify")]) as gate:
            need(states(1) == ["READY=1"], "the start")
            outcome(gate.tlsgate("reload"), 0)
            need(states(2) == ["RELOADING=1", "READY=1"], "a reload")
            gate.config("nonsense = 1")
            outcome(gate.tlsgate("reload"), 1)
            need(states(2) == ["RELOADING=1", "READY=1"], "a refused reload")
            gate.process.terminate()
            need(states(1) == ["STOPPING=1"], "the stop")
