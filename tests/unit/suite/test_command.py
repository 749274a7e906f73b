"""`stormproof suite`: what is refused before anything is started, and in which words."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stormproof.cli.entry import call
from stormproof.suite.state import SuiteDirectory, read_state, write_state
from support.command import ROOT
from support.suites import begin, play


@pytest.fixture
def experiments(tmp_path: Path, no_lab: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two of the shipped experiments in a folder of their own; no lab, and nothing of it is started."""
    for name, value in no_lab.items():
        monkeypatch.setenv(name, value)
    for slug in ("az-loss", "health-checks"):
        shutil.copytree(ROOT / "experiments" / slug, tmp_path / "experiments" / slug)
    return tmp_path / "experiments"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--only", "az-los"], 64, "did you mean `az-loss`?"),
        (["--only", "az-loss", "--skip", "az-loss"], 64, "no experiment of"),
        (["--set", "timeline.fault=9s"], 65, "health-checks: --set timeline.fault=9s"),
        (["--set", "az-los:timeline.fault=9s"], 64, "there is no experiment 'az-los'"),
        (["--set", "guardrails.confirm=none"], 64, "`guardrails` cannot be overridden"),
        (["--deadline", "soon"], 64, "expected an instant, as in"),
        (["--wall-time", "15"], 64, "--wall-time 15: expected a duration"),
        (["--webhook", "https://hooks.example.com/secret"], 64, "expected the name of an environment variable"),
        (["--resume"], 64, "no suite of 'local'"),
        (["--webhook", "NOT_SET", "--resume"], 64, "warning: nobody will be told: NOT_SET: expected the https URL"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_started(
    experiments: Path, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The code of bad usage or bad input, a sentence that names the slip, and not one file."""
    out = experiments.parent / "reports"

    assert code == call(["suite", str(experiments), "--out", str(out), *arguments])
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_an_environment_that_wants_a_phrase_has_no_nights(
    experiments: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is there to type it, and `suite` does not type it for them."""
    (experiments / "environments").mkdir()
    (experiments / "environments" / "local.yaml").write_text(
        "name: local\nkind: lab\nguardrails: {confirm: required}\n"
    )

    assert 64 == call(["suite", str(experiments), "--out", str(experiments.parent / "reports")])
    assert "wants a person to type a phrase" in capsys.readouterr().err


def test_a_suite_is_resumed_only_as_it_was(experiments: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another selection, or a spec that has changed since: refused, and nothing is started."""
    reports = experiments.parent / "reports"
    folder, state = begin(reports, {"a": "held"})
    resume = ["suite", str(experiments), "--out", str(reports), "--resume"]

    assert 64 == call([*resume, "--only", "az-loss"])
    assert "a suite that is resumed is what it was" in capsys.readouterr().err
    Path(state.items[0].entry.spec).write_text('title: "refuted"\n')
    assert 64 == call(resume)
    assert "not what it was when the suite began" in capsys.readouterr().err
    assert read_state(folder).sessions == 1


def test_a_suite_that_is_done_is_not_resumed(experiments: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything run, recorded and told: there is nothing to go on with."""
    reports = experiments.parent / "reports"
    folder, state = begin(reports, {"a": "held"})
    play(folder, state)

    assert 64 == call(["suite", str(experiments), "--out", str(reports), "--resume"])
    assert "was cut off" in capsys.readouterr().err
    again = read_state(SuiteDirectory(folder.path))
    again.ended_at = None  # as after a kill between the pages and this line
    write_state(folder, again)
    assert 0 == call(["suite", str(experiments), "--out", str(reports), "--resume", "--quiet"])
