"""``python -m experiments benchmark``: the commands behind the figures of the docs.

Every command imports what it runs, so that no benchmark needs the packages of another.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from experiments.benchmarks.report import Report
from experiments.benchmarks.results import Results
from features.base.commands import (
    BAD_INPUT,
    FAILED,
    AsJson,
    make_app,
    say,
    show_json,
)
from features.base.home import Home, enter_home

_SIZES, _QUICK_SIZES = "0,60,250,1000,4000", "0,60,250"
_QUICK_METHODS = "chosen,evidence_prior,base_rate,peer_xgboost,peer_ridge"

Jobs = Annotated[int, typer.Option(min=1, help="processes")]
Again = Annotated[bool, typer.Option("--again", help="repeat what was done")]
Docs = Annotated[bool, typer.Option("--docs", help="write the page, and its figure if it has one")]

app = make_app("Measure what is claimed; tables and figures of the docs.")


@app.callback()
def benchmark() -> None:
    """Measure what is claimed; tables and figures of the docs."""


@app.command("models")
def benchmark_models(
    quick: Annotated[
        bool, typer.Option("--quick", help="two worlds, few methods and small samples: a minute")
    ] = False,
    worlds: Annotated[int, typer.Option(min=1, help="drawn worlds")] = 20,
    sizes: Annotated[str, typer.Option(help="numbers of training courses")] = _SIZES,
    only: Annotated[str, typer.Option(help="methods, by name; all by default")] = "",
    again: Again = False,
    jobs: Jobs = 1,
    docs: Docs = False,
    as_json: AsJson = False,
) -> None:
    """Compare our candidates with peers on simulated patients (SIMULATED), against the truth.

    Results are kept in the home, under benchmarks/, and not computed twice.
    """
    _refuse_docs(docs, {"--quick": quick})
    home = enter_home()
    from experiments.benchmarks.models.models import (
        ModelRequest,
        choose_methods,
        parse_sizes,
        run_models,
    )
    from experiments.benchmarks.models.report import report_models
    from experiments.benchmarks.models.summary import arrange_results
    from experiments.benchmarks.samples import Plan

    methods, skipped = choose_methods(only or (_QUICK_METHODS if quick else ""))
    _show_skipped(skipped)
    if quick:
        plan = Plan(
            250, tested=800, new_sites=20, draws=40, offered=("evidence_prior", "base_rate")
        )
        request = ModelRequest(min(worlds, 2), 1, parse_sizes(_QUICK_SIZES), methods, plan)
    else:
        request = ModelRequest(worlds, -(-worlds // 4), parse_sizes(sizes), methods, Plan())
    results = run_models(request, _open_results(home, "models"), jobs, again)
    _publish(report_models(arrange_results(results), request, skipped), docs, as_json)


@app.command("trials")
def benchmark_trials(
    quick: Annotated[
        bool, typer.Option("--quick", help="two candidates and one repeat: half a minute")
    ] = False,
    data: Annotated[
        Path, typer.Option(help="folder with the trials' files; those absent are named")
    ] = Path(),
    only: Annotated[str, typer.Option(help="studies, by file name; all by default")] = "",
    again: Again = False,
    jobs: Jobs = 1,
    docs: Docs = False,
    as_json: AsJson = False,
) -> None:
    """Compare all candidates on every real trial that is here, patients held out, and sites.

    Results are kept in the home, under benchmarks/, and not computed twice.
    """
    _refuse_docs(docs, {"--quick": quick, "--only": only})
    home = enter_home()
    from experiments.benchmarks.trials.report import report_trials
    from experiments.benchmarks.trials.tasks import QUICK, TrialPlan, list_trial_tasks
    from experiments.benchmarks.trials.trials import run_trials

    tasks, skipped = list_trial_tasks(only, data, QUICK if quick else TrialPlan())
    _show_skipped(skipped)
    results = run_trials(tasks, _open_results(home, "trials"), jobs, again)
    _publish(report_trials(results, skipped), docs, as_json)


@app.command("validation")
def benchmark_validation(
    quick: Annotated[
        bool, typer.Option("--quick", help="two worlds and few bootstrap refits: a minute")
    ] = False,
    worlds: Annotated[int, typer.Option(min=2, help="drawn worlds")] = 40,
    only: Annotated[
        str, typer.Option(help="one candidate, with the base rate; by default four")
    ] = "",
    sites_only: Annotated[
        bool, typer.Option("--sites-only", help="new sites alone: no bootstrap refits")
    ] = False,
    jobs: Jobs = 1,
    docs: Docs = False,
    as_json: AsJson = False,
) -> None:
    """Check a report's performance figures against the truth (SIMULATED).

    Results are kept in the home, under benchmarks/, and not computed twice.
    """
    _refuse_docs(docs, {"--quick": quick, "--only": only})
    home = enter_home()
    from experiments.benchmarks.validation.report import report_validation
    from experiments.benchmarks.validation.validation import (
        QUICK,
        ValidationRequest,
        choose_offered,
        run_checks,
    )

    request = QUICK if quick else ValidationRequest(worlds)
    if only:
        request = replace(request, offered=choose_offered(only))
    if sites_only:
        request = replace(request, bootstraps=0)
    results = run_checks(request, _open_results(home, "validation"), jobs)
    _publish(report_validation(results, request, sites_only), docs, as_json)


@app.command("serving")
def benchmark_serving(
    quick: Annotated[
        bool, typer.Option("--quick", help="one round of a second each, a small model")
    ] = False,
    seconds: Annotated[int, typer.Option(min=1, help="of each measurement")] = 10,
    rounds: Annotated[int, typer.Option(min=1, help="in which contestants take turns")] = 3,
    only: Annotated[
        list[str] | None, typer.Option(help="contestant to measure; may be repeated")
    ] = None,
    champion: Annotated[
        Path | None, typer.Option(help="home whose champion to serve, instead of a simulated one")
    ] = None,
    docs: Docs = False,
    as_json: AsJson = False,
) -> None:
    """Compare the service with others on this machine, one worker each (SIMULATED patients).

    Needs the load generator wrk. Exits with 1 if an answer is missing or wrong; a missed target is
    reported, and is not a failure.
    """
    _refuse_docs(docs, {"--quick": quick, "--only": only, "--champion": champion})
    enter_home()
    from experiments.benchmarks.serving.report import has_answered_all, report_serving
    from experiments.benchmarks.serving.serving import (
        QUICK,
        ServingRequest,
        choose_contestants,
        run_serving,
    )

    request = replace(
        QUICK if quick else ServingRequest(seconds=seconds, rounds=rounds),
        contestants=choose_contestants(only or []),
        champion=champion,
    )
    results = run_serving(request)
    _publish(report_serving(results), docs, as_json)
    if not has_answered_all(results):
        raise typer.Exit(FAILED)


# A page written from a part of what it must show would look complete.
def _refuse_docs(docs: bool, options: dict[str, object]) -> None:
    if docs and any(options.values()):
        say(f"--docs: not with {' or '.join(options)}, which change what the page must show")
        raise typer.Exit(BAD_INPUT)


def _show_skipped(skipped: dict[str, str]) -> None:
    for name, reason in skipped.items():
        say(f"SKIPPED: {name} is not compared ({reason})")


def _open_results(home: Home, name: str) -> Results:
    return Results(home.folder / "benchmarks" / f"{name}.jsonl")


def _publish(report: Report, docs: bool, as_json: bool) -> None:
    if docs:
        for section in report.sections:
            section.write()
    if as_json:
        show_json(report.as_json())
    else:
        typer.echo(report.text)
