# SPDX-License-Identifier: MIT
"""What the daemon tells of its connections, and tlsgate show makes of it."""

import time

from daemonlib.control import ControlGate
from daemonlib.gate import Backend, echo, need, stopped, test, wait_until


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
                             "suite": "TLS_AES_128_GCM_SHA256", "group": "x25519", "resumed": False,
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
