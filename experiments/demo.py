"""The demonstration: the whole path on simulated patients, by commands that a user would type."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from socket import socket
from typing import Any

import typer

from features.base.errors import UnavailableError
from features.base.home import Home

ROOT = Path(__file__).parent.parent
STUDY = Path("experiments/studies/demo.toml")
LEARN_SEED, INTAKE_SEED, INTAKE_PATIENTS = 1, 2, 500
PATIENCE_SECONDS = 60
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
MEASURES = ("log_loss", "brier", "auc", "intercept", "slope")


def run_demo(home: Home, patients: int, port: int) -> None:
    """Simulate, fit, register, score, serve, ask; and say what happened and where to look.

    Raises
    ------
    UnavailableError
        If a step fails.
    """
    folder = home.folder / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    cohort, intake, scores = (folder / f"{n}.parquet" for n in ("cohort", "intake", "scores"))
    tell("1. Simulated patients, with outcomes where the clinics got them")
    simulate = ("experiments", "simulate", "--patients")
    truth = ("--truth", str(folder / "truth.parquet"))
    run(*simulate, str(patients), "--seed", str(LEARN_SEED), "--out", str(cohort), *truth)
    tell("2. Compare candidates, choose one, register it in MLflow")
    fitted = json.loads(run("training", "fit", str(STUDY), "--cohort", str(cohort), "--json"))
    tell("3. Bring the champion to the service's model store")
    run("serving", "pull")
    tell("4. Score an intake cohort, as a batch would overnight")
    size = (str(INTAKE_PATIENTS), "--seed", str(INTAKE_SEED))
    run(*simulate, *size, "--out", str(intake), "--intake")
    scored = json.loads(run("serving", "score", str(intake), "--out", str(scores), "--json"))
    tell("5. Serve, and ask for one estimate")
    with serve(port) as address:
        answer = ask(address, ASSESSMENT)
    show_results(home, fitted, scored, answer)


def tell(text: str) -> None:
    """Print a heading."""
    typer.echo(f"\n{text}")


def run(package: str, *arguments: str) -> str:
    """Run one of the project's commands, shown as a user would type it; return its output."""
    shown = [Path(one).name if Path(one).is_absolute() else one for one in arguments]
    typer.echo(f"   $ python -m {package} {' '.join(shown)}")
    command = [sys.executable, "-m", package, *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"python -m {package} failed: {done.stdout}")
    return done.stdout


@contextmanager
def serve(port: int) -> Iterator[str]:
    """Run the service until the block ends; yields its address once it is ready."""
    port = port or find_free_port()
    typer.echo(f"   $ python -m serving serve --port {port}")
    command = [sys.executable, "-m", "serving", "serve", "--port", str(port)]
    service = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_ready(service, address)
        yield address
    finally:
        service.terminate()
        service.communicate(timeout=PATIENCE_SECONDS)


def find_free_port() -> int:
    """Find a port that nobody listens on."""
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_ready(service: "subprocess.Popen[str]", address: str) -> None:
    """Wait until the service is ready."""
    for _ in range(PATIENCE_SECONDS * 5):
        if service.poll() is not None:
            raise UnavailableError("the service stopped before it was ready")
        try:
            urllib.request.urlopen(f"{address}/readyz", timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
        else:
            return
    raise UnavailableError(f"the service was not ready after {PATIENCE_SECONDS} s")


def ask(address: str, assessment: Mapping[str, Any]) -> dict[str, Any]:
    """Send one assessment over HTTP."""
    typer.echo(f"   $ curl -X POST {address}/predict -H 'Content-Type: application/json' -d …")
    request = urllib.request.Request(
        f"{address}/predict",
        data=json.dumps(assessment).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def show_results(
    home: Home, fitted: Mapping[str, Any], scored: Mapping[str, Any], answer: Mapping[str, Any]
) -> None:
    """Print what happened and where to look."""
    model, champion = fitted["model"], fitted["champion"]
    tell("SIMULATED DATA: what follows was learned from simulated patients, not for care.")
    typer.echo(f"MLflow run     {fitted['run_id']}")
    typer.echo(f"Champion       {model['name']} version {champion['version']}")
    typer.echo(
        f"Learned from   {fitted['courses']} courses, {fitted['events']} responded "
        f"({100 * fitted['base_rate']:.1f} %); {fitted['without_outcome']} had no outcome"
    )
    typer.echo(f"Verdict        {fitted['verdict']}\n")
    typer.echo("\n".join(format_measures(fitted["candidates"], fitted["chosen"])))
    typer.echo(f"\nScored file    {scored['out']}")
    typer.echo(
        f"               {scored['rows']} courses: {scored['estimates']} estimates, "
        f"{scored['abstained']} abstained, {scored['without_model']} without a model"
    )
    tell("One estimate, as served over HTTP (asked: an invented patient with PHQ-9 17)")
    typer.echo(json.dumps(answer, indent=1, ensure_ascii=False))
    tell("Look around")
    typer.echo(f"   make serve    the clinician's page at http://127.0.0.1:3000 ({home.folder})")
    typer.echo("   make ui       MLflow's runs, figures and models at http://127.0.0.1:5000")
    typer.echo("   docs/tutorial/first-model.md leads from here to your own cohort")


def format_measures(candidates: Mapping[str, Any], chosen: str) -> Iterator[str]:
    """Format every candidate's measures with the base rate's beside each."""
    base = candidates["base_rate"]
    heading = "".join(f"{name + ' (base rate)':>24}" for name in MEASURES)
    yield f"{'candidate':<16}{heading}"
    for name, measures in candidates.items():
        cells = "".join(f"{format_pair(measures[one], base[one]):>24}" for one in MEASURES)
        yield f"{'> ' * (name == chosen) + name:<16}{cells}"


def format_pair(value: float | None, base: float | None) -> str:
    """Format a value and the base rate's, `-` where one is not defined.

    Examples
    --------
    >>> format_pair(0.6334, 0.6862), format_pair(1.1, None)
    ('0.633 (0.686)', '1.100 (-)')
    """
    shown: Sequence[str] = ["-" if one is None else f"{one:.3f}" for one in (value, base)]
    return f"{shown[0]} ({shown[1]})"
