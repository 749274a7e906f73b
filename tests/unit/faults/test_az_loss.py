"""How an `az-loss` is bound to an environment."""

import json
from email.message import Message

import pytest
from pydantic import ValidationError

from stormproof.errors import InputError
from stormproof.faults import az_loss, instances
from stormproof.faults.az_network import AzNetworkLoss
from support.planning import make_environment


@pytest.mark.parametrize(("mode", "kind"), [("power", az_loss.AzLoss), ("network", AzNetworkLoss)])
def test_the_mode_survives_the_ledger(mode: str, kind: type) -> None:
    """What is bound from the JSON of a resolved fault is the fault of the mode that was asked for."""
    arguments = az_loss.Arguments.model_validate({"zone": "a", "mode": mode})
    fault = az_loss.resolve(arguments, make_environment(), fault_id="1-az-loss")

    bound = az_loss.bind(json.loads(json.dumps(fault.target)), json.loads(json.dumps(fault.configuration)))

    assert type(bound) is kind
    assert bound.what == fault.what
    assert fault.targets == ("i-a1", "i-a2")
    assert fault.effect == {"kind": "zone-silent", "zone": "a"}


def test_power_is_the_default() -> None:
    """A spec that says no mode means what it meant before there were modes."""
    assert az_loss.Arguments(zone="a").mode == "power"


def test_an_unknown_mode_is_refused() -> None:
    """A mode that does not exist is an error, not a default."""
    with pytest.raises(ValidationError, match="network"):
        az_loss.Arguments.model_validate({"zone": "a", "mode": "nuclear"})


def test_an_unknown_zone_is_refused_with_those_there_are() -> None:
    """The error names the zones of the environment."""
    with pytest.raises(InputError, match=r"a, b, c.*'z'") as caught:
        az_loss.resolve(az_loss.Arguments(zone="z"), make_environment(), fault_id="1", where="e.yaml:9")

    assert caught.value.where == "e.yaml:9"


@pytest.mark.parametrize(
    ("says", "expected"),
    [("i-a1", None), (None, None), ("i-new", "answered by i-new")],
    ids=["itself", "a workload that does not say", "one in its place"],
)
def test_an_answer_of_a_replacement_is_not_the_lost_ones(says: str | None, expected: str | None) -> None:
    """A healer may have put another instance at the address: the zone is gone all the same."""
    headers = Message()
    if says is not None:
        headers["x-instance"] = says

    assert instances._who(headers, "i-a1") == expected
