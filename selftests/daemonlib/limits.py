# SPDX-License-Identifier: MIT
"""Limits: how many connections there may be, over all workers, and what happens to one more."""

import contextlib
import os
import re
import resource
import signal
import ssl
import struct

from daemonlib.gate import Backend, Gate, Hello, echo, idle, log_text, need, path, test, wait_until
from daemonlib.limited import LimitedGate, close_all, connect_from, is_refused, is_taken


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def refused(setting):
    """The line that counts them, of the monitor."""
    return sum(int(n) for n in re.findall(r"by limits: .*%s (\d+)" % setting, log_text()))


@test
def connections_of_a_gate_have_a_limit_over_all_workers():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--max-connections=3", "--connection-log") as gate:
        held = [gate.connect() for _ in range(3)]
        for _ in range(5):
            need(is_refused(gate.connect), "a fourth connection is taken")
        for connection in held:                 # what is established is not touched
            echo(connection)
        held.pop().close()
        wait_until(lambda: is_taken(gate, held), "one is taken once another has ended")
        wait_until(lambda: refused("max-connections") >= 5, "a line that counts: " + log_text())
        need(log_text().count(": connection gate=") == 1, "lines of refused connections: " + log_text())
        for connection in held:
            echo(connection)
        close_all(*held)


@test
def connections_of_an_address_have_a_limit_over_all_workers():
    with Backend().echo() as backend, Gate("serve", backend.address, "--max-per-address=3") as gate:
        held = [gate.connect() for _ in range(3)]
        need(is_refused(gate.connect), "a fourth connection is taken")
        other = connect_from(gate, "127.0.0.2")
        for connection in (*held, other):
            echo(connection)
        close_all(*held, other)
    need(refused("max-per-address") == 1, "no line that counts: " + log_text())


def proxied(gate, address):
    """For a client of that address a proxy speaks: so many IPv6 networks has no machine of its own."""
    plain = gate.connect_plain()
    plain.sendall(("PROXY TCP6 %s 2001:db8::1 1000 443\r\n" % address).encode())
    return ssl.create_default_context(cafile=path("ca.pem")).wrap_socket(plain, server_hostname="localhost")


@test
def an_address_is_whom_the_proxy_names_and_a_network_of_ipv6():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--max-per-address=2", "--accept-proxy=127.0.0.0/8") as gate:
        held = [proxied(gate, "2001:db8:0:%d::%d" % (net, host)) for net in range(5) for host in range(2)]
        for net in range(5):
            need(is_refused(proxied, gate, "2001:db8:0:%d::9" % net), "a third connection of a network is taken")
        for connection in held:
            echo(connection)
        close_all(*held)


@test
def an_address_may_begin_so_many_handshakes_a_second():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--handshake-rate=2", "--workers=1") as gate:
        wait_until(lambda: is_refused(gate.connect), "some connection is refused")
        connect_from(gate, "127.0.0.2").close()
        wait_until(lambda: not is_refused(gate.connect), "one is taken again")
    need(refused("handshake-rate"), "no line that counts: " + log_text())


def half_open(gate):
    """A handshake that began: who says nothing is accepted seconds later."""
    connection = gate.connect_plain()
    connection.sendall(b"\x16")
    return connection


@test
def unfinished_handshakes_have_a_limit_and_the_oldest_goes():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--max-handshakes=3", "--workers=1", "--handshake-timeout=1h") as gate:
        established = gate.connect()
        held = [half_open(gate) for _ in range(5)]
        for connection in held[:2]:
            wait_until(lambda: not is_open(connection), "the oldest are given up")
        for _ in range(20):
            with gate.connect() as honest:      # one that is quicker than others come
                echo(honest)
        echo(established)
        need("too many others came since" in log_text(), log_text())
        close_all(established, *held)


@test
def a_limit_of_handshakes_is_of_all_workers():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--max-handshakes=3", "--workers=3", "--handshake-timeout=1h") as gate:
        held = [half_open(gate) for _ in range(30)]
        wait_until(lambda: sum(is_open(connection) for connection in held) == 3,
                   "three of them are left: %d" % sum(is_open(connection) for connection in held))
        close_all(*held)


def is_open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


@test
def limits_count_what_there_was_before_a_reload():
    with Backend().echo() as backend, LimitedGate(backend.address, 2) as gate:
        held = [gate.connect() for _ in range(2)]
        gate.reload(3)
        held.append(gate.connect())
        need(is_refused(gate.connect), "a fourth connection is taken")
        gate.reload(1)
        for connection in held:                 # though there are too many now
            echo(connection)
        close_all(*held)
        wait_until(lambda: not is_refused(gate.connect), "one is taken once those of before have ended")


