# SPDX-License-Identifier: MIT
"""
How the machine resolves names (nsswitch.conf), under the filter of the process that does: by
name servers over UDP and TCP, and by systemd's modules. Those are in $NSS_MODULES, beside the libc
in use, or in build/nss/.
"""

import glob
import json
import os
import socket
import struct
import threading

from daemonlib.gate import Backend, Skip, log_text, need, path, test, wait_until, write
from daemonlib.names import NamesGate, answers, backend_at

UNPACKED = "".join(glob.glob(os.path.abspath("build/nss/usr/lib/*-linux-gnu")))
MODULES = os.environ.get("NSS_MODULES") or UNPACKED
MOUNT = """mount --bind nsswitch.conf /etc/nsswitch.conf && mount -t tmpfs none /run &&
mkdir -p /run/systemd/resolve && mount --bind resolved /run/systemd/resolve && """


class NameServer:
    """Knows every name; over UDP it says that its answer is too long for that."""

    def __init__(self, host):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, 53))
        self.tcp = socket.create_server((host, 53))
        self.asked = {"UDP": 0, "TCP": 0}
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def answer(self, query, over):
        """RFC 1035 section 4.1; an A record, and none of any other type."""
        self.asked[over] += 1
        end = query.index(b"\0", 12) + 5
        question = query[12:end]
        truncated = 0x0200 if over == "UDP" else 0
        known = over == "TCP" and question[-4:-2] == b"\0\1"
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton("127.0.0.1")
        return (query[:2] + struct.pack(">HHHHH", 0x8180 | truncated, 1, known, 0, 0) + question +
                (record if known else b""))

    def serve_udp(self):
        while True:
            query, sender = self.udp.recvfrom(512)
            self.udp.sendto(self.answer(query, "UDP"), sender)

    def serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            with connection, connection.makefile("rb") as stream:
                while len(head := stream.read(2)) == 2:
                    answer = self.answer(stream.read(struct.unpack(">H", head)[0]), "TCP")
                    connection.sendall(struct.pack(">H", len(answer)) + answer)


def resolved_folder():
    """Where the module looks for its socket; empty without one."""
    os.makedirs(path("resolved"), exist_ok=True)
    os.chmod(path("resolved"), 0o755)
    return path("resolved")


class Resolved:
    """What libnss_resolve talks to (varlink), instead of systemd-resolved. Knows every name."""

    def __init__(self):
        folder = resolved_folder()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(folder, "io.systemd.Resolve"))
        os.chmod(os.path.join(folder, "io.systemd.Resolve"), 0o666)
        self.listener.listen()
        self.asked = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        query = b""
        while not query.endswith(b"\0"):
            query += connection.recv(4096)
        self.asked += 1
        name = json.loads(query[:-1])["parameters"]["name"]
        address = {"ifindex": 1, "family": socket.AF_INET, "address": [127, 0, 0, 1]}
        connection.sendall(json.dumps({"parameters": {"addresses": [address], "name": name,
                                                      "flags": 1}}).encode() + b"\0")
        connection.recv(1)                                  # until it goes away


def needs_module(name):
    if not os.path.exists("%s/libnss_%s.so.2" % (MODULES, name)):
        raise Skip("there is no libnss_%s in %s" % (name, MODULES or "build/nss"))


class SwitchGate(NamesGate):
    """With this line for hosts."""

    def __init__(self, backend, hosts, **options):
        resolved_folder()
        write("nsswitch.conf", "passwd: files\nhosts: %s\n" % hosts)
        super().__init__(backend, mount=MOUNT, **options,
                         environment=["LD_LIBRARY_PATH=" + UNPACKED] if MODULES == UNPACKED else [])

    def need_answer(self):
        wait_until(lambda: "is resolved" in log_text() or answers(self) == b"x", "resolved: " + log_text())
        need(answers(self) == b"x" and "the sandbox forbids" not in log_text(), log_text())


@test
def name_servers_are_asked_under_the_filter():
    host = "127.0.53.%d" % (os.getpid() % 250 + 1)
    server = NameServer(host)
    with Backend().echo() as backend, SwitchGate(backend.address, "files dns", server=host) as gate:
        gate.need_answer()
        need(server.asked["UDP"] and server.asked["TCP"], "over both: %s" % server.asked)


@test
def systemd_resolved_is_asked_under_the_filter():
    needs_module("resolve")
    resolved = Resolved()
    with Backend().echo() as backend, \
            SwitchGate(backend.address, "resolve [!UNAVAIL=return] files") as gate:
        gate.need_answer()
        need(resolved.asked, "it was asked")


@test
def the_name_of_this_host_is_resolved_under_the_filter():
    needs_module("myhostname")
    with backend_at("", "0.0.0.0:0").echo() as backend:
        address = "127.0.0.1:%d" % backend.listener.getsockname()[1]
        with SwitchGate(address, "files myhostname", name=socket.gethostname()) as gate:
            gate.need_answer()
