"""The summary as HTML, in the look of a run's report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormproof.report.html_document import SHEET, render_document, without_noise
from stormproof.suite.page import MARKS, minutes, moment

if TYPE_CHECKING:
    from stormproof.suite.page import SuitePage


def render_html(page: SuitePage) -> str:
    """*page* as a document."""
    return render_document(
        "suite.html.j2", room="stormproof.suite", sheets=(SHEET, "suite.css"), finalize=without_noise,
        page=page, marks=MARKS, minutes=minutes, moment=moment,
    )  # fmt: skip
