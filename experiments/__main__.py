"""``python -m experiments``: simulated cohorts and the demonstration of the whole path."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.benchmarks.commands import app as benchmark
from features.base.commands import AsJson, make_app, say, show_json
from features.base.home import enter_home
from features.base.outputs import check_outputs

_WORLD_HELP = "default, weak, strong, stress, null, or world-<number>, drawn from that seed"
# As in experiments/simulator/exports, which takes a second to import.
_SHAPES = "redcap, redcap-api, long, tables, xlsx, spss, german-csv or wide"

app = make_app("Simulated cohorts, and the whole path shown on one.")
app.add_typer(benchmark, name="benchmark")


@app.command("simulate")
def simulate_cohort(
    patients: Annotated[int, typer.Option(min=1, help="how many")],
    seed: Annotated[int, typer.Option(min=0, help="of the patients, and of new sites")],
    out: Annotated[
        Path, typer.Option(help="cohort to write (.parquet or .csv); with --shape, a folder")
    ],
    shape: Annotated[
        str | None,
        typer.Option(help=f"write a clinic's raw export, and the mapping that reads it: {_SHAPES}"),
    ] = None,
    world: Annotated[str, typer.Option(help=_WORLD_HELP)] = "default",
    new_sites: Annotated[
        int, typer.Option(min=0, help="new sites to treat at, instead of the world's own")
    ] = 0,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="file for each true probability; with --shape, for the cohort in the export"
        ),
    ] = None,
    draws: Annotated[
        int,
        typer.Option(
            min=0,
            help="of the missing values, for the truth given the recorded fields; 0 leaves it out",
        ),
    ] = 300,
    intake: Annotated[bool, typer.Option("--intake", help="without follow-up scores")] = False,
    as_json: AsJson = False,
) -> None:
    """Simulate a cohort; every file of it says SIMULATED."""
    from experiments.simulator import simulate_world, write_simulation

    check_outputs([("--out", None if shape else out), ("--truth", truth)])
    needed = draws if truth and not shape else 0
    simulation = simulate_world(world, patients, seed, new_sites, intake, needed)
    if shape is None:
        write_simulation(simulation.cohort, out)
        known, written = simulation.truth, [out]
    else:
        from experiments.simulator.exports import write_export

        known, written = write_export(shape, simulation, seed, out)
    if truth is not None:
        write_simulation(known, truth)
    facts = {"data": "SIMULATED", "patients": patients, "world": world, "cohort": str(out)}
    if as_json:
        show_json(facts | {"truth": None if truth is None else str(truth)})
    else:
        say(f"SIMULATED: {patients} patients of world {world!r}")
        typer.echo("\n".join(map(str, written)))


@app.command()
def demo(
    patients: Annotated[int, typer.Option(min=400, help="simulated training patients")] = 3000,
    port: Annotated[int, typer.Option(help="port of the service; 0 finds a free one")] = 0,
) -> None:
    """Show the whole path on simulated patients: fit, register, score, serve, ask."""
    home = enter_home()
    from experiments.demo import run_demo

    run_demo(home, patients, port)


@app.command()
def picture(
    report: Annotated[
        Path | None, typer.Option(help="a validation report's HTML file, to photograph instead")
    ] = None,
) -> None:
    """Photograph the clinician's page with an estimate, for the README; or a report's figure."""
    enter_home()
    from experiments.docs.picture import take_page_picture, take_report_picture

    typer.echo(str(take_page_picture() if report is None else take_report_picture(report)))


@app.command()
def reference(
    check: Annotated[
        bool, typer.Option("--check", help="only check whether they are stale")
    ] = False,
) -> None:
    """Write the reference pages of the docs from the registries and the commands."""
    from experiments.docs.reference import check_pages, write_pages

    if check:
        check_pages(app)
    else:
        for path in write_pages(app):
            typer.echo(path.name)


if __name__ == "__main__":
    app()
