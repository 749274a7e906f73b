"""Records as OSCAL assessment results, and the pillar as an OSCAL catalog, because there is no official one.

A control is a best practice, its id the choice id. A result is a run; an observation is what became of one claim; a
finding is what that says of one practice: *satisfied* only for a run that counts, held, and shows it directly.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from stormproof.evidence.canonical import stable_id
from stormproof.evidence.chain import Link
from stormproof.evidence.mapping import DIRECT, framework_date, testing_itself
from stormproof.evidence.simulation import is_simulated
from stormproof.model.verdict import Outcome
from stormproof.spec.loader import reliability_choices

OSCAL_VERSION = "1.2.3"
NAMESPACE = "https://stormproof.invalid/ns/oscal"  # of our properties; a name, not an address
CATALOG = "oscal/catalog.json"


def assessment_results(links: Sequence[Link]) -> dict[str, Any]:
    """The OSCAL assessment results of *links*; at least one. The same links give the same document."""
    newest = max(
        _instant(link.record["when"].get("ended_at") or link.record["when"].get("started_at")) for link in links
    )
    environment = str(links[-1].record["scope"].get("environment"))
    plan = stable_id("plan", environment)
    return {
        "assessment-results": {
            "uuid": stable_id("assessment-results", links[-1].sha256),
            "metadata": {
                "title": line(f"Resilience experiments in {environment}"),
                "last-modified": newest,
                "version": str(links[-1].sequence),
                "oscal-version": OSCAL_VERSION,
                "props": [_simulated(links[-1].record)],
                **_parties(links),
            },
            "import-ap": {"href": f"#{plan}"},
            "results": [_result(link) for link in links],
            "back-matter": {
                "resources": [
                    {
                        "uuid": plan,
                        "title": "The assessment plan: each run's spec.yaml and plan.json",
                        "description": "Written before the run started; each record holds their digests.",
                    },
                    {
                        "uuid": stable_id("catalog"),
                        "title": "The Reliability pillar as an OSCAL catalog",
                        "rlinks": [{"href": CATALOG}],
                    },
                    *(_resource(link) for link in links),
                ]
            },
        }
    }


def catalog() -> dict[str, Any]:
    """The Reliability pillar as an OSCAL catalog: a group a question, a control a best practice."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for choice_id, label in reliability_choices().items():
        control = {
            "id": choice_id,
            "title": line(label["title"]),
            "props": [{"name": "label", "value": label["practice"]}],
            "parts": [{"id": f"{choice_id}_obj", "name": "assessment-objective", "prose": line(label["title"])}],
        }
        groups.setdefault(label["question"], []).append(control)
    return {
        "catalog": {
            "uuid": stable_id("catalog"),
            "metadata": {
                "title": "AWS Well-Architected Framework, Reliability pillar",
                "last-modified": f"{framework_date()}T00:00:00Z",
                "version": framework_date(),
                "oscal-version": OSCAL_VERSION,
            },
            "groups": [{"id": name, "title": name, "controls": controls} for name, controls in groups.items()],
        }
    }


def line(text: object) -> str:
    """*text* as OSCAL's one-line markup: no blanks around it, no line ends, no tags, never empty."""
    return " ".join(str(text).split()).replace("<", "&lt;") or "–"


def _result(link: Link) -> dict[str, Any]:
    record = link.record
    observations = [_observation(link, finding) for finding in record["observed"]["findings"]]
    findings = [
        _finding(link, one, observations) for one in record["mapping"]["practices"] if one["strength"] == DIRECT
    ]
    named = [{"control-id": one["choice_id"]} for one in record["mapping"]["practices"]]
    start = _instant(record["when"].get("started_at"))
    result: dict[str, Any] = {
        "uuid": stable_id("result", str(record["evidence_id"])),
        "title": line(record["what"].get("title") or record["run_id"]),
        "description": line("; ".join([str(record["result"]["verdict"]), *record["result"]["reasons"]])),
        "start": start,
        "end": _instant(record["when"].get("ended_at") or record["when"].get("started_at")),
        "props": [
            _simulated(record),
            _prop("verdict", record["result"]["verdict"]),
            _prop("counts-as-evidence", str(record["potency"]["counts"] is True).lower()),
            _prop("run-id", record["run_id"]),
            _prop("sequence", link.sequence),
        ],
        "reviewed-controls": {
            "control-selections": [
                {"include-controls": named}
                if named
                else {"description": "This run speaks for no practice of the pillar.", "include-controls": [_nothing()]}
            ]
        },
    }
    if observations:
        result["observations"] = observations
    if findings:
        result["findings"] = findings
    return result


