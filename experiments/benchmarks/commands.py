"""``python -m experiments benchmark``: the commands behind the figures of the docs."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from features.base.commands import (
    BAD_INPUT,
    FAILED,
    AsJson,
    explain_errors,
    make_app,
    say,
    show_json,
)
from features.base.home import enter_home

SIZES, QUICK_SIZES = "0,60,250,1000,4000", "0,60,250"
QUICK_METHODS = "chosen,evidence_prior,base_rate,peer_xgboost,peer_ridge"

Jobs = Annotated[int, typer.Option(min=1, help="processes")]
Again = Annotated[bool, typer.Option("--again", help="do anew what was done")]
WithPage = Annotated[bool, typer.Option("--docs", help="write the page")]
WithDocs = Annotated[bool, typer.Option("--docs", help="write the page and its figure")]

app = make_app("Measure what is claimed; tables and figures of the docs.")


@app.callback()
def benchmark() -> None:
    """Measure what is claimed; tables and figures of the docs."""


@app.command()
def models(
    quick: Annotated[
        bool, typer.Option("--quick", help="two worlds, few methods and small samples: a minute")
    ] = False,
    worlds: Annotated[int, typer.Option(min=1, help="drawn worlds")] = 20,
    sizes: Annotated[str, typer.Option(help="numbers of courses to learn from")] = SIZES,
    only: Annotated[str, typer.Option(help="methods, by name; all by default")] = "",
    again: Again = False,
    jobs: Jobs = 1,
    docs: WithDocs = False,
    as_json: AsJson = False,
) -> None:
    """Compare our candidates with peers on simulated patients (SIMULATED), against the truth.

    What was done before is not done again: results are in the home, under benchmarks/.
    """
    if quick and docs:
        say("--docs: not with --quick, whose samples are too small to be shown")
        raise typer.Exit(BAD_INPUT)
    home = enter_home()
    from experiments.benchmarks.models.models import (
        Request,
        choose_methods,
        parse_sizes,
        run_benchmark,
    )
    from experiments.benchmarks.models.page import collect, describe, write_page
    from experiments.benchmarks.models.summary import arrange
    from experiments.benchmarks.results import Results
    from experiments.benchmarks.samples import Plan

    with explain_errors(as_json):
        methods, skipped = choose_methods(only or (QUICK_METHODS if quick else ""))
        for name, why in skipped.items():
            say(f"SKIPPED: {name} is not compared ({why})")
        if quick:
            plan = Plan(
                250, tested=800, new_sites=20, draws=40, offered=("evidence_prior", "base_rate")
            )
            request = Request(min(worlds, 2), 1, parse_sizes(QUICK_SIZES), methods, plan)
        else:
            request = Request(worlds, -(-worlds // 4), parse_sizes(sizes), methods, Plan())
        results = Results(home.folder / "benchmarks" / "models.jsonl")
        board = arrange(run_benchmark(request, results, jobs, again))
        text = describe(board, request, skipped)
        if docs:
            write_page(text, board)
    if as_json:
        show_json(collect(board, request, skipped))
    else:
        typer.echo(text)


@app.command()
def tuning(
    worlds: Annotated[int, typer.Option(min=2, help="drawn worlds")] = 4,
    trials: Annotated[int, typer.Option(min=3, max=500, help="settings that each fit tries")] = 30,
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Measure what tuning costs boosted trees, and what it gains (SIMULATED)."""
    enter_home()
    from experiments.benchmarks.models.tuning import collect, describe, run_benchmark

    found = run_benchmark(worlds, trials, jobs)
    if as_json:
        show_json(collect(found))
    else:
        typer.echo(describe(found, trials))


@app.command()
def attrition(
    cohorts: Annotated[int, typer.Option(min=2, help="simulated cohorts")] = 60,
    jobs: Jobs = 1,
    docs: WithPage = False,
    as_json: AsJson = False,
) -> None:
    """Check what a report says of missing outcomes, where those who respond report (SIMULATED)."""
    enter_home()
    from experiments.benchmarks.models.attrition import collect, describe, run_benchmark, write_page

    with explain_errors(as_json):
        found = run_benchmark(cohorts, jobs)
        if docs:
            write_page(describe(found))
    if as_json:
        show_json(collect(found))
    else:
        typer.echo(describe(found))


@app.command()
def trials(
    quick: Annotated[
        bool, typer.Option("--quick", help="two candidates and one repeat: half a minute")
    ] = False,
    data: Annotated[
        Path, typer.Option(help="folder with the trials' files; those absent are named")
    ] = Path(),
    only: Annotated[str, typer.Option(help="studies, by file name; all by default")] = "",
    again: Again = False,
    jobs: Jobs = 1,
    docs: WithDocs = False,
    as_json: AsJson = False,
) -> None:
    """Compare all candidates on every real trial that is here, patients held out, and sites.

    What was done before is not done again: results are in the home, under benchmarks/.
    """
    if docs and (quick or only):
        say("--docs: not with --quick or --only, which leave out what the page must show")
        raise typer.Exit(BAD_INPUT)
    home = enter_home()
    from experiments.benchmarks.results import Results
    from experiments.benchmarks.trials.page import collect, describe, write_page
    from experiments.benchmarks.trials.trials import (
        QUICK,
        Plan,
        choose_studies,
        list_tasks,
        run_benchmark,
    )

    with explain_errors(as_json):
        tasks, skipped = list_tasks(choose_studies(only), data, QUICK if quick else Plan())
        for name, why in skipped.items():
            say(f"SKIPPED: {name} is not compared ({why})")
        results = Results(home.folder / "benchmarks" / "trials.jsonl")
        found = run_benchmark(tasks, results, jobs, again)
        text = describe(found, skipped)
        if docs:
            write_page(text, found)
    if as_json:
        show_json(collect(found, skipped))
    else:
        typer.echo(text)


