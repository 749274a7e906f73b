"""Whether the control group by header was one: it got its share, was kept apart, and the fault left it alone.

A control that felt the fault hides it, and one that was another population to begin with shows what is no effect. So
each of these makes the run invalid (docs/adr/0069).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from stormproof.analysis.estimate import ALPHA_SIDE
from stormproof.analysis.measure import Observations, measure
from stormproof.analysis.proportion import clopper_pearson
from stormproof.model.hypothesis import Claim, Hypothesis, Phase, Unit
from stormproof.model.verdict import Check, Outcome
from stormproof.record.samples import CONTROL
from stormproof.verdict.decision import decide
from stormproof.verdict.wording import quantity

if TYPE_CHECKING:
    import pandas as pd

    from stormproof.verdict.recorded import Recorded
    from stormproof.verdict.sighting import Counts
    from stormproof.verdict.timeline import Timeline

DELIVERED = "control got its share"
ROUTED = "control kept apart"
ALIKE = "control alike before"
SPARED = "control spared by the fault"
CHECKS = frozenset({DELIVERED, ROUTED, ALIKE, SPARED})

# Marks are drawn one by one, so their share varies by chance; a tenth beyond what chance explains does not.
SHARE_TOLERANCE = 0.1
SHARE_TAIL = 0.0005  # of each side of the interval of the share: looked at once a phase, and no run may fail by chance
# Of the answers of a group, those from instances of the other one. A hundredth of a group moves no percentile of ours
# that it is not the tail of.
STRAYED_SHARE_MAX = 0.01

Group = tuple[str, bool]  # a phase, and whether the control's


def count_groups(samples: pd.DataFrame, windows: Mapping[str, tuple[float, float]]) -> Counts:
    """("n", phase, in control) → arrivals, and ("zone", in control, zone) → answers; nothing without such a group.

    An arrival is counted by its first request, which alone is sent after it was due: where a task goes on only after a
    success, a group that fails sends fewer of the others.
    """
    found: Counts = Counter()
    if CONTROL not in samples.columns:
        return found
    marked = samples[CONTROL].to_numpy(dtype=bool, na_value=False)
    at, sent_at = (samples[one].to_numpy(dtype=np.float64, na_value=np.nan) for one in ("scheduled_at", "sent_at"))
    in_any = np.zeros(len(at), dtype=bool)
    for phase, (start_s, end_s) in windows.items():
        inside = (at >= start_s) & (at < end_s)
        in_any |= inside
        for group in (False, True):
            found["n", phase, group] = int(np.count_nonzero(inside & (marked == group) & (sent_at > at)))
    for group in (False, True):
        zones = samples["zone"][in_any & (marked == group)].value_counts()
        found.update({("zone", group, str(zone)): int(n) for zone, n in zones.items() if n and zone})
    return found


def control_checks(
    timeline: Timeline, recorded: Recorded, seen: Observations, hypotheses: Sequence[Claim]
) -> tuple[Check, ...]:
    """The checks that are due where claims compare with a control group by header; none elsewhere."""
    claims = [one for one in hypotheses if isinstance(one, Hypothesis) and one.control_header is not None]
    told = (timeline.load_started or {}).get("control")
    if not claims or timeline.load_started is None:
        return ()
    if not isinstance(told, Mapping) or seen.control is None:
        if timeline.abort is not None:
            return ()
        reason = "the load was not told of a control group" if seen.control else "no sample says which group it is of"
        return (Check(name=DELIVERED, ok=False, reason=reason),)
    return (
        *_delivered(timeline, recorded.groups, float(told["share"])),
        *_routed(recorded.groups, str(told["zone"])),
        *_alike(claims, seen),
        *_spared(claims, seen.control),
    )


def _delivered(timeline: Timeline, counts: Counts, share: float) -> list[Check]:
    """The control's share of each phase's arrivals, against what was planned."""
    told, ok = [], True
    for phase in timeline.windows:
        n, own = counts["n", phase, False] + counts["n", phase, True], counts["n", phase, True]
        if n:
            low, high = clopper_pearson(own, n, tail=SHARE_TAIL)
            ok = ok and high >= share * (1 - SHARE_TOLERANCE) and low <= share * (1 + SHARE_TOLERANCE)
            told.append(f"{own} of {n} ({own / n:.1%}) in {phase}")
    if not told:
        return [] if timeline.abort is not None else [Check(name=DELIVERED, ok=False, reason="no arrival was sent")]
    reason = f"arrivals of the control: {', '.join(told)}; {share:.0%} were to be"
    return [Check(name=DELIVERED, ok=ok, reason=reason)]


def _routed(counts: Counts, zone: str) -> list[Check]:
    """Who answered whom: the control's zone all of the control, and nobody else."""
    answers = {
        group: {key[2]: n for key, n in counts.items() if key[0] == "zone" and key[1] == group}
        for group in (True, False)
    }
    total = {group: sum(zones.values()) for group, zones in answers.items()}
    if not total[True]:
        return [Check(name=ROUTED, ok=False, reason="no answer to the control says which zone it is from")]
    strayed = {True: total[True] - answers[True].get(zone, 0), False: answers[False].get(zone, 0)}
    ok = all(strayed[group] <= STRAYED_SHARE_MAX * total[group] for group in total)
    reason = (
        f"{total[True] - strayed[True]} of the control's {total[True]} answers came from zone {zone}, "
        f"and {strayed[False]} of the others' {total[False]}"
    )
    return [Check(name=ROUTED, ok=ok, reason=reason)]


def _alike(claims: Sequence[Hypothesis], seen: Observations) -> list[Check]:
    """What is claimed of the fault phase must not be false of the steady phase already, without any fault."""
    about = [replace(one, phase=Phase.STEADY, step=None) for one in claims]
    return _held_by(ALIKE, "without the fault the groups differ already", about, seen)


def _spared(claims: Sequence[Hypothesis], control: Observations) -> list[Check]:
    """The control, held against its own steady phase, must not do as badly as the claim forbids the others to do."""
    after = [one for one in claims if one.phase is not Phase.STEADY]
    about = [replace(one, control_header=None, relative_to_steady=True) for one in after]
    hit = "the control was hit too (or all of the workload went through something else)"
    return _held_by(SPARED, hit, about, control)


def _held_by(name: str, otherwise: str, about: Sequence[Hypothesis], seen: Observations) -> list[Check]:
    """One check that none of *about* is refuted; they share the chance of a false alarm."""
    told: list[str] = []
    ok = True
    for claim in dict.fromkeys(about):
        estimate = measure(claim, seen, tail=ALPHA_SIDE / len(about))
        if estimate.low is None or estimate.high is None:
            continue
        refuted = decide(estimate, claim.op, claim.bound) is Outcome.REFUTED
        ok = ok and not refuted
        found = "no value" if estimate.value is None else quantity(estimate.value, Unit.RATIO)
        ends = f"{quantity(estimate.low, Unit.RATIO)} to {quantity(estimate.high, Unit.RATIO)}"
        told.append(f"{found}, {ends}, where {claim.op} {quantity(claim.bound, Unit.RATIO)} is claimed")
    if not told:
        return []
    return [Check(name=name, ok=ok, reason=f"{'; '.join(told)}" if ok else f"{otherwise}: {'; '.join(told)}")]
