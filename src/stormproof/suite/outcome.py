"""What a suite comes to: the worst of its experiments, by verdict and never by number. Pure.

`error` first (a claim was not looked at because of us, or something is still broken), then refuted > aborted >
invalid > inconclusive > held. An experiment that was left out by a budget, a deadline or an early end has decided
nothing: it is inconclusive. What nobody chose does not count.
"""

from __future__ import annotations

from dataclasses import dataclass

from stormproof.errors import StormproofError, UsageError
from stormproof.model.verdict import EXIT_CODE, Outcome
from stormproof.suite.state import ERROR, Item, SuiteState

RANK = (ERROR, Outcome.REFUTED, Outcome.ABORTED, Outcome.INVALID, Outcome.INCONCLUSIVE, Outcome.HELD)
LEFT = "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOutcome:
    """One word, one exit code, and how many experiments came to what."""

    word: str  # a verdict or `error`
    exit_code: int
    counts: dict[str, int]  # by word, the worst first; `not run` last
    reason: str  # one sentence


def standing(item: Item) -> str:
    """What *item* counts as: the outcome of its last attempt; `not run` without one."""
    return item.last.outcome or LEFT if item.last else LEFT


def outcome_of(state: SuiteState) -> SuiteOutcome:
    """What *state* comes to. An interrupted suite is at least aborted."""
    words = [standing(item) for item in state.items]
    ranked = [Outcome.INCONCLUSIVE if word == LEFT else word for word in words]
    if state.stopped:
        ranked.append(Outcome.ABORTED)
    unrecorded = _unrecorded(state)
    worst = min(ranked, key=RANK.index, default=Outcome.INCONCLUSIVE)
    code = _error_code(state) if worst == ERROR else EXIT_CODE[Outcome(worst)]
    if worst == Outcome.HELD and unrecorded:
        worst, code = ERROR, StormproofError.exit_code
    order = (*RANK, LEFT)
    counts = {str(word): words.count(word) for word in order if word in words}
    return SuiteOutcome(word=str(worst), exit_code=code, counts=counts, reason=_reason(state, words, unrecorded))


def _error_code(state: SuiteState) -> int:
    """Of the runs that ended in an error: the highest of their codes."""
    codes = [item.last.exit_code or 0 for item in state.items if item.last and item.last.outcome == ERROR]
    # who was killed has a code below 0, and none that says why
    return max(one if one >= UsageError.exit_code else StormproofError.exit_code for one in codes)


def _unrecorded(state: SuiteState) -> list[str]:
    return [
        f"{item.entry.slug}: {who}: {problem}"
        for item in state.items
        for attempt in item.attempts
        for who, problem in attempt.recorded.items()
        if problem
    ]


def _reason(state: SuiteState, words: list[str], unrecorded: list[str]) -> str:
    bad = [(item, word) for item, word in zip(state.items, words, strict=True) if word != Outcome.HELD]
    if state.stopped:
        return f"the suite ended before its time: {state.stopped}"
    if not state.items:
        return "no experiment was chosen"
    if unrecorded:
        return f"what became of a run could not be recorded: {unrecorded[0]}"
    if not bad:
        return f"all {len(words)} experiments held" if len(words) > 1 else "the experiment held"
    named = ", ".join(f"{item.entry.slug} {word}" for item, word in sorted(bad, key=_by_rank)[:5])
    more = f", and {len(bad) - 5} more" if len(bad) > 5 else ""
    return f"{len(bad)} of {len(words)} experiments did not hold: {named}{more}"


def _by_rank(pair: tuple[Item, str]) -> tuple[int, str]:
    item, word = pair
    return (*RANK, LEFT).index(word), item.entry.slug
