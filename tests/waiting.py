"""Waiting for what another process does."""

import time


def wait_for(condition, seconds=60):
    """Wait until a condition holds, and return what it returned."""
    until = time.monotonic() + seconds
    while not (last := condition()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return last
