"""The page as JUnit XML, for CI: red for anything but *held*.

One test suite a run; one test case for the verdict, one a hypothesis, one a check of validity. A refuted claim is
a *failure*: the workload is not what was claimed. Everything else that is not held is an *error*: the experiment
did not decide. The verdict's own case keeps CI red where no single claim or check is to blame, as after an abort.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # writes only; nothing is parsed
from typing import TYPE_CHECKING

from stormproof.model.verdict import Outcome

if TYPE_CHECKING:
    from stormproof.report.page import Page

# What XML 1.0 cannot hold at all, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """*text* with what XML 1.0 cannot hold replaced by U+FFFD."""
    return _NOT_XML.sub("\ufffd", text)


def render_junit(page: Page) -> str:
    """*page* as a document; `failures` and `errors` count the cases that are red."""
    suite = ET.Element("testsuite", {"name": f"stormproof.{xml_text(page.slug)}"})
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("run_id", page.run_id),
        ("title", page.title),
        ("verdict", page.outcome.value),
        ("simulated", str(page.simulated).lower()),
        ("repeat", page.repeat),
    ):
        ET.SubElement(properties, "property", {"name": name, "value": xml_text(value)})

    _case(suite, page, "verdict", "the run's verdict", page.outcome, page.reason, "; ".join(page.other_reasons))
    for finding in page.findings:
        interval = finding.interval if finding.is_word else f"95 % interval {finding.interval}"
        found = "found" if finding.is_word else "estimate"
        wanted = "wanted" if finding.is_word else "bound"
        numbers = (
            f"{found} {finding.estimate}, {interval}, {wanted} {finding.bound}, n {finding.n}; method: {finding.method}"
        )
        _case(suite, page, "hypothesis", finding.claim, finding.outcome, finding.reason, numbers)
    for check in page.checks:
        outcome = Outcome.HELD if check.ok else Outcome.INVALID
        _case(suite, page, "check", check.name, outcome, check.reason, "")

    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("skipped", "0")
    if page.duration_s is not None:
        suite.set("time", f"{page.duration_s:.3f}")
    if page.started_iso:
        suite.set("timestamp", xml_text(page.started_iso))
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def _case(suite: ET.Element, page: Page, group: str, name: str, outcome: Outcome, reason: str, detail: str) -> None:
    case = ET.SubElement(
        suite, "testcase", {"classname": f"stormproof.{xml_text(page.slug)}.{group}", "name": xml_text(name)}
    )
    text = xml_text(f"{reason}\n{detail}".strip())
    if outcome is Outcome.HELD:
        ET.SubElement(case, "system-out").text = text
        return
    kind = "failure" if outcome is Outcome.REFUTED else "error"
    ET.SubElement(case, kind, {"type": outcome.value, "message": xml_text(reason)}).text = text
