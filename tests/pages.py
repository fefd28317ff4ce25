"""The README and the docs: their commands, and the lines that these should print."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Pages that start servers, on fixed ports, or show what the tutorial has made are run after it, in
# one process; the others are run beside them.
AFTER_TUTORIAL = ("serve-estimates.md", "look-back-at-champions.md")


def list_commands(page: Path) -> list[tuple[str, list[str]]]:
    """List a page's commands, each with its expected lines."""
    commands: list[tuple[str, list[str]]] = []
    blocks = [b for language, b in BLOCK.findall(page.read_text("utf-8")) if language == "console"]
    for line in "".join(blocks).splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif line.startswith(">"):
            commands[-1] = (f"{commands[-1][0]}\n{line[2:]}", commands[-1][1])
        else:
            commands[-1][1].append(line)
    return commands


def find_unprinted(expected: list[str], printed: str) -> str | None:
    """Return the first line that was not printed, in order; `…` matches anything."""
    lines = iter(printed.splitlines())
    for line in expected:
        pattern = re.escape(line).replace("…", ".*")
        if line != "…" and not any(re.fullmatch(pattern, shown) for shown in lines):
            return line
    return None


PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")],
    key=lambda page: (page.name != "README.md", "tutorial" not in str(page), str(page)),
)
WITH_COMMANDS = [page for page in PAGES if list_commands(page)]
HOW_TO = [
    page
    for page in WITH_COMMANDS
    if page.parent.name in ("how-to", "explanation") and page.name not in AFTER_TUTORIAL
]
TUTORIAL = [page for page in WITH_COMMANDS if page not in HOW_TO]


def name_page(page: Path) -> str:
    """Name a page in a test's id."""
    return str(page.relative_to(ROOT))
