"""Closing probes: which ones the hypotheses of an experiment need, and what reads them.

A spec names a probe, the plan turns the name into a module of `stormprobes`; neither package imports the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormproof.model.hypothesis import ReadingHypothesis

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stormproof.model.experiment import Experiment

PACKAGE = "stormprobes"


def closing_probes(experiment: Experiment) -> Mapping[str, str]:
    """Name → module of every closing probe that a hypothesis needs, in the order of their first mention."""
    names = [one.probe for one in experiment.hypotheses if isinstance(one, ReadingHypothesis)]
    return {name: f"{PACKAGE}.{name}" for name in dict.fromkeys(names)}
