"""A claim about a metric of the environment: every whole period counts, and a period without data decides nothing."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from stormprobes.cloudwatch_sli import periods_within, read_slis
from stormproof.errors import HypothesisError
from stormproof.faults.aws import DUMMY_CREDENTIALS
from stormproof.model.hypothesis import ReadingHypothesis
from stormproof.plan.closing import check_dependencies
from stormproof.record.atomic import append_line
from stormproof.spec.hypothesis import parse_hypothesis
from stormproof.spec.loader import load_experiment
from stormproof.verdict.assess import assess
from stormproof.verdict.judge_reading import reading_finding
from support.command import ROOT
from support.emulated_aws import ROLE, Estate
from support.synthetic import SyntheticRun

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("unhurried")]

# Whole minutes, an hour ago: CloudWatch has them, and moto keeps them.
STEADY = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).replace(second=0, microsecond=0).timestamp()
FAULT, RECOVERY, ENDED = STEADY + 130, STEADY + 320, STEADY + 440
SLI = {"name": "errors", "namespace": "Shop", "metric": "errors", "statistic": "Sum", "dimensions": {}, "period_s": 60}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the children of a run have them for an emulator."""
    for name, value in DUMMY_CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def _run(folder: Path, url: str, *slis: dict[str, Any]) -> Path:
    """What a run in AWS leaves that the probe reads."""
    aws = {"region": "us-east-1", "endpoint_url": url, "profile": None, "role_arn": ROLE, "external_id": None}
    (folder / "environment.json").write_text(json.dumps({"aws": aws, "cloud": {"slis": slis}}))
    phases = {"warmup": STEADY - 2, "steady": STEADY, "fault": FAULT, "recovery": RECOVERY, "ended": ENDED}
    rows = [{"event": "phase", "phase": phase, "at": at} for phase, at in phases.items()]
    (folder / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def _put(estate: Estate, metric: str, values: dict[float, float]) -> None:
    data = [
        {"MetricName": metric, "Timestamp": dt.datetime.fromtimestamp(at, dt.UTC), "Value": value}
        for at, value in values.items()
    ]
    estate.client("cloudwatch").put_metric_data(Namespace="Shop", MetricData=data)


def _finding(claim: str, value: dict[str, Any]) -> tuple[str, str]:
    hypothesis = parse_hypothesis(claim)
    assert isinstance(hypothesis, ReadingHypothesis)
    found = reading_finding(hypothesis, [{"probe": "cloudwatch_sli", "reading": value}])
    return str(found.outcome), found.reason


def test_every_whole_period_of_a_phase_counts(estate: Estate, tmp_path: Path) -> None:
    """Held when all are, refuted when none is, neither in between; a metric that is not there is inconclusive."""
    _put(estate, "errors", {STEADY: 1, STEADY + 60: 1, STEADY + 180: 4, STEADY + 240: 8, STEADY + 360: 0})

    value = read_slis(_run(tmp_path, estate.url, SLI, {**SLI, "name": "gone", "metric": "no-such"}), wait_s=0)

    fault = value["slis"]["errors"]["fault"]
    assert (fault["low"], fault["high"], fault["mean"], fault["periods"]) == (4, 8, 6, 2)
    assert _finding("sli of errors during fault <= 8", value)[0] == "held"
    assert _finding("sli of errors during fault <= 3", value)[0] == "refuted"
    assert _finding("sli of errors during fault <= 5", value)[0] == "inconclusive"
    assert _finding("sli of errors during recovery <= 0", value)[0] == "held"
    assert _finding("sli of gone during fault <= 5", value) == (
        "inconclusive",
        "No data for 2 of 2 periods of no-such.",
    )


def test_a_gap_is_not_zero(estate: Estate, tmp_path: Path) -> None:
    """One period of two has no data: what it was, nobody knows."""
    _put(estate, "half", {STEADY + 180: 4})

    value = read_slis(_run(tmp_path, estate.url, {**SLI, "metric": "half"}), wait_s=0)

    assert _finding("sli of errors during fault <= 100", value)[0] == "inconclusive"


@pytest.mark.parametrize(
    ("points", "outcome", "failed"),
    [({}, "invalid", ["data for every claim"]), ({STEADY + 180: 4}, "inconclusive", [])],
    ids=["the metric is missing", "one period of two is"],
)
def test_a_run_whose_metric_is_missing_is_invalid(
    estate: Estate, tmp_path: Path, points: dict[float, float], outcome: str, failed: list[str]
) -> None:
    """The claim is inconclusive; without any data nothing was tested, however well the other claims went."""
    metric = f"metric-{len(points)}"
    if points:
        _put(estate, metric, points)
    reading = read_slis(_run(tmp_path, estate.url, {**SLI, "metric": metric}), wait_s=0)
    claims = ["sli of errors during fault <= 5", "availability during fault >= 99%"]
    run = SyntheticRun(hypotheses=claims).write(tmp_path / "run")
    append_line(run.readings, {"probe": "cloudwatch_sli", "wall_s": 1.0, "mono_s": 1.0, "reading": reading})

    verdict = assess(run)

    assert str(verdict.outcome) == outcome
    assert [str(one.outcome) for one in verdict.findings] == ["inconclusive", "held"]
    assert [check.name for check in verdict.checks if not check.ok] == failed


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [(0, 60, [0]), (1, 119, []), (1, 121, [60]), (59.5, 180.5, [60, 120]), (0, 59.9, [])],
)
def test_only_whole_periods_are_within(start_s: float, end_s: float, expected: list[float]) -> None:
    """A period that began before, or ended after, is of another phase as well."""
    assert periods_within(start_s, end_s, 60) == expected


def test_an_sli_that_nobody_names_is_an_error(tmp_path: Path) -> None:
    """Before anything is started; the lab has none."""
    from stormproof.faults import catalogue
    from stormproof.model.environment import Aws, Environment

    text = (ROOT / "experiments/az-loss/experiment.yaml").read_text()
    (tmp_path / "load.py").write_text((ROOT / "experiments/az-loss/load.py").read_text())
    (tmp_path / "experiment.yaml").write_text(
        text.replace("  - time to detect <= 3s", "  - sli of errors during fault <= 5")
    )
    experiment = load_experiment(tmp_path, catalogue=catalogue.argument_models())
    aws = Aws(endpoint_url=None, region="us-east-1", account="123456789012")
    environment = Environment(name="local", simulated=True, base_url="http://127.0.0.1", aws=aws)

    with pytest.raises(HypothesisError, match="expected an SLI of 'local': none"):
        check_dependencies(experiment, environment)
