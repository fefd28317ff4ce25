"""Labels of codes, from a file of SPSS, Stata or SAS, or from REDCap's data dictionary."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from features.base.errors import CohortError, MappingError, Problem
from features.sources.cells import encode_distinct
from features.sources.raw_table import RawTable
from features.sources.redcap import RedcapField, read_redcap_dictionary
from features.sources.source_form import SourceForm


def apply_labels(table: RawTable, form: SourceForm) -> RawTable:
    """Add what a data dictionary says of a table, and replace codes by labels if the form says so.

    Raises
    ------
    CohortError
        If the dictionary marks a column as an identifier.
    MappingError
        If the dictionary describes none of the columns, or a column to be labelled has no labels.
    """
    if form.dictionary is not None:
        fields = read_redcap_dictionary(form.dictionary)
        table = _describe_columns(table, fields, form.dictionary.name)
    if form.labels == "codes":
        return table
    wanted = [name for name in table.names if form.is_labelled(name) and name in table.labels]
    named = table.labels if form.labels == "text" else form.labels
    if lacking := [name for name in named if name not in wanted] or ([] if wanted else ["labels"]):
        message = "has no labels that could replace its codes; leave it out of `labels`"
        problems = [Problem(name, "labels", message) for name in lacking]
        raise MappingError(problems, source=table.source)
    labels = {name: table.labels[name] for name in wanted}
    return replace(table, batches=_replace_codes(table.batches, labels))


def _describe_columns(table: RawTable, fields: Sequence[RedcapField], source: str) -> RawTable:
    descriptions: dict[str, str] = {}
    columns: dict[str, RedcapField] = {}
    for field in fields:
        descriptions |= field.list_columns()
        columns |= dict.fromkeys(field.list_columns(), field)
    known = [name for name in table.names if name in columns]
    if not known:
        message = f"describes no column of {table.source}"
        raise MappingError([Problem("dictionary", "columns", message)], source=source)
    message = (
        "is marked as an identifier in the data dictionary, or has the form of one; export "
        "without it (REDCap can remove all tagged identifier fields)"
    )
    # As columns that are named like identifiers, even if they would be ignored.
    if marked := [name for name in known if columns[name].identifier]:
        problems = [Problem(name, "identifier", message) for name in marked]
        raise CohortError(problems, source=table.source)
    return replace(
        table,
        descriptions={name: descriptions[name] for name in known},
        labels={
            name: columns[name].choices
            for name in known
            if columns[name].choices and columns[name].kind != "checkbox"
        },
    )


def _replace_codes(
    batches: Iterator[Any], labels: Mapping[str, Mapping[str, str]]
) -> Iterator[Any]:
    for batch in batches:
        arrays = [
            _replace(array, labels[name]) if name in labels else array
            for name, array in zip(batch.schema.names, batch.columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _replace(array: Any, labels: Mapping[str, str]) -> Any:
    encoded = encode_distinct(array)
    texts = [labels.get(text.strip(), text) for text in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(encoded.indices)
