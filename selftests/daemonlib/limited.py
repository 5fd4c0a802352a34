# SPDX-License-Identifier: MIT
"""What the tests of limits and of sockets share."""

import socket
import ssl

from daemonlib.control import ControlGate
from daemonlib.gate import DEADLINE, Gate, log_text, need, path, write


def connect_from(gate, address):
    """TLS from another address of this host."""
    plain = socket.create_connection(("127.0.0.1", gate.port), DEADLINE, (address, 0))
    return ssl.create_default_context(cafile=path("ca.pem")).wrap_socket(plain, server_hostname="localhost")


def is_refused(connect, *args):
    try:
        connect(*args).close()
    except ConnectionResetError:
        return True
    return False


def is_taken(gate, held):
    """One more is held then."""
    try:
        held.append(gate.connect())
    except ConnectionResetError:
        return False
    return True


def close_all(*connections):
    for connection in connections:
        connection.close()


class LimitedGate(ControlGate):
    """Of a file, with a limit that a reload can change."""

    def __init__(self, backend, limit, data_path="user"):
        self.limit = limit
        self.data_path = data_path
        super().__init__(backend)

    def settings(self):
        return "max-connections = %d" % self.limit

    def config(self, head=None, key="one", data_path=None):
        super().config(head, key, data_path or self.data_path)
        with open(path("control.conf"), encoding="ascii") as file:
            text = file.read()
        write("control.conf", text.replace("cert =", self.settings() + "\n\tcert ="))

    def reload(self, limit):
        self.limit = limit
        self.config()
        need(not self.tlsgate("reload").returncode, "the reload is refused: " + log_text())


class UnixGate(Gate):
    """Listens on a UNIX socket."""

    def __init__(self, mode, backend, *options, listen=None, **more):
        self.path = path("gate.sock")
        self.listen = listen or "unix:" + self.path
        super().__init__(mode, backend, *options, listen=self.listen, **more)

    def connect_plain(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE)
        connection.connect("\0" + self.listen[6:] if self.listen.startswith("unix:@") else self.path)
        return connection
