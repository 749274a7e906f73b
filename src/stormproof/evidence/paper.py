"""The audit file as a PDF: paper to sign. fpdf2 and two fonts that come with us; no system package, no browser.

The fonts hold Latin, Greek and Cyrillic and the signs of mathematics; what they lack is printed as a box.
"""

from __future__ import annotations

import datetime as dt
import importlib.resources
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stormproof.evidence.simulation import is_simulated

if TYPE_CHECKING:
    from fpdf import FPDF
    from fpdf.enums import WrapMode

FAMILY = "DejaVu"
INK, SOFT, RULE = (27, 31, 36), (89, 99, 110), (205, 208, 202)
TONE = {"held": (26, 127, 75), "refuted": (192, 39, 45), "inconclusive": (154, 103, 0)}
LABEL_MM, MARGIN_MM, TEXT_PT, SMALL_PT = 38, 20, 9.0, 7.5


def render_pdf(records: Sequence[Mapping[str, Any]], *, about: Mapping[str, Any]) -> bytes:
    """The audit file of *records* (`page.render_audit` has the same facts); the same records give the same bytes."""
    pdf = _document(about)
    pdf.add_page()
    _cover(pdf, records, about)
    for record in records:
        pdf.add_page()
        _record(pdf, record)
    pdf.creation_date = _last_instant(records)
    return bytes(pdf.output())


def _document(about: Mapping[str, Any]) -> FPDF:
    from fpdf import FPDF

    told = f"{about['workload']}, {about['environment']}{': SIMULATED, no evidence' if about['simulated'] else ''}"

    class Paper(FPDF):
        """A page with its number, and with what it is about, so that a single sheet cannot be taken for another."""

        def footer(self) -> None:
            self.set_y(-14)
            self.set_font(FAMILY, size=SMALL_PT)
            self.set_text_color(*SOFT)
            width = self.epw / 2
            self.cell(width, 5, told[:90])
            self.cell(
                width, 5, f"record head {about['head']['sha256'][:16]} · page {self.page_no()} of {{nb}}", align="R"
            )

    pdf = Paper(format="A4")
    fonts = importlib.resources.files("stormproof.evidence").joinpath("fonts")
    for style, name in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
        with importlib.resources.as_file(fonts.joinpath(name)) as path:
            pdf.add_font(FAMILY, style, path)
    pdf.set_margin(MARGIN_MM)
    pdf.c_margin = 0  # text begins where rules do
    pdf.set_auto_page_break(True, margin=22)
    pdf.set_title(f"Audit file: {about['workload']}, {about['environment']}")
    pdf.set_producer("Stormproof")
    return pdf


