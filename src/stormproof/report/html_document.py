"""What every HTML page of ours is: one file that opens offline, runs no script and asks the network for nothing."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stormproof.report.notation import spans

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SHEET = "report.css"  # the look of all of them; a room may add a sheet of its own


def render_document(
    template: str, *, room: str, sheets: tuple[str, ...] = (SHEET,), finalize: Callable[[Any], Any], **values: Any
) -> str:
    """*template* of the package *room*, or of the reports. Every text in it is escaped, whatever it holds.

    The style sheets are ours alone and are allowed by their hash, so an injected style or script would be refused by
    the browser even if the escaping failed.
    """
    from markupsafe import Markup

    environment = _environment(room, finalize)
    assert environment.loader is not None
    style = "".join(environment.loader.get_source(environment, sheet)[0] for sheet in sheets)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template(template).render(
        style=Markup(style),  # noqa: S704  # our own files, and hold no run's data
        style_hash=f"sha256-{digest}",
        **values,
    )


@functools.cache
def _environment(room: str, finalize: Callable[[Any], Any]) -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "templates") for package in dict.fromkeys((room, __package__))]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
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


def without_noise(value: Any) -> Any:
    """Numbers without the noise of binary fractions: 331.4, not 331.40000000000003."""
    return f"{value:.10g}" if isinstance(value, float) else value
