"""Mutants: small changes to the code, each of which the tests of its own room should notice.

``python tests/endurance/mutants.py --count 200 --seed 1 --out FOLDER``, as `make endurance` does.
Cosmic Ray finds and applies the changes. It has no seeded sample and one test command for all, so
the sample, each room's command and the journal are here. Copies of the repository are changed, and
a run that was stopped resumes from its journal.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import chdir
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome

ROOT = Path(__file__).parent.parent.parent
# What estimates and the gate rest on.
MUTATED = (
    *("features", "training/measures", "training/candidates", "serving/estimates"),
    *("training/findings/criteria.py", "training/findings/gate.py"),
)
# Rooms whose rules are tested as tables, or through another room, outside their folder.
MORE_TESTS = {
    "features/records": ("tests/spec",),
    "features/sources": ("tests/features/records",),
    "features/dictionary": ("tests/spec",),
}
# Operators that break any numeric code at once, or only type hints, would flatter the tests.
LEFT_OUT = {
    *("BitOr", "BitAnd", "BitXor", "LShift", "RShift", "Is", "IsNot", "FloorDiv", "Mod", "Invert"),
}
NOT_COPIED = (".venv", ".git", ".ketamine-response", "__pycache__", ".*_cache", ".hypothesis")
WANTED = 0.95


@dataclass(frozen=True)
class Mutant:
    """One change to one module.

    Parameters
    ----------
    occurrence
        Which of the places in the module where the operator applies.
    source
        SHA-256 of the module, so that a result for another text of it does not count.
    """

    module: str
    line: int
    operator: str
    occurrence: int
    source: str

    @property
    def room(self) -> str:
        """The folder whose tests should notice: `features/model`, `training/measures`."""
        return "/".join(Path(self.module).parts[:2])


def list_modules(root: Path, paths: Sequence[str]) -> list[Path]:
    """List the modules of files and folders, relative to the root; those not there are left out."""
    groups = [file for path in paths for file in ((root / path).rglob("*.py"), [root / path])]
    files = {file for group in groups for file in group if file.is_file()}
    return sorted(file.relative_to(root) for file in files if file.name != "__init__.py")


def sample_mutants(root: Path, paths: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """Draw mutants at different places of the code; a larger sample begins with the smaller one."""
    with (
        chdir(root),
        tempfile.TemporaryDirectory() as scratch,
        use_db(str(Path(scratch) / "all.sqlite"), WorkDB.Mode.create) as database,
    ):
        init(list_modules(root, paths), database, {})
        specs = [item.mutations[0] for item in database.work_items]
    places: dict[tuple[str, tuple[int, int]], list[MutationSpec]] = {}
    for spec in specs:
        if not (LEFT_OUT & set(spec.operator_name.split("_")) or _is_decorator(root, spec)):
            places.setdefault((str(spec.module_path), spec.start_pos), []).append(spec)
    generator = random.Random(seed)
    order = sorted(places)
    generator.shuffle(order)
    chosen = [
        generator.choice(
            sorted(places[key], key=lambda spec: (spec.operator_name, spec.occurrence))
        )
        for key in order
    ]
    return [
        Mutant(
            module=str(spec.module_path),
            line=spec.start_pos[0],
            operator=spec.operator_name,
            occurrence=spec.occurrence,
            source=hashlib.sha256((root / spec.module_path).read_bytes()).hexdigest(),
        )
        for spec in chosen[:count]
    ]


def _is_decorator(root: Path, spec: MutationSpec) -> bool:
    # Whether a dataclass is frozen or has slots changes no result.
    line = (root / spec.module_path).read_text("utf-8").splitlines()[spec.start_pos[0] - 1]
    return line.lstrip().startswith("@")


def make_test_command(root: Path, module: str, seconds: Mapping[str, float]) -> str:
    """Write the command that tests a module's room: its doctests, then its cheapest test files.

    Its own count as a fifth of what they cost, since they are the likeliest to fail.
    """
    path = Path(module)
    room = "/".join(path.parts[:2])
    folders = (f"tests/{room}", *MORE_TESTS.get(room, ()))
    files = [file for folder in folders for file in sorted((root / folder).rglob("test_*.py"))]
    tests = [str(file.relative_to(root)) for file in files]
    own = f"/test_{path.stem}.py"
    tests.sort(key=lambda test: seconds.get(test, 0) / (5 if test.endswith(own) else 1))
    names = [module, *tests]
    # The first failure ends it; without a cache, nothing of one mutant reaches the next.
    options = "-x -q --no-header -p no:cacheprovider"
    return f"{sys.executable} -m pytest {options} {' '.join(names)}"


def enter_copy(root: Path, scratch: Path) -> None:
    """Give this process a copy of the repository to change, and go there."""
    own = Path(tempfile.mkdtemp(dir=scratch)) / "repository"
    shutil.copytree(root, own, ignore=shutil.ignore_patterns(*NOT_COPIED))
    os.chdir(own)


def time_room(module: str) -> dict[str, float]:
    """Run the tests of a room on the unchanged code, which must pass; return each file's seconds.

    Those of the whole room are under an empty name.
    """
    began = time.monotonic()
    outcome, output = run_tests(f"{make_test_command(Path(), module, {})} --durations=0", 3600)
    if outcome is not TestOutcome.SURVIVED:
        raise SystemExit(f"the tests of {module} fail without any change:\n{output[-3000:]}")
    files: Counter[str] = Counter()
    for taken, file in re.findall(r"^([\d.]+)s (?:setup|call|teardown) +(\S+?)::", output, re.M):
        files[file] += float(taken)
    return {**files, "": time.monotonic() - began}


def test_mutant(mutant: Mutant, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Apply a mutant, run its room's tests, and return what the journal keeps."""
    # Twice as long as unchanged, and time for a busy machine: an endless loop is a kill.
    timeout = 2 * seconds[""] + 60
    began = time.monotonic()
    spec = MutationSpec(Path(mutant.module), mutant.operator, mutant.occurrence, (0, 0), (0, 1))
    command = make_test_command(Path(), mutant.module, seconds)
    result = mutate_and_test([spec], command, timeout)
    lines = [line for line in (result.diff or "").splitlines() if line[:1] in ("-", "+")]
    change = [line for line in lines if not line.startswith(("---", "+++"))]
    outcome = "failed to run" if result.test_outcome is None else str(result.test_outcome.value)
    seconds = round(time.monotonic() - began, 1)
    return {**asdict(mutant), "outcome": outcome, "change": change, "seconds": seconds}


