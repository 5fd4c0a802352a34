# SPDX-License-Identifier: MIT
"""What the daemon tells of its connections, and tlsgate show makes of it."""

import fcntl
import json
import os
import pty
import re
import select
import socket
import struct
import subprocess
import termios
import time

from daemonlib.control import ControlGate
from daemonlib.gate import (DEADLINE, GROUP, IPC_LIST, IPC_LISTED, IPC_VERSION, TLSGATE, Backend, echo, need,
                            sockets_of, stopped, test, wait_until)


def connections(gate):
    return gate.ask(b"connections\n")["connections"]


@test
def connections_are_told_as_they_are():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        need(gate.ask(b"connections\n") == {"connections": [], "silent": 0, "status": "ok"}, "none at first")
        with gate.connect() as connection, gate.connect_plain() as silent:
            echo(connection, b"x" * 1000)
            silent.sendall(b"\x16\x03")
            wait_until(lambda: len(connections(gate)) == 2, "both: %s" % connections(gate))
            by_state = {item["state"]: item for item in connections(gate)}
            relayed, beginning = by_state["relayed"], by_state["handshake"]
            ms = relayed.pop("ms")
            need(0 < ms < 60000, "%d ms" % ms)
            client = "127.0.0.1:%d" % connection.getsockname()[1]
            need(relayed == {"gate": "web", "client": client, "name": "localhost", "version": "TLS 1.3",
                             "suite": "TLS_AES_128_GCM_SHA256", "group": GROUP, "resumed": False,
                             "backend": backend.address, "path": "user", "mode": "serve", "state": "relayed",
                             "from-client": 1000, "from-backend": 1000}, "%s" % relayed)
            need("name" not in beginning and beginning["gate"] == "web", "%s" % beginning)
        wait_until(lambda: not connections(gate), "they are gone")


@test
def who_asks_for_connections_waits_for_no_worker_for_long():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        worker = gate.workers()[0]
        with gate.connect() as connection:
            echo(connection)
            with stopped(worker):
                for _ in range(2):
                    start = time.monotonic()
                    answer = gate.ask(b"connections\n")
                    need(answer["silent"] == 1 and not answer["connections"] and 1 < time.monotonic() - start < 30,
                         "%s" % answer)
                with gate.dial() as one, gate.dial() as other:      # both have the answer of one round
                    one.sendall(b"connections\n")
                    other.sendall(b"connections\n")
                    need(gate.ask(b"gates\n")["status"] == "ok", "others are answered meanwhile")
                    need(b'"silent":1' in one.recv(1000) and b'"silent":1' in other.recv(1000), "both")
            wait_until(lambda: gate.ask(b"connections\n")["silent"] == 0, "it answers again")
            need(len(connections(gate)) == 1, "one")


def most_memory(pid):
    """Of this process, in KiB."""
    with open("/proc/%d/status" % pid) as file:
        return int(re.search(r"VmHWM:\s*(\d+)", file.read())[1])


def list_of(end):
    """The file that the monitor sent for a worker's connections."""
    need(select.select([end], [], [], DEADLINE)[0], "the worker is asked")
    message, fds, _, _ = socket.recv_fds(end, 100, 1)
    need(struct.unpack("HH", message) == (IPC_VERSION, IPC_LIST), "%s" % message)
    return open(fds[0], "wb", buffering=0)