def _cover(pdf: FPDF, records: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    _text(pdf, "Stormproof · audit file", size=SMALL_PT, colour=SOFT)
    pdf.ln(4)
    _text(pdf, f"Resilience tests of {about['workload']} in {about['environment']}", size=18, bold=True)
    pdf.ln(2)
    if about["simulated"]:
        told = "SIMULATED. These runs were made in the lab on one machine. They are no evidence of any real workload."
        _text(pdf, told, bold=True, colour=TONE["refuted"])
        pdf.ln(2)
    _text(pdf, f"{len(records)} runs, in the order recorded, whatever became of them.")
    pdf.ln(2)
    _pairs(
        pdf,
        [
            ("records", f"1 to {about['head']['sequence']}, each holding the digest of the one before it"),
            ("digest of the last", about["head"]["sha256"]),
            ("framework", f"{records[-1]['mapping']['framework']}, {records[-1]['mapping']['framework_date']}"),
        ],
    )
    pdf.ln(3)
    widths = (8, 32, 24, 106)
    _row(pdf, ("", "began", "result", "run"), widths, head=True)
    for record in records:
        counts = "" if record["potency"]["counts"] else " (does not count)"
        started = str(record["when"].get("started_at") or "–")[:16].replace("T", " ")
        cells = (
            str(record["integrity"]["sequence"]), started, str(record["result"]["verdict"]),
            f"{record['what'].get('title') or record['run_id']}{counts}",
        )  # fmt: skip
        _row(pdf, cells, widths)


def _record(pdf: FPDF, record: Mapping[str, Any]) -> None:
    verdict = str(record["result"]["verdict"])
    counts = "" if record["potency"]["counts"] else " · does not count as evidence"
    _text(pdf, f"{verdict}{counts}", bold=True, colour=TONE.get(verdict, SOFT))
    if is_simulated(record):
        _text(pdf, "simulated: in the lab, no evidence of any real workload", bold=True, colour=TONE["refuted"])
    _text(pdf, str(record["what"].get("title") or record["run_id"]), size=14, bold=True)
    _text(pdf, f"record {record['integrity']['sequence']} · {record['run_id']}", size=SMALL_PT, colour=SOFT)
    _scope(pdf, record)
    _claims(pdf, record)
    _faults(pdf, record)
    if record["mapping"]["practices"]:
        _heading(pdf, "Best practices of the Reliability pillar that it speaks for")
        for one in record["mapping"]["practices"]:
            _text(pdf, f"{one['label']}  {one['choice_id']}  ({one['strength']})", size=8)
    notes = [*record["deviations"], *(f"{one['claim']}: {one['what']}" for one in record["findings"])]
    if notes:
        _heading(pdf, "Deviations and defects")
        for note in notes:
            _text(pdf, f"– {note}", size=8)
    _sign_off(pdf, record)


def _scope(pdf: FPDF, record: Mapping[str, Any]) -> None:
    scope, version, who = record["scope"], record["version"], record["who"]
    _heading(pdf, "Scope")
    _pairs(
        pdf,
        [
            ("workload", scope["workload"]),
            ("criticality", scope["criticality"]),
            (
                "environment",
                ", ".join(str(scope[key]) for key in ("environment", "account", "region") if scope.get(key)),
            ),
            ("zones", ", ".join(scope["zones"])),
            ("touched", ", ".join(scope["targets"])),
            ("left out", ", ".join(scope["exclusions"])),
            ("version", version["workload_version"]),
            ("topology", version["topology_digest"]),
            ("change", record["authority"]["change_ticket"]),
            ("from, to", f"{record['when'].get('started_at') or '–'}, {record['when'].get('ended_at') or 'not ended'}"),
            ("who", ", ".join(f"{role} {who[role]}" for role in ("author", "approver", "executor") if who.get(role))),
        ],
    )


def _claims(pdf: FPDF, record: Mapping[str, Any]) -> None:
    _heading(pdf, "What was claimed, and what became of it")
    widths = (56, 22, 92)
    if record["observed"]["findings"]:
        _row(pdf, ("claim", "result", "what was measured"), widths, head=True)
    could_not = record["potency"]["could_not_fail"]
    for one in record["observed"]["findings"]:
        why = f" Could not have failed: {could_not[one['claim']]}." if one["claim"] in could_not else ""
        _row(pdf, (one["claim"], one["verdict"], f"{one['reason']}{why}"), widths)
    if not record["observed"]["findings"]:
        _text(pdf, " ".join(record["result"]["reasons"]) or "nothing")
    if record["potency"]["reasons"]:
        pdf.ln(1)
        _text(pdf, f"It does not count as evidence: {'; '.join(record['potency']['reasons'])}.", size=8)


def _faults(pdf: FPDF, record: Mapping[str, Any]) -> None:
    widths = (42, 64, 64)
    faults = record["when"]["faults"]
    _heading(pdf, "Proof that the fault was felt")
    if not faults:
        _text(pdf, "No fault was injected.")
        return
    _row(pdf, ("fault", "injected", "felt, seen from outside"), widths, head=True)
    for one in faults:
        _row(pdf, (one["fault_id"], one["injected_at"] or "–", one["felt_at"] or "not felt"), widths)
    for proof in record["potency"]["proof"]:
        for one in (*proof["workload"], *proof["canary"]):
            _text(pdf, f"{proof['fault_id']}: {one}", size=SMALL_PT, colour=SOFT)
    _heading(pdf, "Proof of restoration")
    _row(pdf, ("fault", "undone", "gone, seen from outside"), widths, head=True)
    for one in faults:
        _row(pdf, (one["fault_id"], one["undone_at"] or "–", one["gone_at"] or "not seen gone"), widths)
    for left in record["restored"]["residual"]:
        _text(pdf, f"Left behind: {left}", size=8)


def _sign_off(pdf: FPDF, record: Mapping[str, Any]) -> None:
    if pdf.will_page_break(34):
        pdf.add_page()
    pdf.ln(20)
    gap = 8
    width = (pdf.epw - 2 * gap) / 3
    top = pdf.get_y()
    pdf.set_draw_color(*INK)
    pdf.set_font(FAMILY, size=SMALL_PT)
    pdf.set_text_color(*SOFT)
    for place, one in enumerate(record["sign_off"]):
        left = pdf.l_margin + place * (width + gap)
        pdf.line(left, top, left + width, top)
        pdf.set_xy(left, top + 1)
        pdf.cell(width, 5, f"{one['role']}: name, date, signature")
    pdf.ln(8)


def _heading(pdf: FPDF, text: str) -> None:
    if pdf.will_page_break(24):
        pdf.add_page()  # a heading alone at the foot of a page is lost
    pdf.ln(4)
    _text(pdf, text, size=TEXT_PT, bold=True, colour=SOFT)
    pdf.ln(1)


def _text(
    pdf: FPDF, text: str, *, size: float = TEXT_PT, bold: bool = False, colour: tuple[int, int, int] = INK
) -> None:
    pdf.set_font(FAMILY, "B" if bold else "", size)
    pdf.set_text_color(*colour)
    pdf.multi_cell(
        0,
        size * 0.52,
        _printable(text),
        align="L",
        new_x="LMARGIN",
        new_y="NEXT",
        wrapmode=_wrap(text),
    )


def _pairs(pdf: FPDF, pairs: Sequence[tuple[str, Any]]) -> None:
    for name, value in pairs:
        if value in (None, "", []):
            continue
        _row(pdf, (name, str(value)), (LABEL_MM, 170 - LABEL_MM), rule=False)


def _row(pdf: FPDF, cells: Sequence[Any], widths: Sequence[float], *, head: bool = False, rule: bool = True) -> None:
    """One row of a table: as high as its highest cell, never torn by a page's end."""
    pdf.set_font(FAMILY, "B" if head else "", SMALL_PT if head else 8)
    height = 4.1
    texts = [_printable(cell) for cell in cells]
    lines = [_lines(pdf, text or " ", width - 2, height) for text, width in zip(texts, widths, strict=True)]
    if pdf.will_page_break(max(lines) * height + 1):
        pdf.add_page()
        pdf.set_font(FAMILY, "B" if head else "", SMALL_PT if head else 8)
    top, left = pdf.get_y(), pdf.l_margin
    for place, (text, width) in enumerate(zip(texts, widths, strict=True)):
        pdf.set_text_color(*(SOFT if head or (not rule and place == 0) else TONE.get(text, INK)))
        pdf.set_xy(left, top)
        pdf.multi_cell(width - 2, height, text or " ", align="L", wrapmode=_wrap(text))
        left += width
    bottom = top + max(lines) * height + 0.8
    if rule:
        pdf.set_draw_color(*RULE)
        pdf.line(pdf.l_margin, bottom, pdf.l_margin + sum(widths), bottom)
    pdf.set_xy(pdf.l_margin, bottom + (0.8 if rule else 0))


def _wrap(text: str) -> WrapMode:
    """Between words; between letters where a word may not fit on a line."""
    from fpdf.enums import WrapMode

    return WrapMode.CHAR if any(len(word) > 40 for word in text.split()) else WrapMode.WORD


def _lines(pdf: FPDF, text: str, width_mm: float, height_mm: float) -> int:
    """How many lines *text* takes in that width."""
    found = pdf.multi_cell(width_mm, height_mm, text, dry_run=True, output="LINES", wrapmode=_wrap(text))
    assert isinstance(found, list)
    return len(found)


def _printable(text: Any) -> str:
    """*text* without what no font has: control characters and lone surrogates."""
    return "".join(one if one.isprintable() or one == " " else "\ufffd" for one in str(text).replace("\n", " "))


def _last_instant(records: Sequence[Mapping[str, Any]]) -> dt.datetime:
    """When the newest run ended: the document's date, so that it does not depend on when it was printed."""
    found = [record["when"].get("ended_at") or record["when"].get("started_at") for record in records]
    try:
        return max(dt.datetime.fromisoformat(str(one)) for one in found if one)
    except (ValueError, TypeError):
        return dt.datetime.fromtimestamp(0, dt.UTC)
