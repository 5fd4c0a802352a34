# SPDX-License-Identifier: MIT
"""Backends that are names, in a mount namespace with a hosts file of the test's."""

import contextlib
import os
import shutil
import signal
import socket
import struct

from daemonlib.gate import (DEADLINE, Backend, Gate, Skip, children, echo, free_port, log_text, may_write_shared, name_of, need,
                            need_alert, path, sockets_of, start, stopped, test, unread, wait_until, write)

HOSTS = """mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf &&
exec "$@\""""


class NamesGate(Gate):
    """Gates known and unknown, of which the latter's backend is a name that nobody knows yet."""

    def __init__(self, backend, more="", process="", mount="", environment=(), before=(), server="127.0.0.1",
                 name="backend.test"):
        if os.geteuid() != 0 or not shutil.which("unshare"):
            raise Skip("needs root and unshare")
        write("hosts", "")
        write("resolv.conf", "nameserver %s\noptions timeout:1 attempts:1\n" % server)
        self.ports = free_port(), free_port()
        self.port = self.ports[1]
        text = "workers = 1\nstop-time = 0\n" + process
        for name, port, to in (("known", self.ports[0], backend),
                               ("unknown", self.ports[1], backend.replace("127.0.0.1", name))):
            text += ("gate %s {\nmode = serve\nlisten = {\"127.0.0.1:%d\"}\nbackend = \"%s\"\n"
                     "cert = {\"one.pem\"}\nkey = {\"one.key\"}\ndata-path = user\n%s}\n" %
                     (name, port, to, more))
        write("names.conf", text)
        self.process = start("-c", "names.conf",
                             before=["unshare", "-m", "sh", "-c", mount + HOSTS, "sh", "env", *environment, *before])
        self.ready(2)

    def connect_to(self, port):
        self.port = port
        connection = self.connect()
        self.port = self.ports[1]
        return connection


@test
def a_name_that_does_not_resolve_keeps_its_own_gate_waiting():
    with Backend().echo() as backend, NamesGate(backend.address) as gate:
        wait_until(lambda: "unknown: backend 'backend.test" in log_text() and
                   "cannot be resolved" in log_text(), "it is said")
        with gate.connect_to(gate.ports[0]) as connection:
            echo(connection)
        with gate.connect() as connection:
            connection.sendall(b"x")
            write("hosts", "127.0.0.1 backend.test\n")
            need(connection.recv(1) == b"x", "it was reached at last")
        need(log_text().count("cannot be resolved") == 1, "said once: " + log_text())
        wait_until(lambda: "is resolved" in log_text(), "that it is known is said, too")


@test
def a_name_that_no_process_can_ask_for_is_told():
    """The worker and the process that resolves are all that the user may have; keyd's are another's."""
    with Backend().echo() as backend, \
            NamesGate(backend.address, process="user = 4798\nkey-user = 4799\n", before=("prlimit", "--nproc=2")) as gate:
        wait_until(lambda: "cannot be resolved: no process to ask for it" in log_text(), "it is said")
        with gate.connect_to(gate.ports[0]) as connection:
            echo(connection)


@test
def localhost_is_asked_of_nobody():
    with Backend().echo() as backend, NamesGate(backend.address) as gate:
        write("names.conf", open(path("names.conf")).read().replace("backend.test", "localhost"))
        gate.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in log_text() or "refused" in log_text(), "a reload")
        need(answers(gate) == b"x", "this host: " + log_text())


@test
def a_dry_run_asks_for_names():
    with Backend().echo() as backend, NamesGate(backend.address):
        process = start("-t", "-c", "names.conf", before=["unshare", "-m", "sh", "-c", HOSTS, "sh"])
        need(process.wait(DEADLINE) == 2, "warnings alone: " + log_text())
        need("gate 'unknown': backend 'backend.test" in log_text() and
             "connections wait until it is resolved" in log_text(), "says: " + log_text())
        write("hosts", "127.0.0.1 backend.test\n")
        process = start("-t", "-c", "names.conf", before=["unshare", "-m", "sh", "-c", HOSTS, "sh"])
        need(process.wait(DEADLINE) == 0, "nothing is wrong: " + log_text())


