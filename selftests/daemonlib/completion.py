# SPDX-License-Identifier: MIT
"""Completion of both programs' command lines in bash, zsh and fish themselves."""

import os
import pty
import re
import select
import shutil
import subprocess
import time

from daemonlib.control import ControlGate
from daemonlib.gate import DEADLINE, TLSGATE, TLSGATED, TOP, Backend, Skip, need, path, test, tmp, write

SCRIPTS = os.path.join(TOP, "build", "completion")

# What is typed, and the line that one press of the tab key makes of it.  SOCKET is a daemon's with a gate "web".
ROWS = (
    ("tlsgate gat", "tlsgate gates"),
    ("tlsgate show --al", "tlsgate show --all-namespaces"),
    ("tlsgate show --sort rek", "tlsgate show --sort rekeys"),
    ("tlsgate help hands", "tlsgate help handshake"),
    ("tlsgate handshake --crl-expired w", "tlsgate handshake --crl-expired warn"),
    ("tlsgate -S SOCKET drain --gate w", "tlsgate -S SOCKET drain --gate web"),
    ("tlsgate drain -S SOCKET --gate w", "tlsgate drain -S SOCKET --gate web"),
    ("tlsgate drain -S SOCKET w", "tlsgate drain -S SOCKET web"),
    ("tlsgate handshake --ca uniq", "tlsgate handshake --ca unique-file"),
    ("tlsgated con", "tlsgated connect"),
    ("tlsgated help data-p", "tlsgated help data-path"),
    ("tlsgated serve --prox", "tlsgated serve --proxy-protocol"),
    ("tlsgated serve --data-path k", "tlsgated serve --data-path kernel"),
    ("tlsgated serve --pq=pre", "tlsgated serve --pq=prefer"),
    ("tlsgated serve --cert uniq", "tlsgated serve --cert unique-file"),
    ("tlsgated serve --cert=uniq", "tlsgated serve --cert=unique-file"),
    ("tlsgated -c uniq", "tlsgated -c unique-file"),
)

START = {
    "bash": (("bash", "--noprofile", "--norc", "-i"),
             "bind 'set enable-bracketed-paste off'; source %s/bash/tlsgate; source %s/bash/tlsgated; PS1=; echo rea''dy" %
             (SCRIPTS, SCRIPTS)),
    "zsh": (("zsh", "-f", "-i"),
            "unset zle_bracketed_paste; fpath=(%s/zsh $fpath); autoload -Uz compinit; compinit -u -d %s/dump; "
            "bindkey -e; PS1=; echo rea''dy" % (SCRIPTS, "TMP")),
}


class Shell:
    """An interactive one on a terminal, in which both programs are those of this build."""

    def __init__(self, name, folder):
        if not shutil.which(name):
            raise Skip("%s is not installed: run selftests/deps.sh check" % name)
        argv, setup = START[name]
        self.ours, theirs = pty.openpty()
        self.text = ""
        environment = {**os.environ, "PATH": folder + ":" + os.environ["PATH"], "TERM": "dumb", "COLUMNS": "500",
                       "HOME": tmp}
        self.process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp, env=environment,
                                        start_new_session=True)
        os.close(theirs)
        self.send(setup.replace("TMP", tmp) + "\r", "ready\r?\n")

    def send(self, keys, pattern):
        """Types keys, and waits until what is printed since has the pattern."""
        self.text = ""
        os.write(self.ours, keys.encode())
        deadline = time.monotonic() + DEADLINE
        while not (found := re.search(pattern, self.text)):
            ready = select.select([self.ours], [], [], max(0, deadline - time.monotonic()))[0]
            need(ready, "no %r in %r" % (pattern, self.text))
            self.text += os.read(self.ours, 65536).decode(errors="replace")
        return found

    def complete(self, line):
        """What the tab key makes of it: the shell prints the line, as the argument of echo."""
        return self.send(line + "\t\x01echo GOT:\r", r"(?m)^GOT: *(.*?) *\r?$").group(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


def folder_of_programs():
    """In which both have their names, as in a path."""
    folder = path("programs")
    os.makedirs(folder, exist_ok=True)
    for name, program in (("tlsgate", TLSGATE), ("tlsgated", TLSGATED)):
        if not os.path.lexists(os.path.join(folder, name)):
            os.symlink(os.path.abspath(program), os.path.join(folder, name))
    return folder


def rows(gate):
    write("unique-file", "")
    return [(typed.replace("SOCKET", gate.socket), whole.replace("SOCKET", gate.socket)) for typed, whole in ROWS]


def in_shell(name):
    with Backend() as backend, ControlGate(backend.address) as gate, Shell(name, folder_of_programs()) as shell:
        for typed, whole in rows(gate):
            found = shell.complete(typed)
            need(found == whole, "%s makes of '%s': '%s'" % (name, typed, found))


@test
def bash_completes():
    in_shell("bash")


@test
def zsh_completes():
    in_shell("zsh")


@test
def fish_completes():
    if not shutil.which("fish"):
        raise Skip("fish is not installed: run selftests/deps.sh check")
    with Backend() as backend, ControlGate(backend.address) as gate:
        for typed, whole in rows(gate):
            result = subprocess.run(
                ["fish", "--no-config", "-c", "source %s/fish/tlsgate.fish; source %s/fish/tlsgated.fish; "
                 "complete -C '%s'" % (SCRIPTS, SCRIPTS, typed)], cwd=tmp, capture_output=True, text=True,
                env={**os.environ, "PATH": folder_of_programs() + ":" + os.environ["PATH"], "HOME": tmp}, timeout=DEADLINE)
            offers = [line.split("\t")[0] for line in result.stdout.splitlines()]
            need(offers == [whole.split()[-1]], "of '%s': %s%s" % (typed, offers, result.stderr))


@test
def every_option_is_offered():
    """What help names, and nothing else."""
    help_of = subprocess.run([TLSGATED, "help"], capture_output=True, text=True, check=True, timeout=DEADLINE).stdout
    offered = subprocess.run([TLSGATED, "complete", "serve", "--"], capture_output=True, text=True, check=True,
                             timeout=DEADLINE).stdout
    named = set(re.findall("^ +(?:-[a-z], )?(--[a-z-]+)", help_of, re.M)) | set(re.findall("(--(?:help|version))", help_of))
    need({line.split("\t")[0] for line in offered.splitlines()} == named and len(named) > 40, "%s" % offered)
    commands = subprocess.run([TLSGATE, "complete", ""], capture_output=True, text=True, check=True, timeout=DEADLINE).stdout
    need("show\t" in commands and "help\t" in commands, commands)
    for command in (line.split("\t")[0] for line in commands.splitlines()):
        if command == "-S":
            continue
        text = subprocess.run([TLSGATE, "help", command], capture_output=True, text=True, check=True, timeout=DEADLINE).stdout
        offered = subprocess.run([TLSGATE, "complete", command, "-"], capture_output=True, text=True, check=True,
                                 timeout=DEADLINE).stdout
        need([line.split("\t")[0] for line in offered.splitlines()] == re.findall("^  (--?[A-Za-z-]+)", text, re.M),
             "%s: %s%s" % (command, text, offered))
        need(subprocess.run([TLSGATE, command, "--help"], capture_output=True, text=True, check=True,
                            timeout=DEADLINE).stdout == text, "%s --help" % command)
