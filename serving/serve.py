"""Launching: checks before a service starts, and replacing this process by it."""

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
# One client address has no more ports than this to connect from.
MAX_FILES = 65_536


def check_tls(certificate: Path | None, key: Path | None) -> None:
    """Require a certificate and its key, or neither; raise InputError otherwise."""
    if (certificate is None) != (key is None):
        missing = "--tls-key" if key is None else "--tls-certificate"
        raise InputError([Problem(missing, "required", "TLS needs a certificate and its key")])


def check_settings() -> None:
    """Raise InputError for settings with which no process could start."""
    environment = read_environment()
    choose_seal(read_settings(environment), environment)


def check_access(home: Home, host: str) -> None:
    """Raise InputError for an address that other machines reach, as long as no key exists."""
    ring = KeyRing(prepare_store(home.store_url))
    ring.refresh()
    if host not in LOOPBACK and ring.empty:
        message = "without keys only this machine may connect: 127.0.0.1, ::1 or localhost; "
        message += "create one with `python -m serving keys create`"
        raise InputError([Problem("--host", "loopback", message)])


def describe_champions(home: Home) -> Iterator[str]:
    """Describe which champions will answer, and why others will not."""
    roster = Roster(home.models_folder, read_settings().least_sample_size)
    roster.refresh()
    for champion in roster.require().champions:
        yield f"serving {champion.model.card.name} version {champion.version} ({champion.tag})"
    yield from (f"degraded: {reason}" for reason in roster.reasons)


def become_service(
    host: str, port: int, workers: int | None, certificate: Path | None, key: Path | None
) -> NoReturn:
    """Replace this process by BentoML's, so that signals and exit codes are its own."""
    environment = dict(read_environment())
    if workers is not None:
        environment[f"{PREFIX}WORKERS"] = str(workers)
    _raise_file_limit()
    address = "127.0.0.1" if host == "localhost" else host
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE, "--working-dir", str(ROOT)]
    if certificate is not None and key is not None:
        # BentoML announces https by its configuration, but uses it only by its command line.
        command += ["--ssl-certfile", str(certificate.absolute())]
        command += ["--ssl-keyfile", str(key.absolute()), "--ssl-ciphers", CIPHERS]
    os.execve(sys.executable, [*command, "--host", address, "--port", str(port)], environment)


# Each connection takes one open file.
def _raise_file_limit() -> None:
    with suppress(ImportError):  # Windows has no such module
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
