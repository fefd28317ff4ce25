"""Fixtures for the tests of cohort files."""

import pytest


@pytest.fixture
def write(tmp_path):
    """Write a cohort file; texts as UTF-8."""

    def write(content, name="cohort.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
