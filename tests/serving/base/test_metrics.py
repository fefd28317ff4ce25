"""Metrics: counts of requests, estimates and broken rules, by labels with fixed values."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.base.metrics import Metrics, forget_dead_processes
from serving.http.routes import ROUTES


@pytest.fixture
def client(open_client):
    return open_client()


def read_metrics(client):
    """Read every sample as ``name, labels -> value``."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name.removeprefix("ketamine_response_"), *sorted(sample.labels.values())): (
            sample.value
        )
        for family in families
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_status(client, make_assessment):
    for _ in range(3):
        client.post("/predict", json=make_assessment())
    client.post("/predict", json=make_assessment(age=300))
    samples = read_metrics(client)
    assert samples["requests_total", "/predict", "200"] == 3
    assert samples["requests_total", "/predict", "400"] == 1
    assert samples["request_seconds_count", "/predict"] == 4
    assert samples["errors_total", "range"] == 1


def test_paths_that_strangers_try_make_no_series(client):
    for number in range(50):
        client.get(f"/wp-admin-{number}")
    samples = read_metrics(client)
    assert samples["requests_total", "404", "none"] == 50
    routes = {route.path for route in ROUTES} | {"none"}
    assert {key[1] for key in samples if key[0] == "request_seconds_count"} <= routes


def test_estimates_are_counted_by_what_became_of_them(client, make_assessment):
    rows = [make_assessment(), make_assessment(bmi=60), make_assessment(psychosis=True), {}]
    client.post("/predict_batch", json={"assessments": rows})
    samples = read_metrics(client)
    counts = {key[1:]: value for key, value in samples.items() if key[0] == "estimates_total"}
    assert counts == {
        ("3", "estimated", "phq9.acute.response"): 1,
        ("3", "outside_studied_range", "phq9.acute.response"): 1,
        ("3", "eligibility", "phq9.acute.response"): 1,
    }


def test_champions_that_answer_no_more_are_0(predictor):
    metrics = Metrics()
    metrics.note_champions(predictor.champions, 0)
    metrics.note_champions(predictor.champions[:1], 2)
    shown = metrics.render().decode()
    values = [
        line.rpartition(" ")[2]
        for line in shown.splitlines()
        if line.startswith("ketamine_response_champion{")
    ]
    assert sorted(values) == ["0.0", "1.0"]
    assert "ketamine_response_degraded 2.0" in shown


WORKER = """
import sys
from pathlib import Path
from serving.base.metrics import Metrics

metrics = Metrics(Path(sys.argv[1]))
metrics.degraded.set(1)
metrics.unaudited.inc()
print(metrics.render().decode())
"""


def test_processes_are_shown_together_and_killed_ones_forgotten(tmp_path):
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    shown = [
        subprocess.run(
            [sys.executable, "-c", WORKER, tmp_path],
            env=shared,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    # Counts stay when a process ends; gauges do not.
    assert "ketamine_response_unaudited_total 2.0" in shown[1]
    assert "ketamine_response_degraded 1.0" in shown[1]
    forget_dead_processes(tmp_path)
    assert not list(tmp_path.glob("gauge_live*"))
    assert list(tmp_path.glob("counter_*"))
