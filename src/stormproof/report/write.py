"""Write the reports of a run: `report.html`, `report.md`, `junit.xml`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormproof.record.atomic import write_text
from stormproof.record.layout import RunDirectory
from stormproof.record.seal import next_revision
from stormproof.report.facts import read_facts
from stormproof.report.page import assemble
from stormproof.report.page_html import render_html
from stormproof.report.page_junit import render_junit
from stormproof.report.page_markdown import render_markdown

if TYPE_CHECKING:
    from pathlib import Path


def write_reports(run: RunDirectory, *, out: Path | None = None) -> tuple[Path, ...]:
    """Write the three reports of *run* and return their paths, the HTML first.

    They are made from the run directory alone: no network, no clock, and the same directory gives the same bytes.
    They go to the folder *out*; without it into the run directory, or, when that is sealed (it has SHA256SUMS),
    into its next ``revisions/<nnn>`` folder, so that the seal stays true.
    Raises `RunDirectoryError` when *run* has no run.json or no verdict.json.
    """
    page = assemble(read_facts(run))
    target = RunDirectory(out if out is not None else _place(run))
    target.path.mkdir(parents=True, exist_ok=True)
    texts = {
        target.report_html: render_html(page),
        target.report_md: render_markdown(page),
        target.junit: render_junit(page),
    }
    for path, text in texts.items():
        write_text(path, text)
    return tuple(texts)


def _place(run: RunDirectory) -> Path:
    if not run.sums.exists():
        return run.path
    return next_revision(run)
