"""Whose launches are refused, and by what the undo knows the experiment that refuses them."""

from __future__ import annotations

import dataclasses

import pytest

from stormproof.errors import InputError
from stormproof.faults import catalogue
from stormproof.model.environment import Fleet
from support.planning import make_environment

FLEET = Fleet(role_arn="arn:aws:iam::123456789012:role/healer", client="healer", dependency="ec2", fis_role_arn="arn:f")
ENVIRONMENT = dataclasses.replace(make_environment(), fleet=FLEET)


def test_it_touches_one_role_and_no_instance() -> None:
    """An instance that runs goes on running: only launches are refused."""
    fault = catalogue.resolve("capacity-denied", {}, ENVIRONMENT, fault_id="1-capacity-denied")

    assert fault.targets == ("arn:aws:iam::123456789012:role/healer",)
    assert fault.effect == {"kind": "calls-refused", "client": "healer", "dependency": "ec2"}
    assert fault.what == "refuse every launch by healer: no capacity"


def test_where_nobody_launches_nothing_can_be_refused() -> None:
    """Without a healer the run could only come out invalid: said before it starts."""
    with pytest.raises(InputError, match=r"e\.yaml:9.*nobody"):
        catalogue.resolve("capacity-denied", {}, make_environment(), fault_id="1", where="e.yaml:9")


def test_the_tag_is_the_ledgers() -> None:
    """The same for whoever holds the ledger; another for every other ledger."""
    target = catalogue.resolve("capacity-denied", {}, ENVIRONMENT, fault_id="1").target

    def token(path: str) -> str:
        return catalogue.bind("capacity-denied", target, {"ledger_path": path})._token  # type: ignore[attr-defined,no-any-return]

    assert token("/runs/1/ledger.jsonl") == token("/runs/1/ledger.jsonl")
    assert token("/runs/1/ledger.jsonl") != token("/runs/2/ledger.jsonl")
