"""A slow zone: how long processes must be held back for answers to be late by so much on average."""

import json

import pytest
from pydantic import ValidationError

from stormproof.faults import az_loss
from stormproof.faults.az_slow import LATENCY_MAX_S, LATENCY_MIN_S, SLOW_SHARE, AzSlow, cycle_of
from stormproof.faults.slowness import CALLS, SLOW_CALLS_MIN
from support.planning import make_environment

LATENCIES = pytest.mark.parametrize("latency_s", [LATENCY_MIN_S, 0.3, 0.5, LATENCY_MAX_S])


@LATENCIES
def test_requests_wait_for_the_latency_on_average(latency_s: float) -> None:
    """Over all instants at which a request may come: nothing while the process runs, else until it runs again."""
    stopped_s, running_s = cycle_of(latency_s)
    instants = [(number + 0.5) * (stopped_s + running_s) / 10_000 for number in range(10_000)]
    waits = [max(0.0, stopped_s - at) for at in instants]

    assert sum(waits) / len(waits) == pytest.approx(latency_s, rel=1e-3)
    assert max(waits) <= 2.5 * latency_s


@LATENCIES
def test_our_own_calls_cannot_miss_it(latency_s: float) -> None:
    """Wherever in the cycle the first of them falls, enough of the calls of a look meet the slow part."""
    stopped_s, running_s = cycle_of(latency_s)
    cycle_s = stopped_s + running_s
    for start in range(100):
        at = [(start / 100 + number / CALLS) * cycle_s % cycle_s for number in range(CALLS)]
        slow = sum(stopped_s - one >= SLOW_SHARE * latency_s for one in at)
        assert slow >= SLOW_CALLS_MIN


def test_the_latency_survives_the_ledger() -> None:
    """What is bound from the JSON of a resolved fault is as slow as was asked for."""
    arguments = az_loss.Arguments.model_validate({"zone": "a", "mode": "slow", "latency": "500ms"})
    fault = az_loss.resolve(arguments, make_environment(), fault_id="1")
    bound = az_loss.bind(json.loads(json.dumps(fault.target)), json.loads(json.dumps(fault.configuration)))

    assert isinstance(bound, AzSlow)
    assert (bound.latency_s, bound.lease_s) == (0.5, 600.0)
    assert fault.effect == {"kind": "zone-slowed", "zone": "a", "slow_ms": 250.0}
    assert fault.targets == ("i-a1", "i-a2")
    assert fault.undo.startswith("let the same processes go on")


@pytest.mark.parametrize(
    "arguments",
    [
        {"latency": "500ms"},
        {"mode": "network", "latency": "500ms"},
        {"mode": "power", "lease": "1m"},
        {"mode": "slow", "latency": "50ms"},
        {"mode": "slow", "latency": "3s"},
    ],
)
def test_a_latency_needs_a_slow_zone_and_bounds(arguments: dict[str, str]) -> None:
    """A dead zone has no latency; what our calls could not see, or would take too long to, is refused."""
    with pytest.raises(ValidationError):
        az_loss.Arguments.model_validate({"zone": "a", **arguments})
