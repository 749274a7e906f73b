"""Compiled plans and their descriptions, compared with files: the diff of an output is the best review of a change.

`STORMPROOF_UPDATE_GOLDEN=1 python -m pytest tests/golden/test_plan.py` writes them anew.
"""

import os
from pathlib import Path

import pytest

from stormproof.faults.catalogue import argument_models
from stormproof.plan.compile import compile_experiment
from stormproof.plan.describe import describe, describe_text
from stormproof.plan.resolve import resolve_faults
from stormproof.record.atomic import dump_json
from stormproof.spec.loader import load_experiment
from support.planning import make_environment

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "plan"


def _compare(name: str, actual: bytes) -> None:
    path = GOLDEN / name
    if os.environ.get("STORMPROOF_UPDATE_GOLDEN"):
        path.write_bytes(actual)
    assert actual.decode() == path.read_text()


@pytest.mark.parametrize("slug", ["az-loss", "dependency-timeout", "throttling"])
def test_a_shipped_experiment_compiles_to_its_golden_plan(slug: str) -> None:
    """Both what the player would play and what `stormproof plan` would print."""
    experiment = load_experiment(ROOT / "experiments" / slug, catalogue=argument_models(), variables={})
    environment = make_environment()
    resolved = resolve_faults(experiment, environment)

    compiled = compile_experiment(experiment, resolved, noop=False, seed=1, base_url=environment.base_url)

    _compare(f"{slug}.json", dump_json(compiled))
    _compare(f"{slug}.txt", f"{describe_text(describe(experiment, resolved, environment))}\n".encode())


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.*")), ids=lambda path: path.name)
def test_golden_plans_are_free_of_the_machine(path: Path) -> None:
    """No clock and no folder of whoever wrote them."""
    assert str(ROOT) not in path.read_text()
    assert "/home/" not in path.read_text()
