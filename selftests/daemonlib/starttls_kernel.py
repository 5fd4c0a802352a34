# SPDX-License-Identifier: MIT
"""What begins in plain text, on the kernel data path; the module must be loaded."""

from daemonlib.gate import log_text, test, wait_until
from daemonlib.opening import asks, serves


def handed_over():
    wait_until(lambda: "data path: kernel, session" in log_text(), "a session in the kernel: " + log_text())


@test
def hands_over_after_starttls():
    serves("kernel", handed_over)


@test
def hands_over_after_it_asked_for_tls():
    asks("kernel", handed_over)
