"""The trend page: every experiment's claims over the nights. One file, opens offline, runs no script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stormproof.history.drift import ClaimDrift, Drift, TrackDrift, drift_of
from stormproof.history.series import Track, finding_on
from stormproof.history.trend_chart import Mark, trend_charts
from stormproof.history.wording import notes, sentence, tone
from stormproof.model.verdict import Outcome
from stormproof.report.chart import Chart
from stormproof.report.html_document import SHEET, render_document, without_noise
from stormproof.report.notation import clean, day, quantity
from stormproof.report.page import OUTCOME_MARK

ROWS_MAX = 10  # runs listed below each experiment; the pictures have all of the nights asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run as a line of the table."""

    run_id: str
    when: str
    outcome: Outcome
    version: str
    cells: tuple[tuple[Outcome | None, str], ...]  # a claim's verdict and estimate, in the track's order of claims
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimView:
    """One claim as a picture, with what is said of it."""

    claim: str
    charts: tuple[Chart, ...]
    without: str  # why there is no picture
    notes: tuple[tuple[str, str], ...] = ()  # tone and sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackView:
    """One experiment in one place, under one set of conditions."""

    number: int
    track: Track
    outcome: Outcome  # of the newest run
    since: str
    claims: tuple[ClaimView, ...]
    rows: tuple[RunRow, ...]
    rows_left_out: int
    measures: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]  # name, and what is said of it
    quarantined: tuple[str, ...]
    waiting: int  # nights until every claim is watched; 0: they are
    superseded: bool  # a newer track of the same name has other conditions


def render_trends(found: Sequence[Track], *, last: int, made_of: str) -> str:
    """*found* as HTML, the last *last* nights of each; *made_of* says which database. Every text is escaped."""
    seen: set[tuple[str, str, str]] = set()
    views, loud = [], []
    for number, track in enumerate(found):
        name, drift = (track.slug, track.environment, track.variant), drift_of(track)
        views.append(_view(number, drift, last, superseded=name in seen))
        if name not in seen:
            loud += [(number, track.name, moved, tone(one), sentence(one)) for moved, one in drift.tonight]
        seen.add(name)
    current = [view for view in views if not view.superseded]
    newest = Counter(view.outcome for view in current)
    return render(
        "trends.html.j2",
        views=views,
        loud=loud,
        watched=any(not view.waiting for view in current),
        newest=[(outcome, newest[outcome]) for outcome in Outcome if newest[outcome]],
        last=last,
        made_of=made_of,
    )


def _view(number: int, drift: TrackDrift, last: int, *, superseded: bool) -> TrackView:
    track = drift.track
    newest = track.runs[-1]
    return TrackView(
        number=number,
        track=track,
        outcome=newest.verdict,
        since=f"{len(track.runs)} run{'s' if len(track.runs) > 1 else ''} since {day(track.runs[0].started_at)}",
        claims=tuple(_claim(claim, last, number=f"{number}-{place}") for place, claim in enumerate(drift.claims)),
        rows=tuple(_row(track, place) for place in range(len(track.runs) - 1, -1, -1)[:ROWS_MAX]),
        rows_left_out=max(0, len(track.runs) - ROWS_MAX),
        measures=tuple((clean(one.name), tuple(notes(one))) for one in drift.measures if one.drifts or one.out_tonight),
        waiting=max((one.waiting for one in drift.claims), default=0),
        quarantined=tuple(clean(one.name) for one in drift.claims if one.flaky),
        superseded=superseded,
    )


def _claim(drift: ClaimDrift, last: int, *, number: str) -> ClaimView:
    found = drift.nights[-last:]
    shift = len(drift.nights) - len(found)
    marks = [
        Mark(place=one.first - shift, css=one.cause.kind, text=_short(one))
        for one in drift.drifts
        if one.first >= shift
    ]
    charts = trend_charts(drift.name, found, number=number, marks=marks)
    words = [f"{night.day:%d %b}: {night.finding.found}" for night in found if night.finding and night.finding.found]
    without = "" if charts else ("; ".join(words[-ROWS_MAX:]) or "no night has a number of it")
    return ClaimView(claim=clean(drift.name), charts=charts, without=clean(without), notes=tuple(notes(drift)))


def _short(one: Drift) -> str:
    """A change in a few words, for the picture."""
    change = "" if one.unit == "share" or not one.change else f" {one.change:+.0%}".replace("-", "−")
    return f"{one.cause.kind}{change}"


def _row(track: Track, place: int) -> RunRow:
    run = track.runs[place]
    cells: list[tuple[Outcome | None, str]] = []
    for claim in track.claims:
        one = finding_on(run, claim)
        cells.append((None, "") if one is None else (one.verdict, one.found or quantity(one.estimate, one.unit)))
    before = track.runs[place - 1].workload_version if place else run.workload_version
    return RunRow(
        run_id=clean(run.run_id),
        when=day(run.started_at),
        outcome=run.verdict,
        version=clean(run.workload_version) if run.workload_version != before else "",
        cells=tuple((outcome, clean(text, limit=40)) for outcome, text in cells),
        reason=clean(run.reasons[0] if run.reasons else "", limit=160),
    )


def render(name: str, **values: Any) -> str:
    """The template *name* of this room, in the look of a run's report."""
    return render_document(
        name, room="stormproof.history", sheets=(SHEET, "history.css"), finalize=_printable,
        marks=dict(OUTCOME_MARK), **values,
    )  # fmt: skip


def _printable(value: Any) -> Any:
    """Numbers without noise; text without what hides or reorders it, wherever it came from."""
    return clean(value, limit=10_000_000) if type(value) is str else without_noise(value)
