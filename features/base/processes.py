"""Processes of this machine."""

import os


def is_alive(process: int) -> bool:
    """Return whether a process of this machine is still running."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
