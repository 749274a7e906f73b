"""What drift says, in sentences: the same for the page, the terminal and whoever sends them on."""

from __future__ import annotations

from collections.abc import Sequence

from stormproof.history.drift import ClaimDrift, Drift, TrackDrift
from stormproof.report.notation import quantity


def change_text(drift: Drift) -> str:
    """`156 ms instead of 120 ms, +30 %`."""
    text = (
        f"{quantity(drift.after, drift.unit, apart_from=(drift.before,))} instead of "
        f"{quantity(drift.before, drift.unit, apart_from=(drift.after,))}"
    )
    if drift.unit == "share" or drift.change is None:
        return text
    return f"{text}, {drift.change:+.0%}".replace("%", "\u00a0%").replace("-", "−") if drift.change else text


def sentence(drift: Drift) -> str:
    """One change: since when, what, whose, and why that is thought."""
    row = f"{abs(drift.z):.1f} spreads out, two nights in a row"
    words = [
        f"Since the night of {drift.since}: {change_text(drift)} ({row}).",
        f"{_capital(drift.cause.words)}: {drift.cause.because}.",
    ]
    if drift.release:
        words.append(f"That night was the first of version {drift.release}.")
    if drift.quarantined:
        words.append("Not counted: the claim is in quarantine.")
    return " ".join(words)


def notes(found: ClaimDrift) -> list[tuple[str, str]]:
    """Everything that is to be said of one claim: a tone (an outcome's name) and a sentence each, the newest first."""
    said = [(tone(one), sentence(one)) for one in reversed(found.drifts)]
    if found.flaky is not None:
        said.insert(0, ("inconclusive", f"Flaky, {found.flaky.sentence}"))
    if found.out_tonight is not None:
        side = "above" if found.out_tonight > 0 else "below"
        told = f"Tonight is {abs(found.out_tonight):.1f} spreads {side} the nights before."
        said.insert(0, ("inconclusive", f"{told} One night is no change: the next one decides."))
    return said


def tone(drift: Drift) -> str:
    """The outcome whose colour a change has: red only where the system got worse."""
    if drift.quarantined:
        return "inconclusive"
    if drift.cause.kind != "system":
        return "aborted" if drift.cause.kind == "fault" else "invalid"
    return "refuted" if drift.worse else "held"


def shouts(found: Sequence[TrackDrift]) -> list[str]:
    """What is to be said tonight, a line each; nothing when nothing moved."""
    return [f"{one.track.name}: {name}: {sentence(drift)}" for one in found for name, drift in one.tonight]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
