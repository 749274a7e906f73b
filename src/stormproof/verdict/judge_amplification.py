"""A claim about retry amplification: arrivals per logical call, with the interval that the probe computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stormproof.analysis.estimate import Estimate
from stormproof.model.hypothesis import Phase
from stormproof.verdict.judge_number import judge_number
from stormproof.verdict.reading import Answer, number_in, unknown

if TYPE_CHECKING:
    from stormproof.model.hypothesis import ReadingHypothesis


def judge_amplification(hypothesis: ReadingHypothesis, of_dependency: Mapping[str, Any]) -> Answer:
    """Hold *hypothesis* against the amplification of its phase; without an interval nothing is decided."""
    phase = str(hypothesis.phase or Phase.FAULT)
    by_phase = of_dependency.get("amplification")
    row = by_phase.get(phase) if isinstance(by_phase, dict) else None
    if not isinstance(row, dict):
        return unknown(f"the probe has no amplification of the {phase} phase", n=0)
    n = int(number_in(row, "n_ops") or 0)
    estimate, low, high = (number_in(row, key) for key in ("estimate", "low", "high"))
    if estimate is None or low is None or high is None:
        said = f"{estimate:.3g}x, but " if estimate is not None else ""
        return unknown(f"{said}{row.get('reason') or 'the probe gives no interval and no reason'}", n=n)
    method = str(row.get("method") or "closing probe")
    return judge_number(
        hypothesis,
        Estimate(value=estimate, low=low, high=high, n=n, method=method),
        interval="95 % interval between",
    )
