"""``python -m training``: from a cohort to a registered, evidenced model."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from features.base.commands import (
    BAD_INPUT,
    FAILED,
    SOME_REJECTED,
    AsJson,
    make_app,
    say,
    show,
    show_json,
)
from features.base.files import write_bytes_atomic
from features.base.home import enter_home
from features.base.outputs import check_outputs

# Heavy imports lie inside the commands: `--help` and input errors need not wait for MLflow.
app = make_app("From a cohort to a registered, evidenced model.")


Model = Annotated[
    str, typer.Argument(metavar="OUTCOME[@ALIAS|@VERSION]", help="the champion by default")
]
Incomplete = Annotated[
    bool,
    typer.Option("--incomplete", help="leave aside and count courses without a baseline total"),
]
IgnoreUnknown = Annotated[
    bool, typer.Option("--ignore-unknown", help="ignore columns that match no field")
]
Outcome = Annotated[str, typer.Argument(help="name of the registered model")]


@app.command()
def fit(
    study: Annotated[Path, typer.Argument(help="study file (TOML)")],
    cohort: Annotated[
        list[Path] | None,
        typer.Option(help="cohort to use instead of the study's own; each export of its mapping"),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="override a setting of the study"),
    ] = None,
    incomplete: Incomplete = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="processes", show_default="one per core")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare a study's candidates, choose one, and register it."""
    home = enter_home()
    from training.study.courses import load_design
    from training.study.study import read_study

    extra = ["cohort.incomplete=true"] if incomplete else []
    design = load_design(read_study(study, [*(settings or []), *extra]), cohort or None)
    # MLflow and scikit-learn take seconds to import: only once the input is known to be valid.
    from training.fit import run_study

    summary = run_study(design, home, jobs or os.cpu_count() or 1)
    if as_json:
        show_json(summary.as_dict())
        return
    typer.echo(summary.report)
    say(f"run {summary.run_id} in {home.tracking_uri}, with the report {summary.report_file}")
    typer.echo(f"Registered {summary.card.name} version {summary.version} as {summary.alias}.")
    champion = summary.champion
    typer.echo(f"Champion: version {champion.version} ({champion.model.card.candidate}).")


