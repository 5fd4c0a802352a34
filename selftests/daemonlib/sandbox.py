# SPDX-License-Identifier: MIT
"""What the processes of tlsgated give up, and whom they run as."""

import os
import re
import shutil
import signal
import socket
import subprocess

from daemonlib.gate import (DEADLINE, TLSGATE, TLSGATED, Backend, Gate, Skip, children, echo, first_answerer, free_port,
                            keepalive_timers, log_text, may_write_shared, need, open_files_of, path, run, start, test, tmp,
                            wait_until, write)

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


# ---- memory ------------------------------------------------------------------------------------

@test
def no_child_writes_what_others_read():
    """A worker its rows alone; the monitor writes where backends are, and what is paused."""
    need_root()
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        gate.process.send_signal(signal.SIGHUP)     # the new ones are forked while the old have their memory
        wait_until(lambda: "reloaded" in log_text() and len(gate.workers()) == 2, "a reload")
        answerers = children(gate.keyd()[0])
        need(len(may_write_shared(gate.process.pid)) > 2, "the monitor's are seen")
        first, second = (set(may_write_shared(pid)) for pid in gate.workers())
        need(len(first) == len(second) == 2, "workers: what they count, and to which backends: %s, %s" % (first, second))
        need(not first & second, "both workers: %s" % (first & second))
        need(len(answerers) == 2, "answerers")
        for pid in (*gate.keyd(), *answerers):
            need(not may_write_shared(pid), "%d: %s" % (pid, may_write_shared(pid)))


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


# ---- a filter that does not let a worker work --------------------------------------------------

# Stands in for a libc or libcrypto of tomorrow: where the file says so when the filter is loaded,
# accepting a connection makes a forbidden call, and so does an answerer's first quick signature;
# or only ChaCha20.
# The file is mapped, since an answerer, which keyd forks, can open none.
TOMORROW = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *tomorrow;
static int wanted, chacha;

__attribute__((constructor)) static void map(void)
{
	tomorrow = mmap(0, 1, PROT_READ, MAP_SHARED, open("tomorrow", O_RDONLY), 0);
}

int seccomp_load(void *filter)
{
	int (*real)(void *) = (int (*)(void *))dlsym(RTLD_NEXT, "seccomp_load");

	wanted = *tomorrow == 'y';
	chacha = *tomorrow == 'c';
	return real(filter);
}

int EVP_CipherInit_ex2(void *ctx, const void *cipher, const unsigned char *key, const unsigned char *iv, int enc,
		       const void *params)
{
	int (*real)(void *, const void *, const unsigned char *, const unsigned char *, int, const void *) =
		(int (*)(void *, const void *, const unsigned char *, const unsigned char *, int, const void *))
		dlsym(RTLD_NEXT, "EVP_CipherInit_ex2");
	int (*is_a)(const void *, const char *) = (int (*)(const void *, const char *))dlsym(RTLD_NEXT, "EVP_CIPHER_is_a");

	if (chacha && cipher && is_a(cipher, "ChaCha20-Poly1305"))
		syscall(SYS_ptrace, 0, 0, 0, 0);
	return real(ctx, cipher, key, iv, enc, params);
}

