# SPDX-License-Identifier: MIT
"""What tlsgated counts, as metrics."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import time
import urllib.error
import urllib.request

from daemonlib.control import NOBODY, ControlGate, config, outcome
from daemonlib.gate import (DEADLINE, GROUP, IPC_LISTED, IPC_VERSION, TLSGATED, Backend, Skip, all_sockets_of, children,
                            echo, free_port, listens, log_text, name_of, need, path, read_end, sockets_of, start,
                            stopped, test, tmp, unread, wait_until, write)
from daemonlib.samples import metrics, parse, total

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"


def fail(gate, context=None):
    """A TLS connection that comes to nothing."""
    try:
        with gate.connect_with(context) if context else gate.connect() as connection:
            read_end(connection)
    except OSError:             # ssl.SSLError is one
        pass


@test
def metrics_count_handshakes_by_what_they_agreed_on():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        with gate.connect(maximum_version=ssl.TLSVersion.TLSv1_2) as connection:
            echo(connection, b"x" * 1000)
            need(total(metrics(gate), "tlsgated_connections_active", path="user") == 1, "one is open")
        for _ in range(2):
            with gate.connect() as connection:
                suite = connection.cipher()[0]
                echo(connection)
        wait_until(lambda: total(metrics(gate), "tlsgated_connections_active") == 0, "all are over")
        now = metrics(gate)
        need(total(now, "tlsgated_connections_accepted_total", gate="web") == 3, "accepted: %s" % now)
        need(total(now, "tlsgated_handshakes_total") == 3, "handshakes: %s" % now)
        need(total(now, "tlsgated_handshakes_total", version="1.3", suite=suite, group=GROUP,
                   resumed="no", client_certificate="no") == 2, "of TLS 1.3: %s" % now)
        need(total(now, "tlsgated_handshakes_total", version="1.2") == 1, "of TLS 1.2: %s" % now)
        for name in ("handshake", "backend_connect"):
            name = "tlsgated_%s_seconds" % name
            need(total(now, name + "_count") == total(now, name + "_bucket", le="+Inf") == 3, "times: %s" % now)
            need(0 < total(now, name + "_sum") < 30, "their sum: %s" % now)
        need(total(now, "tlsgated_bytes_total", path="user", **{"from": "client"}) == 1010, "bytes: %s" % now)
        need(total(now, "tlsgated_bytes_total", path="user", **{"from": "backend"}) == 1010, "bytes: %s" % now)


@test
def metrics_count_failures_by_reason():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        with gate.connect_plain() as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            read_end(connection)
        fail(gate, ssl.create_default_context())        # without the CA
        gate.connect_plain().close()
        wait_until(lambda: total(metrics(gate), "tlsgated_handshake_failures_total") == 3, "failures")
        now = metrics(gate)
        for reason in ("protocol_error", "peer_rejected_certificate", "peer_closed"):
            need(total(now, "tlsgated_handshake_failures_total", gate="web", reason=reason) == 1,
                 "%s: %s" % (reason, now))
        need(total(now, "tlsgated_connections_failed_total") == 3, "failed: %s" % now)


@test
def metrics_count_a_backend_that_is_down():
    with ControlGate("127.0.0.1:%d" % free_port()) as gate:
        fail(gate)
        wait_until(lambda: total(metrics(gate), "tlsgated_backend_connect_failures_total") == 1, "a failure")
        now = metrics(gate)
        need(total(now, "tlsgated_backend_connect_seconds_count") == 0, "no success: %s" % now)
        need(total(now, "tlsgated_handshake_failures_total") == 0, "no handshake failed: %s" % now)


@test
def metrics_never_go_back():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        with gate.connect() as connection:
            echo(connection)
        before = metrics(gate)
        old = gate.workers()[0]
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: gate.workers() not in ([], [old]), "another worker")
        outcome(gate.tlsgate("reload"), 0)
        wait_until(lambda: len(gate.workers()) == 1, "the first generation is gone")
        after = metrics(gate)
        for key, value in before.items():
            if re.search("_(total|count|sum|bucket)$", key[0]):
                need(after.get(key, 0) >= value, "%s went from %s to %s" % (key, value, after.get(key)))
        need(total(after, "tlsgated_worker_restarts_total") == 1, "restarts: %s" % after)


@test
def metrics_tell_what_is_configured():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        now = metrics(gate)
        end = total(now, "tlsgated_certificate_not_after_timestamp_seconds", gate="web", file="one.pem")
        need(19 < (end - time.time()) / 86400 <= 20, "the certificate's end: %s" % end)
        need(0 <= total(now, "tlsgated_ticket_key_age_seconds", gate="web") < 100, "age of the ticket key: %s" % now)
        need(total(now, "tlsgated_build_info") == 1 and total(now, "tlsgated_workers") == 1, "says %s" % now)
        need(total(now, "tlsgate_module_loaded") == 0 == total(now, "tlsgated_gate_wants_kernel"), "says %s" % now)
        need(time.time() - total(now, "tlsgated_start_time_seconds") < 100, "the start: %s" % now)
        shown = json.loads(gate.tlsgate("stats", "--json").stdout)["metrics"]
        said = {family["name"]: family for family in shown}
        need(said["tlsgated_connections_accepted_total"]["type"] == "counter" and
             said["tlsgated_connections_accepted_total"]["samples"] ==
             [{"name": "tlsgated_connections_accepted_total", "labels": {"gate": "web"}, "value": 0}],
             "JSON: %s" % shown)
        names = {sample["name"] for family in shown for sample in family["samples"]}
        need(names == {name for name, _ in now}, "JSON has the same: %s" % (names ^ {name for name, _ in now}))


@test
def metrics_survive_any_gate_name():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        name = 'a"b{c}=,\u00e4\\\\'
        text = open(path("control.conf")).read()
        write("control.conf", text.replace("gate web", "gate '%s'" % name))
        outcome(gate.tlsgate("reload"), 0)
        labels = {dict(labels).get("gate") for _, labels in metrics(gate)} - {None}
        need(labels == {r'a\"b{c}=,\\xc3\\xa4\\x5c\\x5c'}, "labels: %s" % labels)


def spoil_shared_memory(pid):
    """Every byte that a process can write and others read, as one that was taken over may."""
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "wb", buffering=0) as memory:
        for line in maps:
            where, rights = line.split()[:2]
            begin, end = (int(number, 16) for number in where.split("-"))
            if rights == "rw-s":
                memory.seek(begin)
                memory.write(b"\x11" * (end - begin))


@test
def counters_of_a_worker_that_was_taken_over_do_no_harm():
    if os.geteuid() != 0:
        raise Skip("needs root to write to a worker's memory")
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        spoil_shared_memory(gate.workers()[0])
        now = metrics(gate)
        need(total(now, "tlsgated_connections_accepted_total") > 1 << 60, "it writes the counters: %s" % now)
        named = [dict(labels)["suite"] for name, labels in now if name == "tlsgated_handshakes_total"]
        need(len(named) > 100 and all(suite.startswith("TLS_") for suite in named), "suites: %s" % set(named))
        outcome(gate.tlsgate("stats"), 0)
        outcome(gate.tlsgate("stats", "--json"), 0)
        outcome(gate.tlsgate("show"), 0)
        need(gate.process.poll() is None, "the daemon goes on")


def section(text, title):
    """What the first column of the table under that title names."""
    rows = re.search(r"^### %s\n(.*?)(?=^#|\Z)" % title, text, re.M | re.S)[1]
    return re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in re.findall(r"^\| `.*", rows, re.M)[1:]))


def need_same(documented, there, what):
    need(len(documented) == len(set(documented)), "%s twice: %s" % (what, documented))
    need(set(documented) == there, "docs/metrics.md or the daemon lacks %s: %s" % (what, set(documented) ^ there))


@test
def metrics_are_documented():
    with Backend().echo() as backend, ControlGate(backend.address) as gate:
        families = {family["name"]: family["samples"]
                    for family in json.loads(gate.tlsgate("stats", "--json").stdout)["metrics"]}
    with open(os.path.join(os.path.dirname(__file__), "../../docs/metrics.md")) as file:
        text = file.read()
    rows = re.findall(r"^\| `tlsgate.*", text, re.M)
    need_same(re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in rows)), set(families), "metrics")
    for name, title in (("tlsgated_handshake_failures_total", "Why handshakes fail"),
                        ("tlsgated_handovers_refused_total", "Why the kernel refuses hand-overs")):
        need_same(section(text, title), {sample["labels"]["reason"] for sample in families[name]}, "reasons")


# ---- over HTTP -----------------------------------------------------------------------------------

class Exporter(ControlGate):
    """Answers scrapers on a port of its own."""

    def __init__(self, backend, where=None):
        self.scraped = free_port()
        super().__init__(backend, self.head(where or "127.0.0.1:%d" % self.scraped))

    def head(self, where):
        return 'control = "%s"\nmetrics = "%s"' % (path("control"), where)

    def scrape(self, accept=OPENMETRICS, target="/metrics", **options):
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.scraped, target),
                                         headers={"Accept": accept} if accept else {}, **options)
        return urllib.request.urlopen(request, timeout=DEADLINE)

    def answers(self):
        try:
            with self.scrape() as answer:
                return answer.status == 200
        except OSError:
            return False

    def dial(self):
        return socket.create_connection(("127.0.0.1", self.scraped), timeout=DEADLINE)


def process_of(gate):
    return [pid for pid in children(gate.process.pid) if name_of(pid) == "tlsgated-metric"]


def refused(gate, status, **options):
    try:
        gate.scrape(**options).close()
    except urllib.error.HTTPError as error:
        need(error.code == status, "%s, not %d" % (error.code, status))
        return
    need(False, "it is answered")


@test
def metrics_are_served_in_the_format_that_is_asked_for():
    with Backend().echo() as backend, Exporter(backend.address) as gate:
        with gate.connect() as connection:
            echo(connection)
        with gate.scrape() as answer:
            need(answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8",
                 "type: %s" % answer.headers)
            text = answer.read().decode()
            need(text.endswith("# EOF\n") and "# TYPE tlsgated_handshakes counter\n" in text and
                 "# TYPE tlsgated_build info\n" in text, "OpenMetrics: " + text[:1000])
            need(total(parse(text), "tlsgated_handshakes_total") == 1, "numbers: " + text)
        with gate.scrape(None) as answer:
            need(answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", "type: %s" % answer.headers)
            text = answer.read().decode()
            need("# EOF" not in text and "# TYPE tlsgated_handshakes_total counter\n" in text and
                 "# TYPE tlsgated_build_info gauge\n" in text, "Prometheus: " + text[:1000])
        with gate.scrape(method="HEAD") as answer:
            need(int(answer.headers["Content-Length"]) > 1000 and not answer.read(), "HEAD: %s" % answer.headers)
        refused(gate, 404, target="/")
        refused(gate, 405, method="POST", data=b"x")


@test
def metrics_process_has_nothing_but_its_listener():
    with Backend().echo() as backend, Exporter(backend.address) as gate:
        need(gate.answers(), "it answers")
        pid = process_of(gate)[0]
        with open("/proc/%d/status" % pid) as file:
            status = dict(line.rstrip("\n").split(":\t") for line in file if ":\t" in line)
        need(status["CapEff"] == status["CapPrm"] == "0" * 16 and status["Seccomp"] == "2" and
             status["NoNewPrivs"] == "1", "it can: %s" % status)
        need(os.geteuid() or status["Uid"].split()[0] == "65534", "user: %s" % status["Uid"])
        with open("/proc/%d/maps" % gate.workers()[0]) as file:
            need("microhttpd" not in file.read(), "a worker has the library, too")
        kinds = sorted({(s.family, s.type) for s in all_sockets_of(pid)})
        need(kinds == [(socket.AF_UNIX, socket.SOCK_SEQPACKET), (socket.AF_INET, socket.SOCK_STREAM)],
             "sockets: %s" % kinds)


@test
def metrics_process_that_dies_is_replaced():
    with Backend().echo() as backend, Exporter(backend.address) as gate:
        need(gate.answers(), "it answers")
        old = process_of(gate)[0]
        for listener in all_sockets_of(old):            # as one that was taken over may
            with contextlib.suppress(OSError):          # not a connection that has ended
                if listener.family == socket.AF_INET:
                    listener.shutdown(socket.SHUT_RDWR)
        need(not gate.answers(), "it has no listener")
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: process_of(gate) not in ([], [old]), "another one")
        wait_until(gate.answers, "it answers again")


@test
def metrics_process_that_does_not_end_is_killed():
    """It would have the listener still, which the next daemon shares in an upgrade."""
    with Backend().echo() as backend, Exporter(backend.address) as gate:
        wait_until(gate.answers, "it answers")
        old = process_of(gate)[0]
        os.kill(old, signal.SIGSTOP)            # as one that was taken over may look away
        gate.config('control = "%s"' % path("control"))
        outcome(gate.tlsgate("reload"), 0)
        wait_until(lambda: not process_of(gate), "nobody wants it any more")
        gate.config(gate.head("127.0.0.1:%d" % gate.scraped))
        outcome(gate.tlsgate("reload"), 0)
        wait_until(gate.answers, "there is another")
        last = process_of(gate)[0]
        os.kill(last, signal.SIGSTOP)
        gate.process.terminate()
        need(gate.process.wait(DEADLINE) == 0, "an end in order")
        wait_until(lambda: not os.path.exists("/proc/%d" % last), "it is gone with the daemon")


@test
def slow_scrapers_hold_up_nobody():
    with Backend().echo() as backend, Exporter(backend.address) as gate, contextlib.ExitStack() as stack:
        for _ in range(10):
            silent = stack.enter_context(gate.dial())
            silent.sendall(b"GET /met")
        for _ in range(5):
            stack.enter_context(gate.dial()).sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        need(gate.answers(), "another one is answered")
        outcome(gate.tlsgate("reload"), 0)
        with gate.connect() as connection:
            echo(connection)
        with stopped(process_of(gate)[0]):
            outcome(gate.tlsgate("stats"), 0)
            outcome(gate.tlsgate("reload"), 0)


# Connects more than 32 times, which is all that there is room for, and says nothing.
HOLD = """import socket, sys
held = [socket.socket(socket.AF_UNIX) for _ in range(40)]
for one in held:
    one.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@test