@test
def a_list_of_a_worker_that_was_taken_over_takes_no_memory():
    line = {"gate": "web", "name": "x" * 100}
    with Backend() as backend, ControlGate(backend.address) as gate, stopped(gate.workers()[0]), \
            sockets_of(gate.workers()[0])[0] as worker:
        before = most_memory(gate.process.pid)
        with gate.dial() as client:
            client.sendall(b"connections\n")
            with list_of(worker) as file:
                for text in (b"{}\n", b"{%s}\n" % (b" " * 200), b"[]\n" * 100, b"\xff" * 5000 + b"\n"):
                    file.write(text * ((1 << 20) // len(text)))
                file.write(json.dumps(line).encode() + b"\n")
            worker.send(struct.pack("HH", IPC_VERSION, IPC_LISTED))
            answer = json.loads(client.makefile("rb").read())
        need(answer["silent"] == 0 and [item for item in answer["connections"] if item] == [line], "%.500s" % answer)
        more = most_memory(gate.process.pid) - before
        need(more < 64 << 10, "%d KiB more" % more)


@test
def many_connections_are_told_in_turns():
    """More than a worker writes in one turn, some of which end meanwhile."""
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        opened = [gate.connect() for _ in range(150)]
        for connection in opened:
            echo(connection)
        need(len(connections(gate)) == 150, "all: %d" % len(connections(gate)))
        with gate.dial() as asks:
            for connection in opened[::2]:
                connection.close()
            asks.sendall(b"connections\n")
            wait_until(lambda: len(connections(gate)) == 75, "half of them")
        for connection in opened:
            connection.close()


def row_of(text, columns):
    """The first row as a dictionary; text: all columns."""
    lines = text.splitlines()
    need(lines[0].split() == list(columns), lines[0])
    return dict(zip(columns, re.split(r" {2,}", lines[1].strip())))


COLUMNS = ("ID", "GATE", "PEER", "NAME", "ALPN", "CLIENT-CERT", "USER", "PATH", "ROLE", "VERSION", "SUITE", "GROUP",
           "STATE", "IN", "OUT", "RECORDS", "REKEYS", "AGE", "RELAY")


@test
def show_lists_what_workers_carry():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        need("no connection" in gate.tlsgate("show").stdout, "none at first")
        with gate.connect() as connection, gate.connect() as other:
            echo(connection, b"x" * 2000)
            echo(other)
            port = connection.getsockname()[1]
            row = row_of(gate.tlsgate("show", "--sort", "in").stdout, COLUMNS)
            need(row.pop("AGE").endswith("s"), "an age")
            need(row == {"ID": "-", "GATE": "web", "PEER": "127.0.0.1:%d" % port, "NAME": "localhost", "ALPN": "-",
                         "CLIENT-CERT": "-", "USER": "-", "PATH": "user", "ROLE": "server", "VERSION": "TLS 1.3",
                         "SUITE": "TLS_AES_128_GCM_SHA256", "GROUP": GROUP, "STATE": "relayed", "IN": "2.0 KiB",
                         "OUT": "2.0 KiB", "RECORDS": "-", "REKEYS": "-", "RELAY": backend.address}, "%s" % row)
            peers = re.findall("127.0.0.1:[0-9]+(?= +localhost)", gate.tlsgate("show", "--sort", "PEER").stdout)
            need(peers == sorted(peers) and len(peers) == 2, "%s" % peers)
            shown = json.loads(gate.tlsgate("show", "--json", "--sort", "in").stdout)
            need(shown[0]["connection"]["from-client"] == 2000 and len(shown) == 2, "%s" % shown)
            need("no connection of gate 'other'" in gate.tlsgate("show", "--gate", "other").stdout, "another gate has none")
            need(len(gate.tlsgate("show", "--gate", "web").stdout.splitlines()) == 3, "the gate's")
        for wrong in (("--sort", "nonsense"), ("--gate", ""), ("--watch", "--json"), ("--watch=0",), ("--watch=",),
                      ("--watch=1s",), ("--watch=3601",), ("5", "--watch=5"), ("5", "--gate", "web"), ("--sort",)):
            need(gate.tlsgate("show", *wrong).returncode == 2, "%s is refused" % (wrong,))


def on_terminal(width, height, *argv, until):
    """What the tool prints there, up to what until() finds in it, or its end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", height, width, 0, 0))
    tool = subprocess.Popen([TLSGATE, *argv], stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    text = ""
    deadline = time.monotonic() + DEADLINE
    try:
        while not until(text) and time.monotonic() < deadline:
            try:
                piece = os.read(ours, 4096).decode()
            except OSError:		# the end
                break
            text += piece
    finally:
        tool.terminate()
        tool.wait()
        os.close(ours)
    return text.replace("\r", "")


def lines_of(text):
    return [line for line in re.sub("\033\\[[0-9]*[mHJ]", "", text).splitlines() if line]


@test
def show_fits_its_terminal():
    with Backend().echo() as backend, ControlGate(backend.address) as gate, gate.connect() as connection:
        echo(connection)
        widths = (300, 160, 120, 80, 60)
        headings = []
        for width in widths:
            text = on_terminal(width, 24, "-S", gate.socket, "show", until=lambda text: False)
            need("\033[1m" in text, "colours: %r" % text)
            lines = lines_of(text)
            need(len(lines) == 2 and max(map(len, lines)) <= width, "%d columns: %s" % (width, lines))
            headings.append(lines[0].split())
        need(headings[0] == list(COLUMNS) and all(set(a) >= set(b) for a, b in zip(headings, headings[1:])),
             "%s" % headings)
        need({"GATE", "PEER", "STATE", "IN", "OUT", "NAME", "AGE"} <= set(headings[3]), "80 columns: %s" % headings[3])
        need({"GATE", "PEER", "STATE", "IN", "OUT"} <= set(headings[4]), "60 columns: %s" % headings[4])
        need("\033" not in gate.tlsgate("show").stdout, "no colours elsewhere")


@test
def show_watches():
    with Backend().echo() as backend, ControlGate(backend.address) as gate, gate.connect() as connection:
        echo(connection)
        text = on_terminal(80, 24, "-S", gate.socket, "show", "--watch", until=lambda text: text.count("\033[H\033[2J") == 3)
        need(text.count("127.0.0.1:%d" % connection.getsockname()[1]) >= 2, "twice: %r" % text)
        begun = time.monotonic()
        on_terminal(80, 24, "-S", gate.socket, "show", "--watch=3", until=lambda text: text.count("\033[H\033[2J") == 2)
        need(time.monotonic() - begun >= 3, "as often as was asked for")
        many = [gate.connect() for _ in range(20)]
        text = on_terminal(80, 10, "-S", gate.socket, "show", "--watch", until=lambda text: text.count("\033[H\033[2J") == 2)
        need(len(lines_of(text.split("\033[H\033[2J")[1])) == 9, "as many as fit: %r" % text)
        for one in many:
            one.close()
