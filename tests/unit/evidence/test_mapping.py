"""What a run may be evidence for: the table is data, and says no."""

from __future__ import annotations

import pytest

from stormproof.evidence.mapping import kinds, kinds_of, map_run, not_by_fault_injection
from stormproof.evidence.mapping import testing_itself as of_testing
from stormproof.faults.catalogue import KINDS
from stormproof.spec.document import read_document
from stormproof.spec.loader import reliability_choices
from support.command import ROOT

CHAOS = "rel_testing_resiliency_failure_injection_resiliency"
MULTI_AZ = "rel_fault_isolation_multiaz_region_system"
FAILOVER = "rel_withstand_component_failures_failover2good"
CONTROL_PLANE = "rel_withstand_component_failures_avoid_control_plane"
HEALTH = "rel_withstand_component_failures_monitoring_health"
QUOTAS = "rel_manage_service_limits_aware_quotas_and_constraints"


def test_every_id_of_the_table_is_one_of_the_pillar() -> None:
    """Ids only, each known; what fault injection cannot show is shown by no kind; every practice is in one of both."""
    shown = {choice for kind in kinds() for choice in (*kind.direct, *kind.supporting)}
    refused = set(not_by_fault_injection())

    assert set(reliability_choices()) == shown | refused
    assert set() == shown & refused
    assert of_testing() <= shown


def test_every_fault_that_the_table_names_exists_and_every_fault_is_named() -> None:
    """A kind that no fault makes would never match; a fault of no kind would be evidence of nothing."""
    named = {one["fault"] for kind in kinds() for way in kind.when or () for one in way.get("faults", ())}
    means = {"composite", "release", "key-stale"}  # made of others; what a step prepares, judged by its claims

    assert set(KINDS) - means == named


@pytest.mark.parametrize(
    ("spec", "claims", "expected"),
    [
        ({"faults": [{"az-loss": {"zone": "a"}}]}, [], {"hypothesis", "az-loss", "az-loss-seen"}),
        ({"faults": [{"az-loss": {"mode": "slow"}}]}, [], {"hypothesis", "az-grey", "az-grey-shifted"}),
        ({"faults": ["capacity-denied"]}, [], {"hypothesis", "scaling-blocked"}),
        (
            {"faults": [{"composite": {"steps": [{"at": "0s", "capacity-denied": {}}, {"at": "1s", "az-loss": {}}]}}]},
            [],
            {"hypothesis", "az-loss", "az-loss-seen", "az-loss-without-control-plane", "scaling-blocked"},
        ),
        (
            {"steps": [{"name": "one", "faults": [{"release": {"version": "v1"}}]}]},
            ["health_check is deep during one", "availability during one >= 98%"],
            {"hypothesis", "health-check", "availability-target"},
        ),
        ({"faults": "nonsense"}, [], {"hypothesis"}),
    ],
)
def test_a_run_is_of_the_kinds_that_its_faults_and_claims_make(
    spec: dict[str, object], claims: list[str], expected: set[str]
) -> None:
    """All faults of a row must be there, of composites and steps too; a claim can make a kind by itself."""
    assert expected == {kind.kind for kind in kinds_of(spec, claims)}


def test_only_what_the_spec_names_and_its_kind_shows_is_mapped() -> None:
    """Direct beats supporting; what this kind does not show, what no fault can show, and no id at all are refused."""
    spec = {
        "reliability": [MULTI_AZ, HEALTH, CONTROL_PLANE, QUOTAS, "rel_no_such_thing"],
        "faults": [{"az-loss": {"zone": "a"}}],
    }
    found = map_run(spec, ["availability during fault >= 99.5%"])

    assert [(MULTI_AZ, "direct"), (HEALTH, "supporting")] == [(one.choice_id, one.strength) for one in found.mapped]
    assert [CONTROL_PLANE, QUOTAS, "rel_no_such_thing"] == [one.choice_id for one in found.refused]
    assert "does not show it" in found.refused[0].reason
    assert "fault injection cannot show it" in found.refused[1].reason
    assert {CHAOS, FAILOVER} < set(found.not_claimed)


def test_shipped_experiments_name_nothing_that_is_refused() -> None:
    """Each practice in a shipped spec is one that a run of it speaks for, more or less strongly."""
    refused = {}
    for path in sorted((ROOT / "experiments").glob("*/experiment.yaml")):
        spec = read_document(path).value
        for one in map_run(spec, [str(claim) for claim in spec["hypotheses"]]).refused:
            refused[path.parent.name, one.choice_id] = one.reason

    assert {} == refused
