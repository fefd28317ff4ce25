"""Rules for the whole repository: imports, dependencies, pickles, pins."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import experiments
import features
import ketamine_response
import serving
import training

ROOT = Path(__file__).parent.parent
PACKAGES = (features, training, serving, experiments, ketamine_response)
PICKLES = {"pickle", "cloudpickle", "dill", "skops"}
SOURCES = [path for package in PACKAGES for path in Path(package.__file__).parent.rglob("*.py")]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_packages_imported_are_ours(package):
    """Not packages of the same name installed by a dependency."""
    assert Path(package.__file__).parent.parent == ROOT


@pytest.fixture
def copied(tmp_path):
    """A copy of the packages and their settings, to be changed."""
    for package in PACKAGES:
        folder = Path(package.__file__).parent
        shutil.copytree(
            folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_import_linter_notices_a_broken_layer(copied):
    """The contracts are kept as they are, and broken once training imports serving."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=copied, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (copied / "training" / "breach.py").write_text("import serving.service\n")
    done = subprocess.run(command, cwd=copied, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "experiments use training and serving, which meet only in features BROKEN" in done.stdout


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mlflow", "sklearn", "pandas", "scipy", "matplotlib"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocker())
"""


def test_service_starts_without_training_stack(commands):
    """Without MLflow, scikit-learn, pandas, SciPy, Matplotlib and PyArrow."""
    script = BLOCKED.replace('"mlflow"', '"mlflow", "pyarrow"') + (
        "from features.base.home import enter_home; enter_home()\n"
        "import serving.service as s; service = s.ResponseService.inner(); "
        "print(len(service.parts.roster.champions))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=commands.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1"


def test_scoring_works_without_training_stack(commands, intake, tmp_path):
    """Without MLflow, scikit-learn, pandas, SciPy and Matplotlib."""
    out = tmp_path / "scores.csv"
    script = BLOCKED + (
        "import runpy\n"
        f"sys.argv = ['score', 'score', {str(intake)!r}, '--out', {str(out)!r}]\n"
        "runpy.run_module('serving', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=commands.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert out.read_text().count("\n") == 401


def list_imported(path):
    """List the packages that a module imports."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_uses_pickles(path):
    assert not list_imported(path) & PICKLES
    assert "allow_pickle=True" not in path.read_text("utf-8")


def test_no_test_imports_a_pickler():
    """They may only show that pickles of others are refused."""
    tests = (ROOT / "tests").rglob("*.py")
    assert [path.name for path in tests if list_imported(path) & PICKLES] == []


def test_pins_have_hashes_and_name_no_index():
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text("utf-8")
        pins = re.findall(r"^[A-Za-z0-9._-]+==", text, re.MULTILINE)
        assert pins
        assert len(pins) <= text.count("--hash=sha256:")
        assert not re.search(r"https?://|--index|--extra-index|--find-links", text)


def test_required_packages_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    declared = [
        *project["project"]["dependencies"],
        *extras["training"],
        *extras["serving"],
        *project["dependency-groups"]["dev"],
    ]
    names = {re.match(r"[A-Za-z0-9-]+", requirement).group() for requirement in declared}
    assert {
        "scikit-learn",
        "xgboost",
        "xgboost-cpu",
        "mlflow",
        "pandas",
        "bentoml",
        "pytest",
    } <= names
