"""Files are written completely or not at all."""

import os
import signal
import subprocess
import sys

import pytest

from features.base.files import (
    Journal,
    digest_bytes,
    digest_sources,
    open_atomic,
    remove_digest_files,
    write_bytes_atomic,
    write_bytes_new,
)


def test_a_file_is_written_whole(tmp_path):
    write_bytes_atomic(tmp_path / "deep" / "file.bin", b"content")
    assert (tmp_path / "deep" / "file.bin").read_bytes() == b"content"
    expected = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert digest_bytes((tmp_path / "deep" / "file.bin").read_bytes()) == expected


def test_failed_write_leaves_only_the_old_file(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def fail_half_way():
        with open_atomic(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_write_replaces_what_was_there(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old and longer")
    write_bytes_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_new_file_never_replaces_one(tmp_path):
    path = tmp_path / "file.bin"
    write_bytes_new(path, b"first")
    write_bytes_new(path, b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_only_files_named_by_a_digest_are_removed(tmp_path):
    """A home may be the folder of a clinic's own files."""
    digest = digest_bytes(b"content")
    own = [f"{digest}.jsonl", f".{digest}.jsonl.0a1b2c3d.part"]
    theirs = ["cohort.jsonl", "cohort.csv", f"{digest}.csv", "face.jsonl"]
    for name in own + theirs:
        (tmp_path / name).touch()
    remove_digest_files(tmp_path, ".jsonl")
    assert sorted(os.listdir(tmp_path)) == sorted(theirs)
    for name in theirs:
        (tmp_path / name).unlink()
    remove_digest_files(tmp_path, ".jsonl")
    assert not tmp_path.exists()
    remove_digest_files(tmp_path, ".jsonl")


WRITER = """
import sys, time
from pathlib import Path
from features.base.files import open_atomic
with open_atomic(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    """At most a hidden partial file is left, which no reader opens."""
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert path.read_bytes() == b"old"
    assert all(name.endswith(".part") for name in os.listdir(tmp_path) if name != "file.bin")


def test_readers_see_nothing_until_a_file_is_complete(tmp_path):
    path = tmp_path / "file.bin"
    with open_atomic(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"half"


def test_secret_file_is_readable_by_its_owner_only(tmp_path):
    write_bytes_new(tmp_path / "key", b"secret", mode=0o600)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_sources_differ_by_content_and_by_versions(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("1")
    first = digest_sources([path], {"numpy": "2"})
    assert digest_sources([path], {"numpy": "2"}) == first
    assert digest_sources([path], {"numpy": "3"}) != first
    path.write_text("2")
    assert digest_sources([path], {"numpy": "2"}) != first


def test_a_journal_is_read_in_its_order_without_what_was_cut_off(tmp_path):
    journal = Journal(tmp_path / "folder" / "journal.jsonl")
    assert list(journal.read()) == []
    journal.add({"number": 1})
    with journal.path.open("a") as file:
        file.write('{"number": 2')
    journal.add({"number": 3})
    assert [entry["number"] for entry in journal.read()] == [1, 3]
