"""The faults of a dependency's proxy, before anything is touched: what they accept, and what they are bound to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stormproof.errors import FaultError, InputError
from stormproof.faults import catalogue
from stormproof.faults.proxied import looks_needed
from stormproof.lab.envoy_egress import watched_files
from stormproof.lab.topology import Reservations, choose_topology, resolve
from stormproof.model.environment import Environment
from stormproof.record.atomic import write_json
from support.planning import make_environment

KINDS = (
    "dependency-bad-tls",
    "dependency-dns",
    "dependency-error",
    "dependency-latency",
    "dependency-refuse",
    "dependency-reset",
)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    """The lab's environment, its files as a lab would write them, and nothing running."""
    reservations = Reservations()
    topology = choose_topology("hardened", reservations)
    for path, document in watched_files(topology, tmp_path).items():
        write_json(path, document)
    yield resolve(topology, tmp_path)
    reservations.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_ledger_s_data_are_the_fault(kind: str, environment: Environment) -> None:
    """What is resolved survives JSON, and bound again it is the same fault with the same effect."""
    module = catalogue.module(kind)
    resolved = catalogue.resolve(kind, module.EXAMPLE, environment, fault_id=f"1-{kind}")
    target, configuration = json.loads(json.dumps([dict(resolved.target), dict(resolved.configuration)]))

    fault = catalogue.bind(kind, target, configuration)

    assert fault.what == resolved.what
    assert fault.effect == resolved.effect
    assert fault.effect["dependency"] == "recommendations"
    assert resolved.targets == ("recommendations",)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_dependency_is_an_error_with_the_known_ones(kind: str, environment: Environment) -> None:
    """With the line of the spec that says it."""
    arguments = {**catalogue.module(kind).EXAMPLE, "dependency": "recomendations"}

    with pytest.raises(InputError, match=r"e\.yaml:9") as caught:
        catalogue.resolve(kind, arguments, environment, fault_id="1", where="e.yaml:9")

    assert "recommendations, reviews" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_without_the_switch_is_an_error(kind: str) -> None:
    """An environment whose proxy cannot do it is told so, before anything is touched."""
    with pytest.raises(InputError, match=": none"):
        catalogue.resolve(kind, catalogue.module(kind).EXAMPLE, make_environment(), fault_id="1")


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        ("dependency-error", {"status": 200}, "greater than or equal to 400"),
        ("dependency-error", {"status": 600}, "less than or equal to 599"),
        ("dependency-error", {"status": 429}, "use `throttling`"),
        ("dependency-error", {"share": "5%"}, "greater than or equal to 0.1"),
        ("dependency-error", {"share": "33.3%"}, "whole percents"),
        ("dependency-latency", {"delay": "50ms"}, "greater than or equal to 0.1"),
        ("dependency-latency", {"delay": "31s"}, "less than or equal to 30"),
        ("dependency-latency", {"delay": "300ms", "jitter": "250ms"}, "at most the delay less 100 ms, got 250 ms"),
        ("dependency-latency", {"share": "10%"}, "greater than or equal to 0.2"),
        ("dependency-bad-tls", {"certificate": "revoked"}, "'expired', 'wrong-host' or 'self-signed'"),
        ("dependency-bad-tls", {"certificate": "valid"}, "'expired', 'wrong-host' or 'self-signed'"),
        ("dependency-refuse", {"share": "50%"}, "Extra inputs"),
    ],
)
def test_every_value_is_bounded(kind: str, arguments: dict[str, Any], says: str) -> None:
    """A value that could not be injected, or not be seen, is refused with the bound."""
    module = catalogue.module(kind)

    with pytest.raises(ValidationError, match=says):
        module.Arguments.model_validate({**module.EXAMPLE, **arguments})


@pytest.mark.parametrize(("share", "requests"), [(1.0, 1), (0.5, 10), (0.2, 31), (0.1, 66)])
def test_a_look_is_as_long_as_the_share_needs(share: float, requests: int) -> None:
    """Long enough to miss one in a thousand at most, and not a request longer."""
    assert looks_needed(share) == requests
    assert (1 - share) ** requests <= 0.001
    assert requests == 1 or (1 - share) ** (requests - 1) > 0.001


@pytest.mark.parametrize("kind", ["dependency-refuse", "dependency-reset", "dependency-latency"])
def test_a_file_goes_there_and_back(kind: str, environment: Environment) -> None:
    """Act changes the file, a second fault is refused, undo brings back every byte, and undoing again is harmless."""
    resolved = catalogue.resolve(kind, catalogue.module(kind).EXAMPLE, environment, fault_id="1")
    fault = catalogue.bind(kind, resolved.target, resolved.configuration)
    path = Path(resolved.target.get("listeners_path") or resolved.target["config_path"])
    before = path.read_bytes()
    prior = json.loads(json.dumps(fault.prior()))

    fault.act()
    assert path.read_bytes() != before
    with pytest.raises(FaultError):
        fault.prior()
    for _ in range(2):
        fault.revert(prior)
        assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["dependency-refuse", "dependency-reset", "dependency-latency"])
def test_what_somebody_else_changed_is_left_alone(kind: str, environment: Environment) -> None:
    """Undo finds neither its own file nor the one before, and says so instead of overwriting it."""
    resolved = catalogue.resolve(kind, catalogue.module(kind).EXAMPLE, environment, fault_id="1")
    fault = catalogue.bind(kind, resolved.target, resolved.configuration)
    path = Path(resolved.target.get("listeners_path") or resolved.target["config_path"])
    prior = fault.prior()
    fault.act()
    document = json.loads(path.read_bytes())
    theirs = {"name": "recommendations", "address": "theirs"}
    others = [one for one in document["resources"] if one["name"] != "recommendations"]
    write_json(path, {**document, "resources": [*others, theirs]})
    changed = path.read_bytes()

    with pytest.raises(FaultError, match="somebody else"):
        fault.revert(prior)

    assert path.read_bytes() == changed


def test_two_listeners_are_broken_and_mended_in_any_order(environment: Environment) -> None:
    """Two faults share one file: each undo takes back its own listener only, and in the end the file is the same."""
    bound = []
    for kind, dependency in (("dependency-refuse", "cart"), ("dependency-reset", "recommendations")):
        resolved = catalogue.resolve(kind, {"dependency": dependency}, environment, fault_id="1")
        bound.append(catalogue.bind(kind, resolved.target, resolved.configuration))
    path = Path(resolved.target["listeners_path"])
    before = path.read_bytes()
    priors = [fault.prior() for fault in bound]
    for fault in bound:
        fault.act()

    bound[0].revert(priors[0])
    names = [one["name"] for one in json.loads(path.read_bytes())["resources"]]
    assert "cart" in names
    assert path.read_bytes() != before
    bound[1].revert(priors[1])

    assert path.read_bytes() == before


def test_a_timeout_for_a_share_says_so_and_bounds_it(environment: Environment) -> None:
    """A share is in the plan, the proxy's value and the words; a whole one is as before; too small is refused."""

    def bound(share: str) -> Any:
        wanted = {"dependency": "recommendations", "delay": "3s", "share": share}
        resolved = catalogue.resolve("dependency-timeout", wanted, environment, fault_id="1")
        return resolved, catalogue.bind("dependency-timeout", resolved.target, resolved.configuration)

    resolved, fault = bound("30%")
    assert resolved.target["percent"] == 30
    assert fault.what == "hold 30 % of the requests to recommendations back for 3 s"
    assert "30" in fault._runtime.values.values()
    whole, _ = bound("100%")
    assert "percent" not in whole.target
    with pytest.raises(ValidationError, match="share"):
        bound("5%")