@test
def a_name_that_leads_back_is_not_used():
    with Backend().echo() as backend, NamesGate(backend.address, "connect-timeout = 200ms\n") as gate:
        listen = gate.ports[1]
        write("names.conf", open(path("names.conf")).read().replace(
            "backend.test:" + backend.address.split(":")[1], "backend.test:%d" % listen))
        write("hosts", "127.0.0.1 backend.test\n")
        gate.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "it leads back to what this gate listens on" in log_text(), "it is said")
        with gate.connect() as connection:
            try:
                need(connection.recv(1) != b"", "a clean end")
            except OSError as error:
                need("INTERNAL_ERROR" in str(error).upper(), "an alert is wanted, not: %s" % error)


@test
def names_that_lead_back_over_another_gate_are_not_used():
    with Backend().echo() as backend, NamesGate(backend.address) as gate:
        known, unknown = gate.ports
        text = open(path("names.conf")).read()
        write("names.conf", text.replace('"%s"' % backend.address, '"backend.test:%d"' % unknown).replace(
            '"backend.test:%s"' % backend.address.split(":")[1], '"backend.test:%d"' % known))
        write("hosts", "127.0.0.1 backend.test\n")
        gate.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "it leads back to what this gate listens on" in log_text(), "it is said")
        need(log_text().count("leads back") == 1, "of one of the two: " + log_text())


@test
def a_name_that_stays_unknown_fails_its_connections():
    with Backend() as backend, NamesGate(backend.address, "connect-timeout = 200ms\n") as gate:
        need_alert(gate.connect())
        wait_until(lambda: "(no address) cannot be reached: its name is not resolved" in log_text(), log_text())


def backend_at(host, address):
    """A backend at the same port of another address of this host; "" is all of them."""
    other = Backend.__new__(Backend)
    other.listener = socket.create_server((host, int(address.split(":")[1])))
    other.listener.settimeout(15)
    return other


def answers(gate):
    with gate.connect() as connection:
        connection.sendall(b"x")
        return connection.recv(1)


@test
def a_name_is_resolved_again():
    with Backend().echo() as backend, NamesGate(backend.address, "resolve-interval = 200ms\n") as gate:
        write("hosts", "127.0.0.1 backend.test\n")
        wait_until(lambda: answers(gate) == b"x", "the first")
        with backend_at("127.0.0.2", backend.address) as other:
            backend.listener.shutdown(socket.SHUT_RDWR)     # also wakes who waits in accept()
            other.echo()
            write("hosts", "127.0.0.2 backend.test\n")

            def reached():
                try:
                    return answers(gate) == b"x"
                except OSError:
                    return False

            wait_until(reached, "the second")
            write("hosts", "")
            wait_until(lambda: "its last addresses stay in use" in log_text(), "the name is gone")
            need(reached(), "and its address still in use")


@test
def the_process_that_resolves_is_replaced_and_has_no_power():
    with Backend().echo() as backend, NamesGate(backend.address) as gate:
        def names():
            return [pid for pid in children(gate.process.pid) if name_of(pid) == "tlsgated-names"]

        def status_of(pid):
            with open("/proc/%d/status" % pid) as file:
                return dict(line.split(":", 1) for line in file)

        wait_until(names, "a process that resolves")
        old = names()[0]
        wait_until(lambda: status_of(old)["Seccomp"].strip() == "2", "its filter, which it loads last")
        status = status_of(old)
        need(status["NoNewPrivs"].strip() == "1" and int(status["CapEff"], 16) == 0 and
             status["Uid"].split()[0] != "0", "%s" % status)
        need(not may_write_shared(old), "%s" % may_write_shared(old))
        os.kill(old, 9)
        wait_until(lambda: names() and names()[0] != old, "another")
        write("hosts", "127.0.0.1 backend.test\n")
        need(answers(gate) == b"x", "it resolves")


