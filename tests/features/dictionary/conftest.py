"""Fixtures for the tests of dictionary files."""

import pytest

from features.base.errors import DictionaryError
from features.dictionary.dictionary import load_dictionary


@pytest.fixture
def load(tmp_path):
    """Load the dictionary with a user's file."""

    def load(text, name="clinic.toml"):
        (tmp_path / name).write_text(text)
        return load_dictionary(tmp_path / name)

    return load


@pytest.fixture
def list_rules(load):
    """Fields and rules of the problems for which a user's file is refused."""

    def list_rules(text):
        with pytest.raises(DictionaryError) as refused:
            load(text)
        return {(problem.field, problem.rule) for problem in refused.value.problems}

    return list_rules
