"""What is installed of the packages that benchmarks compare with."""

import contextlib
import importlib.metadata
import importlib.util
from collections.abc import Iterable


def list_versions(packages: Iterable[str]) -> dict[str, str]:
    """List the versions of the packages that are installed."""
    versions = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def list_absent(modules: Iterable[str]) -> tuple[str, ...]:
    """List the modules that are not installed."""
    return tuple(name for name in modules if importlib.util.find_spec(name) is None)
