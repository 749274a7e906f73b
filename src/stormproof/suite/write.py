"""Write the summary of a suite (`summary.html`, `junit.xml`), and that it has ended."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from stormproof.record.atomic import write_text
from stormproof.suite.page import assemble
from stormproof.suite.page_html import render_html
from stormproof.suite.page_junit import render_junit
from stormproof.suite.state import SuiteDirectory, SuiteState, suites, write_state


def write_pages(folder: SuiteDirectory, state: SuiteState) -> tuple[Path, ...]:
    """Write both and return their paths. The suites beside it say since when something has not held."""
    earlier = [one for one in suites(folder.path.parent.parent, state.environment) if one.started_at < state.started_at]
    page = assemble(folder, state, earlier)
    write_text(folder.summary, render_html(page))
    write_text(folder.junit, render_junit(page))
    return folder.summary, folder.junit


def finish(folder: SuiteDirectory, state: SuiteState) -> None:
    """Write down that everything has been done, the pages and the messages too: until then it can be resumed."""
    state.ended_at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    write_state(folder, state)
