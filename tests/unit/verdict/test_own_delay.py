"""What a load worker adds to latencies itself, and the refutations that it alone could have made."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from stormproof.model.verdict import Outcome, Verdict
from stormproof.record import sample_part
from stormproof.verdict.assess import assess
from stormproof.verdict.own_delay import OWN, own_delay_ms
from support.synthetic import START_S, Stretch, SyntheticRun, samples_of

if TYPE_CHECKING:
    import pandas as pd

WINDOW = (START_S, START_S + 20)
SLOWER = (
    Stretch(start_s=0, end_s=17),
    Stretch(start_s=17, end_s=37, latency_ms=60.0, zones=("b", "c")),
    Stretch(start_s=37, end_s=52),
)


def worker(*, stalls_ms: tuple[float, ...] = (), cpu_ms: float = 200.0, per_s: int = 100) -> dict[str, Any]:
    """Twenty seconds at ease, but for a stall in each of the first few, and for this CPU time a second."""
    longest = [*stalls_ms, *([2.0] * (20 - len(stalls_ms)))]
    return {
        "loop_per_second": [[START_S + s, 10, 0, longest[s], cpu_ms] for s in range(20)],
        "per_second": [[START_S + s, per_s, per_s] for s in range(20)],
    }


def own_ms(share: float = 0.99, **how: Any) -> float:
    found = own_delay_ms(worker(**how), WINDOW, share)
    assert found is not None
    return found


def test_a_worker_at_ease_adds_next_to_nothing() -> None:
    """A fifth of a core, for a hundred arrivals a second."""
    assert own_ms() < 15
    assert own_ms(share=0.5) == 0


@pytest.mark.parametrize(
    ("stalls_ms", "expected"),
    [
        ((400.0,), 300.0),  # the stall is up to 500 ms: (500 - x) / 20 s = 1 %
        ((400.0, 400.0), 400.0),
        ((90.0,), 0.0),  # less than a percent of the time
        ((1000.0,), 900.0),
    ],
)
def test_a_stall_is_in_the_tail_that_it_fills(stalls_ms: tuple[float, ...], expected: float) -> None:
    """Requests that fall due in a stall wait for its rest; those of all others, and the median, do not."""
    ease_ms = own_ms()

    assert own_ms(stalls_ms=stalls_ms) - ease_ms == pytest.approx(expected, abs=10)
    assert own_ms(share=0.5, stalls_ms=stalls_ms) == 0


def test_a_mean_is_raised_by_the_mean_of_what_is_added() -> None:
    """A stall of up to half a second in each of twenty: a request in forty waits, for a quarter of it."""
    found = [own_delay_ms(worker(stalls_ms=stalls), WINDOW, None) for stalls in ((400.0,), ())]

    assert found[0] is not None
    assert found[1] is not None
    assert found[0] - found[1] == pytest.approx(500 / 20 * 0.25, abs=0.1)
    assert found[1] < 4


def test_a_busy_loop_is_a_queue_whose_wait_grows_with_what_each_arrival_costs() -> None:
    """The same share of a core is little for many cheap arrivals, much for a few dear ones; all of it has no end."""
    cheap, dear = own_ms(cpu_ms=900, per_s=4000), own_ms(cpu_ms=900, per_s=200)

    assert cheap < 15
    assert dear > 200
    assert own_ms(cpu_ms=500, per_s=200) < own_ms(cpu_ms=700, per_s=200) < dear
    assert own_ms(cpu_ms=1000) == math.inf


def test_a_worker_that_did_not_look_is_not_doubted() -> None:
    """Of runs recorded before the loop was watched, and of phases shorter than a second."""
    assert own_delay_ms({"per_second": worker()["per_second"]}, WINDOW, 0.99) is None
    assert own_delay_ms(worker(), (START_S + 0.2, START_S + 0.9), 0.99) is None


def stalled(stall_ms: float) -> pd.DataFrame:
    """Latency of 60 ms and more in the fault, and four of its seconds begin with a stall; p99 is about 120 ms without.

    What falls due in a stall is sent at its end; what would be read in it is read then.
    """
    frame = samples_of(SLOWER)
    due_s, answered_s = (frame["scheduled_at"] - START_S).to_numpy(), frame["latency_ms"].to_numpy() / 1000
    sent_s = due_s + 0.0005
    for at_s in (20.0, 24.0, 28.0, 32.0):
        end_s = at_s + stall_ms / 1000
        sent_s = np.where((sent_s >= at_s) & (sent_s < end_s), end_s, sent_s)
        read_s = sent_s + answered_s
        answered_s = np.where((read_s >= at_s) & (read_s < end_s), end_s, read_s) - sent_s
    frame["sent_at"] = START_S + sent_s
    frame["service_ms"] = (answered_s * 1000).astype("float32")
    frame["latency_ms"] = ((sent_s + answered_s - due_s) * 1000).astype("float32")
    return frame


def judged(folder: Path, *claims: str, stall_ms: float) -> Verdict:
    return assess(SyntheticRun(hypotheses=claims, samples=stalled(stall_ms)).write(folder / "run"))


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    "claim",
    [
        "p99 latency during fault <= 200ms",
        "p99 latency during fault <= 4x steady",
    ],
)
def test_what_the_worker_alone_could_have_refuted_is_not(
    claim: str, in_memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a few long stalls nobody knows whose latency it was: invalid. Without them the claim held, or is open."""
    if not in_memory:
        monkeypatch.setattr(sample_part, "IN_MEMORY_ROWS_MAX", 0)
    doubtful, sure = (judged(tmp_path / str(ms), claim, stall_ms=ms) for ms in (250.0, 3.0))

    assert doubtful.outcome is Outcome.INVALID
    assert [one.name for one in doubtful.checks if not one.ok] == [OWN]
    assert doubtful.findings[0].reason.startswith(f"Not tested ({OWN}: of it ")
    assert sure.outcome is not Outcome.REFUTED
    assert OWN not in [one.name for one in sure.checks]


