# SPDX-License-Identifier: MIT
"""Whatever is wrong with a file that a setting names: one line that says what to do, and what can go on goes on."""

import os
import re
import shutil
import subprocess

from daemonlib.control import ControlGate, outcome
from daemonlib.gate import (DEADLINE, TLSGATED, Backend, Skip, echo, free_port, listens, log_text, need, path, run,
                            start, test, tmp, wait_until, write)

USUAL = {"cert": "one.pem", "key": "one.key", "client-ca": "ca.pem", "ticket-keys": "files.tickets",
         "crl": "files.crl", "ca": "ca.pem", "control": path("files.socket")}
CONNECT = ("ca",)
PROCESS = ("keylog", "control", "metrics")
MADE = PROCESS                  # the daemon makes them; it reads all others
OPTIONAL = ("ocsp", "keylog", "metrics")


def settings_with_files():
    text = subprocess.run([TLSGATED, "--help"], capture_output=True, text=True, check=True).stdout
    return re.findall("^  --([a-z-]+)=[^ ]*(?:FILE|PATH)", text, re.M)


def configure(port, backend, **other):
    """Every file is as it should be, but for other ones."""
    values = {**USUAL, **{name.replace("_", "-"): value for name, value in other.items()}}

    def lines(wanted):
        return "".join('\t%s = "%s"\n' % (n, v) for n, v in values.items() if wanted(n))

    return write("files.conf", 'workers = 1\n%s'
                 'gate web {\n\tmode = serve\n\tdata-path = user\n\tverify-client = request\n\tlisten = "127.0.0.1:%d"\n'
                 '\tbackend = "%s"\n%s}\n'
                 'gate out {\n\tmode = connect\n\tdata-path = user\n\tlisten = "127.0.0.1:%d"\n'
                 '\tbackend = "localhost:1"\n%s}\n' % (
                     lines(lambda n: n in PROCESS), port[0], backend,
                     lines(lambda n: n not in PROCESS + CONNECT), port[1], lines(lambda n: n in CONNECT)))


def make_files():
    write("files.ca.cnf", "[ca]\ndefault_ca = d\n[d]\ndatabase = files.index\ncrlnumber = files.number\n"
          "default_md = sha256\ndefault_crl_days = 20\n")
    write("files.index", "")
    write("files.number", "01\n")
    run("openssl", "ca", "-config", "files.ca.cnf", "-gencrl", "-keyfile", "ca.key", "-cert", "ca.pem", "-out", "files.crl")
    os.makedirs(path("files.folder"), exist_ok=True)
    write("files.empty", "")
    write("files.other", "wanted = 1\n")
    write("files.tickets", "k" * 79 + "\x01")
    os.chmod(path("files.tickets"), 0o600)
    write("files.nobody", "")
    os.chmod(path("files.nobody"), 0)
    for name, target in (("files.loop", "files.loop"), ("files.dangling", "files.absent")):
        if not os.path.lexists(path(name)):
            os.symlink(target, path(name))
    if not os.path.exists(path("files.fifo")):
        os.mkfifo(path("files.fifo"))


# What is there, and what the line must say of it where the file is to be read; and where it is to be made, unless
# that can be done.
READ = {
    "files.absent": "No such file or directory: correct the path, or create the file",
    "files.folder": "it is a directory: give a file",
    "files.empty": ": ",
    "files.other": ": ",
    "files.loop": "Too many levels of symbolic links: ",
    "files.dangling": "No such file or directory: correct the path, or create the file",
    "files.fifo": "it is no regular file: write its content to one",
    "/dev/zero": "it is no regular file: write its content to one",
    "files.other/x": "Not a directory: ",
    "x" * 300: "File name too long: ",
}
MAKE = {
    "files.folder": ": ",
    "files.absent/x": "No such file or directory: ",
    "files.loop": ": ",
    "files.other/x": "Not a directory: ",
    "x" * 300: ": ",
}


def cases():
    for setting in settings_with_files():
        for name, line in (MAKE if setting in MADE else READ).items():
            yield setting, ("unix:" if setting == "metrics" else "") + (path(name) if setting in MADE else name), line


def need_one_line(text, setting, name, line, code):
    lines = [said for said in text.splitlines() if " data path: " not in said and "WARNING: the secrets" not in said]
    need(code in (1, 2), "%s = %s: exit status %d" % (setting, name, code))
    need(len(lines) == 1 and setting in lines[0] and name[:60] in lines[0] and line in lines[0] and "refused: " in lines[0],
         "%s = %s: %s" % (setting, name[:40], lines))
    need(lines[0].count(": ") >= 3, "it does not say what to do: " + lines[0])


def run_daemon(*argv):
    """It ends by itself: what it says, and its exit status."""
    result = subprocess.run([*argv], cwd=tmp, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)
    return result.stderr, result.returncode


