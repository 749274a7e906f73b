"""A load generator that was not fit to measure makes a run invalid; a busy machine does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stormproof.model.verdict import Outcome, Verdict
from stormproof.verdict.assess import assess
from stormproof.verdict.generator import CLOCKS, KEPT_UP, PACE, paces, strain
from support.synthetic import START_S, Stretch, SyntheticRun

AVAILABILITY, LATENCY = "availability during fault >= 99%", "p99 latency during fault <= 500ms"


def assessed(tmp_path: Path, **changes: Any) -> Verdict:
    return assess(SyntheticRun(**changes).write(tmp_path / "run"))


def loop(*, late: int = 0, cpu_ms: float = 300.0, from_s: int = 0, to_s: int = 52) -> dict[str, Any]:
    """A worker's account of its loop: in these seconds so many of ten ticks late, and this CPU time; else at ease."""
    return {
        "loop_per_second": [
            [START_S + s, 10, *((late, 250.0, cpu_ms) if from_s <= s < to_s else (0, 2.0, 300.0))] for s in range(52)
        ]
    }


def check(verdict: Verdict, name: str) -> tuple[bool, str]:
    return next((one.ok, one.reason) for one in verdict.checks if one.name == name)


@pytest.mark.parametrize(
    ("worker", "ok"),
    [
        pytest.param(loop(), True, id="at ease"),
        pytest.param(loop(cpu_ms=960, from_s=17, to_s=37), False, id="no CPU left while the fault lasts"),
        pytest.param(loop(cpu_ms=850), True, id="busy, with some left"),
        pytest.param(loop(late=3, from_s=17, to_s=37), False, id="the loop stalls while the fault lasts"),
        pytest.param(loop(late=10, from_s=20, to_s=21), True, id="one bad second of twenty, as busy machines have"),
        pytest.param(loop(late=10, from_s=0, to_s=2), True, id="only while warming up"),
    ],
)
def test_a_generator_that_cannot_keep_up_makes_the_run_invalid(
    worker: dict[str, Any], ok: bool, tmp_path: Path
) -> None:
    """Over a phase: at most 90 % of a core, and at most 5 % of the ticks more than 100 ms late."""
    verdict = assessed(tmp_path, worker=worker)

    assert check(verdict, KEPT_UP)[0] is ok
    assert verdict.outcome is (Outcome.HELD if ok else Outcome.INVALID)
    assert all(one.outcome is Outcome.INCONCLUSIVE for one in verdict.findings) is not ok


def test_a_worker_that_did_not_look_is_not_judged(tmp_path: Path) -> None:
    """Runs recorded before the loop was watched keep their verdict."""
    assert KEPT_UP not in [one.name for one in assessed(tmp_path).checks]


@pytest.mark.parametrize(("error_ms", "ok"), [(0.4, True), (50.0, True), (50.1, False)])
def test_a_worker_elsewhere_whose_clock_drifted_makes_the_run_invalid(
    error_ms: float, ok: bool, tmp_path: Path
) -> None:
    """Its rows may be off by a twentieth of a second; one that was started here is not asked."""
    verdict = assessed(tmp_path, worker={"host": "10.0.0.9", "clock_error_ms": error_ms})

    found, reason = check(verdict, CLOCKS)
    assert found is ok
    assert "10.0.0.9" in reason
    assert verdict.outcome is (Outcome.HELD if ok else Outcome.INVALID)
    assert all(one.outcome is Outcome.INCONCLUSIVE for one in verdict.findings) is not ok
    assert CLOCKS not in [one.name for one in assessed(tmp_path / "here").checks]


def stalled(rate_per_s: float) -> tuple[Stretch, ...]:
    """A closed load of 100/s that comes down to *rate_per_s* while the fault lasts: its users wait."""
    return (
        Stretch(start_s=0, end_s=17),
        Stretch(start_s=17, end_s=37, rate_per_s=rate_per_s, zones=("b", "c")),
        Stretch(start_s=37, end_s=52),
    )


def test_a_closed_model_that_was_kept_waiting_proves_nothing(tmp_path: Path) -> None:
    """At 40 % of its pace the requests that were not sent outnumber those that were: held is taken back."""
    verdict = assessed(tmp_path, model="closed", hypotheses=[AVAILABILITY, LATENCY], stretches=stalled(40))

    ok, reason = check(verdict, PACE)
    assert (ok, verdict.outcome) == (False, Outcome.INVALID)
    assert "40% in fault" in reason
    assert "below 50% the users' waiting hides what it did" in reason
    assert [one.outcome for one in verdict.findings] == [Outcome.INCONCLUSIVE] * 2


def test_a_closed_model_at_nearly_its_pace_is_judged(tmp_path: Path) -> None:
    """Some slowing down is what a closed model is: at 80 % of its pace the claims are decided."""
    verdict = assessed(tmp_path, model="closed", hypotheses=[AVAILABILITY, LATENCY], stretches=stalled(80))

    ok, reason = check(verdict, PACE)
    assert ok
    assert "waiting hides" not in reason
    assert verdict.outcome is Outcome.HELD


def test_waiting_users_hide_no_claim_about_the_rate(tmp_path: Path) -> None:
    """What was not sent is what such a claim counts: it held, and stays."""
    rate = "throughput during fault >= 20/s"
    verdict = assessed(tmp_path, model="closed", hypotheses=[rate], stretches=stalled(40))

    assert check(verdict, PACE)[0]
    assert verdict.outcome is Outcome.HELD


def test_a_pace_is_of_what_was_sent_by_all() -> None:
    """Two workers, 30 and 10 a second in steady, 6 and 2 in the fault: a fifth, whatever was offered."""
    seconds = [(second, 99, share) for second, share in ((0, 1.0), (1, 1.0), (2, 0.2), (3, 0.2))]
    workers = [{"per_second": [[at, due, most * share] for at, due, share in seconds]} for most in (30, 10)]

    assert paces(workers, {"steady": (0.0, 2.0), "fault": (2.0, 4.0)}) == pytest.approx({"fault": 0.2})
    assert paces(workers, {"fault": (2.0, 4.0)}) == {}


def test_the_strain_is_that_of_the_worst_worker() -> None:
    """One worker out of CPU is enough, however much the other has, and one loop that is late."""
    workers = [
        {"loop_per_second": [[second, 10, late, 5.0, cpu_ms] for second in range(4)]}
        for late, cpu_ms in ((0, 950.0), (5, 100.0))
    ]

    assert strain(workers, (0.0, 4.0)) == pytest.approx((0.95, 0.5))
    assert strain(workers, (0.0, 2.0)) is None


def test_waiting_users_do_not_save_a_claim_that_is_refuted(tmp_path: Path) -> None:
    """What was not sent cannot have made anything worse: the refutation stays one, what held beside it does not."""
    hypotheses = [AVAILABILITY, "p99 latency during fault <= 5ms"]
    verdict = assessed(tmp_path, model="closed", hypotheses=hypotheses, stretches=stalled(40))

    assert verdict.outcome is Outcome.REFUTED
    assert [one.outcome for one in verdict.findings] == [Outcome.INCONCLUSIVE, Outcome.REFUTED]


def test_an_open_model_has_no_pace_to_keep(tmp_path: Path) -> None:
    """Its schedule is checked by what was sent of what was offered."""
    assert PACE not in [one.name for one in assessed(tmp_path).checks]