def _nothing() -> dict[str, str]:
    """The practice of testing at all: what a run without a mapping is at least a trace of."""
    return {"control-id": sorted(testing_itself())[0]}


def _observation(link: Link, finding: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "uuid": stable_id("observation", str(link.record["evidence_id"]), str(finding["claim"])),
        "title": line(finding["claim"]),
        "description": line(f"{finding['verdict']}: {finding['reason']}"),
        "methods": ["TEST"],
        "collected": _instant(link.record["when"].get("ended_at") or link.record["when"].get("started_at")),
        "relevant-evidence": [
            {"href": f"#{_resource_id(link)}", "description": "The record of the run, with its raw data's digests."}
        ],
    }


def _finding(link: Link, practice: Mapping[str, Any], observations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    record, choice_id = link.record, str(practice["choice_id"])
    verdict, counts = record["result"]["verdict"], record["potency"]["counts"] is True
    passing = {Outcome.HELD.value} | ({Outcome.REFUTED.value} if choice_id in testing_itself() else set())
    satisfied = counts and verdict in passing
    failed = counts and verdict == Outcome.REFUTED.value and not satisfied
    told = "the run counts" if counts else f"the run does not count: {'; '.join(record['potency']['reasons'])}"
    finding: dict[str, Any] = {
        "uuid": stable_id("finding", str(record["evidence_id"]), choice_id),
        "title": line(f"{practice['label']}: {reliability_choices()[choice_id]['title']}"),
        "description": line(f"{verdict}; {told}"),
        "props": [_simulated(record)],
        "target": {
            "type": "objective-id",
            "target-id": f"{choice_id}_obj",
            "status": {
                "state": "satisfied" if satisfied else "not-satisfied",
                "reason": "pass" if satisfied else "fail" if failed else "other",
            },
        },
    }
    if observations:
        finding["related-observations"] = [{"observation-uuid": one["uuid"]} for one in observations]
    return finding


def _resource(link: Link) -> dict[str, Any]:
    return {
        "uuid": _resource_id(link),
        "title": line(f"Evidence record {link.sequence}"),
        "rlinks": [{"href": f"records/{link.name}", "hashes": [{"algorithm": "SHA-256", "value": link.sha256}]}],
    }


def _resource_id(link: Link) -> str:
    return stable_id("record", str(link.record["evidence_id"]))


def _parties(links: Sequence[Link]) -> dict[str, Any]:
    """The people of the newest record, by what they did."""
    who = links[-1].record["who"]
    named = {role: str(who[role]) for role in ("author", "approver", "executor", "reviewer") if who.get(role)}
    if not named:
        return {}
    people = dict.fromkeys(named.values())
    return {
        "roles": [{"id": role, "title": role} for role in named],
        "parties": [{"uuid": stable_id("party", name), "type": "person", "name": line(name)} for name in people],
        "responsible-parties": [
            {"role-id": role, "party-uuids": [stable_id("party", name)]} for role, name in named.items()
        ],
    }


def _simulated(record: Mapping[str, Any]) -> dict[str, str]:
    return _prop("simulated", str(is_simulated(record)).lower())


def _prop(name: str, value: object) -> dict[str, str]:
    return {"name": name, "ns": NAMESPACE, "value": line(value)}


def _instant(text: object) -> str:
    """An instant as OSCAL wants it; the beginning of time where a run does not say."""
    try:
        found = dt.datetime.fromisoformat(str(text))
    except ValueError:
        found = dt.datetime.fromtimestamp(0, dt.UTC)
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).isoformat()
