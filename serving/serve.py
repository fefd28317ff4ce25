"""Launching: checks before a service starts, and replacing this process by it."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from features.base.commands import say
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


def start_service(
    home: Home,
    host: str,
    port: int,
    workers: int | None,
    certificate: Path | None,
    key: Path | None,
) -> NoReturn:
    """Check what a service needs, say which champions answer, then become the service.

    Raises InputError for settings or options with which it could not start or would be open to
    other machines, UnavailableError if the store does not answer or there is no champion.
    """
    environment = dict(read_environment())
    choose_seal(read_settings(environment), environment)
    _check_tls(certificate, key)
    _check_access(home, host)
    for line in _describe_champions(home):
        say(line)
    if workers is not None:
        environment[f"{PREFIX}WORKERS"] = str(workers)
    _raise_file_limit()
    address = "127.0.0.1" if host == "localhost" else host
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE, "--working-dir", str(ROOT)]
    if certificate is not None and key is not None:
        # BentoML announces https by its configuration, but uses it only by its command line.
        command += ["--ssl-certfile", str(certificate.absolute())]
        command += ["--ssl-keyfile", str(key.absolute()), "--ssl-ciphers", CIPHERS]
    # This process is replaced, so that signals and exit codes are BentoML's own.
    os.execve(sys.executable, [*command, "--host", address, "--port", str(port)], environment)


def _check_tls(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        missing = "--tls-key" if key is None else "--tls-certificate"
        raise InputError([Problem(missing, "required", "TLS needs a certificate and its key")])


def _check_access(home: Home, host: str) -> None:
    ring = KeyRing(prepare_store(home.store_url))
    ring.refresh()
    if host not in LOOPBACK and ring.empty:
        message = "without keys only this machine may connect: 127.0.0.1, ::1 or localhost; "
        message += "create one with `python -m serving keys create`"
        raise InputError([Problem("--host", "loopback", message)])


def _describe_champions(home: Home) -> Iterator[str]:
    roster = Roster(home.models_folder, read_settings().least_sample_size)
    roster.refresh()
    for champion in roster.require().champions:
        yield f"serving {champion.model.card.name} version {champion.version} ({champion.tag})"
    yield from (f"degraded: {reason}" for reason in roster.reasons)


# Each connection takes one open file.
def _raise_file_limit() -> None:
    with suppress(ImportError):  # Windows has no such module
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
