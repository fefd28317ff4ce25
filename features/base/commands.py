"""What all commands share: exit codes, errors on one screen, progress on stderr."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import typer
from rich import progress
from rich.console import Console

from features.base.errors import InputError, KetamineResponseError

FAILED, BAD_INPUT, SOME_REJECTED = 1, 2, 3

Item = TypeVar("Item")
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object")]


def make_app(description: str) -> typer.Typer:
    """Build a command group: long help, no tracebacks with local values in them."""
    return typer.Typer(
        help=description,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


@contextmanager
def explain_errors(as_json: bool = False) -> Iterator[None]:
    """Turn the project's errors into a message and an exit code: 2 for bad input, 1 otherwise."""
    try:
        yield
    except InputError as error:
        _show_error(str(error), error.as_dict(), as_json)
        raise typer.Exit(BAD_INPUT) from None
    except KetamineResponseError as error:
        _show_error(str(error), {"source": "", "errors": [{"message": str(error)}]}, as_json)
        raise typer.Exit(FAILED) from None


def _show_error(text: str, plain: dict[str, Any], as_json: bool) -> None:
    # For people on stderr, for machines on stdout.
    if as_json:
        show_json(plain)
    else:
        typer.echo(text, err=True)


def show_json(plain: Any) -> None:
    """Print one JSON object on stdout."""
    typer.echo(json.dumps(plain, ensure_ascii=False, indent=1))


def track(items: Iterable[Item], total: int | None, label: str) -> Iterator[Item]:
    """Yield items while a bar on stderr shows progress.

    If stderr is not a terminal, one line at the end replaces the bar.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        yield from progress.track(items, label, total=total, console=console)
    else:
        yield from items
        typer.echo(f"{label}: done", err=True)


def say(text: str) -> None:
    """Print progress for the user on stderr, apart from results."""
    typer.echo(text, err=True)
