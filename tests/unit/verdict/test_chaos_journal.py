"""Plain Chaos Toolkit journals: every way a run can go, and every status chaoslib can write."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from stormproof.model.verdict import Outcome
from stormproof.record.layout import RunDirectory
from stormproof.verdict.assess import assess
from stormproof.verdict.chaos_journal import ACTIVITY_STATUS, STATUS

HELD, REFUTED, INCONCLUSIVE = Outcome.HELD, Outcome.REFUTED, Outcome.INCONCLUSIVE
INVALID, ABORTED = Outcome.INVALID, Outcome.ABORTED


def probe(*, met: bool = True, status: str = "succeeded") -> dict[str, Any]:
    return {"activity": {"type": "probe", "name": "answers"}, "status": status, "tolerance_met": met}


def state(*, met: bool = True, status: str = "succeeded") -> dict[str, Any]:
    return {"steady_state_met": met, "probes": [probe(met=met, status=status)]}


def item(name: str = "stop", *, status: str | None = "succeeded", type_: str = "action") -> dict[str, Any]:
    done = {"activity": {"type": type_, "name": name}, "output": None}
    if status == "failed":
        done["exception"] = ["Traceback …\n", "ActivityFailed: no such instance\n"]
    return done if status is None else done | {"status": status}


def journal(**changes: Any) -> dict[str, Any]:
    before, after = changes.pop("before", state()), changes.pop("after", state())
    return {
        "experiment": {"title": "x", "steady-state-hypothesis": {"title": "it answers", "probes": [{}]}},
        "status": "completed",
        "deviated": False,
        "steady_states": {"before": before, "during": changes.pop("during", []), "after": after},
        "run": [item()],
        "rollbacks": [],
    } | changes


def outcome_of(tmp_path: Path, content: dict[str, Any] | str | None, events: str = "") -> Outcome:
    run = RunDirectory(tmp_path / "run").create()
    about = {"schema_version": 1, "kind": "chaostoolkit", "run_id": "r", "slug": "x", "title": "x", "simulated": True}
    run.run_json.write_text(json.dumps(about))
    run.events.write_text(events)
    if content is not None:
        run.journal.write_text(content if isinstance(content, str) else json.dumps(content))
    verdict = assess(run)
    assert verdict.reasons
    return verdict.outcome


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(journal(), HELD, id="met before and after"),
        pytest.param(journal(before=state(met=False), after=None, run=[]), INVALID, id="not met before"),
        pytest.param(
            journal(before=state(met=False, status="failed"), after=None, run=[], status="failed"),
            INVALID,
            id="probe crashed before",
        ),
        pytest.param(journal(before=None), INVALID, id="nobody looked before"),
        pytest.param(journal(after=state(met=False), deviated=True), REFUTED, id="met before, not after"),
        pytest.param(journal(during=[state(), state(met=False)]), REFUTED, id="not met during, met after"),
        pytest.param(journal(after=None), INCONCLUSIVE, id="nobody looked after"),
        pytest.param(
            journal(after=state(met=False, status="failed"), status="failed", deviated=True),
            INVALID,
            id="probe crashed after: blind, not a deviation",
        ),
        pytest.param(journal(run=[item(), item("deny", status="failed")]), INVALID, id="an action failed"),
        pytest.param(
            journal(run=[item(status="failed")], after=state(met=False)), INVALID, id="an action failed and deviated"
        ),
        pytest.param(journal(run=[item(status=None)]), INVALID, id="an action never ended"),
        pytest.param(journal(run=[]), INVALID, id="an empty method did nothing"),
        pytest.param(journal(run=[item(), item(type_="probe", status="failed")]), HELD, id="a method probe failed"),
        pytest.param(journal(rollbacks=[item("start", status="failed")]), INVALID, id="a rollback failed"),
        pytest.param(journal(rollbacks=[item("start")]), HELD, id="rollbacks done"),
        pytest.param(journal(experiment={"title": "x"}), INCONCLUSIVE, id="no hypothesis"),
        pytest.param(
            journal(experiment={"title": "x"}, run=[item(status="failed")]), INVALID, id="no hypothesis, action failed"
        ),
        pytest.param(journal(status="interrupted", after=None), ABORTED, id="interrupted"),
        pytest.param(
            journal(status="interrupted", after=None, run=[item(status=None)]), ABORTED, id="interrupted in an action"
        ),
        pytest.param(
            journal(status="interrupted", before=None, after=None, run=[]), ABORTED, id="interrupted before anything"
        ),
        pytest.param(
            journal(status="interrupted", before=state(met=False), after=None), INVALID, id="interrupted, not steady"
        ),
        pytest.param(
            journal(status="interrupted", during=[state(met=False)], after=None), REFUTED, id="refuted, interrupted"
        ),
        pytest.param(journal(status="aborted"), INVALID, id="chaoslib gave up"),
        pytest.param(journal(status="sideways"), INVALID, id="a status of tomorrow"),
        pytest.param(journal(status=None), INVALID, id="no status"),
        pytest.param(
            journal(experiment=journal()["experiment"] | {"dry": "activities"}), INVALID, id="dry run: nothing done"
        ),
        pytest.param(None, INVALID, id="no journal"),
        pytest.param('{"status": "comp', INVALID, id="torn journal"),
        pytest.param("[]", INVALID, id="no object"),
        pytest.param({}, INVALID, id="empty journal"),
    ],
)
def test_outcome(tmp_path: Path, content: dict[str, Any] | str | None, expected: Outcome) -> None:
    """chaoslib's `completed` is never taken for an answer; its parts are."""
    assert outcome_of(tmp_path, content) is expected


def test_a_signal_that_chaoslib_swallowed_still_aborts(tmp_path: Path) -> None:
    """SIGTERM in a Python activity ends as `completed`; our own event says otherwise."""
    event = json.dumps({"event": "abort", "wall_s": 1.0, "at": 1.0, "by": "person", "reason": "SIGTERM"}) + "\n"

    assert outcome_of(tmp_path, journal(), event) is ABORTED


def test_every_journal_status_of_chaoslib_is_mapped() -> None:
    """The words in chaoslib's own source are the keys of our table; a new one fails here."""
    from chaoslib import run

    words = set(re.findall(r'journal\["status"\] = "(\w+)"', inspect.getsource(run)))

    assert words == set(STATUS)


def test_every_activity_status_of_chaoslib_is_mapped() -> None:
    """Likewise for activities."""
    from chaoslib import activity, run

    source = inspect.getsource(activity) + inspect.getsource(run)
    words = set(re.findall(r'(?<!journal)\["status"\] = "(\w+)"', source))

    assert words <= set(ACTIVITY_STATUS)
    assert {"succeeded", "failed"} <= words