@pytest.mark.parametrize("claim", ["p99 latency during fault <= 90ms", "p99 latency during fault <= 2x steady"])
def test_what_is_refuted_without_what_the_worker_added_stays_refuted(claim: str, tmp_path: Path) -> None:
    """Its p99 is above the bound in spite of the stalls; then no check is told, either."""
    verdict = judged(tmp_path, claim, stall_ms=250.0)

    assert verdict.outcome is Outcome.REFUTED
    assert OWN not in [one.name for one in verdict.checks]


def test_what_else_is_refuted_stays_so(tmp_path: Path) -> None:
    """A median of 60 ms against 30 is nobody else's; then the run is refuted, and no check fails."""
    claims = ("p99 latency during fault <= 200ms", "p50 latency during fault <= 30ms")
    verdict = judged(tmp_path, *claims, stall_ms=250.0)

    assert [one.outcome.value for one in verdict.findings] == ["inconclusive", "refuted"]
    assert verdict.outcome is Outcome.REFUTED
    assert [one.ok for one in verdict.checks if one.name == OWN] == [True]


def test_what_held_in_spite_of_it_held(tmp_path: Path) -> None:
    """A worker only adds."""
    assert judged(tmp_path, "p99 latency during fault <= 1s", stall_ms=250.0).outcome is Outcome.HELD


def test_evenly_spaced_arrivals_of_a_busy_worker_hardly_queue(tmp_path: Path) -> None:
    """Four fifths of a core: as for Poisson arrivals 90 ms would be taken off a p99 of 120, and nothing be refuted."""
    loop = [[START_S + s, 10, 0, 5.0, 800.0] for s in range(52)]
    run = SyntheticRun(
        hypotheses=("p99 latency during fault <= 90ms",), samples=stalled(3.0), worker={"loop_per_second": loop}
    )

    assert own_ms(cpu_ms=800, per_s=100) > 30
    assert assess(run.write(tmp_path / "run")).outcome is Outcome.REFUTED


@pytest.mark.parametrize(("stall_ms", "expected"), [(300.0, Outcome.INVALID), (3.0, Outcome.REFUTED)])
def test_in_a_closed_model_the_ticks_are_all_that_is_known(stall_ms: float, expected: Outcome, tmp_path: Path) -> None:
    """Nothing is due before it is sent: four of the fault's seconds with a long stall leave p99 <= 90 ms open."""
    longest = dict.fromkeys((20, 24, 28, 32), stall_ms)
    loop = [[START_S + s, 10, 0, longest.get(s, 2.0), 200.0] for s in range(52)]
    claims = ("p99 latency during fault <= 90ms",)
    run = SyntheticRun(hypotheses=claims, stretches=SLOWER, worker={"loop_per_second": loop}, model="closed")

    verdict = assess(run.write(tmp_path / "run"))

    assert verdict.outcome is expected
    assert [one.name for one in verdict.checks if not one.ok] == ([OWN] if expected is Outcome.INVALID else [])
