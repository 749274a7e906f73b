"""The guardrails of an environment file: read strictly, and out of reach of specs and `--set`."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from stormproof.errors import SpecError, UsageError
from stormproof.model.guardrails import Guardrails
from stormproof.spec.environment_file import load_environment
from stormproof.spec.loader import load_experiment
from stormproof.spec.override import split_overrides

FULL = """\
name: local
kind: lab
guardrails:
  faults: [az-loss, throttling]
  accounts: ["123456789012"]
  regions: [us-east-1]
  tags: {chaos-ready: "true"}
  change_windows:
    - {days: [mon, tue], from: "22:00", to: "04:00", zone: Europe/Berlin}
  kill_switch: stop-chaos
  confirm: required
  max_duration: 5m
  max_targets: 2
"""

SPEC = """\
title: The shop keeps selling
load: {locustfile: load.py, arrivals: 9/s}
timeline: {steady: 5s, fault: 5s, recovery: 5s}
faults: [az-loss: {zone: a}]
hypotheses: [availability >= 99%]
"""


def guardrails(folder: Path, text: str) -> Guardrails:
    """What the file *text* allows."""
    (folder / "local.yaml").write_text(text)
    return load_environment(folder, "local").guardrails


def test_every_key_is_read(tmp_path: Path) -> None:
    """With its unit, its zone, and a kill switch that does not depend on where the command is typed."""
    found = guardrails(tmp_path, FULL)

    assert found.faults == ("az-loss", "throttling")
    assert (found.accounts, found.regions, found.tags) == (("123456789012",), ("us-east-1",), {"chaos-ready": "true"})
    assert (found.confirm, found.duration_s_max, found.targets_max) == (True, 300.0, 2)
    assert found.kill_switch == str(tmp_path.resolve() / "stop-chaos")
    (window,) = found.change_windows
    assert (window.days, window.zone) == (frozenset({0, 1}), ZoneInfo("Europe/Berlin"))
    assert found.where.endswith("local.yaml")


def test_without_guardrails_nothing_is_restricted(tmp_path: Path) -> None:
    """And an empty list restricts everything: the two are not the same."""
    assert guardrails(tmp_path, "name: local\nkind: lab\n") == Guardrails(where=str(tmp_path / "local.yaml"))
    assert guardrails(tmp_path, "name: local\nkind: lab\nguardrails: {faults: []}\n").faults == ()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("fault: [az-loss]", "did you mean `faults`"),
        ("accounts: [123456789012]", "text"),
        ("accounts: ['1234']", "pattern"),
        ("max_duration: 300", "without a unit"),
        ("max_targets: 0", "greater than or equal to 1"),
        ("confirm: yes", "'required'"),
        ("tags: {chaos-ready: true}", "text"),
        ("change_windows: []", "never allow a run"),
        ("change_windows: [{days: [mon], from: '9:00', to: '17:00', zone: UTC}]", "pattern"),
        ("change_windows: [{days: [monday], from: '09:00', to: '17:00', zone: UTC}]", "'mon'"),
        ("change_windows: [{days: [mon], from: '09:00', to: '09:00', zone: UTC}]", "another time"),
        ("change_windows: [{days: [mon], from: '09:00', to: '17:00', zone: Europe/Berlinn}]", "Europe/Berlin`?"),
        ("change_windows: [{days: [mon], from: '09:00', to: '17:00', zone: /etc/passwd}]", "IANA"),
        ("kill_switch: http://example.com/stop", "an https:// URL"),
        ("kill_switch: https://user:word@example.com/stop", "without credentials"),
        ("kill_switch: ftp://127.0.0.1/stop", "an https:// URL"),
    ],
)
def test_a_guardrail_that_is_misspelt_is_an_error(tmp_path: Path, line: str, says: str) -> None:
    """A guardrail that is not understood must never be one that is not there."""
    with pytest.raises(SpecError) as caught:
        guardrails(tmp_path, f"name: local\nkind: lab\nguardrails:\n  {line}\n")

    assert says in str(caught.value)
    assert "local.yaml:" in str(caught.value)


@pytest.mark.parametrize(
    "crafted",
    [
        "guardrails: {faults: [az-loss]}",
        "kill_switch: none",
        "confirm: not-required",
        "account: '999999999999'",
        "region: eu-west-1",
        "limits: {guardrails: {max_targets: 100}}",
        "environment: {guardrails: {}}",
    ],
)
def test_a_spec_cannot_bring_guardrails_of_its_own(tmp_path: Path, crafted: str) -> None:
    """They are no keys of a spec; where it could be one's intention, the error says where they belong."""
    (tmp_path / "load.py").touch()
    (tmp_path / "experiment.yaml").write_text(f"{SPEC}{crafted}\n")

    with pytest.raises(SpecError, match="expected a known key") as caught:
        load_experiment(tmp_path, variables={})

    if not crafted.startswith(("limits", "environment")):
        assert "belongs to the environment's file" in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "guardrails.faults",
        "lab.guardrails",
        "lab.guardrails.max_targets",
        "Guardrails.confirm",
        "faults.0.guardrails",
        "account",
        "tags.chaos-ready",
        "lab.kill_switch",
        "lab.name",
    ],
)
def test_set_cannot_loosen_guardrails(tmp_path: Path, path: str) -> None:
    """Neither through the spec, nor through the settings of the lab."""
    (tmp_path / "local.yaml").write_text(FULL)
    (tmp_path / "load.py").touch()
    (tmp_path / "experiment.yaml").write_text(SPEC)

    def run() -> None:
        overrides = split_overrides([f"{path}=x"])
        load_experiment(tmp_path, overrides=overrides.spec, variables={})
        load_environment(tmp_path, "local", lab_overrides=overrides.lab)

    with pytest.raises((UsageError, SpecError)):
        run()
