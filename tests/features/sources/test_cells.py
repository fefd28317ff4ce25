"""Arrow columns: which can be read."""

import pyarrow as pa

from features.sources.cells import list_unreadable


def test_unreadable_types_are_named_without_their_parts():
    schema = pa.schema(
        [("a", pa.list_(pa.int8())), ("b", pa.struct([("last_name", pa.string())])),
         ("c", pa.dictionary(pa.int8(), pa.large_string())), ("d", pa.bool8()),
         ("e", pa.list_(pa.int8(), 3)), ("f", pa.duration("s")), ("g", pa.decimal256(50))]
    )  # fmt: skip
    kinds = {"a": "list", "b": "struct", "e": "fixed_size_list", "f": "duration"}
    assert list_unreadable(schema) == kinds
