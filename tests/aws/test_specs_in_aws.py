"""The shipped specs, whole and unchanged, in an account: moto is its API, a side-car breaks what is called in it.

The load is real, and so are the shop, its balancer, and the processes behind the side-car.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.behind_sidecar import Account, behind_sidecar
from support.command import ROOT, Done, stormproof, wait_for
from support.kill import started_run
from support.lab import RunningLab, running_lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

# A p99 needs 368 requests, and /product is two fifths of 150 a second.
SHORT = ("timeline.steady=2s", "timeline.fault=7s", "timeline.recovery=2s")
SHORTER = ("timeline.steady=2s", "timeline.fault=4s", "timeline.recovery=2s", "load.arrivals=50/s")


@pytest.fixture(scope="module")
def account(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The hardened lab as an account."""
    with behind_sidecar(lab, tmp_path_factory.mktemp("hardened")) as one:
        yield one


@pytest.fixture(scope="module")
def naive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """A naive one."""
    for lab in running_lab("naive"):
        with behind_sidecar(lab, tmp_path_factory.mktemp("naive")) as one:
            yield one


def _machine(folder: Path) -> dict[str, str]:
    """A machine with no lab that anybody could find, and no state of earlier runs."""
    return {"STORMPROOF_LAB_DIR": str(folder / "no-lab"), "STORMPROOF_STATE_DIR": str(folder / "state")}


def _run(slug: str, account: Account, folder: Path, *settings: str) -> Done:
    return stormproof(
        "run", ROOT / "experiments" / slug, "--env", account.file, "--out", folder / "runs", "--json",
        *(f"--set={one}" for one in settings), timeout_s=300, **_machine(folder),
    )  # fmt: skip


def _came_to(done: Done, verdict: str, account: Account, before: dict[str, Any]) -> dict[str, Any]:
    """The verdict is that, every check passed, and nothing is left; the findings by their claims."""
    assert done.out, done.err
    document = done.document
    assert [check for check in document["checks"] if not check["ok"]] == []
    assert document["verdict"] == verdict, [one for one in document["findings"] if one["verdict"] != "held"]
    assert account.state() == before
    assert account.open_entries() == []
    return {one["claim"]: one for one in document["findings"]}


@pytest.mark.alone
def test_a_hardened_shop_stays_fast_while_recommendations_hang(account: Account, tmp_path: Path) -> None:
    """Held, over a side-car: its calls were late, customers saw none of it."""
    before = account.state()
    done = _run("dependency-timeout", account, tmp_path, *SHORT)

    found = _came_to(done, "held", account, before)
    assert 200 < found["p99 latency of / during fault <= 500ms"]["estimate"] < 500
    run = Path(done.document["run_dir"])
    assert json.loads((run / "environment.json").read_text())["proxy"]["node_id"] == account.admin.node_id
    calls = [json.loads(line) for line in (run / "calls.jsonl").read_text().splitlines()]
    assert [one["operation"] for one in calls if one["service"] == "envoy"] == ["RuntimeModify"] * 2


def test_a_naive_shop_loses_its_carts_while_dynamodb_throttles(naive: Account, tmp_path: Path) -> None:
    """Refuted, by what customers got; the calls were turned away by the side-car, in DynamoDB's own words."""
    before = naive.state()
    done = _run("throttling", naive, tmp_path, *SHORTER)

    found = _came_to(done, "refuted", naive, before)
    assert found["availability of /cart during fault >= 99%"]["verdict"] == "refuted"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slug", "whose", "verdict"),
    [("throttling", "account", "held"), ("dependency-timeout", "naive", "refuted")],
)
def test_the_others_come_to_what_they_do_in_the_lab(
    tmp_path: Path, slug: str, whose: str, verdict: str, request: pytest.FixtureRequest
) -> None:
    """At full length, not a setting changed."""
    account: Account = request.getfixturevalue(whose)
    before = account.state()

    _came_to(_run(slug, account, tmp_path), verdict, account, before)


@pytest.mark.slow
def test_health_checks_are_as_good_as_they_say(account: Account, tmp_path: Path) -> None:
    """Held, in all of its nine steps: what the target group says of the targets is what is judged."""
    before = account.state()
    done = _run("health-checks", account, tmp_path)

    found = _came_to(done, "held", account, before)
    assert found["health_check is deep during v3-dependency-off"]["n"] == 6, "an instance each, however it is called"


@pytest.mark.slow
def test_what_nobody_calls_is_not_held(account: Account, tmp_path: Path) -> None:
    """Reviews are behind the side-car, and nobody calls them: felt from outside, met by nobody, so invalid."""
    before = account.state()
    aimed = "faults.0.dependency-timeout.dependency=reviews"
    done = _run("dependency-timeout", account, tmp_path, *SHORTER, aimed)

    assert done.code == 3, done.err
    wrong = [check["reason"] for check in done.document["checks"] if not check["ok"]]
    assert wrong == ["1-dependency-timeout: nobody called reviews while the fault was in force"]
    assert account.state() == before


KILLED = {
    "throttling": ("throttling", ("timeline.steady=500ms", "timeline.fault=60s", "load.arrivals=40/s")),
    # Its second step has a parameter and a switch of the side-car at once.
    "health-checks": ("dependency-error", ("timeline.steady=500ms", "steps.0.duration=500ms", "steps.1.duration=60s")),
}


def _is_felt(kind: str, events: list[dict[str, Any]]) -> bool:
    return any((row.get("kind"), row["event"]) == (kind, "fault.felt") for row in events)


@pytest.mark.rota(1 / 2)
@pytest.mark.parametrize("slug", KILLED)
def test_another_machine_undoes_with_the_file_alone(account: Account, tmp_path: Path, slug: str) -> None:
    """Conductor, watchdog and player are killed in the fault, and their folder is lost: the bucket has the undo."""
    before = account.state()
    kind, settings = KILLED[slug]
    with started_run(
        slug, account.lab, tmp_path / "here", *settings, "load.warmup=500ms", short=(),
        command=lambda line: [*line, "--env", str(account.file)],
    ) as run:  # fmt: skip
        wait_for("it to be felt", lambda: _is_felt(kind, run.events()), within_s=60)
        run.kill("conductor", signal.SIGSTOP)  # or it would undo what the others leave
        for who in ("watchdog", "player", "conductor"):
            assert run.kill(who) is not None, who
        wait_for("all of them to end", lambda: not run.members(), within_s=20)
    shutil.rmtree(tmp_path / "here")
    broken, left = account.state(), account.open_entries()
    account.forget_lease()
    begun_s = time.monotonic()
    undone = stormproof("undo", "--env", account.file, "--json", **_machine(tmp_path / "elsewhere"))
    took_s = time.monotonic() - begun_s

    assert undone.code == 0, undone.out + undone.err
    assert {key for key in before if broken[key] != before[key]} >= {"runtime"}
    assert len(left) == len(undone.document["results"]) > 0
    assert account.state() == before
    assert account.open_entries() == []
    assert took_s < 20
