"""The page as HTML: one file that opens offline, runs no script and asks the network for nothing."""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import TYPE_CHECKING, Any

from stormproof.report.notation import spans
from stormproof.report.page import OUTCOME_MARK, Page

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render_html(page: Page) -> str:
    """*page* as a document. Every text in it is escaped by the template engine, whatever it holds.

    The style sheet is ours alone and is allowed by its hash, so an injected style or script would be refused by
    the browser even if the escaping failed.
    """
    from markupsafe import Markup

    environment = _environment()
    style = environment.loader.get_source(environment, "report.css")[0] if environment.loader else ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        page=page,
        style=Markup(style),  # noqa: S704  # our own file, and holds no run's data
        style_hash=f"sha256-{digest}",
        marks=OUTCOME_MARK,
    )


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("stormproof.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = prose
    return environment


def prose(text: str) -> Markup:
    """*text* with what stands between backticks as code; every part is escaped on its own."""
    from markupsafe import Markup, escape

    parts = (Markup("<code>{}</code>").format(part) if quoted else escape(part) for part, quoted in spans(text))
    return Markup("").join(parts)


def _printable(value: Any) -> Any:
    """Coordinates without the noise of binary fractions: 331.4, not 331.40000000000003."""
    return f"{value:.10g}" if isinstance(value, float) else value
