# SPDX-License-Identifier: MIT
"""memcached.py HOST PORT CA FILE: sets a key to the file, and writes what a second connection gets to
standard output; the server's list of connections to standard error."""

import ssl
import sys

from pymemcache.client.base import Client

host, port, ca, name = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
with open(name, "rb") as file:
    blob = file.read()
one, two = (Client((host, int(port)), tls_context=context) for _ in range(2))
if not one.set("blob", blob, noreply=False):
    sys.exit("not stored")
sys.stdout.buffer.write(two.get("blob"))
print(two.stats("conns"), file=sys.stderr)
