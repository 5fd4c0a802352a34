# SPDX-License-Identifier: MIT
"""
Certificates that come often: all names of a folder are renewed in turn, under load. NAMES and RELOADS say how many;
check-all has 1000 names and 400 reloads.
"""

import os
import re
import shutil
import socket
import ssl

from daemonlib.certdirs import CertDirGate
from daemonlib.gate import DEADLINE, Backend, children, log_text, name_of, need, path, run, test, wait_until, write
from daemonlib.passing import await_connections, load_on

NAMES, RELOADS = int(os.environ.get("NAMES", 40)), int(os.environ.get("RELOADS", 8))
WARM = 4                        # reloads before memory is looked at
FLAT = 1.1                      # times as much memory at the end, ...
NOISE = 512                     # ... and KiB
# The test's own backend and clients are slow where others use the machine: none is to be given up for that.
PATIENT = "connect-timeout = 1m handshake-timeout = 1m"
QUEUE = 4096                    # of the backend: where it overflows, TCP ends what the gate takes for connected


class Names:
    """Certificates by one key, since making keys is not what is tested; each with a serial number of its own."""

    def __init__(self, count):
        self.serials, self.last = [0] * count, 0
        shutil.rmtree(path("certs"), ignore_errors=True)
        os.makedirs(path("certs"))
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "renew.key")
        for number in range(count):
            os.mkdir(path("certs/n%d" % number))
            shutil.copy(path("renew.key"), path("certs/n%d/privkey.pem" % number))
            self.renew(number)

    def renew(self, number):
        self.last += 1
        name, out = "n%d.test" % number, "certs/n%d/fullchain.pem" % number
        write("renew.ext", "subjectAltName=DNS:" + name)
        run("openssl", "req", "-new", "-key", "renew.key", "-subj", "/CN=" + name, "-out", "renew.csr")
        run("openssl", "x509", "-req", "-in", "renew.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", str(self.last),
            "-days", "20", "-extfile", "renew.ext", "-out", "renew.pem")
        os.rename(path("renew.pem"), path(out))
        self.serials[number] = self.last

    def served(self, gate, number):
        """Its serial number, from who asks for the name."""
        context = ssl.create_default_context(cafile=path("ca.pem"))
        plain = socket.create_connection(("127.0.0.1", gate.port), timeout=DEADLINE)
        with context.wrap_socket(plain, server_hostname="n%d.test" % number) as connection:
            return int(connection.getpeercert()["serialNumber"], 16)


def memory(pid):
    """What is its own, in KiB."""
    with open("/proc/%d/status" % pid) as file:
        return int(re.search(r"RssAnon:\s*(\d+)", file.read())[1])


def memories(gate):
    return {"monitor": memory(gate.process.pid), "worker": memory(gate.workers()[-1]), "keyd": memory(gate.keyd()[-1])}


def renew_some(gate, names, first):
    """So many that all have had their turn after the last of RELOADS."""
    count = -(-NAMES // RELOADS)
    numbers = [(first + i) % NAMES for i in range(count)]
    for number in numbers:
        names.renew(number)
    for number in numbers:
        wait_until(lambda: names.served(gate, number) == names.serials[number], "n%d has its new certificate" % number,
                   4 * DEADLINE)
    return first + count


def say_what_was_odd():
    """Among so many lines of reloads."""
    usual = ("reloaded:", "listening on", "data path:", "files in cert-dir have changed", "ended", "ending:")
    odd = [line for line in log_text().splitlines() if not any(text in line for text in usual)]
    for line in odd[:10]:
        print("# %d odd lines: %s" % (len(odd), line))


@test
def certificates_are_renewed_in_turn_under_load():
    names, first = Names(NAMES), 0
    with Backend().echo() as backend, \
            CertDirGate(backend.address, "cert = one.pem key = one.key " + PATIENT) as gate:
        backend.listener.listen(QUEUE)
        wait_until(lambda: "listening on" in log_text() or gate.process.poll() is not None, "it serves", 4 * DEADLINE)
        try:
            with load_on(gate) as load:
                for number in range(RELOADS):
                    await_connections(load, 1)
                    first = renew_some(gate, names, first)
                    if number == WARM - 1:
                        before = memories(gate)
        except AssertionError:
            say_what_was_odd()
            raise
        after = memories(gate)
        need(log_text().count("reloaded:") >= RELOADS and "refused" not in log_text(), log_text())
        print("# %d names, %d reloads; KiB before %s, after %s" % (NAMES, log_text().count("reloaded:"), before, after))
        for name in before:
            need(after[name] < before[name] * FLAT + NOISE, "memory of %s: %s, then %s" % (name, before, after))
        for number in range(NAMES):
            need(names.served(gate, number) == names.serials[number], "n%d" % number)
        wait_until(lambda: len([p for p in children(gate.process.pid) if name_of(p).startswith("tlsgated-")]) == 3,
                   "processes of before end")
