"""Fixtures of the dictionary's tests: a user's own file, read or refused."""

import pytest

from features.base.errors import DictionaryError
from features.dictionary.dictionary import load_dictionary


@pytest.fixture
def load(tmp_path):
    """Load the dictionary with a file of this text."""

    def load(text, name="clinic.toml"):
        (tmp_path / name).write_text(text)
        return load_dictionary(tmp_path / name)

    return load


@pytest.fixture
def list_rules(load):
    """List field and rule of each problem for which a text is refused."""

    def list_rules(text):
        with pytest.raises(DictionaryError) as refused:
            load(text)
        return {(problem.field, problem.rule) for problem in refused.value.problems}

    return list_rules
