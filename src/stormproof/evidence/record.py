"""One run as one evidence record: who, when, what, where, under what authority, expected, observed, felt, restored.

The fields are those that auditors ask for (docs/reference/evidence.md says which regime asks for which). A record is
written for every run, whatever became of it: what is left out of the file is what an auditor looks for first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from stormproof.evidence.canonical import canonical_json, sha256, stable_id
from stormproof.evidence.mapping import framework_date, map_run
from stormproof.evidence.potency import Potency, potency_of
from stormproof.evidence.settings import EvidenceSettings
from stormproof.evidence.simulation import signs_of_simulation
from stormproof.evidence.source import RunSource
from stormproof.model.verdict import Finding, Outcome, Verdict
from stormproof.record.redact import redact
from stormproof.spec.loader import reliability_choices
from stormproof.verdict.document import to_document
from stormproof.verdict.validity import SHOWN

SCHEMA_VERSION = 1
UNFINISHED = "unfinished"  # what a run is called that did not come to a verdict
PROOF_MAX = 20  # lines of what a canary saw, a fault
RAW = ("samples/", "arrivals/", "readings.jsonl", "events.jsonl", "ledger.jsonl", "journal.json")


def build_record(
    source: RunSource, settings: EvidenceSettings, *, sequence: int, previous_sha256: str | None
) -> dict[str, Any]:
    """The record of *source* as link *sequence* (from 1) of its environment's chain; JSON-clean and redacted."""
    verdict, run, environment = source.verdict, source.run, source.environment
    signs = signs_of_simulation(run=run, environment=environment, verdict=to_document(verdict) if verdict else {})
    potency = _potency(source)
    mapping = _mapping(source)
    body: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "evidence_id": stable_id("evidence", source.run_id),
        "simulated": bool(signs),
        "simulated_because": signs,
        "run_id": source.run_id,
        "who": {
            "author": settings.people.author,
            "approver": settings.people.approver,
            "executor": run.get("operator"),
            "reviewer": settings.people.reviewer,
            "independent": _is_independent(settings, run),
        },
        "when": _when(source),
        "what": {
            "experiment": run.get("slug"),
            "title": run.get("title"),
            "why": run.get("why"),
            "type": settings.authority.type,
            "scenario_source": settings.authority.scenario_source,
            "kinds": mapping["kinds"],
        },
        "scope": _scope(source, settings),
        "version": _version(source),
        "authority": _authority(source, settings),
        "expected": _expected(source),
        "observed": _observed(source),
        "potency": asdict(potency) | {"proof": _proof(verdict)},
        "result": _result(source),
        "restored": _restored(verdict),
        "deviations": _deviations(source),
        "findings": _defects(verdict),
        "remediation": {"ticket": None, "retest_evidence_id": None},
        "mapping": mapping,
        "sign_off": [{"role": role, "name": None, "at": None} for role in ("executed", "reviewed", "accepted")],
        "retention": {
            "class": settings.retention.class_,
            "until": _until(run, settings.retention.days),
            "legal_hold": settings.retention.legal_hold,
        },
    }
    clean: dict[str, Any] = redact(body)
    clean["integrity"] = {
        "algorithm": "sha256",
        "content_sha256": sha256(canonical_json(clean)),
        "sequence": sequence,
        "previous_sha256": previous_sha256,
        "run_seal": source.seal,
        "run_changed": list(source.seal_broken),
        "judged_again": source.judged_again,
    }
    return clean


def _potency(source: RunSource) -> Potency:
    """What the run is worth, with what is wrong with its files beside what is wrong with its result."""
    if source.verdict is None:
        return Potency(
            counts=False,
            reasons=(f"the run came to no verdict: {source.verdict_problem}",),
            felt=(),
            could_fail=(),
            could_not_fail={},
            undecided=(),
        )
    load = source.plan.get("load")
    timeout = load.get("timeout_s") if isinstance(load, Mapping) else None
    found = potency_of(source.verdict, timeout_s=float(timeout) if isinstance(timeout, int | float) else None)
    wrong = list(found.reasons)
    if source.seal == "none":
        wrong.append("the run was never sealed")
    wrong += [f"changed since it was sealed: {sentence}" for sentence in source.seal_broken]
    if source.judged_again == "differs":
        wrong.append("the raw data do not give the verdict on record")
    fields = asdict(found) | {"counts": not wrong, "reasons": tuple(wrong)}
    return Potency(**fields)


