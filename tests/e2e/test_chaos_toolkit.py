"""Both ways across the bridge: our plan under plain `chaos`, and plain experiments under `stormproof run`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.command import ROOT, environment, stormproof, variables
from support.lab import RunningLab

CHAOS = Path(sys.executable).with_name("chaos")


def chaos(*arguments: str | Path, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(CHAOS), "--no-version-check", *map(str, arguments)],
        capture_output=True, text=True, timeout=90, cwd=cwd, env=environment(extra), check=False,
    )  # fmt: skip


@pytest.mark.lab
@pytest.mark.rota(1 / 3)
@pytest.mark.parametrize("experiment", ["az-loss", "dependency-timeout", "throttling"])
def test_compiled_plan_plays_under_plain_chaos(lab: RunningLab, tmp_path: Path, experiment: str) -> None:
    """`chaos validate` accepts it; `chaos run` breaks the same thing, feels it, and undoes it."""
    environment_ = variables(lab.directory, tmp_path)
    file = tmp_path / "plan.json"
    compiled = stormproof(
        "compile", ROOT / "experiments" / experiment, "--to", "chaostoolkit", "--out", file,
        "--set", "timeline.steady=1s", "--set", "timeline.fault=1s", **environment_,
    )  # fmt: skip
    assert compiled.code == 0, compiled.err
    validated = chaos("validate", file, cwd=tmp_path)
    assert validated.returncode == 0, validated.stdout + validated.stderr
    played = chaos("run", file, cwd=tmp_path)
    assert played.returncode == 0, played.stdout + played.stderr

    rows = [json.loads(line) for line in (tmp_path / "stormproof-events.jsonl").read_text().splitlines()]
    seen = [row["event"] for row in rows if row["event"] in ("fault.felt", "fault.gone")]
    assert seen == ["fault.felt", "fault.gone"]
    journal = json.loads((tmp_path / "journal.json").read_text())
    confirmed = next(item for item in journal["run"] if item["activity"]["name"].startswith("confirm"))
    assert confirmed["output"]["felt"] is True
    lab.wait_until_whole()


def plain(
    tmp_path: Path, *, before: bool = True, after: bool = True, action: str = "pass", hypothesis: bool = True
) -> Path:
    """A plain experiment whose steady state is a file's content, changed (or not) by its action."""
    world = tmp_path / "world"
    world.write_text("fine" if before else "sick")
    code = f"open({str(world)!r}, 'w').write({('fine' if after else 'sick')!r})"
    document: dict[str, Any] = {
        "title": "A plain experiment",
        "description": "From somewhere else.",
        "method": [
            {
                "type": "action",
                "name": "act",
                "provider": {"type": "process", "path": sys.executable, "arguments": ["-c", code]},
            }
        ],
        "rollbacks": [],
    }
    if action == "raise":
        document["method"][0]["provider"] = {
            "type": "python",
            "module": "statistics",
            "func": "mean",
            "arguments": {"data": []},
        }
    if hypothesis:
        document["steady-state-hypothesis"] = {
            "title": "The world is fine",
            "probes": [
                {
                    "type": "probe",
                    "name": "world",
                    "tolerance": {"type": "regex", "pattern": "fine", "target": "stdout"},
                    "provider": {"type": "process", "path": "cat", "arguments": [str(world)]},
                }
            ],
        }
    file = tmp_path / "experiment.json"
    file.write_text(json.dumps(document))
    return file


@pytest.mark.parametrize(
    ("given", "verdict", "code"),
    [
        ({}, "held", 0),
        ({"after": False}, "refuted", 1),
        ({"before": False}, "invalid", 3),
        ({"action": "raise"}, "invalid", 3),
        ({"hypothesis": False}, "inconclusive", 2),
    ],
)
def test_plain_experiment_gets_a_verdict(
    tmp_path: Path, no_lab: dict[str, str], given: dict[str, Any], verdict: str, code: int
) -> None:
    """Chaos Toolkit calls four of these five "completed"; the verdict tells them apart."""
    done = stormproof("run", plain(tmp_path, **given), "--json", "--out", tmp_path / "runs", **no_lab)

    assert (done.document["verdict"], done.code) == (verdict, code), done.err
    run = Path(done.document["run_dir"])
    assert {"journal.json", "plan.json", "verdict.json", "report.html", "SHA256SUMS"} <= {p.name for p in run.iterdir()}


def test_plain_yaml_is_accepted_too(tmp_path: Path, no_lab: dict[str, str]) -> None:
    """JSON or YAML, as `chaos run` takes them."""
    import yaml

    file = plain(tmp_path)
    other = tmp_path / "experiment.yaml"
    other.write_text(yaml.safe_dump(json.loads(file.read_text())))
    done = stormproof("run", other, "--json", "--out", tmp_path / "runs", **no_lab)

    assert (done.document["verdict"], done.code) == ("held", 0), done.err


def test_secrets_of_a_plain_experiment_do_not_reach_the_disk(tmp_path: Path, no_lab: dict[str, str]) -> None:
    """An inline secret is used, and redacted in everything that is written."""
    file = plain(tmp_path)
    document = json.loads(file.read_text())
    document["secrets"] = {"db": {"password": "hunter2-hunter2"}}
    file.write_text(json.dumps(document))
    done = stormproof("run", file, "--json", "--out", tmp_path / "runs", **no_lab)

    assert done.code == 0, done.err
    run = Path(done.document["run_dir"])
    leaks = [path.name for path in run.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert leaks == []
