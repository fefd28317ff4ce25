"""Launching: what is checked before a service starts, and how this process becomes it."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from features.base.errors import InputError, Problem
from features.base.home import Home, read_environment
from serving.base.settings import PREFIX, read_settings
from serving.bundle import ROOT, SERVICE
from serving.estimates.roster import Roster
from serving.http.recording import choose_seal
from serving.store.database import prepare_store
from serving.store.keys import KeyRing

LOOPBACK = ("127.0.0.1", "::1", "localhost")
# BentoML's default is a name from before TLS 1.3; these are what browsers call modern.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
MOST_FILES = 65_536


def check_tls(certificate: Path | None, key: Path | None) -> None:
    """Refuse one half of what TLS needs.

    Raises
    ------
    InputError
        If there is a certificate or a key alone.
    """
    if (certificate is None) != (key is None):
        missing = "--tls-key" if key is None else "--tls-certificate"
        raise InputError([Problem(missing, "required", "TLS needs a certificate and its key")])


def check_settings() -> None:
    """Refuse settings that no process could start with.

    Raises
    ------
    InputError
        If one is out of its range, or inputs are to be kept without a key.
    """
    environment = read_environment()
    choose_seal(read_settings(environment), environment)


def check_access(home: Home, host: str) -> None:
    """Refuse to listen to other machines as long as there are no keys.

    Raises
    ------
    InputError
        If the address is not this machine's alone.
    """
    ring = KeyRing(prepare_store(home.store_url))
    ring.refresh()
    if host not in LOOPBACK and ring.empty:
        message = "without keys only this machine may ask: 127.0.0.1, ::1 or localhost; "
        message += "`python -m serving keys create` makes a key"
        raise InputError([Problem("--host", "loopback", message)])


def describe_champions(home: Home) -> Iterator[str]:
    """Say which champions will answer, and what is wrong with others.

    Raises
    ------
    UnavailableError
        If there are none.
    """
    roster = Roster(home.models_folder, read_settings().least_sample_size)
    roster.refresh()
    for champion in roster.require().champions:
        yield f"serving {champion.model.card.name} version {champion.version} ({champion.tag})"
    yield from (f"degraded: {reason}" for reason in roster.reasons)


def become_service(
    host: str, port: int, workers: int | None, certificate: Path | None, key: Path | None
) -> NoReturn:
    """Become BentoML's process, so that signals and exit codes are its own."""
    environment = dict(read_environment())
    if workers is not None:
        environment[f"{PREFIX}WORKERS"] = str(workers)
    raise_file_limit()
    address = "127.0.0.1" if host == "localhost" else host
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE, "--working-dir", str(ROOT)]
    if certificate is not None and key is not None:
        # BentoML says https if its configuration does, and speaks it only if its command does.
        command += ["--ssl-certfile", str(certificate.absolute())]
        command += ["--ssl-keyfile", str(key.absolute()), "--ssl-ciphers", CIPHERS]
    os.execve(sys.executable, [*command, "--host", address, "--port", str(port)], environment)


def raise_file_limit() -> None:
    """Allow as many connections as the system does: each is an open file."""
    with suppress(ImportError):  # not everywhere
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
