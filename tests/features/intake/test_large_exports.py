"""A large export is read exactly, within limits of time and memory."""

import os
import subprocess
import sys

from experiments.simulator import WORLDS, simulate, write_simulation
from experiments.simulator.exports import write_export

PATIENTS = (250, 25_000)  # in `make test`, in `make endurance`: a million long rows
MAX_SECONDS, MAX_MEBIBYTES = 60, 2048
READ = """
import sys
from pathlib import Path
from features.records.cohort import digest_cohort, read_cohort, read_intake
from features.records.mapping import read_mapping
folder, truth = map(Path, sys.argv[1:])
columns, account = read_intake(folder, read_mapping(folder / "mapping.toml"))
account.check()
assert digest_cohort(columns) == digest_cohort(read_cohort(truth))
print(account.as_dict()["tables"][0]["used"])
"""


def test_long_rows_are_read_in_a_minute_and_two_gibibytes(choose_count, tmp_path):
    """In a fresh process; processor seconds, since other processes may run."""
    patients = choose_count(*PATIENTS)
    folder, file = tmp_path / "export", tmp_path / "truth.parquet"
    truth, (export, _) = write_export("long", simulate(WORLDS["default"], patients, 3), 3, folder)
    write_simulation(truth, file)
    command = [sys.executable, "-c", READ, folder, file]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        used = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert int(used) == len(export.read_bytes().splitlines()) - 1
    assert usage.ru_utime + usage.ru_stime < MAX_SECONDS
    assert usage.ru_maxrss / 1024 < MAX_MEBIBYTES
