# SPDX-License-Identifier: MIT
"""Who the client is, where the kernel carries its connection; the module must be loaded."""

import json
import ssl

from daemonlib.deliver import Delivery, Server
from daemonlib.gate import Backend, Gate, log_text, need, path, test, wait_until
from daemonlib.kernel import handed_over, records
from daemonlib.shown_kernel import listed, show
from daemonlib.who import (CLIENT, CLIENT6, HERE, SERVER, SERVER6, behind, binary, line, outcome_of, proxy_header,
                           read_exactly, session_of, showing)


@test
def the_kernel_takes_connections_of_a_proxy():
    logged = ("--connection-log", "--log-format=json", "--control=" + path("control"), "--verbose")
    with Backend() as backend, Gate("serve", backend.address, HERE, "--proxy-protocol", *logged, path="kernel") as gate:
        with behind(gate, binary()) as tls, backend.accept() as plain:
            need(proxy_header(plain)[0] == [CLIENT, SERVER], "the backend is told")
            handed_over(1)
            tls.sendall(b"data")
            need(read_exactly(plain, 4) == b"data", "data")
            wait_until(lambda: len(listed()) == 1 and "connection" in listed()[0], "it is listed: " + show())
            one = listed()[0]
            need(one["connection"]["client"] == "203.0.113.5:4660", "tlsgated's client: %s" % one)
            need(one["peer"] == "127.0.0.1:%d" % tls.getsockname()[1], "the kernel's peer: %s" % one)
            need(" 203.0.113.5:4660 " in show(), show())
        wait_until(records, "a line")
        need(records()[0]["client"] == "203.0.113.5:4660", "%s" % records())


@test
def the_kernel_takes_connections_behind_a_line():
    with Backend() as backend, Gate("serve", backend.address, HERE, "--proxy-protocol=1", "--verbose",
                                    path="kernel") as gate:
        with behind(gate, line(CLIENT6, SERVER6, "TCP6")) as tls, backend.accept() as plain:
            handed_over(1)
            tls.sendall(b"data")
            told = line(CLIENT6, SERVER6, "TCP6")
            need(read_exactly(plain, len(told) + 4) == told + b"data", "a line, then data")


@test
def a_server_sees_the_proxy_that_a_connection_came_by():
    """What the header names is in the log; that it is of IPv6 is nothing to the IPv4 socket."""
    server = Server()
    with server, Delivery(server.address, "accept-proxy = 127.0.0.0/8") as gate:
        with behind(gate, binary(CLIENT6, SERVER6)) as tls:
            tls.sendall(b"data")
            need(read_exactly(tls, 4) == b"data", "an echo")
            need(server.peers == ["127.0.0.1"], "%s" % server.peers)
        wait_until(records, "a line")
        need(records()[0]["client"] == "[2001:db8::5]:4660" and records()[0]["path"] == "delivered", "%s" % records())
        need(not gate.undelivered() and not gate.relayed(), "%s" % json.dumps(gate.state()))


@test
def the_kernel_takes_connections_of_whom_a_rule_names():
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        with Backend().echo() as backend, Gate("serve", backend.address, "--client-ca=ca.pem", "--allow-client=CN=two",
                                               "--verbose", path="kernel") as gate:
            context = showing("two", version)
            session, _ = session_of(gate, context)
            need(session_of(gate, context, session)[1], "resumed")
            handed_over(2)
            outcome = outcome_of(gate, "one", maximum_version=version)
            need("access denied" in outcome, outcome)
            need(log_text().count("data path: kernel, session") == 2, "two connections alone: " + log_text())
