# SPDX-License-Identifier: MIT
"""Name servers that lie, and for how long an answer is good: by c-ares, where nsswitch.conf has files and dns alone."""

import contextlib
import os
import shutil
import signal
import socket
import struct
import threading
import time

from daemonlib.gate import Backend, Gate, Skip, echo, free_port, log_text, need, path, start, test, wait_until, write

MOUNT = """mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf &&
mount --bind nsswitch.conf /etc/nsswitch.conf && exec "$@\""""
A, CNAME = 1, 5
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.9"              # where the backend is, and where nobody is
TO_QUESTION = b"\xc0\x0c"


def record(data, kind=A, ttl=60, name=TO_QUESTION, length=None):
    return name + struct.pack(">HHIH", kind, 1, ttl, len(data) if length is None else length) + data


def address(host, ttl=60, name=TO_QUESTION):
    return record(socket.inet_aton(host), ttl=ttl, name=name)


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def question_of(query):
    """Behind it may be the asker's EDNS record."""
    return query[12:query.index(b"\0", 12) + 5]


def message(query, records=(), flags=0x8180, count=None, question=None, change=0):
    """RFC 1035 section 4.1.  change: of the id; count: what it says of how many records come."""
    number = struct.unpack(">H", query[:2])[0] ^ change
    question = question_of(query) if question is None else question
    return struct.pack(">HHHHHH", number, flags, 1, len(records) if count is None else count, 0, 0) + \
        question + b"".join(records)


def truncated(query):
    return [message(query, flags=0x8380)]


def many(query):
    return message(query, [address(HERE)] * 4000)


def chain(query):
    names = [encoded(label + ".test") for label in ("b", "c", "d")]
    aliases = [record(target, CNAME, name=name) for name, target in zip([TO_QUESTION] + names, names)]
    return message(query, aliases + [address(HERE, name=names[-1])])


# By the first label of the name: what is sent by UDP, and by TCP.
GOOD = {
    "honest": (lambda query: [message(query, [address(HERE)])], None),
    "chain": (lambda query: [chain(query)], None),
    "otherid": (lambda query: [message(query, [address(ELSEWHERE)], change=1 << bit) for bit in range(16)] +
                [message(query, [address(HERE)])], None),
    "otherquestion": (lambda query: [message(query, [address(ELSEWHERE)], question=encoded("other.test") +
                                             question_of(query)[-4:]), message(query, [address(HERE)])], None),
    "huge": (truncated, many),                          # 64,000 bytes
}
BAD = {
    "loop": (lambda query: [message(query, [address(HERE, name=struct.pack(">H", 0xc00c + len(question_of(query))))])], None),
    "endless": (lambda query: [message(query, [record(TO_QUESTION, CNAME)])], None),
    "short": (lambda query: [message(query, count=1)], None),
    "lies": (lambda query: [message(query, [record(b"\x7f\0\0\1", length=65535)])], None),
    "shortaddress": (lambda query: [message(query, [record(b"\x7f")])], None),
    "nothing": (lambda query: [message(query)], None),
    "refuses": (lambda query: [message(query, flags=0x8185)], None),
    "garbage": (truncated, lambda query: query[:2] + b"\xff" * 65533),
}
ALL = {**GOOD, **BAD}


def exactly(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


class LyingServer:
    """How it answers for NAME.test is answers[NAME]; it knows IPv4 alone. Each has an address of its own."""

    count = 0

    def __init__(self, answers):
        LyingServer.count += 1
        self.host = "127.0.%d.%d" % (100 + LyingServer.count, os.getpid() % 250 + 1)
        self.answers, self.asked = answers, {name: [] for name in answers}
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((self.host, 53))
        self.tcp = socket.create_server((self.host, 53), backlog=64)
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def of(self, query):
        name = query[13:13 + query[12]].decode()
        known = name in self.answers and question_of(query)[-4:-2] == struct.pack(">H", A)
        if known:
            self.asked[name].append(time.monotonic())
        return self.answers[name] if known else (lambda query: [message(query)], message)

    def serve_udp(self):
        while True:
            try:
                query, sender = self.udp.recvfrom(512)
            except OSError:
                return
            for answer in self.of(query)[0](query):
                with contextlib.suppress(OSError):          # it is closed
                    self.udp.sendto(answer, sender)

    def serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_stream, args=(connection,), daemon=True).start()

    def serve_stream(self, connection):
        with connection:
            try:
                while True:
                    query = exactly(connection, struct.unpack(">H", exactly(connection, 2))[0])
                    answer = self.of(query)[1](query)
                    connection.sendall(struct.pack(">H", len(answer)) + answer)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tcp.shutdown(socket.SHUT_RDWR)                 # wakes who waits in accept()
        self.tcp.close()
        self.udp.close()


