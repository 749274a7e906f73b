"""A claim about a word that a probe found (a family, a jitter, yes or no): decided only where the probe is sure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormproof.analysis.estimate import Estimate
from stormproof.model.verdict import Outcome
from stormproof.verdict.reading import CONFIDENCE_MIN, Answer, unknown

if TYPE_CHECKING:
    from stormproof.model.hypothesis import ReadingHypothesis

METHOD = "closing probe, word by confidence"
_WORD_OF = {True: "yes", False: "no"}


def judge_word(hypothesis: ReadingHypothesis, found: object, *, confidence: float | None, n: int, why: str) -> Answer:
    """Held or refuted where *confidence* is at least `CONFIDENCE_MIN`; *why* is the probe's reason for no word."""
    if found is None:
        return unknown(why, n=n)
    word = _WORD_OF[found] if isinstance(found, bool) else str(found)
    if confidence is None:
        return unknown(f"`{word}`, but the probe does not say how sure it is", n=n, found=word)
    wanted = hypothesis.accepted
    said = f"`{word}`, confidence {confidence:.2f}, n = {n}"
    if confidence < CONFIDENCE_MIN:
        reason = f"{said}: below {CONFIDENCE_MIN:g} it decides nothing; more calls that fail would"
        return unknown(reason, n=n, found=word, confidence=confidence)
    held = word in wanted
    shown = f"`{wanted[0]}`" if len(wanted) == 1 else "one of " + ", ".join(f"`{one}`" for one in wanted)
    return Answer(
        outcome=Outcome.HELD if held else Outcome.REFUTED,
        reason=f"{said}: it is {'' if held else 'not '}{shown}.",
        estimate=Estimate(value=None, low=None, high=None, n=n, method=METHOD),
        found=word,
        confidence=confidence,
    )
