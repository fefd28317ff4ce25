"""Fixtures for the tests of joined exports."""

import pytest
from cohorts import show_field

from features.base.errors import CohortError
from features.records.cohort import read_intake
from features.records.mapping import read_mapping


@pytest.fixture
def bring_in(tmp_path):
    """Read exports, given as texts by file name, by a mapping: the cohort and its account."""

    def bring_in(mapping, files, **options):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        (tmp_path / "mapping.toml").write_text(mapping)
        mapper = read_mapping(tmp_path / "mapping.toml")
        columns, account = read_intake([tmp_path / name for name in files], mapper, **options)
        account.check()
        return columns, account

    return bring_in


@pytest.fixture
def list_cells(bring_in):
    """Read exports, and list some fields of every course; None if missing."""

    def list_cells(mapping, files, *fields, **options):
        columns, _ = bring_in(mapping, files, **options)
        return [
            tuple(values) for values in zip(*(show_field(columns, f) for f in fields), strict=True)
        ]

    return list_cells


@pytest.fixture
def find_problems(bring_in):
    """Read exports that are refused: each problem's field, rule and rows."""

    def find_problems(mapping, files, **options):
        with pytest.raises(CohortError) as refused:
            bring_in(mapping, files, **options)
        return {(p.field, p.rule): p.rows for p in refused.value.problems}

    return find_problems
