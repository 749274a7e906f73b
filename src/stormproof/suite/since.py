"""Since when an experiment has not been held, by the suites that were run before. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stormproof.model.verdict import Outcome
from stormproof.suite.outcome import LEFT, standing
from stormproof.suite.state import SuiteState


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """*nights* suites in a row, this one included, in which the experiment was run and did not hold."""

    at: str  # ISO 8601: when the first of them began
    nights: int
    held_before: str | None  # when it last held, None: never in what is on disk


def since(slug: str, state: SuiteState, earlier: Sequence[SuiteState]) -> Since | None:
    """Since when *slug* has not held; None when it did in *state*, or was not run. *earlier*: oldest first.

    Suites in which it was not run say nothing about it.
    """
    if _word(state, slug) in (None, Outcome.HELD):
        return None
    at, nights = state.started_at, 1
    for one in reversed([one for one in earlier if one.suite_id != state.suite_id]):
        word = _word(one, slug)
        if word == Outcome.HELD:
            return Since(at=at, nights=nights, held_before=one.started_at)
        if word is not None:
            at, nights = one.started_at, nights + 1
    return Since(at=at, nights=nights, held_before=None)


def recovered(state: SuiteState, earlier: Sequence[SuiteState]) -> list[str]:
    """The experiments that held in *state* and did not when they were last run."""
    found = []
    for item in state.items:
        slug = item.entry.slug
        if standing(item) == Outcome.HELD:
            before = [word for one in earlier if one.suite_id != state.suite_id and (word := _word(one, slug))]
            if before and before[-1] != Outcome.HELD:
                found.append(slug)
    return found


def _word(state: SuiteState, slug: str) -> str | None:
    """What *slug* came to in *state*; None when it was not run there."""
    word = next((standing(item) for item in state.items if item.entry.slug == slug), LEFT)
    return None if word == LEFT else word
