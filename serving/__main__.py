"""``python -m serving``: from an assessment to an estimate."""

from pathlib import Path
from typing import Annotated

import typer

from features.base.commands import SOME_REJECTED, AsJson, make_app, say, show_json
from features.base.home import enter_home
from features.base.outputs import check_outputs
from serving.store import commands

app = make_app("From an assessment to an estimate.")
app.add_typer(commands.keys, name="keys")
app.add_typer(commands.audit, name="audit")


@app.command()
def pull(as_json: AsJson = False) -> None:
    """Bring champions from MLflow's registry into BentoML's model store."""
    home = enter_home()
    from serving.pull import pull_champions

    pulled = pull_champions(home)
    if as_json:
        show_json({"champions": [vars(champion) for champion in pulled]})
        return
    for champion in pulled:
        state = "pulled" if champion.new else "already here"
        typer.echo(f"{champion.name} version {champion.version}: {state} as {champion.tag}")


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(help="address to listen on; without keys this machine's only")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
    workers: Annotated[int | None, typer.Option(min=1, help="processes that answer")] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="certificate chain (PEM)")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="its private key (PEM)")
    ] = None,
) -> None:
    """Serve the champions in BentoML's model store."""
    home = enter_home()
    from serving.serve import start_service

    start_service(home, host, port, workers, tls_certificate, tls_key)


@app.command()
def score(
    cohort: Annotated[
        list[Path], typer.Argument(help="cohort file or folder, or the exports of a mapping")
    ],
    out: Annotated[Path, typer.Option(help="file to write (.parquet or .csv)")],
    rejects: Annotated[Path | None, typer.Option(help="file for rows that break a rule")] = None,
    mapping: Annotated[Path | None, typer.Option(help="mapping file (TOML)")] = None,
    as_json: AsJson = False,
) -> None:
    """Score a cohort with the champions in BentoML's model store."""
    enter_home()
    from features.records.mapping import read_mapping
    from serving.base.settings import read_settings
    from serving.batch.score import score_cohort
    from serving.estimates.predictor import Predictor
    from serving.models.models import load_champions

    # Before a model is loaded: nothing is written then.
    check_outputs(
        [("--out", out), ("--rejects", rejects)],
        [*(("the cohort", path) for path in cohort), ("--mapping", mapping)],
    )
    settings = read_settings()
    predictor = Predictor(load_champions(), settings.least_sample_size)
    mapper = read_mapping(mapping, predictor.dictionary)
    tally = score_cohort(predictor, cohort, out, rejects, mapper)
    summary = {
        "out": str(out),
        "rows": tally.rows,
        "estimates": tally.estimates,
        "abstained": tally.abstained,
        "without_model": tally.without_model,
        "prorated": tally.prorated,
        "rejected": len(tally.rejected),
        "rejects": None if rejects is None else str(rejects),
    }
    if as_json:
        show_json(summary)
    else:
        typer.echo(
            f"{out}: {tally.rows} rows, {tally.estimates} estimates, {tally.abstained} abstained, "
            f"{tally.without_model} without a model, {len(tally.rejected)} rejected"
        )
    if tally.prorated:
        say(f"  {tally.prorated} with a total pro-rated from part of its items: see `prorated`")
    if tally.rejected:
        say("\n".join(f"  {problem}" for problem in tally.problems[:8]))
        raise typer.Exit(SOME_REJECTED)


@app.command()
def bundle(as_json: AsJson = False) -> None:
    """Build a Bento from the champions in BentoML's model store."""
    enter_home()
    from serving.bundle import build_bento

    tag = build_bento()
    show_json({"bento": tag}) if as_json else typer.echo(tag)


if __name__ == "__main__":
    app()