def read_journal(path: Path) -> dict[Mutant, dict[str, Any]]:
    """Read the results that a journal has; a line cut off by a kill is left out."""
    kept: dict[Mutant, dict[str, Any]] = {}
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        kept[Mutant(**{name: entry[name] for name in Mutant.__dataclass_fields__})] = entry
    return kept


def run_mutants(
    root: Path, mutants: Sequence[Mutant], journal: Path, jobs: int
) -> Iterator[dict[str, Any]]:
    """Test the mutants that the journal lacks, and add each result to it as it comes."""
    kept = read_journal(journal)
    pending = [mutant for mutant in mutants if mutant not in kept]
    with tempfile.TemporaryDirectory() as scratch:
        arguments = (root, Path(scratch))
        with ProcessPoolExecutor(jobs, initializer=enter_copy, initargs=arguments) as pool:
            modules = {mutant.room: mutant.module for mutant in pending}
            seconds = dict(zip(modules, pool.map(time_room, modules.values()), strict=True))
            futures = [pool.submit(test_mutant, mutant, seconds[mutant.room]) for mutant in pending]
            for future in futures:
                with journal.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(future.result()) + "\n")
                yield future.result()


def summarise(
    results: Sequence[dict[str, Any]], equivalent: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Count the results; a survivor that was judged to change nothing is equivalent."""
    judged = [(entry["module"], entry["change"]) for entry in equivalent]
    survivors = [result for result in results if result["outcome"] == "survived"]
    real = [
        survivor for survivor in survivors if (survivor["module"], survivor["change"]) not in judged
    ]
    killed = sum(result["outcome"] == "killed" for result in results)
    return {
        "mutants": len(results),
        "killed": killed,
        "survived": len(real),
        "equivalent": len(survivors) - len(real),
        "failed_to_run": len(results) - killed - len(survivors),
        "share_killed": killed / max(killed + len(real), 1),
        "survivors": [
            {"at": f"{mutant['module']}:{mutant['line']}", "change": mutant["change"]}
            for mutant in real
        ],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sample; the exit code is 1 if too few are killed."""
    parser = argparse.ArgumentParser(description="Test a seeded sample of mutants.")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True, help="folder of journal and summary")
    parser.add_argument("--root", type=Path, default=ROOT, help="repository")
    parser.add_argument("--paths", nargs="*", default=MUTATED, help="modules or folders to change")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    # Plugins that no room needs take longer to import than most rooms take to test.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    journal = options.out / f"mutants-{options.seed}.jsonl"
    mutants = sample_mutants(options.root, options.paths, options.count, options.seed)
    done = len(set(mutants) & set(read_journal(journal)))
    print(f"{done} of {len(mutants)} mutants are in {journal} already", flush=True)
    for number, result in enumerate(
        run_mutants(options.root, mutants, journal, options.jobs), done + 1
    ):
        position = f"{result['module']}:{result['line']}"
        print(f"{number}/{len(mutants)}  {result['outcome']}  {position}", flush=True)
    kept = read_journal(journal)
    equivalent = tomllib.loads((Path(__file__).with_name("equivalent.toml")).read_text("utf-8"))
    summary = summarise([kept[mutant] for mutant in mutants], equivalent.get("mutant", ()))
    text = json.dumps(summary, indent=1)
    (options.out / f"mutants-{options.seed}.json").write_text(text + "\n", encoding="utf-8")
    print(text)
    return int(summary["share_killed"] < WANTED)


if __name__ == "__main__":
    sys.exit(main())