def users_of(gate):
    """Of the processes that resolve, once they have become what they are to be."""
    found = []
    for pid in children(gate.process.pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open("/proc/%d/status" % pid) as file:
            status = dict(line.split(":", 1) for line in file)
            if status["Name"].strip() == "tlsgated-names" and status["State"].split()[0] != "Z":
                found.append(int(status["Uid"].split()[0]))
    return found


@test
def a_reload_with_another_user_is_one_for_the_process_that_resolves():
    with Backend().echo() as backend, NamesGate(backend.address, process="user = 4711\n") as gate:
        def reload_with(old, new):
            before = log_text().count("reloaded")
            write("names.conf", open(path("names.conf")).read().replace(old, new))
            gate.process.send_signal(signal.SIGHUP)
            wait_until(lambda: log_text().count("reloaded") > before, "a reload: " + log_text())

        wait_until(lambda: users_of(gate) == [4711], "a process that resolves")
        reload_with("user = 4711", "user = 4712")
        wait_until(lambda: users_of(gate) == [4712], "one of the new user's: %s" % users_of(gate))
        write("hosts", "127.0.0.1 backend.test\n")
        need(answers(gate) == b"x", "it resolves")
        need("that resolves names died" not in log_text(), log_text())
        reload_with("backend.test", "127.0.0.1")
        wait_until(lambda: not users_of(gate), "without a name there is none: %s" % users_of(gate))


@test
def a_process_that_resolves_and_hangs_ends_with_the_daemon():
    with Backend().echo() as backend:
        with NamesGate(backend.address) as gate:
            def names():
                return [pid for pid in children(gate.process.pid) if name_of(pid) == "tlsgated-names"]

            wait_until(names, "a process that resolves")
            pid = names()[0]
            os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: name_of(pid) == "", "its end")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def answer(number, *addresses, why=b""):
    """As in daemon/lookup.h: an id, a count, addresses of 128 bytes and a length, seconds, and why there is none."""
    packed = b"".join(struct.pack("<H", socket.AF_INET) + struct.pack(">H", port) +
                      socket.inet_aton(host) + bytes(120) + struct.pack("<II", 16, 0) for host, port in addresses)
    return struct.pack("<Iii", number, len(addresses), 0)[:8] + packed.ljust(8 * 136, b"\0") + struct.pack("<I", 0) + why.ljust(124, b"\0")


@test
def a_process_that_resolves_and_was_taken_over_is_replaced():
    """A name server's bytes may have done it: what it sends is looked at, and it does not stay."""
    with Backend().echo() as backend, Backend() as other, NamesGate(backend.address) as gate:
        def names():
            return [pid for pid in children(gate.process.pid) if name_of(pid) == "tlsgated-names"]

        wait_until(lambda: "cannot be resolved" in log_text(), "nobody knows the name")
        port = int(backend.address.split(":")[1])
        elsewhere = int(other.address.split(":")[1])
        for said in (b"", b"x", answer(0, ("127.0.0.1", port))[:-1], answer(0, why=b"x" * 124),
                     answer(0, ("127.0.0.1", elsewhere))):
            wait_until(lambda: len(names()) == 1, "a process that resolves")
            old = names()[0]
            with sockets_of(old)[0] as theirs:
                theirs.send(said)
            wait_until(lambda: names() not in ([], [old]), "another, after %r" % said[:20])
        need(log_text().count("what is no answer") == 4, "it is said: " + log_text())
        connection, peer = unread(4 * int(DEADLINE))        # as a service of this machine may pass along to it
        wait_until(lambda: len(names()) == 1, "a process that resolves")
        old = names()[0]
        with peer, sockets_of(old)[0] as theirs:
            with stopped(gate.process.pid):
                socket.send_fds(theirs, [b"x"], [connection.fileno()])
                connection.close()
            wait_until(lambda: names() not in ([], [old]), "another, and nobody waits")
        wait_until(lambda: len(names()) == 1, "a process that resolves")
        with stopped(names()[0]), sockets_of(names()[0])[0] as theirs:
            wait_until(lambda: theirs.send(answer(0, ("127.0.0.1", port))) and "is resolved" in log_text(),
                       "it is asked again, and the right one is taken")
        need(answers(gate) == b"x", "there")


@test
def what_nobody_asked_for_is_no_answer():
    """Nor does it fill the log."""
    with Backend().echo() as backend, NamesGate(backend.address, "resolve-interval = 1h\n") as gate:
        write("hosts", "127.0.0.1 backend.test\n")
        need(answers(gate) == b"x", "it is resolved")
        process, = (pid for pid in children(gate.process.pid) if name_of(pid) == "tlsgated-names")
        port = int(backend.address.split(":")[1])
        with sockets_of(process)[0] as theirs:
            for _ in range(20):
                theirs.send(answer(0, why=b"none"))
                theirs.send(answer(0, ("127.0.0.2", port)))
            theirs.send(b"x")
        wait_until(lambda: "what is no answer" in log_text(), "all is read")
        need(log_text().count("is resolved") <= 1, log_text())
        need(answers(gate) == b"x", "where it was")