@app.command()
def validation(
    quick: Annotated[
        bool, typer.Option("--quick", help="two worlds and few re-developments: a minute")
    ] = False,
    worlds: Annotated[int, typer.Option(min=2, help="drawn worlds")] = 40,
    only: Annotated[
        str, typer.Option(help="one candidate, beside the base rate; by default four")
    ] = "",
    sites_only: Annotated[
        bool, typer.Option("--sites-only", help="the next site alone: no re-developments, no costs")
    ] = False,
    costs: Annotated[
        bool, typer.Option("--costs/--no-costs", help="also time a whole run, by profile")
    ] = True,
    jobs: Jobs = 1,
    docs: WithPage = False,
    as_json: AsJson = False,
) -> None:
    """Check what a report says of performance against the truth (SIMULATED), and what it costs.

    What was done before is not done again, but for the costs: results are in the home, under
    benchmarks/.
    """
    if docs and (quick or only):
        say("--docs: not with --quick or --only, which leave out what the page must show")
        raise typer.Exit(BAD_INPUT)
    home = enter_home()
    from experiments.benchmarks.results import Results
    from experiments.benchmarks.validation.cost import measure_costs
    from experiments.benchmarks.validation.page import (
        BEGIN,
        BEGIN_SITES,
        collect,
        describe,
        describe_sites,
        write_page,
    )
    from experiments.benchmarks.validation.validation import (
        QUICK,
        Request,
        choose_offered,
        run_checks,
    )

    with explain_errors(as_json):
        request = QUICK if quick else Request(worlds)
        if only:
            request = replace(request, offered=choose_offered(only))
        if sites_only:
            request, costs = replace(request, bootstraps=0), False
        results = Results(home.folder / "benchmarks" / "validation.jsonl")
        found = run_checks(request, results, jobs)
        spent = measure_costs(jobs, *((400, 20) if quick else ())) if costs else []
        texts = {BEGIN_SITES: describe_sites(found, request)}
        if not sites_only:
            texts[BEGIN] = describe(found, spent, request)
        for mark, text in texts.items():
            if docs:
                write_page(text, mark)
    if as_json:
        show_json(collect(found, spent, request))
    else:
        typer.echo("\n\n".join(texts.values()))


@app.command()
def store(
    rows: Annotated[int, typer.Option(min=100, help="rows of each measurement")] = 2000,
    server: Annotated[
        str | None, typer.Option(help="URL of an empty PostgreSQL database, to measure it too")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure what it costs to note every answer in the audit log, on the home's disk."""
    home = enter_home()
    from experiments.benchmarks.serving.store import describe, measure

    with explain_errors(as_json):
        home.folder.mkdir(parents=True, exist_ok=True)
        timings = measure(home.folder, rows, server)
    show_json({"timings": [vars(one) for one in timings]}) if as_json else typer.echo(
        describe(timings)
    )


@app.command()
def serving(
    quick: Annotated[
        bool, typer.Option("--quick", help="one round of a second each, a small model")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0.1, help="of each measurement")] = 10.0,
    rounds: Annotated[int, typer.Option(min=1, help="in which contestants take turns")] = 3,
    only: Annotated[
        list[str] | None, typer.Option(help="contestant to measure; may be repeated")
    ] = None,
    champion: Annotated[
        Path | None, typer.Option(help="home whose champion to serve, instead of a simulated one")
    ] = None,
    docs: WithDocs = False,
    as_json: AsJson = False,
) -> None:
    """Measure the service beside others on this machine, one worker each (SIMULATED patients).

    Exits with 1 if an answer is missing or wrong; a goal that is not reached is told, no failure.
    """
    if docs and (quick or only or champion):
        say("--docs: not with --quick, --only or --champion, which change what the page must show")
        raise typer.Exit(BAD_INPUT)
    enter_home()
    from experiments.benchmarks.serving.page import collect, describe, write_page
    from experiments.benchmarks.serving.serving import (
        QUICK,
        Request,
        choose_contestants,
        run_benchmark,
    )
    from experiments.benchmarks.serving.verdicts import answered_all

    with explain_errors(as_json):
        request = replace(
            QUICK if quick else Request(seconds=seconds, rounds=rounds),
            contestants=choose_contestants(only or []),
            champion=champion,
        )
        results = run_benchmark(request)
        text = describe(results)
        if docs:
            write_page(text, results)
    if as_json:
        show_json(collect(results))
    else:
        typer.echo(text)
    if not answered_all(results):
        raise typer.Exit(FAILED)


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=0.1, help="how long")] = 30.0,
    rate: Annotated[float, typer.Option(min=1, help="requests a second")] = 200.0,
    quick: Annotated[bool, typer.Option("--quick", help="with small models")] = False,
    as_json: AsJson = False,
) -> None:
    """Put the service through mixed load, changes of champion and killed workers (SIMULATED).

    Exits with 1 if an answer is wrong, a status is none that is documented, a request is missing
    from the audit log, or a new champion is not taken up.
    """
    enter_home()
    from experiments.benchmarks.serving.soak import Plan, run_soak
    from experiments.benchmarks.serving.soak_page import collect, describe, judge

    with explain_errors(as_json):
        plan = Plan(minutes, rate)
        small = replace(plan, patients=800, redevelopments=20)
        soaked = run_soak(small if quick else plan)
    if as_json:
        show_json(collect(soaked))
    else:
        typer.echo(describe(soaked))
    if any(one.met is False for one in judge(soaked)):
        raise typer.Exit(FAILED)
