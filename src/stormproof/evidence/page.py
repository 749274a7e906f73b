"""Pages for people: one file each, opens offline, runs no script, asks the network for nothing."""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stormproof.evidence.grade import Grade

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rung:
    words: str
    css: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    label: str
    id: str


def render_coverage(document: Mapping[str, Any]) -> str:
    """The coverage *document* as HTML; every text in it is escaped by the template engine."""
    rungs = {grade.words: _Rung(words=grade.words, css=f"g{grade.value}") for grade in Grade}
    summary = document["summary"]
    ladder = [(rungs.get(name) or _Rung(words=name, css=name), count) for name, count in summary.items()]
    rows = sorted(document["practices"], key=lambda row: row["practice"])
    questions = [
        (_Question(label=label, id=group[0]["question"]), group)
        for label, found in itertools.groupby(rows, key=lambda row: str(row["practice"]).partition("-")[0])
        if (group := list(found))
    ]
    grades = {words: rung.css for words, rung in rungs.items()}
    return _render("coverage.html.j2", c=document, ladder=ladder, questions=questions, grades=grades)


def render_audit(records: Sequence[Mapping[str, Any]], *, about: Mapping[str, Any]) -> str:
    """The audit file of *records*, in their order, as HTML; *about*: workload, environment, simulated, head."""
    return _render("audit.html.j2", records=records, about=about)


def _render(name: str, **values: Any) -> str:
    from markupsafe import Markup

    environment = _environment()
    style = environment.loader.get_source(environment, "evidence.css")[0] if environment.loader else ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template(name).render(
        style=Markup(style),  # noqa: S704  # our own file, and holds no run's data
        style_hash=f"sha256-{digest}",
        **values,
    )


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("stormproof.evidence", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
