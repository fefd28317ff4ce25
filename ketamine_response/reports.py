"""What a notebook shows of a result."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

from features.base.files import write_bytes_atomic

# Pixels: a screen's worth of the report, which has its own scroll bar.
_HEIGHT = 640


@dataclass(frozen=True)
class Report:
    """A report as one HTML page that needs no other file; a notebook displays it."""

    html: str

    def save(self, path: str | Path) -> Path:
        """Write the page to a file, completely or not at all; returns its path."""
        target = Path(path)
        write_bytes_atomic(target, self.html.encode())
        return target

    def _repr_html_(self) -> str:
        # A frame of its own: the page's styles and scripts do not reach the notebook.
        return (
            f'<iframe srcdoc="{escape(self.html)}" sandbox="allow-scripts" '
            f'style="width: 100%; height: {_HEIGHT}px; border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        """Show its size alone: the page is long."""
        return f"Report({len(self.html)} characters of HTML; .save(path) writes it)"