def one_user_cannot_hold_a_unix_socket():
    if os.geteuid() != 0:
        raise Skip("only root becomes another user")
    where = path("metrics.socket")
    with Backend().echo() as backend, Exporter(backend.address, "unix:" + where) as gate:
        wait_until(lambda: process_of(gate), "a process")
        with subprocess.Popen([*NOBODY, "python3", "-c", HOLD, where], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as holder:
            need(holder.stdout.readline() == "held\n", "it connects")
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(8)            # those are ended after 10 s
                # the backlog is theirs until it is looked at
                wait_until(lambda: not client.connect_ex(where), "there is room in the backlog")
                client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                need(b"200 OK" in client.recv(100), "another user is answered")
            holder.stdin.close()


@test
def metrics_address_follows_a_reload():
    with Backend().echo() as backend, Exporter(backend.address) as gate:
        wait_until(gate.answers, "it answers")
        pid = process_of(gate)
        outcome(gate.tlsgate("reload"), 0)
        need(process_of(gate) == pid and gate.answers(), "the same process after a reload that changes nothing")
        old, gate.scraped = gate.scraped, free_port()
        gate.config(gate.head("127.0.0.1:%d" % gate.scraped))
        outcome(gate.tlsgate("reload"), 0)
        wait_until(gate.answers, "it answers at the new address")
        with socket.socket() as probe:
            need(probe.connect_ex(("127.0.0.1", old)) != 0, "the old one is still there")
        gate.config('control = "%s"' % path("control"))
        outcome(gate.tlsgate("reload"), 0)
        wait_until(lambda: not process_of(gate), "no process without the setting")
        need(not gate.answers(), "nobody answers")


def without_the_library():
    """What a program is started by so that it does not find libmicrohttpd."""
    listed = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True,
                            env={"PATH": os.environ["PATH"] + ":/sbin:/usr/sbin"}).stdout
    found = re.search(r"libmicrohttpd\.so\.12 .*=> (\S+)", listed)
    hidden = ("unshare", "--mount", "sh", "-c", 'mount --bind /dev/null "$0" && exec "$@"', os.path.realpath(found[1]))
    if subprocess.run([*hidden, "true"], capture_output=True).returncode:
        raise Skip("a library cannot be hidden: this root may not mount")
    return hidden


