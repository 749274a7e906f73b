"""How often drift shouts for nothing, and how soon it shouts for something, over simulated histories.

    python bench/drift_alarms.py --histories 1000 --nights 60

Three kinds of noise from night to night. A false alarm is any change, of a claim or of a measure, in a steady history;
the rate is a night that was judged. Then some of the same histories with +30 % p99 from night 40 on, and with a fault
that is a third weaker (and a p99 a quarter lower) from night 50 on.
"""

from __future__ import annotations

import argparse
from collections import Counter

from drift_world import MET, NOISES, P99, Planted, simulated

from stormproof.analysis.proportion import clopper_pearson
from stormproof.history.drift import NIGHTS_NEEDED, TrackDrift, drift_of
from stormproof.history.series import tracks

STEP = Planted(first=40, latency=1.3)
WEAKER = Planted(first=50, latency=0.75, met=0.67)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--planted", type=int, default=200, help="of them, histories with something planted")
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--sd", type=float, default=0.05, help="noise of the logarithm of the p99, night to night")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print("| noise | false alarms a night | 95 % interval | of one claim or measure | step told by night 41, 42, 45 |"
          " put down to the system | weaker fault told by 51, 52, 55 | put down to the fault |"
          " both, by 42 and 52, and nothing else |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for noise in NOISES:
        print(_row(noise, args.histories, args.planted, args.nights, args.sd, args.seed))


def _row(noise: str, histories: int, planted: int, nights: int, sd: float, seed: int) -> str:
    alarmed = series = judged = 0
    told: Counter[str] = Counter()
    for number in range(histories):
        key = seed * 1_000_003 + number
        steady = _drift(nights, key, noise, sd, ())
        alarms = [drift.told_at for one in (*steady.claims, *steady.measures) for drift in one.drifts]
        alarmed += len(set(alarms))
        series += len(alarms)
        judged += nights - NIGHTS_NEEDED + 1
        if number >= planted:
            continue
        _tell(told, "step", _drift(nights, key, noise, sd, (STEP,)), STEP.first, "system")
        told["exactly"] += _exactly(_drift(nights, key, noise, sd, (STEP, WEAKER)))
        _tell(told, "weaker", _drift(nights, key, noise, sd, (WEAKER,)), WEAKER.first, "fault")
    low, high = clopper_pearson(alarmed, judged)
    names = len(steady.claims) + len(steady.measures)
    cells = [noise, f"{alarmed / judged:.2%}", f"{low:.2%} … {high:.2%}", f"{series / judged / names:.3%}"]
    for what in ("step", "weaker"):
        by = ", ".join(f"{told[f'{what} {late}'] / min(planted, histories):.0%}" for late in (1, 2, 5))
        cells += [by, f"{told[f'{what} right']} of {told[f'{what} seen']}"]
    cells.append(f"{told['exactly'] / min(planted, histories):.0%}")
    return f"| {' | '.join(cells)} |"


def _drift(nights: int, seed: int, noise: str, sd: float, planted: tuple[Planted, ...]) -> TrackDrift:
    (track,) = tracks(simulated(nights, seed=seed, noise=noise, sd=sd, planted=planted))
    return drift_of(track)


def _exactly(found: TrackDrift) -> bool:
    """Whether the step is marked by night 42 and the weaker fault by 52, each put down rightly, and nothing else is."""
    claims = [(one.name, drift.told_at + 1, drift.cause.kind) for one in found.claims for drift in one.drifts]
    others = [one.name for one in found.measures if one.drifts and one.name != MET]
    return (
        not others
        and len(claims) == 2
        and claims[0][0] == claims[1][0] == P99
        and claims[0][1] in {41, 42}
        and claims[1][1] in {51, 52}
        and [one[2] for one in claims] == ["system", "fault"]
    )


def _tell(told: Counter[str], what: str, found: TrackDrift, night: int, cause: str) -> None:
    """Count whether the planted change of the p99 was seen, how late, and whose it was called."""
    claim = next(one for one in found.claims if one.name == P99)
    seen = next((one for one in claim.drifts if night - 1 <= one.told_at <= night + 10), None)
    if seen is None:
        return
    told[f"{what} seen"] += 1
    told[f"{what} right"] += seen.cause.kind == cause
    for late in (1, 2, 5):
        told[f"{what} {late}"] += seen.told_at + 1 <= night + late
    assert any(one.name == MET for one in found.measures)


if __name__ == "__main__":
    main()
