"""The faults that touch instances of a zone: how each is bound, and what it says the workload must show."""

import json
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from stormproof.errors import InputError
from stormproof.faults import cpu_stress, instance_stop, memory_pressure, process_kill, process_pause
from support.planning import make_environment

MODULES = (cpu_stress, instance_stop, memory_pressure, process_kill, process_pause)
EVERY = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.KIND)


def resolve(module: ModuleType, arguments: dict[str, Any]) -> Any:
    model = module.Arguments.model_validate(arguments)
    return module.resolve(model, make_environment(), fault_id="1", where="e.yaml:9")


@EVERY
def test_the_first_instances_of_the_zone_are_chosen(module: ModuleType) -> None:
    """*count* bounds what is touched; one, unless the spec says more."""
    assert resolve(module, {"zone": "b"}).targets == ("i-b1",)
    assert resolve(module, {"zone": "b", "count": 2}).targets == ("i-b1", "i-b2")


@EVERY
@pytest.mark.parametrize(("zone", "count"), [("z", 1), ("a", 3)])
def test_more_than_there_is_is_refused(module: ModuleType, zone: str, count: int) -> None:
    """An unknown zone, or more instances than the zone has, is an error that says what there is, and where."""
    with pytest.raises(InputError, match=r"a \(2\), b \(2\), c \(2\)") as caught:
        resolve(module, {"zone": zone, "count": count})

    assert caught.value.where == "e.yaml:9"


@EVERY
def test_it_survives_the_ledger(module: ModuleType) -> None:
    """What is bound from the JSON of a resolved fault is that fault."""
    fault = resolve(module, {"zone": "a", "count": 2})
    bound = module.bind(json.loads(json.dumps(fault.target)), json.loads(json.dumps(fault.configuration)))

    assert (bound.what, bound.effect) == (fault.what, fault.effect)


@pytest.mark.parametrize(
    ("module", "effect"),
    [
        (
            cpu_stress,
            {"kind": "instances-starved", "zone": "a", "slow_ms": 178.125, "clients": ["i-a1"]},
        ),
        (instance_stop, {"kind": "client-silent", "clients": ["i-a1"]}),
        (memory_pressure, {"kind": "zone-otherwise", "zone": "a"}),
        (process_kill, {"kind": "client-silent", "clients": ["i-a1"]}),
    ],
)
def test_the_workload_must_show_it(module: ModuleType, effect: dict[str, Any]) -> None:
    """No fault here does without an effect: what the instances, or their zone, must be seen to do."""
    assert resolve(module, {"zone": "a"}).effect == effect


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (cpu_stress, {"cpu": "0.5%"}),
        (cpu_stress, {"cpu": "50%"}),
        (cpu_stress, {"lease": "2h"}),
        (instance_stop, {"count": 0}),
        (memory_pressure, {"headroom": "4KiB"}),
        (memory_pressure, {"headroom": "2GiB"}),
        (memory_pressure, {"headroom": "4MB"}),
        (memory_pressure, {"path": "picture"}),
        (process_kill, {"lease": "1s"}),
        (process_kill, {"every": "1s"}),
    ],
)
def test_what_is_out_of_bounds_is_refused(module: ModuleType, arguments: dict[str, Any]) -> None:
    """Each argument has bounds, and an unknown one is an error."""
    with pytest.raises(ValidationError):
        module.Arguments.model_validate({"zone": "a", **arguments})
