"""What a benchmark reports, written once for all: tables, verdicts and a figure, in the docs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.base.errors import KetamineResponseError
from features.base.files import write_bytes_atomic

DOCS = Path(__file__).parents[2] / "docs"
END = "<!-- end -->"
_WORDS = {True: "met", False: "NOT MET", None: "cannot tell"}


@dataclass(frozen=True)
class Verdict:
    """A target, and whether it was met."""

    aim: str
    met: bool | None  # None if these results cannot tell
    result: str  # The figures that decided

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        return _WORDS[self.met]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"aim": self.aim, "met": self.met, "found": self.result, "verdict": self.word}


@dataclass(frozen=True)
class Figure:
    """A figure above the text of its page."""

    alternative: str  # What it shows, for readers who cannot see it
    name: str  # Of its file among the docs' images
    draw: Callable[[Path], None]  # Writes it to a path


@dataclass(frozen=True)
class Section:
    """Everything between one pair of marks of a page."""

    command: str  # That writes it, without ``python -m experiments``
    page: str  # Below the docs
    blocks: Sequence[str]  # Paragraphs, headings and tables in Markdown
    figure: Figure | None = None

    @property
    def text(self) -> str:
        """Its Markdown, without the figure."""
        return "\n\n".join(self.blocks)

    def write(self, docs: Path = DOCS) -> None:
        """Put it between its page's marks, leave the rest of the page, and draw the figure.

        Raises
        ------
        KetamineResponseError
            If the page lacks the marks.
        """
        text = self.text
        if self.figure is not None:
            self.figure.draw(docs / "images" / self.figure.name)
            text = f"![{self.figure.alternative}](../images/{self.figure.name})\n\n{text}"
        mark = f"<!-- Written by `python -m experiments {self.command} --docs`: begin -->"
        path = docs / self.page
        before, begin, rest = path.read_text("utf-8").partition(mark)
        _, end, after = rest.partition(END)
        if not (begin and end):
            raise KetamineResponseError(f"{path.name} lacks the marks that results go between")
        write_bytes_atomic(path, f"{before}{mark}\n\n{text}\n\n{END}{after}".encode())


@dataclass(frozen=True)
class Report:
    """What a benchmark found."""

    sections: Sequence[Section]  # For people, and for the docs
    data: Mapping[str, Any]  # For machines
    verdicts: Sequence[Verdict] = field(default=())

    @property
    def text(self) -> str:
        """Its Markdown."""
        return "\n\n".join(section.text for section in self.sections)

    def as_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        judged = [verdict.as_dict() for verdict in self.verdicts]
        return {**self.data, **({"verdicts": judged} if judged else {})}


def format_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def format_verdicts(verdicts: Iterable[Verdict]) -> str:
    """Format verdicts as a table."""
    rows = [[verdict.aim, verdict.word, verdict.result] for verdict in verdicts]
    return format_table(["target", "verdict", "result"], rows)


def format_skipped(skipped: Mapping[str, str]) -> list[str]:
    """Format what was not compared, prominently."""
    return [f"**NOT COMPARED**: {label} ({reason})" for label, reason in skipped.items()]
