# SPDX-License-Identifier: MIT
"""get.py URL CA: what is there, to standard output."""

import shutil
import ssl
import sys
import urllib.request

context = ssl.create_default_context(cafile=sys.argv[2])
with urllib.request.urlopen(sys.argv[1], context=context) as answer:
    shutil.copyfileobj(answer, sys.stdout.buffer)