@test
def without_the_library_the_daemon_serves_all_the_same():
    port, where = free_port(), free_port()
    with Backend().echo() as backend:
        config(port, backend.address, "control = none\nmetrics = '127.0.0.1:%d'" % where)
        daemon = start("-c", "control.conf", before=without_the_library())
        try:
            wait_until(lambda: "no metrics until a reload" in log_text(), "it is said: " + log_text())
            need(re.search(r"no metrics: .*libmicrohttpd\.so\.12: .*: install libmicrohttpd12\n", log_text()),
                 "what to do: " + log_text())
            wait_until(lambda: listens(port), "it serves")
            need(log_text().count("no metrics: ") == 1, "once: " + log_text())
        finally:
            daemon.terminate()
            need(daemon.wait(DEADLINE) == 0, "it ends: " + log_text())


@test
def metrics_address_in_use_is_refused():
    with Backend().echo() as backend, Exporter(backend.address) as gate, \
            socket.create_server(("127.0.0.1", 0)) as taken:
        wait_until(gate.answers, "it answers")
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        gate.config(gate.head(address))
        line = "control.conf:2:11: refused: metrics '%s': Address already in use: another program listens there: give another address"
        outcome(gate.tlsgate("reload"), 1, re.escape(line % address))
        need(gate.answers(), "what ran goes on")
        gate.config('control = none\nmetrics = "%s"' % address)
        begun = subprocess.run([TLSGATED, "-c", "control.conf"], cwd=tmp, capture_output=True, text=True,
                               timeout=DEADLINE, stdin=subprocess.DEVNULL)
        need(begun.returncode == 1 and line % address in begun.stderr and len(begun.stderr.splitlines()) == 1,
             "a start: %s" % begun)
        gate.config(gate.head("127.0.0.1:%d" % gate.port))
        outcome(gate.tlsgate("reload"), 1, "control.conf:2:11: refused: metrics .*: gate .* listens on")
        need(gate.answers(), "not at a gate's address")


