# SPDX-License-Identifier: MIT
"""Where the lines of the log go, and what stands before them."""

import datetime
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from daemonlib.gate import (TLSGATE, Backend, Gate, Skip, children, echo, free_port, log_text, may_write_shared,
                            name_of, need, open_files_of, path, start, stopped, test, wait_until, write)
from daemonlib.processes import AS_JOURNAL
from daemonlib.reload import held, holdable, state_of, stopped_child

TIME = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"


def is_recent(text):
    then = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
    return abs(then - time.time()) < 60


def one_connection(gate):
    with gate.connect() as connection:
        echo(connection)
        connection.unwrap()
    wait_until(lambda: '"event":"connection"' in log_text(), "its line")
    return next(line for line in log_text().splitlines() if '"event":"connection"' in line)


@test
def lines_have_the_time_where_nobody_adds_it():
    options = ("--connection-log", "--log-format=json", "--workers=1")
    with Backend().echo() as backend:
        with Gate("serve", backend.address, *options, before=["env", "TZ=America/New_York"]) as gate:
            line = one_connection(gate)
            parts = re.fullmatch(TIME + r" tlsgated worker 0: (\{.*\})", line)
            need(parts and is_recent(parts[1]), line)
            need(is_recent(json.loads(parts[2])["time"]), line)
            need(all(re.match(TIME + " tlsgated", each) for each in log_text().splitlines()), log_text())
        with Gate("serve", backend.address, *options, before=AS_JOURNAL) as gate:
            parts = re.fullmatch(r"<6>(\{.*\})", one_connection(gate))
            need(parts and is_recent(json.loads(parts[1])["time"]), log_text())
            need(all(re.match("<[0-7]>[^0-9]", each) for each in log_text().splitlines()), log_text())


# ---- the log process ----------------------------------------------------------------------

IN_DEV = """: >dev/null && mount --bind /dev/null dev/null && mount --bind dev /dev && exec "$@\""""