def _proof(verdict: Verdict | None) -> list[dict[str, Any]]:
    """What was seen of each fault: from outside by the canary, and by the workload's own requests."""
    if verdict is None:
        return []
    met = [check.reason for check in verdict.checks if check.name == SHOWN]
    return [
        {
            "fault_id": one.fault_id,
            "seen": one.reason,
            "canary": [f"{name}: {text}" for name, text in _leaves(one.evidence)][:PROOF_MAX],
            "workload": [reason.removeprefix(f"{one.fault_id}: ") for reason in met if one.fault_id in reason],
        }
        for one in verdict.confirmations
    ]


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every value in nested mappings, with the last key on its way."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, str(key))
    else:
        yield name, str(value)[:200]


def _is_independent(settings: EvidenceSettings, run: Mapping[str, Any]) -> bool | None:
    """Whether whoever reviews is neither author nor executor; None where nobody is named."""
    people = settings.people
    return people.reviewer not in (people.author, run.get("operator")) if people.reviewer else None


def _when(source: RunSource) -> dict[str, Any]:
    confirmations = source.verdict.confirmations if source.verdict else ()
    return {
        "started_at": source.run.get("started_at"),
        "ended_at": source.run.get("ended_at"),
        "clock": "the wall clock of the machine that ran it, UTC",
        "faults": [
            {
                "fault_id": one.fault_id,
                "kind": one.kind,
                "injected_at": _instant(one.injected_at),
                "felt_at": _instant(one.felt_at),
                "undone_at": _instant(one.undone_at),
                "gone_at": _instant(one.gone_at),
            }
            for one in confirmations
        ],
        "windows": {
            name: [_instant(start), _instant(end)]
            for name, (start, end) in (source.verdict.windows if source.verdict else {}).items()
        },
    }


def _scope(source: RunSource, settings: EvidenceSettings) -> dict[str, Any]:
    environment, aws, zones = source.environment, source.environment.get("aws"), source.environment.get("zones")
    planned = [one for one in source.plan.get("faults") or () if isinstance(one, Mapping)]
    return {
        "workload": settings.workload.name,
        "workload_id": settings.workload.id,
        "criticality": settings.workload.criticality,
        "exclusions": list(settings.workload.exclusions),
        "environment": source.run.get("environment"),
        "account": aws.get("account") if isinstance(aws, Mapping) else None,
        "region": aws.get("region") if isinstance(aws, Mapping) else None,
        "zones": sorted(zones) if isinstance(zones, Mapping) else [],
        "dependencies": sorted(environment.get("dependencies") or {}),
        "targets": sorted({str(target) for one in planned for target in one.get("targets") or ()}),
    }


def _version(source: RunSource) -> dict[str, Any]:
    run = source.run
    return {
        "workload_version": run.get("workload_version"),
        "topology_digest": run.get("topology_digest"),
        "experiment_commit": run.get("git"),
        "experiment_sha256": source.digests.get("spec.yaml"),
        "plan_sha256": source.digests.get("plan.json"),
        "environment_sha256": source.digests.get("environment.json"),
        "tools": run.get("versions"),
        "seed": run.get("seed"),
        "overrides": run.get("overrides"),
    }


def _authority(source: RunSource, settings: EvidenceSettings) -> dict[str, Any]:
    return {
        "change_ticket": settings.authority.change_ticket,
        "limits": source.plan.get("limits"),
        "stop_conditions": source.plan.get("stop_when") or [],
        "notified": list(settings.authority.notified),
        "command": source.run.get("command"),
    }


