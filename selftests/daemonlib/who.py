# SPDX-License-Identifier: MIT
"""What tests of who a client is share, on both data paths: PROXY headers, and clients with certificates."""

import socket
import ssl
import struct
import subprocess

from daemonlib.gate import DEADLINE, TLSGATE, Gate, echo, need, path, tmp

CLIENT, SERVER = ("203.0.113.5", 4660), ("198.51.100.7", 443)
CLIENT6, SERVER6 = ("2001:db8::5", 4660), ("2001:db8::7", 443)
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
HERE = "--accept-proxy=127.0.0.0/8"


class CountingGate(Gate):
    """Can be asked."""

    def __init__(self, mode, backend, *options, **more):
        super().__init__(mode, backend, "--control=" + path("control"), *options, **more)

    def tlsgate(self, *argv):
        return subprocess.run([TLSGATE, "-S", path("control"), *argv], cwd=tmp, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=DEADLINE)


def read_exactly(connection, length):
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        need(piece, "end after %d of %d bytes" % (len(data), length))
        data += piece
    return data


def tlvs(data):
    found = {}
    while data:
        kind, length = data[0], int.from_bytes(data[1:3], "big")
        need(kind not in found and len(data) >= 3 + length, "TLV %d" % kind)
        found[kind] = data[3:3 + length]
        data = data[3 + length:]
    return found


def proxy_header(connection):
    """What a PROXY header, version 2, says: family, source and destination, TLVs, those of TLS."""
    head = read_exactly(connection, 16)
    need(head[:13] == b"\r\n\r\n\0\r\nQUIT\n\x21", "no PROXY header: %r" % head)
    body = read_exactly(connection, int.from_bytes(head[14:], "big"))
    size = {0x11: 4, 0x21: 16}[head[13]]
    family = {4: socket.AF_INET, 16: socket.AF_INET6}[size]
    addresses = [socket.inet_ntop(family, body[i * size:(i + 1) * size]) for i in (0, 1)]
    ports = [int.from_bytes(body[2 * size + 2 * i:2 * size + 2 * i + 2], "big") for i in (0, 1)]
    outer = tlvs(body[2 * size + 4:])
    inner = outer.pop(0x20)
    return list(zip(addresses, ports)), outer, inner[:5], tlvs(inner[5:])


def line(client=CLIENT, server=SERVER, protocol="TCP4"):
    return ("PROXY %s %s %s %d %d\r\n" % (protocol, client[0], server[0], client[1], server[1])).encode()


def binary(client=CLIENT, server=SERVER, more=b"", command=0x21):
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    body = b"".join(socket.inet_pton(family, end[0]) for end in (client, server)) + struct.pack(
        "!HH", client[1], server[1]) + more
    return SIGNATURE + bytes([command, 0x21 if family == socket.AF_INET6 else 0x11]) + struct.pack(
        "!H", len(body)) + body


def behind(gate, header, flags=0):
    """A TLS connection of a client for whom a proxy speaks."""
    connection = gate.connect_plain()
    connection.send(header, flags)
    return ssl.create_default_context(cafile=path("ca.pem")).wrap_socket(connection, server_hostname="localhost")


def outcome_of(gate, name, **options):
    """What a client with this certificate gets."""
    try:
        with gate.connect(pair=(name + ".pem", name + ".key"), **options) as connection:
            echo(connection)
            return "echo"
    except OSError as error:                # ssl.SSLError is one
        return str(error).lower().replace("_", " ")


def session_of(gate, context, session=None):
    """A connection by this session; the one that may follow it, and whether that one went on."""
    with gate.connect_with(context, session) as connection:
        echo(connection)
        return connection.session, connection.session_reused


def showing(name, version):
    context = ssl.create_default_context(cafile=path("ca.pem"))
    context.load_cert_chain(path(name + ".pem"), path(name + ".key"))
    context.maximum_version = version
    return context
