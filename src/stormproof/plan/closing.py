"""Closing probes: which ones the hypotheses of an experiment need, and what reads them.

A spec names a probe, the plan turns the name into a module of `stormprobes`; neither package imports the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormproof.errors import HypothesisError
from stormproof.model.hypothesis import ReadingHypothesis
from stormproof.spec.reading_forms import SLI
from stormproof.spec.translate import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment

PACKAGE = "stormprobes"


def closing_probes(experiment: Experiment) -> Mapping[str, str]:
    """Name → module of every closing probe that a hypothesis needs, in the order of their first mention."""
    names = [one.probe for one in experiment.hypotheses if isinstance(one, ReadingHypothesis)]
    return {name: f"{PACKAGE}.{name}" for name in dict.fromkeys(names)}


def check_dependencies(experiment: Experiment, environment: Environment) -> None:
    """`HypothesisError` when a claim is about a dependency, or an SLI, that *environment* does not know or see."""
    seen = [name for name, one in environment.dependencies.items() if one.access_log]
    slis = [one.name for one in environment.cloud.slis] if environment.cloud else []
    for one in experiment.hypotheses:
        if not isinstance(one, ReadingHypothesis):
            continue
        if one.probe == SLI:
            if one.dependency not in slis:
                raise HypothesisError(
                    where=one.where,
                    what=f'"{one.text}"',
                    expected=f"an SLI of {environment.name!r}: {', '.join(slis) or 'none'}",
                    got=one.dependency or "none",
                    hint=nearest(one.dependency or "", slis) or "environments of kind aws name them, under `slis`",
                )
        elif one.dependency is not None and one.dependency not in seen:
            raise HypothesisError(
                where=one.where,
                what=f'"{one.text}"',
                expected=f"a dependency of {environment.name!r} whose calls are logged: {', '.join(seen) or 'none'}",
                got=one.dependency,
                hint=nearest(one.dependency, seen),
            )
