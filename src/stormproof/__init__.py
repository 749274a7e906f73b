"""Stormproof: hypothesis-driven resilience experiments with a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["__version__", "judge", "tables"]

__version__ = "0.1.0"


def judge(
    samples: pd.DataFrame | Path, windows: Mapping[str, tuple[float, float]], hypotheses: Sequence[str]
) -> pd.DataFrame:
    """Hold *hypotheses* against *samples*; one row a hypothesis.

    *samples* has the columns of `docs/reference/samples.md`, times in Unix seconds, or is a folder of Parquet parts
    with them (more than two million rows are counted part by part, latencies then to a thousandth); *windows* maps a
    phase to its (start, end) in Unix seconds. The answer has the columns claim, verdict, estimate, low, high, n and
    reason, in the order of *hypotheses*; low and high are the 95 % two-sided interval in the metric's own unit (a share
    between 0 and 1, ms, s, or the ratio where the claim is relative to steady). Several claims share one chance of a
    false `refuted` (docs/adr/0020).
    Raises `HypothesisError` for a text that is not in the language, `InputError` for what is not as said above.
    """
    from stormproof.verdict.judge import judge as judge_

    return judge_(samples, windows, hypotheses)


def tables(run: Path) -> dict[str, pd.DataFrame]:
    """The tables of the report of the run directory *run*, by name; `docs/reference/tables.md` has their columns.

    ``findings``, ``checks``, ``faults``, ``workers``, ``events`` and ``readings`` are always there; ``endpoints``,
    ``zones``, ``seconds``, ``failures`` and ``worst`` where there are samples. Latencies in ms, times in Unix seconds.
    More than two million samples are counted part by part: latencies are then known to a thousandth.
    Raises `RunDirectoryError` for what is no run directory, or has no verdict yet.
    """
    from stormproof.record.layout import RunDirectory
    from stormproof.report.frames import frames

    return frames(RunDirectory(run))
