"""The ladder, its ages, and who has the last word."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from stormproof.errors import InputError, SpecError, UsageError
from stormproof.evidence.coverage import coverage, now_for
from stormproof.evidence.grade import Grade, Now, grade, pieces_for
from stormproof.evidence.settings import DAY_S, Attestation, EvidenceSettings, load_settings
from support.command import ROOT
from support.evidence_runs import hand_record

BP = "rel_withstand_component_failures_failover2good"
CHAOS = "rel_testing_resiliency_failure_injection_resiliency"
QUOTAS = "rel_manage_service_limits_aware_quotas_and_constraints"
AT = dt.datetime(2026, 11, 25, 12, tzinfo=dt.UTC)
NOW = Now(
    at=AT, stale_after_s=90 * DAY_S, workload_version="v1", topology_digest="t1", production=frozenset({"production"})
)


def run(day: int, *, strength: str = "direct", **fields: Any) -> dict[str, Any]:
    at = (AT - dt.timedelta(days=day)).isoformat()
    return hand_record(f"run-{day}", at=at, practices={fields.pop("practice", BP): strength}, **fields)


def graded(
    *records: dict[str, Any], practice: str = BP, attested: Attestation | None = None, specified: bool = False
) -> Any:
    return grade(practice, pieces_for(practice, records, NOW), NOW, attested=attested, is_specified=specified)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ((), Grade.NOTHING),
        ((run(1, counts=False, verdict="invalid"),), Grade.CLAIMED),
        ((run(1, verdict="inconclusive"),), Grade.CLAIMED),
        ((run(1, strength="supporting"),), Grade.CONFIGURED),
        ((run(1),), Grade.TESTED_ONCE),
        ((run(1), run(1)), Grade.TESTED_ONCE),  # twice on one day is one test
        ((run(1), run(2)), Grade.TESTED_REPEATEDLY),
        ((run(1, environment="production"),), Grade.TESTED_IN_PRODUCTION),
        ((run(1, environment="production", simulated=True),), Grade.TESTED_ONCE),
        ((run(1), run(95)), Grade.TESTED_ONCE),  # the other one is stale
        ((run(1, verdict="refuted"), run(2), run(3)), Grade.CLAIMED),
        ((run(1), run(2, verdict="refuted"), run(3), run(4)), Grade.TESTED_ONCE),
        ((run(1, verdict="refuted", strength="supporting"), run(2)), Grade.TESTED_ONCE),
    ],
)
def test_the_ladder(records: tuple[dict[str, Any], ...], expected: Grade) -> None:
    """What does not count gives nothing; support is not a test; a refutation ends what came before it."""
    assert expected == graded(*records).grade


def test_a_refutation_is_said_and_not_forgotten_when_it_is_old() -> None:
    """The newest run that counts has the last word, stale or not."""
    assert graded(run(1, verdict="refuted")).contradicted
    assert graded(run(100, verdict="refuted"), run(120)).contradicted
    assert not graded(run(1), run(2, verdict="refuted")).contradicted
    assert "refuted by run-1" in graded(run(1, verdict="refuted"), run(2)).gaps[0]


def test_a_refuted_run_is_a_test_where_testing_is_what_is_asked_for() -> None:
    """The practice of injecting faults is followed by whoever injects them and learns something."""
    found = graded(run(1, verdict="refuted", practice=CHAOS), practice=CHAOS)

    assert (Grade.TESTED_ONCE, False) == (found.grade, found.contradicted)


@pytest.mark.parametrize(
    ("record", "word"),
    [
        (run(90), ""),
        (run(91), "older than 90 days"),
        (run(1, version="v0"), "of version v0, and v1 is running"),
        (run(1, topology="t0"), "the topology has changed"),
        (run(1) | {"when": {"started_at": "soon"}}, "nobody knows when"),
        (run(-2), "of the future"),
    ],
)
def test_evidence_goes_stale_with_age_and_at_once_with_the_workload(record: dict[str, Any], word: str) -> None:
    """Ninety days to the day; another version or topology at once; what has no date is never fresh."""
    found = graded(record)

    assert word in found.pieces[0].stale
    assert (Grade.TESTED_ONCE if not word else Grade.CLAIMED) == found.grade
    assert Grade.TESTED_ONCE == found.was


def test_people_can_claim_and_configure_but_not_test() -> None:
    """An attestation goes stale as evidence does, and never reaches a test."""
    fresh = Attestation(state="configured", by="Kim", on=dt.date(2026, 11, 1))
    old = Attestation(state="configured", by="Kim", on=dt.date(2026, 1, 1))

    assert Grade.CONFIGURED == graded(attested=fresh).grade
    assert Grade.NOTHING == graded(attested=old).grade
    assert Grade.CLAIMED == graded(specified=True).grade
    assert Grade.TESTED_ONCE == graded(run(1), attested=fresh).grade


def test_the_pillar_has_every_practice_with_its_gaps_and_what_to_do_next() -> None:
    """65 rows; ages; the summary adds up; a run in the lab and one in staging do not stand in one coverage."""
    records = [run(3), run(5, verdict="refuted", practice=CHAOS)]
    settings = EvidenceSettings()
    now = now_for(records, settings, at=AT)
    document = coverage(records, settings, now, specified={BP: ["az-loss"]})
    rows = {row["choice_id"]: row for row in document["practices"]}

    assert 65 == len(rows)
    assert 65 == sum(count for name, count in document["summary"].items() if name not in ("stale", "contradicted"))
    assert ("tested once", 3.0, "run-3") == (
        rows[BP]["grade"], rows[BP]["newest"]["age_days"], rows[BP]["newest"]["run_id"],
    )  # fmt: skip
    assert "run it on another day" == rows[BP]["next"]
    assert not rows[QUOTAS]["testable"]
    assert all(row["next"] for row in rows.values())
    assert ("v1", "t1") == (document["workload_version"], document["topology_digest"])
    with pytest.raises(InputError, match="no evidence of staging"):
        coverage([run(1), run(2, simulated=True)], settings, now, specified={})


def test_an_emulated_environment_cannot_be_called_production() -> None:
    """Whatever the settings say."""
    settings = EvidenceSettings(production=("local",))
    records = [run(1, environment="local", simulated=True)]

    with pytest.raises(UsageError, match="cannot be production"):
        coverage(records, settings, now_for(records, settings, at=AT), specified={})


def test_settings_are_checked_in_words(tmp_path: Any) -> None:
    """A practice that does not exist, and a state that a person cannot attest."""
    file = tmp_path / "evidence.yaml"
    file.write_text(f"practices:\n  {BP}x: {{state: claimed, by: Kim, on: 2026-11-01}}\n")
    with pytest.raises(SpecError, match="choice id"):
        load_settings(file)
    file.write_text(f"practices:\n  {BP}: {{state: tested, by: Kim, on: 2026-11-01}}\n")
    with pytest.raises(SpecError, match="claimed"):
        load_settings(file)
    page = (ROOT / "docs" / "reference" / "evidence.md").read_text()
    file.write_text(page.split("```yaml\n")[1].split("```")[0])
    assert ("shop", 90) == (load_settings(file).workload.name, load_settings(file).stale_after_days)
    file.write_text(f"stale_after_days: 0.5\npractices:\n  {BP}: {{state: configured, by: Kim, on: 2026-11-01}}\n")
    assert 0.5 == load_settings(file).stale_after_days
