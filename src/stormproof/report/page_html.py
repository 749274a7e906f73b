"""The page as HTML."""

from __future__ import annotations

from stormproof.report.html_document import render_document, without_noise
from stormproof.report.page import OUTCOME_MARK, Page


def render_html(page: Page) -> str:
    """*page* as a document."""
    return render_document(
        "report.html.j2", room="stormproof.report", finalize=without_noise, page=page, marks=OUTCOME_MARK
    )