@test
def metrics_on_a_unix_socket():
    where = path("metrics.socket")
    with Backend().echo() as backend, Exporter(backend.address, "unix:" + where) as gate:
        wait_until(lambda: process_of(gate), "a process")
        need(os.stat(where).st_mode & 0o777 == 0o666, "mode %o" % os.stat(where).st_mode)
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(DEADLINE)
                client.connect(where)
                client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                answer = b"".join(iter(lambda: client.recv(65536), b""))
            need(b"200 OK" in answer and b"tlsgated_workers 1\n" in answer, "says %r" % answer[:300])
            outcome(gate.tlsgate("reload"), 0)
        os.kill(gate.process.pid, signal.SIGKILL)       # it leaves the socket behind
        gate.process.wait()
        wait_until(lambda: listens_no_more(where), "its process ends")
        with Exporter(backend.address, "unix:" + where) as again:
            wait_until(lambda: not listens_no_more(where), "a socket that was left behind is replaced")
            need(again.process.poll() is None, log_text())
        need(not os.path.exists(where), "the socket is removed at the end")
        gate.process = again.process


@test
def no_scraper_holds_up_others_by_what_it_passes_along():
    """The metrics process has the last descriptor of it: in what it reads, and in what it does not."""
    where = path("metrics.socket")
    request = b"GET /metrics HTTP/1.0\r\n\r\n"
    with Backend().echo() as backend, Exporter(backend.address, "unix:" + where) as gate:
        wait_until(lambda: len(process_of(gate)) == 1, "the process")
        for parts in ((request[:5],), (request, b"x")):
            connection, peer = unread(4 * int(DEADLINE))
            with peer, dial_unix(where) as client, dial_unix(where) as other:
                with stopped(process_of(gate)[0]):
                    for part in parts[:-1]:
                        client.sendall(part)
                    socket.send_fds(client, [parts[-1]], [connection.fileno()])
                    connection.close()
                other.sendall(request)
                need(b"200 OK" in other.recv(1000), "another is answered")


@test
def no_child_that_was_taken_over_holds_up_the_monitor_by_what_it_passes_along():
    """What a scraper, or a UNIX backend, passed along to it; read by the monitor, or not when it ends."""
    with Backend().echo() as backend, Exporter(backend.address) as gate:
        wait_until(gate.answers, "it answers")
        for pid in (process_of(gate)[0], gate.workers()[0]):
            with sockets_of(pid)[0] as end:
                for end_it in (False, True):
                    connection, peer = unread(4 * int(DEADLINE))
                    with peer:
                        with stopped(gate.process.pid):
                            socket.send_fds(end, [struct.pack("HH", IPC_VERSION, IPC_LISTED)], [connection.fileno()])
                            connection.close()
                            if end_it:
                                os.kill(pid, signal.SIGKILL)
                        need(gate.tlsgate("gates").returncode == 0, "the monitor answers")


def dial_unix(where):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(DEADLINE)
    client.connect(where)
    return client


def listens_no_more(where):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(where) != 0
