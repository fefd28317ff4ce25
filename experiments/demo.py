"""The demonstration: the whole path on simulated patients, by commands that a user would type."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from experiments.server import ROOT, find_free_port, run_server
from features.base.errors import UnavailableError
from features.base.home import Home

_STUDY = Path("experiments/studies/demo.toml")
# Other seeds, so that no patient of the intake was learned from.
_LEARN_SEED, _INTAKE_SEED, _INTAKE_PATIENTS = 1, 2, 500
_ANSWER_SECONDS = 60
# One invented person, as a clinic would send it.
ASSESSMENT = {
    "patient_id": "demo-1",
    "simulated": True,
    "site": "site-03",
    "condition": "depression",
    "age": 44,
    "sex": "female",
    "bmi": 31.5,
    "phq9": 17,
    "gad7": 12,
    "failed_antidepressants": 3,
    "episode_months": 14,
    "benzodiazepine_mg": 0,
    "family_alcohol_use_disorder": True,
    "anxiety_comorbid": True,
    "agent": "ketamine",
    "route": "iv",
    "dose_mg_kg": 0.5,
    "sessions": 6,
    "weeks": 3,
    "systolic": 128,
    "diastolic": 82,
}
_MEASURES = ("log_loss", "brier", "auc", "intercept", "slope")


def run_demo(home: Home, patients: int, port: int) -> None:
    """Simulate, fit, register, score, serve and ask; then print what happened and where to look.

    Raises
    ------
    UnavailableError
        If a step fails.
    """
    folder = home.folder / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    cohort, intake, scores = (folder / f"{n}.parquet" for n in ("cohort", "intake", "scores"))
    _show_heading("1. Simulated patients, with outcomes if the clinics recorded them")
    simulate = ("experiments", "simulate", "--patients")
    truth = ("--truth", str(folder / "truth.parquet"))
    _run(*simulate, str(patients), "--seed", str(_LEARN_SEED), "--out", str(cohort), *truth)
    _show_heading("2. Compare candidates, choose one, register it in MLflow")
    fitted = json.loads(_run("training", "fit", str(_STUDY), "--cohort", str(cohort), "--json"))
    _show_heading("3. Bring the champion to the service's model store")
    _run("serving", "pull")
    _show_heading("4. Score an intake cohort, as a batch would overnight")
    size = (str(_INTAKE_PATIENTS), "--seed", str(_INTAKE_SEED))
    _run(*simulate, *size, "--out", str(intake), "--intake")
    scored = json.loads(_run("serving", "score", str(intake), "--out", str(scores), "--json"))
    _show_heading("5. Serve, and ask for one estimate")
    with serve_champions(folder / "service.log", port) as address:
        answer = _ask(address, ASSESSMENT)
    _show_results(home, fitted, scored, answer)


@contextmanager
def serve_champions(log: Path, port: int = 0) -> Iterator[str]:
    """Run the service until the block ends; yields its address once it is ready.

    Parameters
    ----------
    port
        With 0, a free one.
    """
    port = port or find_free_port()
    typer.echo(f"   $ python -m serving serve --port {port}")
    command = [sys.executable, "-m", "serving", "serve", "--port", str(port)]
    with run_server(command, port, "/readyz", log) as server:
        yield server.address


def _show_heading(text: str) -> None:
    typer.echo(f"\n{text}")


def _run(package: str, *arguments: str) -> str:
    shown = [Path(text).name if Path(text).is_absolute() else text for text in arguments]
    typer.echo(f"   $ python -m {package} {' '.join(shown)}")
    command = [sys.executable, "-m", package, *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"python -m {package} failed: {done.stdout}")
    return done.stdout


def _ask(address: str, assessment: Mapping[str, Any]) -> dict[str, Any]:
    typer.echo(f"   $ curl -X POST {address}/predict -H 'Content-Type: application/json' -d …")
    request = urllib.request.Request(
        f"{address}/predict",
        data=json.dumps(assessment).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def _show_results(
    home: Home, fitted: Mapping[str, Any], scored: Mapping[str, Any], answer: Mapping[str, Any]
) -> None:
    model, champion = fitted["model"], fitted["champion"]
    _show_heading("SIMULATED DATA: the model was fitted on simulated patients; not for care.")
    typer.echo(f"MLflow run     {fitted['run_id']}")
    typer.echo(f"Champion       {model['name']} version {champion['version']}")
    typer.echo(
        f"Fitted on      {fitted['courses']} courses, {fitted['events']} responded "
        f"({100 * fitted['base_rate']:.1f}%); {fitted['without_outcome']} had a missing outcome"
    )
    typer.echo(f"Verdict        {fitted['verdict']}\n")
    typer.echo("\n".join(_format_candidates(fitted["candidates"], fitted["chosen"])))
    typer.echo(f"\nScored file    {scored['out']}")
    typer.echo(
        f"               {scored['rows']} courses: {scored['estimates']} estimates, "
        f"{scored['abstained']} abstained, {scored['without_model']} without a model"
    )
    _show_heading("One estimate, as served over HTTP (for an invented patient with PHQ-9 17)")
    typer.echo(json.dumps(answer, indent=1, ensure_ascii=False))
    _show_heading("Look around")
    typer.echo(f"   make serve    the clinician's page at http://127.0.0.1:3000 ({home.folder})")
    typer.echo("   make ui       MLflow's runs, figures and models at http://127.0.0.1:5000")
    typer.echo("   docs/tutorial/first-model.md leads from here to your own cohort")


# Each measure is followed by the base rate's.
def _format_candidates(candidates: Mapping[str, Any], chosen: str) -> Iterator[str]:
    base = candidates["base_rate"]
    heading = "".join(f"{name + ' (base rate)':>24}" for name in _MEASURES)
    yield f"{'candidate':<16}{heading}"
    for name, measures in candidates.items():
        cells = "".join(f"{_format_pair(measures[m], base[m]):>24}" for m in _MEASURES)
        yield f"{'> ' * (name == chosen) + name:<16}{cells}"


def _format_pair(value: float | None, base: float | None) -> str:
    """Format a value and the base rate's, `-` if undefined.

    Examples
    --------
    >>> _format_pair(0.6334, 0.6862), _format_pair(1.1, None)
    ('0.633 (0.686)', '1.100 (-)')
    """
    first, second = ("-" if number is None else f"{number:.3f}" for number in (value, base))
    return f"{first} ({second})"
