"""What all commands share: exit codes, errors on one screen, progress on stderr.

Here every error becomes a message and an exit code, ours and those of libraries and the operating
system; only a fault of this program still shows a traceback.
"""

import codecs
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

import typer
from rich import progress
from rich.console import Console
from typer.core import TyperCommand
from typer.models import CommandFunctionType

from features.base.errors import InputError, KetamineResponseError
from features.base.foreign import translate_errors

FAILED, BAD_INPUT, SOME_REJECTED = 1, 2, 3

Item = TypeVar("Item")
# Off inside a host program, such as a notebook, that wants no progress.
_progress_wanted = ContextVar("progress_wanted", default=True)
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object")]


class _Command(TyperCommand):
    """A command none of whose errors escapes, from its first import to its last line of output."""

    def invoke(self, ctx: Any) -> Any:
        with explain_errors(bool(ctx.params.get("as_json"))):
            return super().invoke(ctx)


class _Commands(typer.Typer):
    """A command group whose output goes to any terminal and into any file."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        prepare_output()
        return super().__call__(*args, **kwargs)

    def command(
        self, name: str | None = None, *, cls: type[TyperCommand] | None = None, **settings: Any
    ) -> Callable[[CommandFunctionType], CommandFunctionType]:
        return super().command(name, cls=cls or _Command, **settings)


# Names of characters that our texts use and an older encoding may lack; any other becomes "?".
_SUBSTITUTES = str.maketrans(
    {
        **{"→": "->", "←": "<-", "…": "...", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "±": "+-"},
        **{"\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "—": "-", "“": '"', "”": '"', "·": "."},
        **{"\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{MULTIPLICATION SIGN}": "x"},
        **{"τ": "tau", "χ": "chi", "²": "2", "√": "sqrt", "✓": "yes", "✗": "no"},
    }
)


def prepare_output() -> None:
    """Let stdout and stderr write every character, if need be by a substitute."""
    codecs.register_error("substitute", _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors="substitute")


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return lacking.translate(_SUBSTITUTES).encode("ascii", "replace").decode(), error.end


def make_app(description: str) -> typer.Typer:
    """Build a command group: long help, no tracebacks with local values in them."""
    return _Commands(
        help=description,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


@contextmanager
def explain_errors(as_json: bool = False) -> Iterator[None]:
    """Turn errors into a message and an exit code: 2 for bad input, 1 otherwise."""
    try:
        with translate_errors():
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
    """Print one JSON object on stdout, intact whatever the encoding."""
    # JSON is UTF-8 by its standard: in another encoding only ASCII is read by every program.
    is_utf8 = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    typer.echo(json.dumps(plain, ensure_ascii=not is_utf8, indent=1))


def show(as_json: bool, plain: Any, text: str) -> None:
    """Print a command's result: as one JSON object, or else as text."""
    if as_json:
        show_json(plain)
    else:
        typer.echo(text)


@contextmanager
def show_progress(wanted: bool) -> Iterator[None]:
    """Show progress on stderr in the block, or do not."""
    token = _progress_wanted.set(wanted)
    try:
        yield
    finally:
        _progress_wanted.reset(token)


def track(items: Iterable[Item], total: int | None, label: str) -> Iterator[Item]:
    """Yield items while a bar on stderr shows progress.

    If stderr is not a terminal, one line at the end replaces the bar.
    """
    if not _progress_wanted.get():
        yield from items
        return
    console = Console(stderr=True)
    if console.is_terminal:
        yield from progress.track(items, label, total=total, console=console)
    else:
        yield from items
        typer.echo(f"{label}: done", err=True)


def say(text: str) -> None:
    """Print progress for the user on stderr, apart from results."""
    if _progress_wanted.get():
        typer.echo(text, err=True)
