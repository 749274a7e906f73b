"""The summary as HTML: one file that opens offline, runs no script and asks the network for nothing."""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import TYPE_CHECKING

from stormproof.suite.page import MARKS, minutes, moment

if TYPE_CHECKING:
    from jinja2 import Environment

    from stormproof.suite.page import SuitePage


def render_html(page: SuitePage) -> str:
    """*page* as a document, in the look of a run's report. Every text in it is escaped by the template engine."""
    from markupsafe import Markup

    environment = _environment()
    loader = environment.loader
    style = "".join(loader.get_source(environment, name)[0] for name in ("report.css", "suite.css") if loader)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("suite.html.j2").render(
        page=page,
        style=Markup(style),  # noqa: S704  # our own files, and hold no run's data
        style_hash=f"sha256-{digest}",
        marks=MARKS,
        minutes=minutes,
        moment=moment,
    )


@functools.cache
def _environment() -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader("stormproof.suite", "templates"), PackageLoader("stormproof.report", "templates")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    from stormproof.report.page_html import prose

    environment.filters["prose"] = prose
    return environment