def _expected(source: RunSource) -> dict[str, Any]:
    planned = [one for one in source.plan.get("faults") or () if isinstance(one, Mapping)]
    return {
        "hypotheses": source.plan.get("hypotheses") or [],
        "steady_state": "at least 99 % of the requests before the fault succeed",
        "faults": [{"fault_id": one.get("fault_id"), "what": one.get("what")} for one in planned],
        "load": source.plan.get("load"),
        "timeline": source.plan.get("timeline"),
    }


def _observed(source: RunSource) -> dict[str, Any]:
    findings = source.verdict.findings if source.verdict else ()
    return {
        "findings": [_finding(one) for one in findings],
        "raw_sha256": {name: digest for name, digest in source.digests.items() if name.startswith(RAW)},
        "gaps": [check.reason for check in (source.verdict.checks if source.verdict else ()) if not check.ok],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    fields = asdict(finding)
    document = {"verdict": str(fields.pop("outcome")), **fields, "accepted": list(finding.accepted)}
    return {
        name: None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value
        for name, value in document.items()
    }


def _result(source: RunSource) -> dict[str, Any]:
    if source.verdict is None:
        return {"verdict": UNFINISHED, "reasons": [source.verdict_problem]}
    return {"verdict": str(source.verdict.outcome), "reasons": list(source.verdict.reasons)}


def _restored(verdict: Verdict | None) -> dict[str, Any]:
    if verdict is None:
        return {"ok": None, "faults": [], "residual": ["not known: the run came to no verdict"]}
    faults = [
        {"fault_id": one.fault_id, "gone": one.gone, "reason": one.reason, "undone_at": _instant(one.undone_at)}
        for one in verdict.confirmations
    ]
    residual = [f"{one.fault_id}: {one.reason}" for one in verdict.confirmations if one.gone is False]
    return {"ok": not residual, "faults": faults, "residual": residual}


def _deviations(source: RunSource) -> list[str]:
    """What was not as the experiment asked: overrides, aborts, blind probes, a checkout with changes."""
    found = [f"--set {name}={value}" for name, value in redact(source.run.get("overrides") or {}).items()]
    found += [f"aborted: {row.get('reason')}" for row in source.events if row["event"] == "abort"]
    found += [f"blind probe: {row.get('probe')}" for row in source.events if row["event"] == "probe.blind"]
    git = source.run.get("git")
    if isinstance(git, Mapping) and git.get("dirty"):
        found.append("the experiment was run from a checkout with uncommitted changes")
    return list(dict.fromkeys(found))


def _defects(verdict: Verdict | None) -> list[dict[str, Any]]:
    """A defect of the workload for each refuted claim; owner and due date are for people to fill."""
    refuted = [one for one in (verdict.findings if verdict else ()) if one.outcome is Outcome.REFUTED]
    return [
        {"claim": one.claim, "what": one.reason, "severity": None, "owner": None, "due": None, "ticket": None}
        for one in refuted
    ]


def _mapping(source: RunSource) -> dict[str, Any]:
    claims = [one.claim for one in source.verdict.findings] if source.verdict else []
    found = map_run(source.spec, claims or [str(one) for one in source.plan.get("hypotheses") or ()])
    labels = reliability_choices()
    return {
        "framework": "AWS Well-Architected Framework, Reliability pillar",
        "framework_date": framework_date(),
        "kinds": list(found.kinds),
        "practices": [
            {
                "choice_id": one.choice_id,
                "label": labels[one.choice_id]["practice"],
                "strength": one.strength,
                "kinds": list(one.kinds),
            }
            for one in found.mapped
        ],
        "refused": [asdict(one) for one in found.refused],
        "not_claimed": list(found.not_claimed),
    }


def _until(run: Mapping[str, Any], days: int | None) -> str | None:
    started = run.get("started_at")
    if days is None or not isinstance(started, str):
        return None
    try:
        return (dt.datetime.fromisoformat(started) + dt.timedelta(days=days)).date().isoformat()
    except ValueError:
        return None


def _instant(unix_s: float | None) -> str | None:
    """Unix seconds as ISO 8601 in UTC, to the millisecond."""
    return None if unix_s is None else dt.datetime.fromtimestamp(unix_s, dt.UTC).isoformat(timespec="milliseconds")