class Syslog:
    """What listens on /dev/log of a mount namespace whose /dev is a folder of the test's."""

    before = ("unshare", "-m", "sh", "-c", IN_DEV, "sh")
    where = "dev/log"

    def __init__(self):
        if os.geteuid() != 0 or not shutil.which("unshare"):
            raise Skip("needs root and unshare")
        os.makedirs(os.path.dirname(path(self.where)), mode=0o755, exist_ok=True)
        self.lines = []
        self.open()

    def open(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path(self.where))
        os.chmod(path(self.where), 0o666)
        self.socket.setblocking(False)

    def close(self):
        self.socket.close()
        os.unlink(path(self.where))

    def read(self):
        """All lines until now."""
        try:
            while True:
                self.lines.append(self.socket.recv(8192).decode())
        except BlockingIOError:
            pass
        return self.lines

    def wait_for(self, text, times=1):
        wait_until(lambda: sum(text in line for line in self.read()) >= times, "%s: %s" % (text, self.lines[-3:]))
        return next(line for line in self.lines if text in line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Journal(Syslog):
    """The journal's own socket; lines are dictionaries of fields."""

    before = ("unshare", "-m", "sh", "-c", 'mount --bind run /run && exec "$@"', "sh")
    where = "run/systemd/journal/socket"

    def entry(self, text):
        line = self.wait_for("MESSAGE=" + text)
        need(line.endswith("\n"), line)
        return dict(field.split("=", 1) for field in line[:-1].split("\n"))


class LogGate(Gate):
    """A gate that a file describes, whose log settings can be changed."""

    def __init__(self, log, backend, settings, before=()):
        self.port, self.backend, self.log = free_port(), backend, log
        self.write(settings)
        self.process = start("-c", "logs.conf", before=[*log.before, *before])
        log.wait_for("listening on")

    def write(self, settings):
        write("logs.conf", """%s
workers = 1
stop-time = 0
connection-log = true
control = %s
gate web { mode = serve  listen = "127.0.0.1:%d"  backend = "%s"  data-path = user  cert = one.pem  key = one.key }
""" % (settings, path("logs.socket"), self.port, self.backend.address))

    def ask_stats(self, *options):
        return subprocess.run([TLSGATE, "-S", path("logs.socket"), "stats", *options], capture_output=True, text=True,
                              check=True).stdout

    def reload(self, settings):
        self.write(settings)
        self.process.send_signal(signal.SIGHUP)

    def visit(self):
        with self.connect() as connection:
            echo(connection)
            connection.unwrap()

    def logd(self):
        """The newest of them."""
        pids = [pid for pid in children(self.process.pid) if name_of(pid) == "tlsgated-log"]
        need(pids, "there is a log process")
        return pids[-1]


SYSLOG = r"<(\d+)>([A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d) tlsgated\[(\d+)\]: (.*)"


@test
def lines_go_to_syslog():
    with Syslog() as log, Backend().echo() as backend:
        with LogGate(log, backend, "log = syslog") as gate:
            parts = re.fullmatch(SYSLOG, log.wait_for("listening on"))
            need(parts and int(parts[1]) == 3 << 3 | 6 and int(parts[3]) == gate.process.pid, log.lines)
            then = datetime.datetime.strptime("%d %s" % (time.localtime().tm_year, parts[2]), "%Y %b %d %H:%M:%S")
            need(abs(then.timestamp() - time.time()) < 60, "local time: " + parts[2])
            gate.visit()
            parts = re.fullmatch(SYSLOG, log.wait_for("connection gate=web"))
            need(parts and int(parts[3]) == gate.workers()[0], "the worker's: %s" % log.lines)
            need(all(re.fullmatch(SYSLOG, line) for line in log.lines), log.lines)
            need("listening" not in log_text() and "connection" not in log_text(), "on stderr: " + log_text())
        log.wait_for("ending: SIGTERM")
        wait_until(lambda: not os.path.exists("/proc/%d" % gate.process.pid), "its end")


class Nobody:
    """A backend that is down."""

    def __init__(self):
        self.address = "127.0.0.1:%d" % free_port()


@test
def lines_keep_their_priority():
    with Syslog() as log, LogGate(log, Nobody(), "log = syslog") as gate:
        gate.connect().close()
        need(log.wait_for("cannot be reached").startswith("<%d>" % (3 << 3 | 4)), "a warning: %s" % log.lines)


@test
def lines_go_to_the_journal_with_fields():
    with Journal() as log, Backend().echo() as backend:
        with LogGate(log, backend, "log = journal") as gate:
            entry = log.entry("web: listening on")
            need(entry["PRIORITY"] == "6" and entry["SYSLOG_FACILITY"] == "3" and
                 entry["SYSLOG_IDENTIFIER"] == "tlsgated" and entry["SYSLOG_PID"] == str(gate.process.pid) and
                 not any(name.startswith("TLSGATE_") for name in entry), entry)
            gate.visit()
            entry = log.entry("connection gate=web")
            need(entry["TLSGATE_GATE"] == "web" and entry["TLSGATE_VERSION"] == "TLS 1.3" and
                 entry["TLSGATE_BACKEND"] == backend.address and entry["TLSGATE_FROM_CLIENT"] == "5" and
                 entry["TLSGATE_REASON"] == "closed by both sides" and
                 entry["SYSLOG_PID"] == str(gate.workers()[0]), entry)
    with Journal() as log, LogGate(log, Nobody(), "log = journal\nlog-facility = auth") as gate:
        gate.connect().close()
        log.wait_for("cannot be reached")
        line = next(line for line in log.lines if "cannot be reached" in line)
        need("PRIORITY=4\n" in line and "SYSLOG_FACILITY=4\n" in line, line)


@test
def what_prevents_the_start_is_on_stderr_too():
    with Syslog() as log, Backend().echo() as backend, socket.create_server(("127.0.0.1", 0)) as taken:
        gate = LogGate.__new__(LogGate)
        gate.port, gate.backend = taken.getsockname()[1], backend
        gate.write("log = syslog")
        need(start("-c", "logs.conf", before=log.before).wait(30) == 1, log_text())
        log.wait_for("in use")
        need("in use" in log_text(), log_text())


@test
def a_syslog_that_does_not_read_stops_nothing():
    with Syslog() as log, Backend().echo() as backend, LogGate(log, backend, "log = syslog") as gate:
        with stopped(gate.logd()):
            for _ in range(300):
                gate.visit()
        log.wait_for("lines were lost: the log did not take them")
        log.wait_for("connection gate=web", 200)
        read = sum("connection gate=web" in line for line in log.lines)
        lost = sum(int(re.search(r"(\d+) lines were lost", line)[1]) for line in log.lines if "lines were lost" in line)
        need(read + lost == 300, "%d read and %d lost of 300" % (read, lost))
        shown = gate.ask_stats("--json")
        need(json.loads(shown)["log"] == {"target": "syslog", "lost": {"stderr": 0, "syslog": lost, "journal": 0}}, shown)
        need("log: %d lines were lost: syslog did not take them" % lost in gate.ask_stats(), gate.ask_stats())
        gate.reload("log = syslog")
        log.wait_for("reloaded: ")
        wait_until(lambda: len(gate.workers()) == 1, "the worker of before ends")
        need(json.loads(gate.ask_stats("--json"))["log"]["lost"]["syslog"] == lost, "and still is, after a reload")


@test
def the_monitor_says_what_it_lost_itself():
    with Syslog() as log, Backend().echo() as backend, LogGate(log, backend, "log = syslog") as gate:
        with stopped(gate.logd()):
            for _ in range(300):
                gate.visit()
            os.kill(gate.workers()[0], signal.SIGKILL)
            wait_until(lambda: json.loads(gate.ask_stats("--json"))["workers"][0]["process"] != 0 and
                       gate.workers() and gate.visit() is None, "another worker")
        wait_until(lambda: any("tlsgated[%d]: 1 lines were lost" % gate.process.pid in line for line in log.read()),
                   "it is said, though nothing else is", 30)


@test
def a_slow_syslog_gets_every_line_that_has_room():
    with Syslog() as log, Backend().echo() as backend, LogGate(log, backend, "log = syslog") as gate:
        for _ in range(100):                # its queue has fewer
            gate.visit()
        log.wait_for("connection gate=web", 100)
        need(not any("lost" in line for line in log.lines), "none is lost")


@test
def lines_wait_for_a_syslog_that_is_started_anew():
    with Syslog() as log, Backend().echo() as backend, LogGate(log, backend, "log = syslog") as gate:
        log.close()
        for _ in range(20):
            gate.visit()
        wait_until(lambda: "no lines are taken at /dev/log: " in log_text(), log_text())
        log.open()
        log.wait_for("connection gate=web", 20)
        wait_until(lambda: "lines are taken again" in log_text(), log_text())
        need(log_text().count("no lines are taken") == 1, "said once: " + log_text())
        log.close()                         # one that is back at once is not worth a line
        log.open()
        gate.visit()
        log.wait_for("connection gate=web", 21)
        need(log_text().count("no lines are taken") == 1, "said once: " + log_text())


@test
def a_dead_log_process_is_replaced():
    with Syslog() as log, Backend().echo() as backend, LogGate(log, backend, "log = syslog") as gate:
        pid = gate.logd()
        os.kill(pid, signal.SIGKILL)
        log.wait_for("the log process (process %d) died" % pid)
        gate.visit()
        log.wait_for("connection gate=web")
        need(gate.logd() != pid, "another one")


@test
def the_log_process_outlives_the_monitor_but_not_the_workers():
    with Syslog() as log, Backend().echo() as backend:
        gate = LogGate(log, backend, "log = syslog")
        pid = gate.logd()
        with gate.connect() as connection:
            echo(connection)
            gate.process.kill()
            gate.process.wait()
            log.wait_for("the monitor is gone")
            need(name_of(pid) == "tlsgated-log", "it goes on")
            connection.unwrap()
        log.wait_for("connection gate=web")
        wait_until(lambda: name_of(pid) == "", "it ends with the last worker")


@test
def a_reload_takes_another_target():
    with Syslog() as log, Backend().echo() as backend, LogGate(log, backend, "log = syslog") as gate:
        first = gate.logd()
        gate.reload("log = syslog\nlog-facility = local3")
        need(log.wait_for("reloaded: ").startswith("<%d>" % (19 << 3 | 6)), log.lines)
        wait_until(lambda: name_of(first) == "", "the process of before ends")
        for number, facility in enumerate(4 * ("auth", "local3"), 2):
            last = gate.logd()
            gate.reload("log = syslog\nlog-facility = " + facility)
            log.wait_for("reloaded: ", number)
            wait_until(lambda: name_of(last) == "", "and so do those of later reloads")
        need(not any("does not end" in line for line in log.read()), "of their own: %s" % log.lines)
        gate.reload("")
        wait_until(lambda: "reloaded: " in log_text(), log_text())
        need(re.search("^" + TIME + " tlsgated: reloaded", log_text(), re.M), log_text())
        gate.visit()
        wait_until(lambda: "connection gate=web" in log_text(), log_text())


@test
def a_log_process_that_does_not_end_is_killed():
    with Syslog() as log, Backend().echo() as backend:
        with LogGate(log, backend, "log = syslog") as gate:
            first = gate.logd()
            os.kill(first, signal.SIGSTOP)
            gate.reload("log = syslog\nlog-facility = local3")
            log.wait_for("the log process of before (process %d) does not end: it is killed" % first)
            wait_until(lambda: name_of(first) == "", "its end")
            gate.visit()
            log.wait_for("connection gate=web")
            last = gate.logd()
            os.kill(last, signal.SIGSTOP)
        wait_until(lambda: name_of(last) == "", "the last one's end")


@test
def a_refused_reload_leaves_the_target_alone():
    with Syslog() as log, Backend().echo() as backend, \
         LogGate(log, backend, "log = syslog\nlog-facility = local3", before=holdable()) as gate:
        first = gate.logd()
        with held("tlsgated-keyd"):
            gate.reload("log = syslog\nlog-facility = local4")
            keyd = stopped_child(gate.process, "tlsgated-keyd")
        for _ in range(20):
            gate.visit()
        log.wait_for("connection gate=web", 20)
        os.kill(keyd, signal.SIGKILL)
        log.wait_for("reload refused")
        gate.reload("log = syslog\nlog-facility = local4\nkeylog = /nothing/there")
        log.wait_for("reload refused", 2)
        gate.reload("log = syslog\nlog-facility = local3")
        log.wait_for("reloaded: ")
        others = [line for line in log.read() if not line.startswith(tuple("<%d>" % (19 << 3 | n) for n in range(8)))]
        need(not others, "no line as local4: %s" % others)
        need(gate.logd() == first, "the process of before")


@test
def a_refused_reload_leaves_stderr_alone():
    with Syslog() as log, Backend().echo() as backend, \
         LogGate(log, backend, "log = syslog", before=holdable()) as gate:
        gate.reload("")
        wait_until(lambda: "reloaded: " in log_text(), log_text())
        with held("tlsgated-keyd"):
            gate.reload("log = syslog")
            keyd = stopped_child(gate.process, "tlsgated-keyd")
        os.kill(keyd, signal.SIGKILL)
        wait_until(lambda: "reload refused" in log_text(), log_text())
        gate.visit()
        wait_until(lambda: "connection gate=web" in log_text(), log_text())
        need(json.loads(gate.ask_stats("--json"))["log"]["target"] == "stderr", gate.ask_stats())


@test
def a_dry_run_looks_for_syslog():
    with Syslog() as log, Backend() as backend:
        gate = LogGate.__new__(LogGate)
        gate.port, gate.backend = free_port(), backend
        gate.write("log = syslog")
        need(start("-t", "-c", "logs.conf", before=log.before).wait(30) == 0, log_text())
        log.close()
        need(start("-t", "-c", "logs.conf", before=log.before).wait(30) == 2, log_text())
        need("logs.conf:1:7: log: /dev/log: No such file" in log_text(), log_text())
        log.open()


@test
def the_last_lines_are_not_waited_for_for_long():
    with Syslog() as log, Backend().echo() as backend:
        with LogGate(log, backend, "log = syslog") as gate:
            log.close()
            for _ in range(5):
                gate.visit()
            since = time.monotonic()
        need(time.monotonic() - since < 10, "it took %d s" % (time.monotonic() - since))
        need(re.search("[0-9]+ lines were lost at the end", log_text()), log_text())
        log.open()


@test
def a_signal_at_the_end_takes_no_line():
    with Syslog() as log, Backend().echo() as backend, LogGate(log, backend, "log = syslog") as gate:
        for _ in range(100):                # its queue has fewer
            gate.visit()
        gate.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not os.path.exists(path("logs.socket")) and state_of(gate.process.pid) == "S",
                   "the monitor waits for the log process")
        gate.process.send_signal(signal.SIGTERM)
        wait_until(lambda: any("ending: SIGTERM" in line for line in log.read()) or
                   "lines were lost at the end" in log_text(), "the last line comes, or is counted")
        need(gate.process.wait(30) == 0, log_text())


@test
def the_log_process_has_no_powers():
    with Syslog() as log, Backend().echo() as backend, LogGate(log, backend, "log = syslog") as gate:
        with open("/proc/%d/status" % gate.logd()) as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        need("0" not in status["Uid"].split() and int(status["CapEff"], 16) == 0, "%s" % status)
        need(status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", "%s" % status)
        fds = list(open_files_of(gate.logd()).values())
        need(len(fds) <= 6, "descriptors: %s" % fds)
        need(not may_write_shared(gate.logd()), "%s" % may_write_shared(gate.logd()))
        for pid in gate.workers() + gate.keyd():
            need(os.readlink("/proc/%d/fd/2" % pid).startswith("pipe:"), "a pipe, no socket")
