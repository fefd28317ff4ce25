"""Files appear whole or not at all."""

import os
import signal
import subprocess
import sys
import time

import pytest

from features.base import files
from features.base.files import digest_file, write_bytes_new, write_bytes_whole, write_whole


def test_a_file_is_written_whole(tmp_path):
    write_bytes_whole(tmp_path / "deep" / "file.bin", b"content")
    assert (tmp_path / "deep" / "file.bin").read_bytes() == b"content"
    expected = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert digest_file(tmp_path / "deep" / "file.bin") == expected


@pytest.mark.parametrize("nameless", [True, False])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, nameless):
    if not nameless:
        monkeypatch.setattr(files, "_open_nameless", lambda folder, mode: None)
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def fail_half_way():
        with write_whole(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_write_replaces_what_was_there(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old and longer")
    write_bytes_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_new_file_never_replaces_one(tmp_path):
    path = tmp_path / "file.bin"
    write_bytes_new(path, b"first")
    write_bytes_new(path, b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file.bin"]


WRITER = """
import sys, time
from pathlib import Path
from features.base.files import write_whole
with write_whole(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="NAMELESS FILES: Linux only")
def test_a_killed_writer_leaves_nothing_behind(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path / "file.bin"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    time.sleep(0.1)
    assert os.listdir(tmp_path) == []
