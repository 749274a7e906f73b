"""Closing probes are children with a deadline: a reading, or a line that says why there is none."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stormproof.record.atomic import read_lines
from stormproof.record.events import read_events
from stormproof.record.layout import RunDirectory
from stormproof.run.closing import ANSWER_BYTES_MAX, ask_closing_probes

PROBES = {
    "fine": 'import sys; print("to the log", file=sys.stderr); print(\'{"probe": "fine", "value": {"seen": 3}}\')',
    "secret": 'print(\'{"probe": "secret", "value": {"password": "hunter2"}}\')',
    "crashing": 'raise ValueError("cannot see")',
    "hanging": "import time\nwhile True: time.sleep(1)",
    "silent": "",
    "chatty": 'print("hello"); print(\'{"probe": "chatty", "value": {}}\')',
    "nan": 'print(\'{"probe": "nan", "value": {"seen": NaN}}\')',
    "another": 'print(\'{"probe": "fine", "value": {}}\')',
    "bare": 'print(\'{"probe": "bare", "value": null}\')',
    "huge": f'print("x" * {ANSWER_BYTES_MAX + 1})',
}


@pytest.fixture
def asked(tmp_path: Path) -> tuple[RunDirectory, dict[str, str]]:
    """A run directory, and the environment of a child that finds the modules above."""
    modules = tmp_path / "modules"
    modules.mkdir()
    for name, code in PROBES.items():
        (modules / f"closing_{name}.py").write_text(code)
    return RunDirectory(tmp_path / "run").create(), {**os.environ, "PYTHONPATH": str(modules)}


def test_a_reading_is_one_line(asked: tuple[RunDirectory, dict[str, str]]) -> None:
    """The value as it was printed, an event, and what went to stderr in the log."""
    run, environment = asked

    blind = ask_closing_probes(run, {"fine": "closing_fine"}, process_environment=environment)

    (row,) = read_lines(run.readings)
    assert blind == []
    assert (row["probe"], row["reading"]) == ("fine", {"seen": 3})
    assert [(event["event"], event["probe"]) for event in read_events(run.events)] == [("probe.read", "fine")]
    assert (run.logs / "fine.log").read_text() == "to the log\n"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("crashing", "ended with code 1: ValueError: cannot see"),
        ("hanging", "no answer within 1 s"),
        ("silent", "no JSON document"),
        ("chatty", "no JSON document"),
        ("nan", "no JSON document"),
        ("another", "printed no"),
        ("bare", "printed no"),
        ("huge", "bytes"),
    ],
)
def test_a_probe_that_gives_no_reading_is_blind(
    asked: tuple[RunDirectory, dict[str, str]], name: str, why: str
) -> None:
    """Crashed, late, or something else than a reading: a line with `error`, and never a reading."""
    run, environment = asked
    within_s = 1.0 if name == "hanging" else 30.0
    started = time.monotonic()

    blind = ask_closing_probes(run, {name: f"closing_{name}"}, process_environment=environment, within_s=within_s)

    (row,) = read_lines(run.readings)
    assert time.monotonic() - started < 30
    assert why in row["error"]
    assert "reading" not in row
    assert len(blind) == 1
    assert [event["event"] for event in read_events(run.events)] == ["probe.blind"]


def test_a_blind_probe_does_not_keep_the_next_from_looking(asked: tuple[RunDirectory, dict[str, str]]) -> None:
    """Each has its own line, in the order asked; secrets do not reach the disk."""
    run, environment = asked
    probes = {name: f"closing_{name}" for name in ("crashing", "secret")}

    ask_closing_probes(run, probes, process_environment=environment)

    first, second = read_lines(run.readings)
    assert "error" in first
    assert second["reading"] == {"password": "[redacted]"}
