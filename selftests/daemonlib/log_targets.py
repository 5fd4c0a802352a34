# SPDX-License-Identifier: MIT
"""Where the lines of the log go, and what stands before them."""

import datetime
import json
import re
import time

from daemonlib.gate import Backend, Gate, echo, log_text, need, test, wait_until
from daemonlib.processes import AS_JOURNAL

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
