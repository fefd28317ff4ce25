"""What tests look at in a file that is opened: its rows, or the reason why it is refused."""

import pytest

from features.base.errors import CohortError
from features.sources.source_form import SourceForm
from features.sources.tables import open_table


def read_rows(path, **form):
    """Read a table's rows as dictionaries of texts."""
    table = open_table(path, SourceForm(**form))
    return [row for batch in table.batches for row in batch.to_pylist()]


def check_refusal(read, rule, *words):
    """Check that reading refuses a file as a whole, for one reason that the words explain."""
    with pytest.raises(CohortError) as refused:
        read()
    ((field, broken, message),) = [(p.field, p.rule, p.message) for p in refused.value.problems]
    assert (field, broken) == ("file", rule)
    for word in words:
        assert word in message, message
