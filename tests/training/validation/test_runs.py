"""Runs of units give the same numbers in one process, in two, and after a kill."""

from dataclasses import dataclass

import numpy as np

from training.candidates.registry import make_candidates
from training.study.study import Study
from training.validation.procedure import UnitResult
from training.validation.redrawing import make_redrawing
from training.validation.runs import Store, cross_validate, open_result_store, run_units
from training.validation.units import list_bootstraps, list_folds

CANDIDATES = make_candidates()

STUDY = Study(
    name="by-hand",
    question="?",
    outcome="phq9.acute.response",
    seed=1,
    candidates=("evidence_prior", "elastic_net", "base_rate"),
    validation={"folds": 3, "repeats": 2},
)


@dataclass(frozen=True)
class Counted:
    """Predicts the mean outcome of its training part, and leaves a file per unit."""

    folder: object

    def run(self, train, test, seed):
        (self.folder / f"{seed}").touch()
        return UnitResult("base_rate", {"base_rate": np.full(test.size, train.outcome.mean())})


def run(procedure, design, units, store, jobs=1):
    results = run_units(procedure, design, units, store, jobs, "test")
    return {unit.key: result.selected_log_odds for unit, result in results}


def test_stored_results_are_not_computed_again(make_design, tmp_path):
    design, store = make_design(60), Store(tmp_path / "store")
    units = list_bootstraps(STUDY, design, 5)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir(), second.mkdir()
    run(Counted(first), design, units[:3], store)
    whole = run(Counted(second), design, units, store)
    assert {path.name for path in second.iterdir()} == {str(unit.seed) for unit in units[3:]}
    fresh = run(Counted(second), design, units, Store())
    assert whole.keys() == fresh.keys()
    assert all((whole[key] == fresh[key]).all() for key in whole)


def test_units_train_on_recorded_or_redrawn_outcomes(make_design, tmp_path):
    design = make_design(60)
    units, redrawing = list_bootstraps(STUDY, design, 3), make_redrawing(design, np.full(60, 0.2))
    for chosen, learn in (
        (None, lambda unit: design.select(unit.train)),
        (redrawing, lambda unit: redrawing.redraw(design, unit.train, unit.seed)),
    ):
        results = run_units(Counted(tmp_path), design, units, Store(), 1, "test", chosen)
        for unit, result in results:
            assert (result.selected_log_odds == learn(unit).outcome.mean()).all()


def test_a_damaged_result_is_computed_again(make_design, tmp_path):
    design, store = make_design(60), Store(tmp_path)
    units = list_bootstraps(STUDY, design, 2)
    folder = tmp_path / "asked"
    folder.mkdir()
    expected = run(Counted(folder), design, units, store)
    path = tmp_path / f"{units[0].key}.npz"
    path.write_bytes(path.read_bytes()[:40])
    again = run(Counted(folder), design, units, store)
    assert (again["bootstrap-0"] == expected["bootstrap-0"]).all()


def test_a_store_is_named_by_all_inputs(make_design, tmp_path):
    design = make_design(60)
    name = open_result_store(tmp_path, STUDY, design).folder
    assert name == open_result_store(tmp_path, STUDY, design).folder
    more = STUDY.model_copy(
        update={"validation": STUDY.validation.model_copy(update={"bootstraps": 500})}
    )
    assert open_result_store(tmp_path, more, design).folder == name
    recorded = STUDY.validation.model_copy(update={"redraw_outcomes": False})
    others = [
        open_result_store(tmp_path, STUDY.model_copy(update={"validation": recorded}), design),
        open_result_store(tmp_path, STUDY.model_copy(update={"seed": 2}), design),
        open_result_store(tmp_path, STUDY, make_design(60, seed=2)),
    ]
    assert len({name, *(store.folder for store in others)}) == 4


def test_cross_validation_does_not_depend_on_processes(make_design):
    design = make_design(120)
    first, second = (cross_validate(STUDY, design, CANDIDATES, jobs) for jobs in (1, 2))
    for name in STUDY.candidates:
        assert (first.held_out[name].log_odds == second.held_out[name].log_odds).all()
    assert (first.nested.log_odds == second.nested.log_odds).all()


def test_nested_predictions_are_the_selected_candidates(make_design):
    design = make_design(120)
    crossed = cross_validate(STUDY, design, CANDIDATES, jobs=1)
    nested, *candidates = (
        predictions.by_repeat(predictions.log_odds)
        for predictions in (crossed.nested, *crossed.held_out.values())
    )
    for repeat, folds in enumerate(list_folds(STUDY, design)):
        for unit in folds:
            log_odds = nested[repeat, unit.test]
            assert any((log_odds == other[repeat, unit.test]).all() for other in candidates)
    assert (crossed.nested.groups == crossed.held_out["base_rate"].groups).all()
