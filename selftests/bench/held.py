#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What live sessions cost the daemon that made them: its processes' private memory.

held.py PID PORT LIVE...: for each number, ascending, once so many connections have had
an answer and stay, prints "growth-daemon live-N 1 BYTES" of PID and all processes below it.
"""
import resource
import socket
import ssl
import sys

REQUEST = b"GET /64 HTTP/1.1\r\nHost: gate.test\r\n\r\n"


def family(pid):
    yield pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        for child in children.read().split():
            yield from family(child)


def private_memory(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Private_"))


def connect(context, port):
    held = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
    held.sendall(REQUEST)
    if not held.recv(4096).startswith(b"HTTP/1.1 200"):
        sys.exit("no answer")
    return held


def main():
    pid, port = sys.argv[1], int(sys.argv[2])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    held = []
    for live in map(int, sys.argv[3:]):
        while len(held) < live:
            held.append(connect(context, port))
        # One more has had its turn: with the one before it the daemon is done.
        connect(context, port).close()
        print(f"growth-daemon live-{live} 1 {sum(map(private_memory, family(pid)))}", flush=True)


if __name__ == "__main__":
    main()