int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *cpus)
{
	if (wanted)
		syscall(SYS_ptrace, 0, 0, 0, 0);
	return syscall(SYS_sched_setaffinity, pid, size, cpus);
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	if (wanted)
		syscall(SYS_ptrace, 0, 0, 0, 0);
	return syscall(SYS_accept4, fd, address, len, flags);
}
"""


def tomorrow(there):
    if not os.path.exists(path("tomorrow.so")):
        run("gcc", "-shared", "-fPIC", "-o", "tomorrow.so", write("tomorrow.c", TOMORROW), "-ldl")
    with open(path("tomorrow"), "r+" if os.path.exists(path("tomorrow")) else "w") as file:
        file.write(there or "n")
    return ["env", "LD_PRELOAD=" + path("tomorrow.so")]


def serves(pid, port):
    """Has it a connection that was accepted at port?"""
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in list(file)[1:]]
    inodes = {row[9] for row in rows if row[1].endswith(":%04X" % port) and row[3] == "01"}
    return any(link == "socket:[%s]" % inode for link in open_files_of(pid).values() for inode in inodes)


FORBIDDEN = "worker 0: the sandbox forbids the system call ptrace: this process ends"


@test
def no_worker_that_works_no_daemon():
    text = refusal("--workers=1", before=tomorrow("y"))
    tomorrow(None)
    need(FORBIDDEN in text and "worker 0 did not get ready: signal 31" in text, text)
    need("listening on" not in text and text.count("sandbox") == 2, text)


@test
def each_gate_is_tried_under_the_filter():
    gates = ["""gate %s {
	mode = %s
	data-path = user
	listen = "127.0.0.1:%d"
	backend = "localhost:1"
	ciphersuites = %s
	%s
}
""" % (name, mode, free_port(), suite, more)
             for name, mode, suite, more in (
                 ("one", "serve", "TLS_AES_128_GCM_SHA256", "cert = one.pem  key = one.key"),
                 ("two", "connect", "TLS_AES_128_GCM_SHA256", "ca = ca.pem"),
                 ("three", "serve", "TLS_AES_256_GCM_SHA384", "cert = two.pem  key = two.key"),
                 ("four", "connect", "TLS_CHACHA20_POLY1305_SHA256", "ca = ca.pem"),
                 ("five", "serve", "TLS_CHACHA20_POLY1305_SHA256", "cert = one.pem  key = one.key"))]
    for chosen, serves in ((gates[:4], False), (gates[:3] + gates[4:], False), (gates[:3], True)):
        write("gates.conf", "workers = 2\n" + "".join(chosen))
        process = start("-c", "gates.conf", before=tomorrow("c"))
        try:
            wait_until(lambda: "listening on" in log_text() or process.poll() is not None, "an outcome")
        finally:
            tomorrow(None)
            process.terminate()
            process.wait(DEADLINE)
        need(("listening on" in log_text()) == serves, log_text())
        need(serves or re.search(r"worker \d did not get ready: signal 31", log_text()), log_text())


def one_gate(port, backend, more):
    return write("refused.conf", """gate web {
	mode = serve
	data-path = user
	listen = "127.0.0.1:%d"
	backend = "%s"
	cert = one.pem
	key = one.key
	%s
""" % (port, backend, more))


class TomorrowGate(Gate):
    """With a configuration file; the next workers die at their first accept after tomorrow("y")."""

    def __init__(self, backend, more):
        self.port = free_port()
        one_gate(self.port, backend, more)
        self.process = start("-c", "refused.conf", before=tomorrow(None))
        self.ready(1)


@test
def a_refused_reload_leaves_the_sockets_as_they_were():
    control = 'control = "%s"\n' % path("control")
    with Backend().echo() as backend, TomorrowGate(backend.address, "keepalive = 0 }\nworkers = 1\n" + control) as gate:
        tomorrow("y")
        one_gate(gate.port, backend.address, "keepalive = 1h }\nworkers = 3\ncontrol-mode = 0666\n" + control)
        gate.process.send_signal(signal.SIGHUP)
        try:
            wait_until(lambda: "reload refused" in log_text(), "it is refused")
        finally:
            tomorrow(None)
        need("did not get ready" in log_text(), "once it listened: " + log_text())
        need(os.stat(path("control")).st_mode & 0o777 == 0o660, "the control socket is for whom it was")
        for _ in range(12):         # none may wait in the queue of a worker that is not there
            with gate.connect() as connection:
                echo(connection)
                need(set(keepalive_timers(gate.port)) == {None}, "no probes, as before")


@test
def a_worker_that_the_filter_ends_before_it_serves_ends_the_daemon():
    with Backend().echo() as backend:
        gate = Gate("serve", backend.address, "--workers=2", before=tomorrow(None))
        try:
            with gate.connect() as connection:
                victim = next(pid for pid in gate.workers() if not serves(pid, gate.port))
                tomorrow("y")
                os.kill(victim, signal.SIGKILL)
                wait_until(lambda: "tlsgated ends" in log_text(), "it ends")
                echo(connection)
            need(gate.process.wait(DEADLINE) == 1, "exit status %d" % gate.process.returncode)
        finally:
            tomorrow(None)
            gate.process.kill()
        need("the sandbox forbids the system call ptrace: this process ends" in log_text() and
             log_text().count("died before it served") == 1, log_text())


@test
def answerers_that_the_filter_ends_end_the_daemon():
    with Backend().echo() as backend:
        gate = Gate("serve", backend.address, "--workers=1", "--handshake-timeout=2s", "--stop-time=1h",
                    before=tomorrow(None))
        try:
            with gate.connect() as connection:
                tomorrow("y")
                os.kill(first_answerer(gate), signal.SIGKILL)

                def over():
                    try:
                        gate.connect().close()
                    except OSError:
                        pass
                    return "tlsgated ends" in log_text()

                wait_until(over, "it ends")
                echo(connection)
            need(gate.process.wait(DEADLINE) == 1, "exit status %d" % gate.process.returncode)
        finally:
            tomorrow(None)
            gate.process.kill()
        need(log_text().count("the sandbox forbids the system call ptrace: this process ends") == 3 and
             log_text().count("the sandbox ends one answerer after another") == 1, log_text())
