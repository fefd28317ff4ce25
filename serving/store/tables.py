"""The tables of the store, as the newest migration leaves them."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text

METADATA = MetaData()
# SQLite numbers its rows itself only where the type is spelt so; then the number is the row.
NUMBER = BigInteger().with_variant(Integer, "sqlite")

AUDIT = Table(
    "audit",
    METADATA,
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("request_id", Text, nullable=False),
    Column("time", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("key_id", Text),
    Column("models", Text, nullable=False),
    Column("answers", Text, nullable=False),
    Column("inputs_digest", Text, nullable=False),
    Column("inputs", LargeBinary),
    Column("previous", Text, nullable=False),
    Column("digest", Text, nullable=False),
)

# One row: where the chain ends.
HEAD = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("seal", Text, nullable=False),
)

KEYS = Table(
    "keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("secret_digest", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("expires", Text),
    Column("revoked", Text),
    Column("last_used", Text),
    Column("per_minute", Integer),
    Column("replaced_by", Text),
)
