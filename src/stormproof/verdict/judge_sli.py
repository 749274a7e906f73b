"""A claim about a CloudWatch metric: every period of its phase against the bound; without data nothing is decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stormproof.analysis.estimate import Estimate
from stormproof.model.hypothesis import Phase
from stormproof.verdict.judge_number import judge_number
from stormproof.verdict.reading import Answer, number_in, unknown

if TYPE_CHECKING:
    from stormproof.model.hypothesis import ReadingHypothesis

METHOD = "each period of the metric, closing probe"


def judge_sli(hypothesis: ReadingHypothesis, value: Mapping[str, Any]) -> Answer:
    """Held when every period of the phase satisfies the bound, refuted when none does.

    No data is no answer: a metric that is missing is inconclusive and not 0.
    """
    phase = str(hypothesis.phase or Phase.FAULT)
    of_name = value.get("slis", {}).get(hypothesis.dependency)
    if not isinstance(of_name, dict):
        return unknown(f"the probe read no SLI called {hypothesis.dependency}", n=0)
    row = of_name.get(phase)
    if not isinstance(row, dict):
        return unknown(f"the run had no {phase} phase", n=0)
    # A period without data is none that was seen: a metric that is missing altogether makes the run invalid.
    n = int(number_in(row, "periods") or 0) - int(number_in(row, "missing") or 0)
    mean, low, high = (number_in(row, key) for key in ("mean", "low", "high"))
    if mean is None or low is None or high is None:
        return unknown(str(row.get("reason") or "the probe gives no value and no reason"), n=n)
    return judge_number(
        hypothesis, Estimate(value=mean, low=low, high=high, n=n, method=METHOD), interval="periods between"
    )
