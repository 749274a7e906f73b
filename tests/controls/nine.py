"""The controls: an experiment on the hardened lab, on the naive one, and with a fault that does nothing.

Nine of them are tests; `make controls` plays those of every shipped experiment, at full length. Held, refuted,
invalid: a framework that never says no has not been tested.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.command import ROOT, Done, stormproof

EXPERIMENTS = ("az-loss", "dependency-timeout", "throttling")
SHIPPED = tuple(sorted(path.parent.name for path in (ROOT / "experiments").glob("*/experiment.yaml")))
BESIDE_CONTROL = "beside-control"  # a control group by header; no experiment of its own is shipped with one
CONTROLS = {
    "hardened": ("held", 0, ("lab.variant=hardened",)),
    "naive": ("refuted", 1, ("lab.variant=naive",)),
    "no-op": ("invalid", 3, ("lab.variant=hardened", "fault.noop=true")),
}

# Short enough for CI, long enough for every claim to be decided (see each experiment's notes.md).
SHORT = ("timeline.steady=8s", "timeline.fault=10s", "timeline.recovery=8s")
# Enough to refute a claim, and to see that a fault was not met; not for every claim to hold.
SHORTER = ("timeline.steady=4s", "timeline.fault=6s", "timeline.recovery=3s")


def folder_of(experiment: str) -> Path:
    """Where its spec is."""
    return Path(__file__).parent / experiment if experiment == BESIDE_CONTROL else ROOT / "experiments" / experiment


def short(experiment: str) -> tuple[str, ...]:
    """The short timeline of *experiment*; one with steps has its own lengths, and no fault phase to shorten."""
    spec = (folder_of(experiment) / "experiment.yaml").read_text()
    return tuple(one for one in SHORT if "steps:" not in spec.splitlines() or not one.startswith("timeline.fault"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One of the nine, and what it must come to."""

    experiment: str
    name: str
    verdict: str
    code: int
    settings: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{self.experiment}-{self.name}"


def controls_of(experiments: Sequence[str]) -> tuple[Control, ...]:
    """Three controls for each of *experiments*."""
    return tuple(
        Control(experiment=experiment, name=name, verdict=verdict, code=code, settings=settings)
        for experiment, (name, (verdict, code, settings)) in itertools.product(experiments, CONTROLS.items())
    )


NINE = controls_of(EXPERIMENTS)


def run_control(
    control: Control, *, out: Path, more: tuple[str, ...] = (), **extra: str
) -> tuple[Done, dict[str, Any]]:
    """Play one control as a user would; the finished command and its JSON document."""
    settings = [argument for setting in (*control.settings, *more) for argument in ("--set", setting)]
    done = stormproof(
        "run", folder_of(control.experiment), "--env", "local", "--json", "--out", out, *settings,
        timeout_s=400, **extra,
    )  # fmt: skip
    return done, done.document if done.out else {}
