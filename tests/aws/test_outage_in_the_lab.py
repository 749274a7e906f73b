"""An environment file that points at the lab's control plane: what the account says happens there to real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stormproof.faults import activity, catalogue
from stormproof.faults.ledger import Ledger
from stormproof.lab.snapshot import differences, snapshot
from stormproof.spec.environment_file import load_environment
from stormproof.staging.environment import discover
from support.lab import RunningLab
from support.lab_account import lab_account

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@pytest.fixture
def file(lab: RunningLab, tmp_path: Path) -> Iterator[Path]:
    """The lab described as an account."""
    lab.wait_until_whole()
    with lab_account(lab, tmp_path / "staging.yaml") as path:
        yield path


def test_a_lost_zone_is_dead_and_comes_back(lab: RunningLab, file: Path, tmp_path: Path) -> None:
    """Its processes do not answer, everybody else's do; after the undo the lab is what it was."""
    cloud = load_environment(file.parent, "staging").cloud
    assert cloud is not None
    environment = discover("staging", cloud)
    before = snapshot(lab.environment)
    fault = catalogue.resolve("az-loss", {"zone": "a"}, environment, fault_id="1-az-loss")
    assert list(fault.target["losses"]) == ["network", "instances"]
    where: dict[str, Any] = {
        **fault.configuration, "ledger_path": str(tmp_path / "l"), "events_path": str(tmp_path / "e"),
    }  # fmt: skip
    bound = catalogue.bind(fault.kind, fault.target, where)
    try:
        felt = activity.inject(
            bound, fault_id=fault.fault_id, kind=fault.kind, noop=False, target=fault.target, configuration=where
        )
        others = catalogue.resolve("az-loss", {"zone": "b"}, environment, fault_id="2-az-loss")
        elsewhere = activity.confirm(catalogue.bind(others.kind, others.target, others.configuration))
    finally:
        undone = activity.undo_outstanding(Ledger(tmp_path / "l"), events_path=None, who="test")

    assert felt["felt"], felt
    assert "answered" not in felt["evidence"]["called_directly"].values()
    assert elsewhere["seen"] == "whole"
    assert [row["undone"] for row in undone] == [True], undone
    lab.wait_until_whole()
    assert differences(before, snapshot(lab.environment)) == []
