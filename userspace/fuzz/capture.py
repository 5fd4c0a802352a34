#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Seeds from other people's TLS: capture.py CORPUS

Takes ClientHellos of the clients on this machine as they come, and all other
handshake messages from what `openssl s_client -msg` and `s_server -msg` show of
handshakes with real peers.  What it writes is part of the repository; run it
again when there are new clients.  A peer that is not installed is left out.
"""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

# Of fuzz.h, and rows of the table in pair.c
FLAG, KEEP_SESSION_ID = 0x20, 0x80
TLS13, TLS12, BOTH, TLS13_MTLS, TLS12_MTLS = 0, 1, 2, 5, 6

TARGETS = {1: "client_hello", 2: "server_hello", 4: "new_session_ticket",
           8: "encrypted_extensions", 11: "certificate", 15: "certificate_verify"}

CLIENTS = {
    "openssl": "openssl s_client -connect {at} -servername host.test -alpn h2,http/1.1 -status",
    "openssl-tls12": "openssl s_client -connect {at} -servername host.test -tls1_2",
    "gnutls": "gnutls-cli --insecure -p {port} --sni-hostname host.test 127.0.0.1",
    "gnutls-tls12": "gnutls-cli --insecure -p {port} --priority NORMAL:-VERS-TLS1.3 127.0.0.1",
    "curl": "curl -sk --resolve host.test:{port}:127.0.0.1 https://host.test:{port}/",
    "python": "python3 -c 'import ssl,socket; c=ssl._create_unverified_context();"
              " c.wrap_socket(socket.create_connection((\"127.0.0.1\",{port})),"
              "server_hostname=\"host.test\")'",
    "node": "node -e 'require(\"tls\").connect({{port:{port},rejectUnauthorized:false,"
            "servername:\"host.test\"}}).on(\"error\",()=>0)'",
    "nss": "tstclnt -h 127.0.0.1 -a host.test -p {port} -o -D -V tls1.2:tls1.3 </dev/null",
}

SERVERS = {
    "openssl": "openssl s_server -accept {port} -cert {cert} -key {key} -alpn h2 -www",
    "openssl-mtls": "openssl s_server -accept {port} -cert {cert} -key {key} -Verify 1 -www",
    "gnutls": "gnutls-serv -q --http -p {port} --x509certfile {cert} --x509keyfile {key}",
    "nginx": "nginx -p {dir} -c {dir}/nginx.conf -e stderr",
}

NGINX = """daemon off; worker_processes 1; pid {dir}/pid; error_log stderr; events {{ }}
http {{ access_log off; server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {cert};
ssl_certificate_key {key}; }} }}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(command, **more):
    return subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, preexec_fn=os.setsid, **more)


def end(process):
    try:
        os.killpg(process.pid, 15)
    except ProcessLookupError:
        pass
    process.communicate(timeout=20)


class Corpus:
    def __init__(self, folder):
        self.folder = folder
        self.seen = set()

    def save(self, peer, number, choice, message):
        """message: with its four bytes of header; the same twice is saved once."""
        kind, body = message[0], message[4:]
        target = TARGETS.get(kind, "message")
        if (target, choice, body) in self.seen:
            return
        self.seen.add((target, choice, body))
        if kind == 2:
            choice |= KEEP_SESSION_ID
        # the type is part of an input for the target that has no type of its own
        start_bytes = bytes([choice]) if target != "message" else bytes([choice, kind])
        name = f"peer-{peer}-{number:02}"
        with open(os.path.join(self.folder, target, name), "wb") as f:
            f.write(start_bytes + body)
        if kind in (1, 2, 12):
            with open(os.path.join(self.folder, "explain", name), "wb") as f:
                f.write(message)


def capture_hello(corpus, name, command):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = start(command.format(at=f"127.0.0.1:{port}", port=port))
        listener.settimeout(10)
        data = b""
        try:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(5)
                while len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5], "big"):
                    data += peer.recv(16384) or b"\0" * 99999
        except OSError:
            pass
        end(client)
    if data[:1] != b"\x16":
        print(f"{name}: no ClientHello", file=sys.stderr)
        return
    corpus.save(name, 0, BOTH, data[5:5 + int.from_bytes(data[3:5], "big")])


def messages(text):
    """(sent, bytes) for each handshake message that -msg shows."""
    pattern = r"^(<<<|>>>) TLS 1\.\d.*?Handshake \[length.*\n((?:    [0-9a-f ]+\n)+)"
    for way, dump in re.findall(pattern, text, re.M):
        yield way == ">>>", bytes.fromhex(dump.replace("\n", " "))


def capture_handshake(corpus, name, server, where, version):
    if name == "nginx":
        with open(os.path.join(where["dir"], "nginx.conf"), "w", encoding="ascii") as f:
            f.write(NGINX.format(**where))
    process = start(server.format(**where))
    deadline = time.monotonic() + 20
    text = ""
    # what cannot be connected to yet says nothing of TLS
    while "Handshake" not in text and time.monotonic() < deadline:
        text = subprocess.run(
            f"openssl s_client -connect 127.0.0.1:{where['port']} -servername host.test"
            f" -msg -{version} -cert {where['cert']} -key {where['key']}", shell=True, text=True,
            input="GET / HTTP/1.0\n\n", capture_output=True, timeout=20, check=False,
            errors="replace").stdout
    end(process)
    mtls = "mtls" in name
    variant = {"tls1_3": (TLS13, TLS13_MTLS), "tls1_2": (TLS12, TLS12_MTLS)}[version][mtls]
    for number, (sent, message) in enumerate(messages(text)):
        one_way = message[0] in (1, 2, 4, 8)
        corpus.save(f"{name}-{version}", number, variant | (FLAG if sent and not one_way else 0),
                    message)


def main():
    corpus = Corpus(sys.argv[1])
    for name, command in CLIENTS.items():
        capture_hello(corpus, name, command)
    with tempfile.TemporaryDirectory() as folder:
        where = {"dir": folder, "cert": f"{folder}/cert.pem", "key": f"{folder}/key.pem"}
        subprocess.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
                       " -subj /CN=host.test -addext subjectAltName=DNS:host.test -days 3650"
                       f" -keyout {where['key']} -out {where['cert']}", shell=True, check=True,
                       stderr=subprocess.DEVNULL)
        for name, server in SERVERS.items():
            for version in ("tls1_3", "tls1_2"):
                capture_handshake(corpus, name, server, where | {"port": free_port()}, version)


main()