class DnsGates(Gate):
    """A gate for each name, which is its own backend's."""

    def __init__(self, server, backend, names, settings=""):
        if os.geteuid() != 0 or not shutil.which("unshare"):
            raise Skip("needs root and unshare")
        write("hosts", "")
        write("nsswitch.conf", "hosts: files dns\n")
        write("resolv.conf", "nameserver %s\n" % server.host)
        self.ports = {name: free_port() for name in names}
        port = backend.address.split(":")[1]
        text = "workers = 1\nstop-time = 0\n"
        for name in names:
            text += ("gate %s {\nmode = serve\nlisten = {\"127.0.0.1:%d\"}\nbackend = \"%s.test:%s\"\n"
                     "cert = {\"one.pem\"}\nkey = {\"one.key\"}\ndata-path = user\n%s}\n" %
                     (name, self.ports[name], name, port, settings))
        write("dns.conf", text)
        self.process = start("-c", "dns.conf", before=["unshare", "-m", "sh", "-c", MOUNT, "sh"])
        self.ready(len(names))

    def replace(self, old, new):
        with open(path("dns.conf")) as file:
            write("dns.conf", file.read().replace(old, new))

    def need_echo(self, name):
        self.port = self.ports[name]
        with self.connect() as connection:
            echo(connection)


@test
def answers_that_are_forged_or_no_answers_are_not_used():
    with Backend().echo() as backend, LyingServer(ALL) as server, DnsGates(server, backend, ALL) as gates:
        for name in GOOD:
            gates.need_echo(name)
        for name in BAD:
            wait_until(lambda: "%s: backend '%s.test:" % (name, name) in log_text(), "%s is refused: %s" % (name, log_text()))
        need(log_text().count("cannot be resolved") == len(BAD) and "names died" not in log_text(), log_text())


@test
def bad_answers_leave_the_last_addresses_in_use():
    answers = {"honest": GOOD["honest"]}
    with Backend().echo() as backend, LyingServer(answers) as server, \
            DnsGates(server, backend, answers, "resolve-interval = 200ms\n") as gates:
        gates.need_echo("honest")
        server.answers["honest"] = BAD["garbage"]
        wait_until(lambda: "its last addresses stay in use" in log_text(), "it is said: " + log_text())
        gates.need_echo("honest")


@test
def a_name_is_asked_for_again_when_its_time_to_live_is_over():
    """But not before five seconds, and a long one not after resolve-interval."""
    answers = {"brief": (lambda query: [message(query, [address(HERE, ttl=1)])], None),
               "alias": (lambda query: [message(query, [record(encoded("b.test"), CNAME, ttl=0),
                                                        address(HERE, ttl=3600, name=encoded("b.test"))])], None),
               "lasting": (lambda query: [message(query, [address(HERE, ttl=3600)])], None)}
    with Backend().echo() as backend, LyingServer(answers) as server:
        with DnsGates(server, backend, answers, "resolve-interval = 1h\n") as gates:
            wait_until(lambda: all(len(server.asked[name]) > 1 for name in ("brief", "alias")), "both again")
            for name in ("brief", "alias"):
                first, second = server.asked[name][:2]
                need(second - first > 4.9, "%s again after %.1f s" % (name, second - first))
            need(len(server.asked["lasting"]) == 1, "the other once")
            gates.replace("1h", "200ms")
            gates.process.send_signal(signal.SIGHUP)
            wait_until(lambda: len(server.asked["lasting"]) > 3, "as often as resolve-interval says")

