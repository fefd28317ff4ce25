"""What tests look at in a cohort that was read, and in its account."""


def show_field(columns, name):
    """List a field of every course, None if missing."""
    field = columns.dictionary.cohort_fields[name]
    values = columns.get_texts(name) if field.kind == "text" else columns.get_numbers(name)
    return [None if value != value else value for value in values.tolist()]


def list_aside(account, table):
    """List what became of a table's rows: read, used, and the reasons of the others."""
    (entry,) = [entry for entry in account.as_dict()["tables"] if entry["table"] == table]
    return entry["read"], entry["used"], {part["reason"]: part["rows"] for part in entry["aside"]}
