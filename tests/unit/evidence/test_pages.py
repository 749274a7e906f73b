"""The pages and the paper: complete, escaped, and the same for the same records."""

from __future__ import annotations

import datetime as dt
from html.parser import HTMLParser

import pypdfium2
import pytest

from stormproof.evidence.chain import ChainStore, read_links
from stormproof.evidence.coverage import coverage, now_for
from stormproof.evidence.page import render_audit, render_coverage
from stormproof.evidence.paper import render_pdf
from stormproof.evidence.settings import EvidenceSettings
from support.evidence_runs import chain_of

ATTACK = '"><script>alert(1)</script><img src=x onerror=y>'
ABOUT = {"workload": ATTACK, "environment": "local", "simulated": True, "head": {"sequence": 2, "sha256": "0" * 64}}


class Tags(HTMLParser):
    """The names of all tags, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ChainStore:
    return chain_of(tmp_path_factory.mktemp("reports"), runs=2)


def test_the_pages_run_nothing_and_escape_everything(store: ChainStore) -> None:
    """A title that is an attack is text; no script, no picture from elsewhere; the lab is called the lab."""
    records = [dict(link.record) for link in read_links(store)]
    records[0]["what"] = records[0]["what"] | {"title": ATTACK, "why": ATTACK}
    settings = EvidenceSettings.model_validate({"workload": {"name": ATTACK}})
    now = now_for(records, settings, at=dt.datetime(2026, 11, 25, tzinfo=dt.UTC))
    document = coverage(records, settings, now, specified={})
    for html in (render_audit(records, about=ABOUT), render_coverage(document)):
        page = Tags(html)
        assert not page.names & {"script", "img", "iframe", "link", "object"}
        assert ATTACK in page.text
        assert "Simulated." in page.text
        assert "default-src 'none'" in html


def test_the_paper_says_what_was_claimed_felt_and_restored_and_is_signed_by_hand(store: ChainStore) -> None:
    """Scope, claim, result, proof, restoration, sign-off lines; non-Latin names; the same bytes each time."""
    records = [dict(link.record) for link in read_links(store)]
    records[1]["who"] = records[1]["who"] | {"author": "Łucja Дмитриевна Θεοδώρα"}
    data = render_pdf(records, about=ABOUT | {"workload": "shop"})
    document = pypdfium2.PdfDocument(data)
    pages = [page.get_textpage().get_text_range() for page in document]
    text = pages[1].replace("\r\n", " ")

    assert data == render_pdf(records, about=ABOUT | {"workload": "shop"})
    assert 3 == len(pages)
    assert "SIMULATED" in pages[0]
    for words in (
        "availability during fault >= 99.5%", "Proof that the fault was felt", "zone a answered 708 requests in steady",
        "Connection refused", "Proof of restoration", "2026-11-23T16:55:45.528+00:00", "REL10-BP01",
        "executed: name, date, signature", "reviewed: name, date, signature", "accepted: name, date, signature",
    ):  # fmt: skip
        assert words in text, words
    assert "Łucja Дмитриевна Θεοδώρα" in pages[2]
    assert all("SIMULATED" in page for page in pages)  # on each sheet's foot


def test_a_long_word_and_a_long_title_stay_on_the_paper(store: ChainStore) -> None:
    """Nothing that a run can hold makes the paper fail, or run off the page."""
    record = dict(read_links(store)[0].record)
    record["what"] = record["what"] | {"title": "x" * 400}
    record["scope"] = record["scope"] | {"targets": [f"i-{number:017x}" for number in range(300)]}
    record["deviations"] = ["a\x00b\u202e" * 30, "𝔘 漢字"]
    document = pypdfium2.PdfDocument(render_pdf([record], about=ABOUT))

    assert 3 <= len(document) <= 6