class AddressGate(LimitedGate):
    def settings(self):
        return "max-per-address = %d" % self.limit


@test
def no_reload_makes_room_beyond_a_limit():
    for kind in LimitedGate, AddressGate:
        with Backend().echo() as backend, kind(backend.address, 4) as gate:
            held = [gate.connect() for _ in range(4)]
            for _ in range(3):
                gate.reload(4)
                need(is_refused(gate.connect), "a fifth connection is taken")
            held.pop().close()
            wait_until(lambda: is_taken(gate, held), "one is taken instead of one of before")
            need(is_refused(gate.connect), "and no other")
            close_all(*held)


@test
def connections_of_a_worker_that_died_do_not_count():
    with Backend().echo() as backend, \
            Gate("serve", backend.address, "--max-connections=2", "--workers=1") as gate:
        held = [gate.connect() for _ in range(2)]
        os.kill(gate.workers()[0], signal.SIGKILL)
        for _ in range(2):
            wait_until(lambda: is_taken(gate, held), "the next worker takes some")
        need(is_refused(gate.connect), "and counts them")
        close_all(*held)


@test
def limits_hit_are_in_the_metrics():
    with Backend().echo() as backend, LimitedGate(backend.address, 1) as gate:
        held = gate.connect()
        for _ in range(3):
            need(is_refused(gate.connect), "a second connection is taken")
        text = gate.tlsgate("stats", "--openmetrics").stdout
        need('tlsgated_limits_hit_total{gate="web",limit="connections"} 3\n' in text, text)
        echo(held)
        held.close()


@test
def no_memory_is_shared_where_there_are_no_limits():
    with Backend().echo() as backend, Gate("serve", backend.address) as gate:
        with open("/proc/%d/maps" % gate.workers()[0], encoding="ascii") as maps:
            sizes = [int(b, 16) - int(a, 16) for a, b in
                     re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .*memfd:tlsgated-shared", maps.read(), re.M)]
        need(sum(sizes) < 1 << 20, "%s" % sizes)


def memory(pid):
    """In KiB, without what is shared."""
    with open("/proc/%d/status" % pid, encoding="ascii") as status:
        return int(re.search(r"RssAnon:\s*(\d+)", status.read())[1])


def long_message():
    """A ClientHello, the last 1000 bytes of which never come."""
    message = b"\x01\0\xff\xfc" + bytes(0xfffc - 1000)
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(piece)) + piece
                    for piece in (message[at:at + 16384] for at in range(0, len(message), 16384)))


def answered(gate):
    return Hello(gate).socket


def with_a_long_message(gate):
    connection = gate.connect_plain()
    connection.sendall(long_message())
    return connection


@contextlib.contextmanager
def many_descriptors():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, limit[1]), limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def grown_by(gate, begin, count, each):
    """In KiB for each of so many connections, of which each has so many descriptors."""
    worker, = gate.workers()
    with gate.connect() as connection:
        echo(connection)
    wait_until(idle(worker), "it has nothing to do")
    before, open_before = memory(worker), descriptors(worker)
    held = [begin(gate) for _ in range(count)]
    wait_until(lambda: descriptors(worker) == open_before + each * count, "they are all there, and nothing else")
    wait_until(idle(worker), "it has read what came")
    grown = (memory(worker) - before) / count
    close_all(*held)
    return grown


@test
def a_handshake_takes_so_much_memory():
    with many_descriptors(), Backend().echo() as backend:
        for begin, limit in (half_open, 16), (answered, 24), (with_a_long_message, 128):
            with Gate("serve", backend.address, "--workers=1", "--handshake-timeout=1h") as gate:
                grown = grown_by(gate, begin, 1000, 1)
                need(grown < limit, "%s: %.1f KiB for each handshake" % (begin.__name__, grown))


def slow(gate):
    """A byte of data at a time, which the backend sends back."""
    connection = gate.connect()
    for _ in range(3):
        echo(connection, b"a")
    return connection


@test
def slow_clients_take_two_descriptors_and_little_memory():
    with Backend().echo() as backend, Gate("serve", backend.address, "--workers=1") as gate:
        grown = grown_by(gate, slow, 200, 2)
        need(grown < 24, "%.1f KiB for each connection" % grown)
