"""The Python API as its reference page shows it, read from the source without importing it.

The package lies above this one, so that its text is read and not its objects.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ketamine_response"
_SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)
# Two, not three: those fence a block.
_CODE = re.compile(r"(?<!`)``(?!`)")
_ROLE = re.compile(r":\w+:`[~.]?([\w.]+)`")


@dataclass(frozen=True)
class Entry:
    """A public name: its signature, and its docstring as Markdown."""

    name: str
    signature: str
    text: str
    # Of a class.
    members: tuple["Entry", ...] = ()


def list_entries(package: Path = PACKAGE) -> list[Entry]:
    """List the public names of the package in the order of their modules."""
    door = ast.parse((package / "__init__.py").read_text("utf-8"))
    entries = []
    for module, names in _read_doors(door).items():
        path = package.parent.joinpath(*module.split(".")).with_suffix(".py")
        bodies = {node.name: node for node in _list_definitions(ast.parse(path.read_text("utf-8")))}
        entries += [_describe_function(bodies[name]) for name in names]
    return entries


def _read_doors(door: ast.Module) -> Mapping[str, tuple[str, ...]]:
    for node in door.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_MODULES":
            modules: dict[str, tuple[str, ...]] = ast.literal_eval(node.value)
            return modules
    raise LookupError("_MODULES")


_Definition = ast.FunctionDef | ast.ClassDef


def _list_definitions(node: ast.Module | ast.ClassDef) -> Iterator[_Definition]:
    return (part for part in node.body if isinstance(part, _Definition))


def _describe_function(node: _Definition, owner: str = "") -> Entry:
    text = render_docstring(ast.get_docstring(node) or "")
    name = f"{owner}.{node.name}" if owner else node.name
    if isinstance(node, ast.FunctionDef):
        return Entry(name, _write_signature(node, name), text)
    members = [
        _describe_function(part, node.name) for part in _list_definitions(node) if _is_shown(part)
    ]
    return Entry(name, _find_constructor(node, text), text, tuple(members))


def _find_constructor(node: ast.ClassDef, text: str) -> str:
    # Of the classes whose docstring says how they are made; functions give the others.
    starts = (part for part in _list_definitions(node) if part.name == "__init__")
    start = next(starts, None)
    is_made = isinstance(start, ast.FunctionDef) and "**Parameters**" in text
    return _write_signature(start, node.name) if is_made and start else ""


def _is_shown(node: _Definition) -> bool:
    return not node.name.startswith("_") and ast.get_docstring(node) is not None


def _write_signature(node: _Definition, name: str) -> str:
    assert isinstance(node, ast.FunctionDef)
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    returns = "" if node.returns is None else f" -> {ast.unparse(node.returns)}"
    if node.name == "__init__":
        returns = ""
    if decorators & {"property", "cached_property"}:
        return f"{name}{returns}"
    arguments = ast.unparse(node.args)
    # As the formatter writes it: spaces around the default of an annotated argument.
    arguments = re.sub(r"^self(?:, )?", "", arguments)
    arguments = re.sub(r"(: [^=,]+)=", r"\1 = ", arguments)
    return f"{name}({arguments}){returns}"


def render_docstring(text: str) -> str:
    """Turn a docstring in numpy's style into Markdown.

    Examples
    --------
    >>> print(render_docstring('''Add.
    ...
    ... Parameters
    ... ----------
    ... first
    ...     A ``number``.
    ... '''))
    Add.
    <BLANKLINE>
    **Parameters**
    <BLANKLINE>
    - `first`: A `number`.
    """
    head, *rest = _SECTION.split(cleandoc(text))
    parts = [head.strip()]
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        shown = f"```text\n{body.strip()}\n```" if title == "Examples" else _list_terms(body)
        parts.append(f"**{title}**\n\n{shown}")
    return _CODE.sub("`", _ROLE.sub(r"`\1`", "\n\n".join(parts)))


def _list_terms(body: str, indent: str = "") -> str:
    blocks = [block for block in re.split(r"\n(?=\S)", body.strip("\n")) if block.strip()]
    return "\n".join(_write_term(block, indent) for block in blocks)


def _write_term(block: str, indent: str) -> str:
    term, _, rest = block.partition("\n")
    term = ", ".join(f"`{name.strip('` ')}`" for name in term.split(","))
    prose, nested = _split_nested(cleandoc(rest))
    line = f"{indent}- {term}: {' '.join(prose.split())}" if prose else f"{indent}- {term}"
    return f"{line}\n{_list_terms(nested, indent + '  ')}" if nested else line


def _split_nested(text: str) -> tuple[str, str]:
    # Terms of its own begin where a line is followed by a deeper one.
    start = re.search(r"^\S.*\n +\S", text, re.MULTILINE)
    return (text[: start.start()], text[start.start() :]) if start else (text, "")
