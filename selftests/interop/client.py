#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A TLS client on Python's ssl module, for interop.sh.

usage: client.py OPERATION PORT NAME CA VERSION SUITE FILE [CERT KEY]

OPERATION	get	GET /blob into FILE
		put	PUT FILE, the answer on standard output
		half	raw: send FILE, close_notify and FIN, then the answer to standard output
		talk	raw: read to close_notify into FILE, then send FILE back, close_notify
		cut	raw: send FILE, then FIN without close_notify
		resume	GET /part into FILE, and again with the session; prints whether it was resumed
		abort	GET /blob, read a little, reset the connection

SUITE is an OpenSSL name for TLS 1.2; for TLS 1.3 the module has no call and
OPENSSL_CONF does it.  What was negotiated goes to standard error.
"""
import socket
import ssl
import struct
import sys

CHUNK = 65536
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def context_for(ca, version, suite):
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    if version == "1.2" and suite != "-":
        context.set_ciphers(suite)
    context.set_alpn_protocols(["http/1.1"])
    return context


def report(tls):
    sys.stderr.write("negotiated %s %s alpn=%s\n" % (
        tls.version(), tls.cipher()[0], tls.selected_alpn_protocol()))


class HalfClosing:
    """A connection that can close its sending side only: SSLSocket cannot."""

    def __init__(self, sock, context, name):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.drive(self.tls.do_handshake)
        report(self.tls)

    def flush(self):
        data = self.outgoing.read()
        if data:
            self.sock.sendall(data)

    def drive(self, call, *args):
        while True:
            try:
                result = call(*args)
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(CHUNK)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def close_sending(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()
        self.sock.shutdown(socket.SHUT_WR)

    def read_all(self, out):
        while True:
            try:
                data = self.drive(self.tls.read, CHUNK)
            except ssl.SSLZeroReturnError:
                return
            if not data:
                return
            out.write(data)

    def send_file(self, path):
        with open(path, "rb") as source:
            while data := source.read(CHUNK):
                self.drive(self.tls.write, data)


def http_get(tls, path, out):
    tls.sendall(b"GET %s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n" % path)
    return read_answer(tls, out)


def http_put(tls, path, out):
    with open(path, "rb") as source:
        body = source.read()
    tls.sendall(b"PUT /up HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body))
    tls.sendall(body)
    return read_answer(tls, out)


def read_answer(tls, out):
    head = b""
    while b"\r\n\r\n" not in head:
        data = tls.recv(CHUNK)
        if not data:
            sys.exit("end of file within the answer's headers")
        head += data
    head, _, body = head.partition(b"\r\n\r\n")
    out.write(body)
    while data := tls.recv(CHUNK):
        out.write(data)
    out.flush()
    if b" 200 " not in head.split(b"\r\n")[0]:
        sys.exit("answer: %r" % head)


def resume(context, port, name, path):
    session = None
    for _ in range(2):
        sock = socket.create_connection(("127.0.0.1", port), timeout=120)
        with context.wrap_socket(sock, server_hostname=name, session=session) as tls:
            report(tls)
            with open(path, "wb") as out:
                http_get(tls, b"/part", out)
            session, reused = tls.session, tls.session_reused
    print("resumed" if reused else "new")


def main():
    operation, port, name, ca, version, suite, path = sys.argv[1:8]
    context = context_for(ca, version, suite)
    if len(sys.argv) > 8:
        context.load_cert_chain(*sys.argv[8:])
    if operation == "resume":
        resume(context, int(port), name, path)
        return
    sock = socket.create_connection(("127.0.0.1", int(port)), timeout=120)
    if operation in ("half", "talk"):
        conn = HalfClosing(sock, context, name)
        if operation == "half":
            conn.send_file(path)
            conn.close_sending()
            conn.read_all(sys.stdout.buffer)
        else:
            with open(path, "wb") as out:
                conn.read_all(out)
            conn.send_file(path)
            conn.close_sending()
        return
    tls = context.wrap_socket(sock, server_hostname=name, suppress_ragged_eofs=False)
    report(tls)
    if operation == "get":
        with open(path, "wb") as out:
            http_get(tls, b"/blob", out)
    elif operation == "put":
        http_put(tls, path, sys.stdout.buffer)
    elif operation == "cut":
        with open(path, "rb") as source:
            tls.sendall(source.read())
        # detach: the descriptor is closed without a word from libssl
        socket.socket(fileno=tls.detach()).close()
    elif operation == "abort":
        tls.sendall(b"GET /blob HTTP/1.1\r\nHost: t\r\n\r\n")
        tls.recv(CHUNK)
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.socket(fileno=tls.detach()).close()


main()
