#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The plain service behind a gate, and, given a certificate, a TLS server.

usage: backend.py BLOB HTTP-PORT [SUM-PORT TALK-PORT VERDICTS] [--tls CERT KEY]

HTTP: GET /blob gives BLOB, GET /part its first eighth, GET /header the size of the request's X-Big header
and as large a header in the answer, GET /open the number of connections, GET /page a page for a browser, whose
script fetches /part twice and shows the bytes; PUT anything answers with the SHA-256 and the length of the body. GET /held is /blob whose second
half waits for the file VERDICTS.go. The same on the UNIX socket VERDICTS.sock.

SUM reads to the end of file, appends one line to VERDICTS ("clean" or "reset",
bytes, SHA-256) and answers a clean end with "SHA-256 bytes".

TALK sends BLOB, shuts down its sending side, reads to the end and appends the
same line to VERDICTS.
"""
import hashlib
import http.server
import os
import socket
import socketserver
import ssl
import sys
import threading
import time

CHUNK = 65536
PAGE = b"""<!doctype html><title>tlsgate</title><p id=out>waiting</p><script>
(async () => {
	let bytes = 0;
	for (let i = 0; i < 2; i++)
		bytes += (await (await fetch("/part")).arrayBuffer()).byteLength;
	document.getElementById("out").textContent = `fetched ${bytes} bytes`;
})();
</script>
"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    open_connections = 0
    lock = threading.Lock()

    def setup(self):
        super().setup()
        with Handler.lock:
            Handler.open_connections += 1

    def finish(self):
        with Handler.lock:
            Handler.open_connections -= 1
        super().finish()

    def answer(self, body, headers=(), length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(length or len(body)))
        for name, value in headers:
            self.send_header(name, value)
        # Who asked for it, and a browser's script, which cannot: each answer a connection.
        if self.close_connection or "Referer" in self.headers:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/blob":
            self.answer(self.server.blob)
        elif self.path == "/part":
            self.answer(self.server.blob[:len(self.server.blob) // 8])
        elif self.path == "/held":
            half = len(self.server.blob) // 2
            self.answer(self.server.blob[:half], [], len(self.server.blob))
            while not os.path.exists(self.server.go):
                time.sleep(0.05)
            self.wfile.write(self.server.blob[half:])
        elif self.path == "/header":
            big = self.headers.get("X-Big", "")
            self.answer(b"%d\n" % len(big), [("X-Big", big)])
        elif self.path == "/page":
            self.answer(PAGE, [("Content-Type", "text/html"), ("Connection", "close")])
        elif self.path == "/open":
            self.answer(b"%d\n" % Handler.open_connections)
        else:
            self.send_error(404)

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        total, digest = left, hashlib.sha256()
        if self.headers.get("Expect", "") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        while left:
            data = self.rfile.read(min(left, CHUNK))
            if not data:
                return
            digest.update(data)
            left -= len(data)
        self.answer(b"%s %d\n" % (digest.hexdigest().encode(), total))

    def log_message(self, format, *args):
        sys.stderr.write("%s\n" % (format % args))


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        sys.stderr.write("%s: %s\n" % (client_address, sys.exc_info()[1]))


class UnixServer(Server):
    address_family = socket.AF_UNIX

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        os.chmod(self.server_address, 0o666)    # the gate's workers are nobody

    def finish_request(self, request, client_address):
        self.RequestHandlerClass(request, ("unix", 0), self)


class Raw(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True
    lock = threading.Lock()

    def verdict(self, how, total, digest):
        with self.lock, open(self.verdicts, "a") as out:
            out.write("%s %d %s\n" % (how, total, digest.hexdigest()))


def read_all(sock):
    total, digest = 0, hashlib.sha256()
    try:
        while True:
            data = sock.recv(CHUNK)
            if not data:
                return "clean", total, digest
            total += len(data)
            digest.update(data)
    except OSError:
        return "reset", total, digest


class Sum(socketserver.BaseRequestHandler):
    def handle(self):
        how, total, digest = read_all(self.request)
        self.server.verdict(how, total, digest)
        if how == "clean":
            self.request.sendall(b"%s %d\n" % (digest.hexdigest().encode(), total))


class Talk(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.server.blob)
        self.request.shutdown(1)
        self.server.verdict(*read_all(self.request))


def serve(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main():
    args = sys.argv[1:]
    context = None
    if "--tls" in args:
        at = args.index("--tls")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args[at + 1], args[at + 2])
        context.set_alpn_protocols(["http/1.1"])
        del args[at:]
    with open(args[0], "rb") as blob_file:
        blob = blob_file.read()
    web = Server(("127.0.0.1", int(args[1])), Handler)
    web.blob, web.go = blob, ""
    if context:
        # Handshakes belong into the connection's thread, not into accept().
        web.socket = context.wrap_socket(web.socket, server_side=True,
                                         do_handshake_on_connect=False)
    if len(args) > 2:
        web.go = args[4] + ".go"
        unix = UnixServer(args[4] + ".sock", Handler)
        unix.blob, unix.go = blob, web.go
        serve(unix)
        for port, handler in ((args[2], Sum), (args[3], Talk)):
            raw = Raw(("127.0.0.1", int(port)), handler)
            raw.blob, raw.verdicts = blob, args[4]
            serve(raw)
    web.serve_forever()


main()
