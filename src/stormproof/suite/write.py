"""Write the summary of a suite: `summary.html`, `junit.xml`."""

from __future__ import annotations

from pathlib import Path

from stormproof.record.atomic import write_text
from stormproof.suite.page import assemble
from stormproof.suite.page_html import render_html
from stormproof.suite.page_junit import render_junit
from stormproof.suite.state import SuiteDirectory, SuiteState, suites


def write_pages(folder: SuiteDirectory, state: SuiteState) -> tuple[Path, ...]:
    """Write both and return their paths. The suites beside it say since when something has not held."""
    earlier = [one for one in suites(folder.path.parent.parent, state.environment) if one.started_at < state.started_at]
    page = assemble(folder, state, earlier)
    write_text(folder.summary, render_html(page))
    write_text(folder.junit, render_junit(page))
    return folder.summary, folder.junit
