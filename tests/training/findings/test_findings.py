"""Findings of earlier runs in the registry must still load."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from training.findings.findings import Findings
from training.report.page import render_report

STORED = Path(__file__).with_name("stored.json")


def test_stored_findings_load_without_change():
    """`stored.json` was written before findings held the results of the measures themselves.

    Later versions may add keys, but never change or drop one.
    """
    text = STORED.read_text()
    findings = Findings.model_validate_json(text)
    assert_contains(json.loads(findings.model_dump_json()), json.loads(text))
    assert render_report(findings)


def assert_contains(loaded, stored):
    """Assert that everything stored is loaded, at every depth."""
    if isinstance(stored, dict):
        for key, value in stored.items():
            assert_contains(loaded[key], value)
    elif isinstance(stored, list):
        assert len(loaded) == len(stored)
        for pair in zip(loaded, stored, strict=True):
            assert_contains(*pair)
    else:
        assert loaded == stored


@pytest.mark.parametrize("part", ["subgroups", "gate", "candidates"])
def test_unknown_keys_are_refused_at_every_depth(part):
    stored = json.loads(STORED.read_text())
    stored[part][0]["unheard_of"] = 1
    with pytest.raises(ValidationError, match="unheard_of"):
        Findings.model_validate(stored)
