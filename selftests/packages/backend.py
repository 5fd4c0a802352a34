#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""backend.py PORT FOLDER: says to each connection, again and again, the same 4,000 bytes, a hundred times a
second, until the file FOLDER/enough is there; then their number in a last line."""
import os
import socket
import sys
import threading
import time

PIECE = bytes(range(32, 112)) * 50


def serve(connection):
    sent = 0
    while not os.path.exists(os.path.join(sys.argv[2], "enough")):
        connection.sendall(PIECE)
        sent += len(PIECE)
        time.sleep(0.01)
    connection.sendall(b"\n%d\n" % sent)
    connection.close()


with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