@app.command()
def history(
    outcome: Outcome,
    verify: Annotated[
        bool, typer.Option("--verify", help="fail if an event is missing, changed or out of order")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show who made which version the champion, when and why."""
    home = enter_home()
    from training.registry.history import describe_history
    from training.registry.registry import Registry

    chronicle = Registry(home).open_history(outcome)
    events, problems = chronicle.read().events, chronicle.verify()
    entries = [{**event.model_dump(mode="json"), "digest": event.digest} for event in events]
    facts = {"outcome": outcome, "events": entries, "problems": list(problems)}
    show(as_json, facts, describe_history(events, problems))
    if verify and problems:
        raise typer.Exit(FAILED)


@app.command()
def rollback(
    outcome: Outcome,
    reason: Annotated[str, typer.Option(help="why, for the history")],
    as_json: AsJson = False,
) -> None:
    """Make the previous champion champion again."""
    home = enter_home()
    from training.registry.registry import Registry

    event = Registry(home).roll_back(outcome, home.user, reason)
    text = f"Champion of {outcome}: version {event.after}, no longer {event.before}."
    show(as_json, event.model_dump(mode="json"), text)


@app.command()
def promote(
    outcome: Outcome,
    version: Annotated[
        int | None, typer.Option(min=1, help="version", show_default="the challenger")
    ] = None,
    override_reason: Annotated[
        str, typer.Option(help="why it becomes champion even if it fails, for the history")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Make a version the champion, if it meets every criterion of its study."""
    home = enter_home()
    from training.registry.reference import parse_reference

    reference = parse_reference(
        outcome if version is None else f"{outcome}@{version}", "challenger"
    )
    from training.promote import describe_promotion, promote_version
    from training.registry.registry import Registry

    done = promote_version(Registry(home), reference, home.user, override_reason)
    show(as_json, done.as_dict(), describe_promotion(done))
    if done.state == "refused":
        raise typer.Exit(FAILED)


@app.command()
def validate(
    model: Model,
    cohort: Annotated[
        list[Path], typer.Argument(help="cohort with outcomes, or the exports of a mapping")
    ],
    out: Annotated[Path, typer.Option(help="folder for report.html and findings.json")],
    mapping: Annotated[
        Path | None, typer.Option(help="mapping file (TOML) for a cohort's own columns")
    ] = None,
    ignore_unknown: IgnoreUnknown = False,
    incomplete: Incomplete = False,
    register: Annotated[
        bool, typer.Option("--register", help="register the recalibrated model as a new version")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Test a registered model on another cohort, and propose a recalibration."""
    home = enter_home()
    from features.records.cohort import read_intake
    from features.records.mapping import read_mapping
    from training.registry.reference import parse_reference

    reference = parse_reference(model)
    from training.registry.registry import FINDINGS_FILE, REPORT_FILE, Registry

    check_outputs(
        [("--out", out / file) for file in (FINDINGS_FILE, REPORT_FILE)],
        [*(("the cohort", path) for path in cohort), ("--mapping", mapping)],
    )
    registry = Registry(home)
    registered = registry.load_reference(reference)
    dictionary = registered.model.card.dictionary
    mapper = read_mapping(mapping, dictionary)
    courses, account = read_intake(cohort, mapper, ignore_unknown, dictionary, incomplete)
    from training.validate import describe_validation, prepare_folder, validate_version

    folder = prepare_folder(out)
    done = validate_version(registry, registered, courses, folder, register, account)
    for path in done.files:
        say(f"{path}: written")
    show(as_json, done.as_dict(), describe_validation(done, register))


@app.command()
def card(
    model: Model,
    out: Annotated[Path | None, typer.Option(help="Markdown file to write instead")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the model card of a version: what it is, for whom, and how it performs."""
    home = enter_home()
    from training.registry.reference import parse_reference

    reference = parse_reference(model)
    check_outputs([("--out", out)])
    from training.card import read_registered_card, write_model_card
    from training.registry.registry import Registry

    registered = read_registered_card(Registry(home), reference)
    text = write_model_card(registered)
    if out is not None:
        write_bytes_atomic(out, text.encode())
        say(f"{out}: model card of {reference.name} version {registered.version}")
    if as_json:
        show_json(registered.as_dict())
    elif out is None:
        typer.echo(text, nl=False)


Exports = Annotated[list[Path], typer.Argument(metavar="EXPORT...", help="files, or a folder")]
DictionaryFile = Annotated[
    Path | None, typer.Option(help="instruments and fields of your own (TOML)")
]


@app.command()
def intake(
    exports: Exports,
    out: Annotated[Path, typer.Option(help="cohort to write (.parquet or .csv)")],
    mapping: Annotated[
        Path | None, typer.Option(help="mapping file (TOML) for the exports' own columns")
    ] = None,
    dictionary: DictionaryFile = None,
    report: Annotated[
        Path | None, typer.Option(help="folder, or .html or .json file: both are written")
    ] = None,
    incomplete: Incomplete = False,
    ignore_unknown: IgnoreUnknown = False,
    as_json: AsJson = False,
) -> None:
    """Make a cohort of a clinic's exports, and account for every row."""
    from training.intake import IntakeOrder, summarise_intake, take_in

    order = IntakeOrder(exports, out, mapping, dictionary, report, incomplete, ignore_unknown)
    facts = take_in(order)
    for path in [out, *order.list_reports()]:
        say(f"{path}: written")
    show(as_json, facts.model_dump(mode="json"), summarise_intake(facts))
    if facts.set_aside:
        raise typer.Exit(SOME_REJECTED)


mappings = make_app("Drafts of mappings, and what a mapping would read.")
app.add_typer(mappings, name="mapping")


@mappings.command()
def suggest(
    exports: Exports,
    out: Annotated[Path | None, typer.Option(help="file to write instead (TOML)")] = None,
    dictionary: DictionaryFile = None,
    as_json: AsJson = False,
) -> None:
    """Draft a mapping, with a confidence and a question for each column."""
    from training.mapping import suggest_mapping

    check_outputs([("--out", out)], [("an export", path) for path in exports])
    draft = suggest_mapping(exports, dictionary, out)
    if out is not None:
        write_bytes_atomic(out, draft.text.encode())
        say(f"{out}: a draft; answer its questions, then `python -m training mapping check`")
    if as_json:
        show_json(draft.as_dict())
    elif out is None:
        typer.echo(draft.text, nl=False)


@mappings.command()
def check(
    mapping: Annotated[Path, typer.Argument(help="mapping file (TOML), or a draft of one")],
    exports: Exports,
    dictionary: DictionaryFile = None,
    incomplete: Incomplete = False,
    ignore_unknown: IgnoreUnknown = False,
    as_json: AsJson = False,
) -> None:
    """Show what a mapping would read, and everything that is wrong; nothing is written."""
    from training.mapping import check_mapping, describe_check

    checked = check_mapping(mapping, exports, dictionary, incomplete, ignore_unknown)
    show(as_json, checked.as_dict(), describe_check(checked))
    if checked.problems:
        raise typer.Exit(BAD_INPUT)


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="port on this machine")] = 5000,
) -> None:
    """Look at runs, figures and models in MLflow."""
    home = enter_home()
    home.folder.mkdir(parents=True, exist_ok=True)
    say(f"MLflow at http://127.0.0.1:{port}")
    # This process becomes MLflow's, so that its signals and exit codes are passed on.
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    os.execv(sys.executable, [*command, "--backend-store-uri", home.tracking_uri])


if __name__ == "__main__":
    app()
