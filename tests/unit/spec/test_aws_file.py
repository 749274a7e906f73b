"""An environment file of kind `aws` is read strictly: a line, what was expected and what came for whatever is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stormproof.errors import SpecError, UsageError
from stormproof.spec.aws_file import looks_like_production
from stormproof.spec.environment_file import load_environment

EXAMPLE = Path(__file__).parents[3] / "experiments/environments/staging.example.yaml"


def _read(folder: Path, change: Callable[[dict[str, Any]], None]) -> Any:
    document = yaml.safe_load(EXAMPLE.read_text())
    change(document)
    (folder / "staging.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return load_environment(folder, "staging")


def test_the_shipped_example_is_read() -> None:
    """Names, ids and the order of parts."""
    file = load_environment(EXAMPLE.parent, "staging.example")
    assert file.cloud is not None

    assert file.cloud.account == "123456789012"
    assert file.cloud.zones["a"].az_id == "euc1-az2"
    assert file.cloud.az_loss_parts == ("databases", "scaling", "network", "instances")
    assert file.guardrails.confirm
    assert not file.cloud.endpoint_url


def test_parts_are_done_in_our_order_whatever_theirs(tmp_path: Path) -> None:
    """Undo depends on it."""
    file = _read(tmp_path, lambda document: document["az_loss"].update(parts=["instances", "scaling"]))

    assert file.cloud.az_loss_parts == ("scaling", "instances")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["aws"].update(account=123), r"staging.yaml:\d+: aws.account: expected"),
        (lambda d: d["aws"].pop("account"), "expected the key `account`"),
        (lambda d: d["aws"].update(regoin="x"), "did you mean `region`"),
        (lambda d: d["tags"].pop("chaos-ready"), 'tags: expected chaos-ready: "true" among the tags, got none'),
        (lambda d: d["tags"].update({"chaos-ready": "yes"}), "among the tags, got yes"),
        (lambda d: d["zones"]["a"].update(id="eu-central-1a"), r"zones.a.id: expected"),
        (lambda d: d["zones"]["a"].update(name="us-east-1a"), "zones.a.name: expected a zone of eu-central-1"),
        (lambda d: d["zones"]["a"].update(id="euc1-az3"), "zones: expected each AZ id once"),
        (
            lambda d: d["aws"].update(endpoint="https://example.com"),
            "aws.endpoint: expected an emulator on this machine",
        ),
        (lambda d: d["aws"].pop("role") and d["aws"].update(external_id="x"), "aws.external_id: expected a role"),
        (lambda d: d["aws"].update(role="arn:aws:iam::999999999999:role/x"), "an ARN of account 123456789012"),
        (lambda d: d["fis"]["launch_roles"].append("arn:aws:iam::999999999999:role/x"), "fis.launch_roles.1"),
        (lambda d: d.update(target_groups=[]) or d["instances"].update(address="none"), "expected target_groups"),
        (lambda d: d["slis"]["server-errors"].update(period=90), "slis.server-errors.period"),
        (lambda d: d["alarms"].update(guard=list("abcdef")), "alarms.guard"),
        (lambda d: d.update(auto_scaling_groups=["shop-prod"]), "auto_scaling_groups.0: expected no name that looks"),
        (lambda d: d.update(url="https://shop.prod.example.com"), "url: expected no name that looks like production"),
        (lambda d: d["proxy"].update(admin="http://10.0.0.1:9901"), "proxy.admin: expected"),
        (lambda d: d.pop("proxy"), "expected a section `proxy` that says where the side-car is, got none"),
        (
            lambda d: d["dependencies"]["cart"].pop("proxy"),
            "dependencies.cart: expected a way in which it can be broken",
        ),
        (lambda d: d["dependencies"]["cart"].pop("service"), "dependencies.cart: expected `service` or `upstream`"),
        (lambda d: d["dependencies"]["cart"]["proxy"].update(port=9101), "got 9101, which is that of recommendations"),
        (lambda d: d["dependencies"]["cart"]["proxy"].update(port=9901), "got 9901, which is that of proxy.admin"),
        (
            lambda d: d["dependencies"]["recommendations"].update(upstream="http://x/y"),
            "expected a URL without a path, got http://x/y",
        ),
        (
            lambda d: d["dependencies"]["recommendations"].update(upstream="http://api.prod.example.com"),
            "dependencies.recommendations.upstream: expected no name that looks like production",
        ),
        (
            lambda d: d["dependencies"]["ledger"].pop("address"),
            "expected `address` with `security_group`, `network_acl` or",
        ),
        (
            lambda d: d["dependencies"]["ledger"]["network_acl"].update(cidrs=["10.0.9.1/24"]),
            r"ledger.network_acl.cidrs.0: expected a network in CIDR notation \(10.0.9.1/24 has host bits set\)",
        ),
        (
            lambda d: d["dependencies"]["ledger"]["network_acl"].update(subnets=["vpc-01234567"]),
            "dependencies.ledger.network_acl.subnets.0: expected",
        ),
        (lambda d: d["parameters"].update(key="/shop/key"), r"parameters.key: expected a name with \{instance\} in it"),
        (lambda d: d["parameters"].update(release="/shop/{x}"), "parameters.release: expected the name of a parameter"),
        (lambda d: d["guardrails"].update(fautls=[]), "did you mean `faults`"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, change: Callable[[Any], None], says: str) -> None:
    """Before anybody is asked anything."""
    with pytest.raises(SpecError, match=says) as error:
        _read(tmp_path, change)
    assert ".yaml:" in error.value.where


def test_production_is_possible_when_the_file_says_so(tmp_path: Path) -> None:
    """In a change that somebody reviews."""

    def change(document: dict[str, Any]) -> None:
        document["aws"]["production"] = True
        document["auto_scaling_groups"] = ["shop-prod"]

    assert _read(tmp_path, change).cloud.production


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("shop-prod-eu", True), ("PROD", True), ("live.example.com", True), ("prd1", True), ("role/production-x", True),
     ("product-search", False), ("staging", False), ("delivery", False), ("alive", False), ("reproduction", False)],
)  # fmt: skip
def test_production_is_told_by_whole_words(name: str, is_one: bool) -> None:
    """A shop has products."""
    assert looks_like_production(name) is is_one


def test_the_lab_settings_are_not_for_aws(tmp_path: Path) -> None:
    """`--set lab.variant` would change nothing there."""
    (tmp_path / "staging.yaml").write_text(EXAMPLE.read_text())
    with pytest.raises(UsageError, match="is no lab"):
        load_environment(tmp_path, "staging", lab_overrides={"variant": "naive"})


def test_the_owner_says_how_a_control_group_is_routed(tmp_path: Path) -> None:
    """By header and zone; a zone of another file is an error, and nothing is routed unless said."""
    route = {"header": "x-shop-control", "zone": "c"}
    said = _read(tmp_path, lambda document: document.update(control=route)).cloud.control_route
    unsaid = _read(tmp_path, lambda document: None).cloud.control_route

    assert (said.header, said.zone) == ("x-shop-control", "c")
    assert unsaid is None
    with pytest.raises(SpecError, match=r"control.zone: expected a zone of this file"):
        _read(tmp_path, lambda document: document.update(control={**route, "zone": "z"}))
