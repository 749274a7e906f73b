"""Every fault of the catalogue in the running lab: injected, felt, confirmed, undone, and undone after kill -9."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import FaultError
from stormproof.faults import activity, catalogue
from stormproof.faults.ledger import Ledger
from stormproof.plan.resolve import PARTS
from support import inject_child
from support.command import environment as clean_environment
from support.command import stormproof, variables, wait_for
from support.lab import RunningLab, until
from support.lab_state import differences, marked, snapshot

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

MARK = "CATALOGUE_TEST"
SEED = 20260722
NOT_FELT_AFTER_S = 1.5  # every fault here is felt sooner when it acts; the run's own five seconds prove no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One fault, bound to the shared lab, with a ledger of its own."""

    kind: str
    lab: RunningLab
    folder: Path
    target: dict[str, Any]
    configuration: dict[str, Any]
    mark: tuple[str, str]

    @property
    def fault_id(self) -> str:
        return f"1-{self.kind}"

    @property
    def parts(self) -> int:
        """How many entries in the ledger it makes."""
        return len(self.target.get(PARTS, [self]))

    @property
    def ledger(self) -> Ledger:
        return Ledger(Path(self.configuration["ledger_path"]))

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the fault's `inject`, with nothing in them that JSON would change."""
        return {"fault_id": self.fault_id, "noop": False, "target": self.target, "configuration": self.configuration}

    def state(self) -> dict[str, Any]:
        return snapshot(self.lab, mark=self.mark)

    def events(self) -> list[str]:
        path = Path(self.configuration["events_path"])
        return [json.loads(line)["event"] for line in path.read_text().splitlines()]

    def undo_elsewhere(self) -> None:
        """In another process, which has nothing but the ledger: what `stormproof undo` is."""
        done = stormproof("undo", self.ledger.path, **variables(self.lab.directory, self.folder))
        assert done.code == 0, done.out + done.err
        assert self.ledger.outstanding() == ()


def _cases() -> list[Any]:
    """Each kind with its EXAMPLE, and with those of its modes; a mode's name stands behind the kind's."""
    kinds = [kind for kind in sorted(catalogue.KINDS) if catalogue.LOCAL in catalogue.module(kind).ENVIRONMENTS]
    cases = [pytest.param((kind, None), id=kind) for kind in kinds]
    for kind in kinds:
        modes = getattr(catalogue.module(kind), "MODE_EXAMPLES", {})
        cases += [pytest.param((kind, mode), id=f"{kind}-{mode}") for mode in modes]
    return cases


@pytest.fixture(params=_cases())
def bench(
    request: pytest.FixtureRequest, lab: RunningLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """A fault and a lab that is whole; whatever the test leaves broken is healed for the next one."""
    kind, mode = request.param
    module = catalogue.module(kind)
    if not hasattr(module, "EXAMPLE"):
        pytest.fail(f"{module.__name__} has no EXAMPLE: the arguments with which this fault is tried in the lab")
    mark = (MARK, uuid.uuid4().hex)
    monkeypatch.setenv(*mark)
    example = module.MODE_EXAMPLES[mode] if mode else module.EXAMPLE
    resolved = catalogue.resolve(kind, example, lab.environment, fault_id=f"1-{kind}")
    paths = {"ledger_path": str(tmp_path / "ledger.jsonl"), "events_path": str(tmp_path / "events.jsonl")}
    one = Bench(
        kind=kind,
        lab=lab,
        folder=tmp_path,
        target=json.loads(json.dumps(dict(resolved.target))),
        configuration=json.loads(json.dumps({**resolved.configuration, **paths})),
        mark=mark,
    )
    assert (one.target, one.configuration) == (dict(resolved.target), {**resolved.configuration, **paths})
    lab.wait_until_whole()
    yield one
    activity.undo_outstanding(one.ledger, events_path=None, who="test")
    for process in marked(*mark):
        process.kill()


def assert_as_before(bench: Bench, before: dict[str, Any]) -> None:
    """Whole, as `lab status` says it, and no part of its state other than it was."""
    bench.lab.wait_until_whole()
    until(lambda: not differences(before, bench.state()), within_s=5, why=lambda: differences(before, bench.state()))


def test_inject_confirm_undo(bench: Bench) -> None:
    """Felt, confirmed, refused a second time while in force; undone, gone, and undone again without harm."""
    module, before = catalogue.module(bench.kind), bench.state()
    found = module.inject(**bench.arguments)

    assert found["felt"] is True, found
    assert module.confirm(target=bench.target, configuration=bench.configuration)["felt"] is True
    assert differences(before, bench.state()), "this fault changes nothing that `snapshot` reads: let it read more"
    fault = catalogue.bind(bench.kind, bench.target, bench.configuration)
    with pytest.raises(FaultError):
        fault.prior()

    entries = bench.ledger.outstanding()  # one, or one for each part, last broken first
    undone = [entry.fault_id for entry in entries]
    assert module.undo(fault_id=bench.fault_id, configuration=bench.configuration) == {"undone": undone}
    assert len(undone) == bench.parts
    assert module.confirm(target=bench.target, configuration=bench.configuration)["felt"] is False
    assert bench.events()[-1] == "fault.gone"
    assert module.undo(fault_id=bench.fault_id, configuration=bench.configuration) == {"undone": []}
    for entry in entries:  # as by a second undoer that read the ledger before the first one was done
        catalogue.bind(entry.kind, entry.target, entry.configuration).revert(entry.prior)
    assert_as_before(bench, before)


@pytest.mark.rota(1 / 3)
def test_a_fault_that_does_nothing_is_not_felt(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: everything but the act, and nobody feels anything."""
    monkeypatch.setattr(activity, "FELT_WITHIN_S", NOT_FELT_AFTER_S)
    module, before = catalogue.module(bench.kind), bench.state()
    found = module.inject(**{**bench.arguments, "noop": True})

    assert found["felt"] is False, found
    assert "fault.not_felt" in bench.events()
    module.undo(fault_id=bench.fault_id, configuration=bench.configuration)
    assert_as_before(bench, before)


@pytest.mark.rota(1 / 3, by="moment")
@pytest.mark.parametrize("moment", ["somewhere in the act", "felt"])
def test_injector_is_killed(bench: Bench, moment: str) -> None:
    """kill -9 of the process that injects, and another process puts back what the ledger says."""
    before = bench.state()
    child = subprocess.Popen(
        [sys.executable, inject_child.__file__, bench.kind, json.dumps(bench.arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment({}),
    )  # fmt: skip
    try:
        if moment == "felt":
            assert child.stdout is not None
            line = child.stdout.readline()
            assert line, child.communicate(timeout=10)[1]
            assert json.loads(line)["felt"] is True, line
        else:

            def intended() -> bool:
                assert child.poll() is None, child.communicate(timeout=10)
                return bool(bench.ledger.outstanding())

            wait_for("the intent in the ledger", intended, within_s=30, every_s=0.001)
            with pytest.raises(subprocess.TimeoutExpired):  # it goes on injecting until a random moment
                child.wait(random.Random(f"{SEED} {bench.kind}").uniform(0, 0.1))
    finally:
        child.kill()
        child.communicate(timeout=10)
    bench.undo_elsewhere()
    assert_as_before(bench, before)
