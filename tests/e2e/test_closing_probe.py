"""A whole run whose claim needs a closing probe: asked once, after the load; the verdict comes from its line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.command import ROOT, stormproof

pytestmark = [pytest.mark.lab, pytest.mark.alone, pytest.mark.timeout(240)]

# The fault phase has to be long enough for an interval: five blocks of a second.
SHORT = ("timeline.steady=5s", "timeline.fault=6s", "timeline.recovery=3s", "load.arrivals=15/s", "lab.variant=naive")


def test_three_layers_of_three_attempts_are_twenty_seven_calls(tmp_path: Path, no_lab: dict[str, str]) -> None:
    """aⁿ, measured at the last layer, and the same verdict from a copy of the directory."""
    settings = [argument for setting in SHORT for argument in ("--set", setting)]
    done = stormproof(
        "run", ROOT / "experiments" / "retry-layers", "--json", "--out", tmp_path, *settings, timeout_s=200, **no_lab
    )

    assert done.code == 1, done.err[-2000:]
    run = Path(done.document["run_dir"])
    amplified = next(one for one in done.document["findings"] if "during fault" in one["claim"])
    assert amplified["low"] - 1.5 <= 27 <= amplified["high"] + 1.5, amplified
    lines = [json.loads(line) for line in (run / "readings.jsonl").read_text().splitlines()]
    (line,) = [row for row in lines if row["probe"] == "retry_with_jitter"]
    assert line is lines[-1]
    assert line["reading"]["dependencies"]["prices"]["amplification"]["fault"]["estimate"] == pytest.approx(3, abs=0.2)
    events = [json.loads(row)["event"] for row in (run / "events.jsonl").read_text().splitlines()]
    assert events.index("load.stopped") < events.index("probe.read") < events.index("run.ended")
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    for name in ("verdict.json", "report.html", "report.md", "junit.xml", "SHA256SUMS"):
        (copy / name).unlink()
    assert stormproof("analyse", copy, "--json").code == 1
    assert (copy / "verdict.json").read_bytes() == (run / "verdict.json").read_bytes()
