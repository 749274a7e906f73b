"""When the fault began and ended: for the call, for a canary from outside, and for the requests themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormproof.report.facts import Facts
from stormproof.report.notation import DASH, NBSP, offset, quantity

if TYPE_CHECKING:
    from stormproof.analysis.felt import Felt


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """One way of seeing the same instant."""

    how: str
    at: str  # since load
    after_call: str  # signed seconds after the call; "" for the call itself


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectWindow:
    """Onset and end of the fault, each as it was seen in three ways."""

    onset: tuple[Instant, ...]
    end: tuple[Instant, ...]
    note: str  # what the requests show, in a sentence

    @property
    def rows(self) -> tuple[tuple[Instant, Instant], ...]:
        """Onset and end side by side."""
        return tuple(zip(self.onset, self.end, strict=True))


def effect_window(facts: Facts, found: Felt | None) -> EffectWindow | None:
    """The window of the run's faults together; None when none was injected or the load has no steady phase."""
    told, zero = facts.verdict.confirmations, facts.zero_s
    injected = [one.injected_at for one in told if one.injected_at is not None]
    if not injected or zero is None or found is None:
        return None
    begun_s = min(injected)
    undone = [one.undone_at for one in told if one.undone_at is not None]
    undone_s = max(undone, default=None)
    felt_s = min((one.felt_at for one in told if one.felt_at is not None), default=None)
    gone_s = max((one.gone_at for one in told if one.gone_at is not None), default=None)
    # What ended before the call was not the fault's.
    mine = [one for one in found.stretches if one[1] > begun_s]
    onset_s, end_s = (mine[0][0], mine[-1][1]) if mine else (None, None)
    slack = f"±{quantity(found.slot_s, 's')}"

    def row(how: str, at: float | None, call_s: float | None) -> Instant:
        known = at is not None and call_s is not None
        after = _signed(at - call_s) if known and at is not None and call_s is not None and at != call_s else ""
        return Instant(how=how, at=DASH if at is None else offset(at - zero), after_call=after)

    return EffectWindow(
        onset=(
            row("the call to inject", begun_s, begun_s),
            row("a canary saw it", felt_s, begun_s),
            row(f"requests felt it ({slack})", onset_s, begun_s),
        ),
        end=(
            row("the call to undo", undone_s, undone_s),
            row("a canary saw it whole", gone_s, undone_s),
            row(f"requests felt it no more ({slack})", end_s, undone_s),
        ),
        note=_note(found, mine),
    )


def _signed(seconds: float) -> str:
    return f"{'−' if seconds < 0 else '+'}{abs(seconds):.2f}{NBSP}s"


def _note(found: Felt, mine: list[tuple[float, float]]) -> str:
    bad = f"failed, or took longer than {quantity(found.slow_ms, 'ms')} (99 % of steady's took less)"
    if not mine:
        return f"The requests show no stretch in which more of them than in steady {bad}."
    total_s = sum(end - start for start, end in mine)
    many = f"in {len(mine)} stretches, {quantity(total_s, 's')} in all" if len(mine) > 1 else "in one stretch"
    return f"By the requests: {many}, more of them than in steady {bad}."
