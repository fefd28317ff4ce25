import json


def test_every_way_of_writing_is_measured_and_nothing_is_left_behind(fresh_commands):
    done = fresh_commands.run("experiments", "benchmark", "store", "--rows", "100", "--json")
    timings = json.loads(done.stdout)["timings"]
    assert {(one["store"], one["how"], one["together"]) for one in timings} == {
        *((f"sqlite {name}", "append", n) for name in ("normal", "full") for n in (1, 16)),
        *((f"sqlite {name}", "thread", n) for name in ("normal", "full") for n in (1, 16)),
        *(("sqlite normal", "loop", n) for n in (1, 16)),
    }
    assert all(0 < one["median"] <= one["percentile99"] for one in timings)
    assert all(one["per_second"] > 0 for one in timings)
    assert not list(fresh_commands.home.glob(".store-*"))
