"""What people are told at the end of a suite: what, why, since when, and where the page is. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from stormproof.model.verdict import Outcome
from stormproof.run.message import Message, written
from stormproof.suite.page import ItemRow, SuitePage, moment

ITEMS_MAX = 8


def message_of(page: SuitePage, *, recovered: Sequence[str], link: str) -> Message:
    """What is said of *page*; *recovered* are experiments that hold again."""
    trouble = page.trouble
    subject = f"stormproof {page.environment}: {page.came_to.word} ({page.came_to.reason})"
    lines = [f"{page.came_to.word.upper()} in {page.environment}: {page.came_to.reason}"]
    if page.simulated:
        lines[0] += " (simulated: the lab)"
    lines += [_line(one) for one in trouble[:ITEMS_MAX]]
    if len(trouble) > ITEMS_MAX:
        lines.append(f"and {len(trouble) - ITEMS_MAX} more")
    if recovered:
        lines.append(f"held again: {', '.join(recovered)}")
    return written(subject, lines, link=link)


def summary_link(base: str, page: SuitePage) -> str:
    """Where the summary is: *base* with the suite's id in the place of ``{suite}``, else as it is."""
    return base.replace("{suite}", page.suite_id)


def is_worth_telling(page: SuitePage, *, when: str, recovered: Sequence[str]) -> bool:
    """Whether *page* is told: always, or when something did not hold or holds again."""
    return when == "always" or page.came_to.word != Outcome.HELD or bool(recovered)


def _line(one: ItemRow) -> str:
    refuted = [claim for claim in one.claims if claim.outcome == Outcome.REFUTED]
    why = f"`{refuted[0].claim}`: {refuted[0].sentence}" if refuted else "; ".join(one.reasons[:1])
    when = ""
    if one.since is not None:
        row = f", {one.since.nights} in a row" if one.since.nights > 1 else ""
        when = f" Since {moment(one.since.at)}{row}."
    return f"{one.slug} {one.word}: {why}.{when}".replace("..", ".")
