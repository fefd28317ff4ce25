"""The benchmark of the store: every combination is measured, and its files are removed."""

import json


def test_every_store_is_measured_and_leaves_nothing(fresh_commands):
    done = fresh_commands.run("experiments", "benchmark", "store", "--rows", "100", "--json")
    timings = json.loads(done.stdout)["timings"]
    assert {(row["store"], row["how"], row["together"]) for row in timings} == {
        *((f"sqlite {name}", "append", n) for name in ("normal", "full") for n in (1, 16)),
        *((f"sqlite {name}", "thread", n) for name in ("normal", "full") for n in (1, 16)),
        *(("sqlite normal", "loop", n) for n in (1, 16)),
    }
    assert all(0 < row["median"] <= row["percentile99"] for row in timings)
    assert all(row["per_second"] > 0 for row in timings)
    assert not list(fresh_commands.home.glob(".store-*"))