@test
def every_setting_with_a_file_at_the_start():
    make_files()
    port = free_port(), free_port()
    for setting, name, line in cases():
        configure(port, "127.0.0.1:1", **{setting.replace("-", "_"): name})
        said, code = run_daemon(TLSGATED, "-c", "files.conf")
        need_one_line(said, setting, name, line, code)
        if setting not in MADE:
            said, code = run_daemon(TLSGATED, "-t", "-c", "files.conf")
            need_one_line(said, setting, name, line, code)


class FilesGate(ControlGate):
    def __init__(self, backend):
        make_files()
        self.port, self.backend, self.socket = free_port(), backend, path("files.socket")
        self.ports = self.port, free_port()
        configure(self.ports, backend)
        self.process = start("-c", "files.conf")
        self.ready(2)


@test
def every_setting_with_a_file_in_a_reload():
    with Backend().echo() as backend, FilesGate(backend.address) as gate:
        workers = gate.workers()
        with gate.connect() as connection:
            for setting, name, line in cases():
                configure(gate.ports, backend.address, **{setting.replace("-", "_"): name})
                result = gate.tlsgate("reload")
                said = [text for text in result.stderr.splitlines() if setting in text and name[:60] in text]
                need(result.returncode == 1 and len(said) == 1 and line in said[0], "%s = %s: %s" % (
                    setting, name[:40], result.stderr))
            echo(connection)
        need(gate.workers() == workers, "the same workers")
        with gate.connect() as connection:
            echo(connection)
        configure(gate.ports, backend.address)
        outcome(gate.tlsgate("reload"), 0)


# A daemon that was not started as root, and whose keys others may read.
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@test
def files_that_the_user_may_not_read():
    if os.geteuid() != 0:
        raise Skip("only root becomes another user")
    make_files()
    shutil.copy(path("one.key"), path("files.key"))
    os.chmod(path("files.key"), 0o644)
    shutil.copy(path("files.tickets"), path("files.theirs"))
    os.chown(path("files.theirs"), 65534, 65534)
    os.chmod(path("files.theirs"), 0o600)
    ports = free_port(), free_port()
    for setting in settings_with_files():
        name = path("files.nobody")
        others = {"key": "files.key", "ticket-keys": "files.theirs", "control": "none", setting: ("unix:" if setting == "metrics" else "") + name}
        configure(ports, "127.0.0.1:1", **{key.replace("-", "_"): value for key, value in others.items()})
        said, code = run_daemon(*NOBODY, TLSGATED, "-c", "files.conf")
        need_one_line(said, setting, name, ": " if setting in MADE else
                      "Permission denied: let the user who starts this program read it", code)


@test
def a_full_disk_ends_nothing():
    """What cannot be written is lost, with a line where somebody can read it."""
    make_files()
    with Backend().echo() as backend:
        ports = free_port(), free_port()
        configure(ports, backend.address, keylog="/dev/full")
        gate = FilesGate.__new__(FilesGate)
        gate.port, gate.socket = ports[0], path("files.socket")
        gate.process = start("-c", "files.conf")
        with gate:
            gate.ready(2)
            for _ in range(3):
                with gate.connect() as connection:
                    echo(connection)
            wait_until(lambda: "keylog: lines are lost: No space left on device: make room" in log_text(), log_text())
            with open("/dev/full", "wb") as full:
                configure(ports, backend.address)
                gate.process.terminate()
                need(gate.process.wait(DEADLINE) == 0, "exit status")
                gate.process = start("-c", "files.conf", stderr=full)
                wait_until(lambda: listens(gate.port), "it serves")
                with gate.connect() as connection:
                    echo(connection)
                lost = gate.ask(b"stats\n")["log"]["lost"]
                need(lost["stderr"] > 0, "lines that were lost are counted: %s" % lost)


@test
def a_full_disk_for_a_socket():
    if os.geteuid() != 0:
        raise Skip("only root mounts")
    make_files()
    ports = free_port(), free_port()
    full = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o nr_inodes=1 none files.folder && exec "$0" "$@"')
    for setting in MADE:
        name = path("files.folder/x")
        configure(ports, "127.0.0.1:1", **{setting: ("unix:" if setting == "metrics" else "") + name})
        said, code = run_daemon(*full, TLSGATED, "-c", "files.conf")
        need_one_line(said, setting, name, "No space left on device: ", code)


@test
def the_configuration_itself():
    make_files()
    for name, line in READ.items():
        for more in ((), ("-t",)):
            said, code = run_daemon(TLSGATED, *more, "-c", name)
            lines = said.splitlines()
            need(code in (1, 2) and len(lines) == 1 and name in lines[0] and line in lines[0], "%s: %s" % (name[:40], said))
