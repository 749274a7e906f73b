"""The two populations of a run with a control group by header: whom the fault may reach, and whom it may not.

Samples of such a run have a column more, `control`. A claim is about those that the fault may reach; the others are
there to be compared with, and would only dilute it (docs/adr/0069).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.analysis.measure import Observations
from stormproof.record.samples import CONTROL

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from stormproof.analysis.fold import Fold, FoldOver, Part
    from stormproof.analysis.measure import Windows
    from stormproof.analysis.requests import Bools


def in_control(samples: pd.DataFrame) -> Bools | None:
    """Which of *samples* are the control group's; None where there is no such group."""
    if CONTROL not in samples.columns:
        return None
    return samples[CONTROL].to_numpy(dtype=bool, na_value=False)


def exposed(samples: pd.DataFrame) -> pd.DataFrame:
    """The requests that the fault may reach; all, where there is no control group by header."""
    marked = in_control(samples)
    return samples if marked is None else samples[~marked]


def observed(samples: pd.DataFrame, windows: Windows, **known: Any) -> Observations:
    """*samples* as what claims are held against, the control group apart; *known* are further fields."""
    marked = in_control(samples)
    if marked is None:
        return Observations(samples=samples, windows=windows, **known)
    beside = Observations(samples=samples[marked], windows=windows)
    return Observations(samples=samples[~marked], windows=windows, control=beside, **known)


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationFold:
    """A `fold.Fold` over the rows of one population: those with *control* as it is here."""

    fold: Fold
    control: bool

    @property
    def columns(self) -> frozenset[str]:
        """The fold's own, and who is in which population."""
        return self.fold.columns | {CONTROL}

    def empty(self) -> Any:
        """As the fold's own."""
        return self.fold.empty()

    def add(self, state: Any, batch: pa.RecordBatch) -> None:
        """The population's rows of *batch*."""
        marked = batch.column(CONTROL).to_numpy(zero_copy_only=False).astype(bool, copy=False)
        self.fold.add(state, batch.take(np.flatnonzero(marked == self.control)))

    def merge(self, state: Any, other: Any) -> None:
        """As the fold's own."""
        self.fold.merge(state, other)


def over_exposed(fold_over: FoldOver) -> FoldOver:
    """*fold_over*, over the rows that the fault may reach."""

    def fold_over_them(parts: Sequence[Part], folds: Sequence[Fold]) -> list[Any]:
        return fold_over(parts, [PopulationFold(fold=one, control=False) for one in folds])

    return fold_over_them
