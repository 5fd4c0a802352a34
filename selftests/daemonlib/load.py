#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A steady load of TLS connections, each of which echoes a few times, at half the rate that client and
server reach together; and some connections that live as long as the load. Counts what is refused
and what breaks.

    load.py CA PORT BACKEND COUNT STOP: serves BACKEND's port itself; runs until the file STOP is there and
    COUNT connections are over
"""

import os
import socket
import ssl
import sys
import threading
import time

PATIENCE = 60.0                 # nothing waits for so long unless it is lost
MEASURE = 2.0                   # seconds of full load
CLIENTS = 8                     # that make the full load
KEEPERS = 4                     # connections that live as long as the load
ECHOES, PAUSE = 3, 0.1


class Load:
    def __init__(self, ca, port):
        self.port = port
        self.context = ssl.create_default_context(cafile=ca)
        self.lock = threading.Lock()
        self.done, self.broken, self.threads, self.rate = 0, [], [], 0.0
        self.over = threading.Event()

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return self.context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)

    @staticmethod
    def echo(connection):
        data = os.urandom(2000)
        connection.sendall(data)
        got = b""
        while len(got) < len(data):
            piece = connection.recv(len(data))
            if not piece:
                raise ConnectionError("end after %d of %d bytes" % (len(got), len(data)))
            got += piece
        if got != data:
            raise ConnectionError("other bytes came back")

    def one(self, echoes, pause):
        with self.connect() as connection:
            for _ in range(echoes):
                self.echo(connection)
                time.sleep(pause)
            connection.unwrap()

    def counted(self, function, *arguments):
        why = None
        try:
            function(*arguments)
        except OSError as error:
            why = "%s: %s" % (type(error).__name__, error)
        with self.lock:
            self.done += 1
            if why:
                self.broken.append(why)

    def spawn(self, function, *arguments):
        thread = threading.Thread(target=self.counted, args=(function, *arguments), daemon=True)
        thread.start()
        self.threads.append(thread)

    def full(self, until):
        while time.monotonic() < until:
            self.counted(self.one, ECHOES, 0)

    def measure(self):
        """Connections in a second, all at once."""
        begin = time.monotonic()
        threads = [threading.Thread(target=self.full, args=(begin + MEASURE,), daemon=True) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.rate = self.done / (time.monotonic() - begin)
        self.done = 0

    def keep(self):
        with self.connect() as connection:
            while not self.over.is_set():
                self.echo(connection)
                self.over.wait(2 * PAUSE)
            connection.unwrap()

    def run(self, is_over, count):
        """Half of what was measured, until both is_over() and count connections were begun."""
        for _ in range(KEEPERS):
            self.spawn(self.keep)
        begin, begun = time.monotonic(), 0
        while not is_over() or begun < count:
            self.spawn(self.one, ECHOES, PAUSE)
            begun += 1
            time.sleep(max(0.0, begin + begun / (self.rate / 2) - time.monotonic()))
        self.over.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        lost = sum(thread.is_alive() for thread in self.threads)
        self.broken += ["no end after %d s" % PATIENCE] * lost


def serve(port):
    def one(connection):
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                pass

    def accept(listener):
        while True:
            threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    threading.Thread(target=accept, args=(listener,), daemon=True).start()


def main(ca, port, backend, count, stop):
    serve(int(backend))
    load = Load(ca, int(port))
    load.measure()
    print("measured: %.0f a second" % load.rate, flush=True)
    load.run(lambda: os.path.exists(stop), int(count))
    print("connections: %d, refused or broken: %d" % (load.done, len(load.broken)))
    for why in sorted(set(load.broken)):
        print("%d times: %s" % (load.broken.count(why), why))
    return 1 if load.broken or load.done < int(count) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
