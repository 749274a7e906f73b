"""Whose launches are refused, and by what the undo knows the experiment that refuses them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from stormproof.errors import InputError
from stormproof.faults import catalogue
from stormproof.faults.fis_experiment import FisExperiment
from stormproof.model.environment import Fleet
from stormproof.model.experiment import FaultRequest
from stormproof.plan.resolve import resolve_faults
from support.planning import make_environment, make_experiment

FLEET = Fleet(role_arn="arn:aws:iam::123456789012:role/healer", client="healer", dependency="ec2", fis_role_arn="arn:f")
ENVIRONMENT = dataclasses.replace(make_environment(), fleet=FLEET)


def test_it_touches_one_role_and_no_instance() -> None:
    """An instance that runs goes on running: only launches are refused."""
    fault = catalogue.resolve("capacity-denied", {}, ENVIRONMENT, fault_id="1-capacity-denied")

    assert fault.targets == ("arn:aws:iam::123456789012:role/healer",)
    assert fault.effect == {"kind": "calls-refused", "client": "healer", "dependency": "ec2"}
    assert fault.what == "through AWS FIS, refuse every launch by healer: no capacity"


def test_where_nobody_launches_nothing_can_be_refused() -> None:
    """Without a healer the run could only come out invalid: said before it starts."""
    with pytest.raises(InputError, match=r"e\.yaml:9.*nobody"):
        catalogue.resolve("capacity-denied", {}, make_environment(), fault_id="1", where="e.yaml:9")


def test_the_labs_fis_ends_it_when_the_experiments_time_is_over() -> None:
    """Whatever becomes of us: `limits.duration`, in whole minutes."""
    request = FaultRequest(kind="capacity-denied", arguments={}, where="e.yaml:9")
    (fault,) = resolve_faults(make_experiment(faults=(request,)), ENVIRONMENT)

    (action,) = fault.target["request"]["actions"].values()
    assert action["parameters"]["duration"] == "PT3M"
    zones = "eu-central-1a,eu-central-1b,eu-central-1c"
    assert action["parameters"]["availabilityZoneIdentifiers"] == zones


def test_the_tag_is_the_ledgers() -> None:
    """The same for whoever holds the ledger; another for every other ledger, and for another request."""
    target = catalogue.resolve("capacity-denied", {}, ENVIRONMENT, fault_id="1").target

    def tag(path: str, request: Mapping[str, Any] = target["request"]) -> dict[str, str]:
        one = FisExperiment(kind="capacity-denied", request=request, expected={}, configuration={"ledger_path": path})
        return one._tag

    assert tag("/runs/1/ledger.jsonl") == tag("/runs/1/ledger.jsonl")
    assert tag("/runs/1/ledger.jsonl") != tag("/runs/2/ledger.jsonl")
    assert tag("/runs/1/ledger.jsonl") != tag("/runs/1/ledger.jsonl", {**target["request"], "description": "other"})
    assert set(tag("/runs/1/ledger.jsonl")) == {"stormproof-capacity-denied"}
