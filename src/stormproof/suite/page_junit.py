"""The summary as JUnit XML, for CI: one test suite an experiment, red for anything but *held*.

A case for what the experiment came to, and one a claim of the run that stands. As in a run's own file, a refuted claim
is a *failure* and everything else that is not held an *error*; what nobody chose is *skipped*.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET  # writes only; nothing is parsed
from typing import TYPE_CHECKING

from stormproof.model.verdict import Outcome
from stormproof.report.page_junit import xml_text

if TYPE_CHECKING:
    from stormproof.suite.page import ItemRow, SuitePage


def render_junit(page: SuitePage) -> str:
    """*page* as a document."""
    root = ET.Element("testsuites", {"name": xml_text(f"stormproof suite in {page.environment}")})
    for item in page.items:
        _experiment(root, item)
    for slug, why in page.not_chosen:
        suite = ET.SubElement(root, "testsuite", {"name": f"stormproof.{xml_text(slug)}"})
        case = ET.SubElement(suite, "testcase", {"classname": f"stormproof.{xml_text(slug)}", "name": "the experiment"})
        ET.SubElement(case, "skipped", {"message": xml_text(why)})
        _count(suite)
    _count(root)
    root.set("time", f"{page.wall_time_s:.3f}")
    root.set("timestamp", xml_text(page.started_iso))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _experiment(root: ET.Element, item: ItemRow) -> None:
    name = f"stormproof.{xml_text(item.slug)}"
    suite = ET.SubElement(root, "testsuite", {"name": name, "time": f"{item.duration_s:.3f}"})
    properties = ET.SubElement(suite, "properties")
    for key, value in (
        ("title", item.title),
        ("verdict", item.word),
        ("runs", " ".join(one.run_id for one in item.attempts)),
        ("repeat", item.repeat),
    ):
        ET.SubElement(properties, "property", {"name": key, "value": xml_text(value)})
    since = f"not held since {item.since.at} ({item.since.nights} in a row)" if item.since else ""
    _case(suite, name, "the experiment", item.word, "; ".join(item.reasons), "\n".join([*item.notes, since]))
    for one in item.claims:
        _case(suite, f"{name}.hypothesis", one.claim, one.outcome, one.sentence, one.cause)
    _count(suite)


def _case(suite: ET.Element, group: str, name: str, word: str, reason: str, detail: str) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": group, "name": xml_text(name)})
    text = xml_text(f"{reason}\n{detail}".strip())
    if word == Outcome.HELD:
        ET.SubElement(case, "system-out").text = text
        return
    kind = "failure" if word == Outcome.REFUTED else "error"
    ET.SubElement(case, kind, {"type": word, "message": xml_text(reason)}).text = text


def _count(element: ET.Element) -> None:
    for attribute, path in (("tests", ""), ("failures", "/failure"), ("errors", "/error"), ("skipped", "/skipped")):
        element.set(attribute, str(len(element.findall(f".//testcase{path}"))))
