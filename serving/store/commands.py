"""Commands on keys and on the audit log: ``python -m serving keys`` and ``… audit``."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.base.commands import FAILED, AsJson, make_app, show_json, track
from features.base.errors import InputError, Problem, UnavailableError
from features.base.home import enter_home

if TYPE_CHECKING:  # SQLAlchemy is loaded only by commands that need it
    from serving.store.audit import AuditLog, Head, Verdict
    from serving.store.keys import Issued, Key, KeyStore

keys = make_app("API keys with scopes, stored as digests.")
audit = make_app("The audit log of answered requests, which detects tampering.")
KeyId = Annotated[str, typer.Argument(metavar="ID", help="eight hexadecimal digits, as listed")]


@keys.command()
def create(
    name: Annotated[str, typer.Option(help="owner of the key; not a patient's name")],
    scope: Annotated[
        list[str], typer.Option(help="predict, batch, outcomes or admin; may be repeated")
    ],
    expires_days: Annotated[int | None, typer.Option(min=1, help="days until it expires")] = None,
    per_minute: Annotated[
        int | None, typer.Option(min=0, help="maximum requests per minute; 0 for no limit")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key; its token is printed once and is not stored."""
    lifetime = None if expires_days is None else timedelta(days=expires_days)
    issued = _open_keys().create(name, scope, datetime.now(UTC), lifetime, per_minute)
    _show_issued(issued, as_json)


@keys.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List keys with their scopes, expiry and last use."""
    listed = _open_keys().list()
    if as_json:
        show_json({"keys": [key.as_dict() for key in listed]})
        return
    for key in listed:
        typer.echo(_describe_key(key, datetime.now(UTC)))


@keys.command()
def rotate(
    key_id: KeyId,
    overlap_hours: Annotated[
        float, typer.Option(min=0, help="hours for which the old key remains valid")
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Replace a key by a new one; the old one remains valid for a while."""
    issued = _open_keys().rotate(key_id, datetime.now(UTC), timedelta(hours=overlap_hours))
    _show_issued(issued, as_json)


@keys.command()
def revoke(key_id: KeyId, as_json: AsJson = False) -> None:
    """Revoke a key; running services reject it within seconds."""
    key = _open_keys().revoke(key_id, datetime.now(UTC))
    show_json(key.as_dict()) if as_json else typer.echo(f"{key.id} is revoked")


@audit.command()
def verify(
    expect: Annotated[
        str | None, typer.Option(metavar="NUMBER:DIGEST", help="a head that was saved earlier")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the entire log; exit code 1 if it was tampered with."""
    expected = None if expect is None else _read_head(expect)
    verdict = _open_log().verify(expected, partial(track, label="verifying"))
    _show_verdict(verdict, as_json)
    if verdict.breach is not None:
        raise typer.Exit(FAILED)


@audit.command()
def show(
    request: Annotated[str | None, typer.Option(metavar="ID", help="row of one request")] = None,
    last: Annotated[int, typer.Option(min=1, help="maximum number of rows")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the last rows, or those of one request."""
    rows = _open_log().show(request, last)
    if as_json:
        show_json({"answers": rows})
        return
    for row in rows:
        typer.echo(_describe_answered(row))


@audit.command()
def inputs(
    request_id: Annotated[str, typer.Argument(metavar="REQUEST_ID")],
) -> None:
    """Decrypt the body of a request, if bodies are kept, and print it."""
    from serving.store.secrets import INPUTS_VARIABLE, read_inputs_seal

    seal = read_inputs_seal()
    if seal is None:
        problem = Problem(INPUTS_VARIABLE, "missing", "must hold the keys that encrypt inputs")
        raise InputError([problem], source="environment")
    sealed = _open_log().read_inputs(request_id)
    if sealed is None:
        raise UnavailableError("the audit log has no inputs of this request")
    body = seal.unseal(sealed)
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()


def _open_keys() -> "KeyStore":
    home = enter_home()
    from serving.store.database import prepare_store
    from serving.store.keys import KeyStore

    return KeyStore(prepare_store(home.store_url))


def _open_log() -> "AuditLog":
    home = enter_home()
    from serving.store.audit import AuditLog
    from serving.store.database import prepare_store
    from serving.store.secrets import read_secrets

    return AuditLog(prepare_store(home.store_url), read_secrets(home).chain)


def _read_head(text: str) -> "Head":
    from serving.store.audit import Head

    number, _, digest = text.partition(":")
    if not number.isdecimal() or int(number) == 0 or len(digest) != 64:
        raise InputError([Problem("--expect", "head", "must be a row's NUMBER:DIGEST")])
    return Head(int(number), digest)


# The only time that the token is shown: the store has its digest alone.
def _show_issued(issued: "Issued", as_json: bool) -> None:
    if as_json:
        show_json(issued.key.as_dict() | {"token": issued.token})
        return
    typer.echo(issued.token)
    typer.echo(
        f"{issued.key.id}: keep the token safe; it is not stored and not shown again", err=True
    )


def _describe_key(key: "Key", now: datetime) -> str:
    state = "active" if key.is_active(now) else "revoked" if key.revoked else "expired"
    parts = [key.id, state, ",".join(key.as_dict()["scopes"]), key.name]
    parts += [f"expires {key.expires:%Y-%m-%d %H:%M}"] if key.expires else []
    parts += [f"replaced by {key.replaced_by}"] if key.replaced_by else []
    parts += [f"{key.per_minute} a minute"] if key.per_minute else []
    parts += [f"last used {key.last_used:%Y-%m-%d %H:%M}"] if key.last_used else ["never used"]
    return "  ".join(parts)


def _show_verdict(verdict: "Verdict", as_json: bool) -> None:
    breach = verdict.breach
    if as_json:
        result = {"whole": breach is None, "answers": verdict.count, "head": str(verdict.head)}
        show_json(result | {"problem": None if breach is None else asdict(breach)})
    elif breach is None:
        typer.echo(f"whole: {verdict.count} answers\nhead {verdict.head}")
    else:
        typer.echo(f"TAMPERED WITH: row {breach.number} {breach.kind}: {breach.message}")


def _describe_answered(row: dict[str, Any]) -> str:
    key = f"key {row['key_id']}" if row["key_id"] else "no key"
    models = ", ".join(model.partition(" ")[0] for model in row["models"])
    answered = [p for p in row["answers"] if p and any(value is not None for value in p)]
    count = f"{len(answered)} of {len(row['answers'])} answered"
    request = f"{row['number']}. {row['time']} {row['request_id']}"
    return f"{request} {row['route']} {key}: {models}: {count}"
