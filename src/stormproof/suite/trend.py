"""Beside the summary, how the suite's experiments did in the nights before: the history's own page."""

from __future__ import annotations

from stormproof.errors import StormproofError
from stormproof.suite.state import SuiteDirectory, SuiteState

NIGHTS = 60


def write_trends(folder: SuiteDirectory, state: SuiteState) -> str:
    """Write the page; why that could not be done, else "". The history is told, and tells, and decides nothing here."""
    from stormproof.history.database import database_url, shown
    from stormproof.history.page import render_trends
    from stormproof.history.query import read_history
    from stormproof.history.series import tracks
    from stormproof.record.atomic import write_text

    reports = folder.path.parent.parent
    slugs = {item.entry.slug for item in state.items}
    try:
        found = [one for one in tracks(read_history(reports, environment=state.environment)) if one.slug in slugs]
        write_text(folder.trends, render_trends(found, last=NIGHTS, made_of=shown(database_url(reports, None))))
    except (StormproofError, OSError) as error:
        return getattr(error, "message", None) or str(error)
    return ""
