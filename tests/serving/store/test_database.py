import logging
import stat
import subprocess
from pathlib import Path

import pytest
import warm_python
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text, inspect

from features.base.errors import InputError, UnavailableError
from features.base.home import find_home
from serving.bundle import choose_build_options
from serving.store import migrations
from serving.store.audit import AUDIT, HEAD
from serving.store.database import find_revision, migrate, open_store, prepare_store
from serving.store.keys import KEYS

ROOT = Path(__file__).parents[3]
MIGRATING = """
import sys
from serving.store.database import prepare_store
prepare_store(sys.argv[1])
"""


# Columns that are not text, and columns that may be empty.
KINDS = {
    ("audit", "number"): BigInteger().with_variant(Integer, "sqlite"),
    ("audit", "inputs"): LargeBinary,
    ("audit_head", "id"): Integer,
    ("audit_head", "number"): BigInteger,
    ("keys", "per_minute"): Integer,
}
OPTIONAL = {
    "audit": {"key_id", "inputs"},
    "audit_head": set(),
    "keys": {"expires", "revoked", "last_used", "per_minute", "replaced_by"},
}


def declare(table, key, metadata):
    """Declare the columns that the code names, with the types and constraints that it needs."""
    columns = [
        Column(
            column.name,
            KINDS.get((table.name, column.name), Text),
            primary_key=column.name == key,
            autoincrement=False,
            nullable=column.name in OPTIONAL[table.name],
        )
        for column in table.columns
    ]
    Table(table.name, metadata, *columns)


def test_new_store_has_the_expected_tables(engine):
    expected = MetaData()
    for table, key in ((AUDIT, "number"), (HEAD, "id"), (KEYS, "id")):
        declare(table, key, expected)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), expected) == []
        for table in expected.tables.values():  # alembic does not compare keys
            key = inspect(connection).get_pk_constraint(table.name)["constrained_columns"]
            assert key == [column.name for column in table.primary_key]
        assert find_revision(connection) == "0001"


def test_migrating_again_changes_nothing(engine):
    migrate(engine)
    with engine.connect() as connection:
        heads = connection.exec_driver_sql("SELECT id, number FROM audit_head").all()
    assert heads == [(1, 0)]


def test_concurrent_migrations_all_find_the_store_ready(url):
    command = [*warm_python.COMMAND, "-c", MIGRATING, url]
    started = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4, errors
    engine = open_store(url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM audit_head").scalar() == 1
    engine.dispose()


NEWER = '''
"""One more column, for a test."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("keys", sa.Column("colour", sa.Text))
'''


@pytest.fixture
def next_version(monkeypatch, tmp_path):
    """The code of a later version, with one more migration."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    for path in (Path(migrations.__file__).parent / "versions").glob("v*.py"):
        (folder / "versions" / path.name).write_text(path.read_text())
    (folder / "versions" / "v0002_colour.py").write_text(NEWER)

    def become():
        monkeypatch.setattr(migrations, "__file__", str(folder / "__init__.py"))

    return become


def test_older_store_is_migrated(engine, next_version):
    next_version()
    migrate(engine)
    with engine.connect() as connection:
        assert find_revision(connection) == "0002"
    assert "colour" in {column["name"] for column in inspect(engine).get_columns("keys")}


def test_store_of_newer_version_is_rejected_unchanged(engine, next_version, monkeypatch):
    with monkeypatch.context() as patch:
        next_version()
        migrate(engine)
        patch.undo()
    monkeypatch.undo()
    with pytest.raises(UnavailableError, match="newer version"):
        migrate(engine)
    with engine.connect() as connection:
        assert find_revision(connection) == "0002"


def test_a_migration_that_fails_leaves_nothing_behind(url, next_version, tmp_path):
    broken = NEWER.replace('sa.Column("colour", sa.Text))', 'sa.Column("colour", sa.Text))\n'
                           '    op.execute("no statement")')  # fmt: skip
    (tmp_path / "migrations" / "versions" / "v0002_colour.py").write_text(broken)
    next_version()
    with pytest.raises(UnavailableError):
        prepare_store(url)
    engine = open_store(url)
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    engine.dispose()


def test_migrating_logs_nothing(url, caplog):
    caplog.set_level(logging.INFO)
    prepare_store(url).dispose()
    assert caplog.records == []


def test_a_bento_carries_the_migrations():
    patterns = choose_build_options(())["include"]
    carried = {path for pattern in patterns for path in ROOT.glob(pattern)}
    ours = set((ROOT / "serving" / "store").rglob("*.py"))
    assert any(path.name.startswith("v0001") for path in ours)
    assert ours <= carried


def test_new_file_is_readable_only_by_owner(tmp_path):
    engine = prepare_store(f"sqlite:///{tmp_path / 'new' / 'service.db'}")
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        for path in (tmp_path / "new").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
    engine.dispose()


def test_url_can_request_durable_commits(tmp_path):
    engine = prepare_store(f"sqlite:///{tmp_path / 'service.db'}?synchronous=full")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    engine.dispose()


def test_postgresql_never_waits_for_long(postgresql):
    engine = open_store(postgresql.make_url("postgres"))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "5s"
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "3s"
    engine.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "mysql://root:hunter2@host/name",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////tmp/x.db?synchronous=off",
        "sqlite:////tmp/x.db?mode=hunter2",
    ],
)
def test_unusable_address_is_rejected_without_being_shown(url):
    with pytest.raises(InputError, match="KETAMINE_RESPONSE_DATABASE_URL") as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("path", ["/dev/null/service.db", "/proc/service.db"])
def test_uncreatable_file_makes_the_store_unavailable(path):
    with pytest.raises(UnavailableError, match="does not answer"):
        open_store(f"sqlite:///{path}")


def test_absent_server_makes_the_store_unavailable(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(UnavailableError) as caught:
        prepare_store(f"postgresql://ada:hunter2@/name?host={tmp_path}")
    assert "hunter2" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_damaged_file_makes_the_store_unavailable(tmp_path):
    (tmp_path / "service.db").write_bytes(b"no database at all, but long enough to be read" * 99)
    with pytest.raises(UnavailableError, match="SQLITE_NOTADB"):
        prepare_store(f"sqlite:///{tmp_path / 'service.db'}")


def test_store_defaults_to_a_file_at_home():
    assert find_home({"KETAMINE_RESPONSE_HOME": "/srv/kr"}).store_url == (
        "sqlite:////srv/kr/service.db"
    )
    named = find_home({"KETAMINE_RESPONSE_DATABASE_URL": "postgresql://kr:hunter2@host/kr"})
    assert named.store_url == "postgresql://kr:hunter2@host/kr"
    assert "hunter2" not in repr(named)
