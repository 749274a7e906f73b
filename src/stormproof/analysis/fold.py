"""Adding up over the parts of a run: once over the rows, in any order, on any number of threads or machines.

Each fold's states merge by an operation that is associative and commutative, so the answer does not depend on who read
which part. Memory is that of the states and of one batch a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

THREADS = 2


class Part(Protocol):
    """Where rows come from."""

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows with just *columns*, some at a time."""
        ...


class Fold(Protocol):
    """Something that is added up over rows. It may be sent to another process, and so may its states."""

    @property
    def columns(self) -> frozenset[str]:
        """What of a row it looks at."""
        ...

    def empty(self) -> Any:
        """The state before the first row."""
        ...

    def add(self, state: Any, batch: pa.RecordBatch) -> None:
        """Add the rows of *batch* to *state*."""
        ...

    def merge(self, state: Any, other: Any) -> None:
        """Add what *other* has seen to *state*."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SumFold:
    """A `Fold` of a function of a frame: what *count* makes of each batch, added up with ``+`` from *zero* on."""

    count: Callable[[pd.DataFrame], Any]
    columns: frozenset[str]
    zero: Any

    def empty(self) -> list[Any]:
        """The sum, in a list of its own."""
        return [self.zero]

    def add(self, state: list[Any], batch: pa.RecordBatch) -> None:
        """Count *batch*."""
        state[0] += self.count(batch.select(sorted(self.columns)).to_pandas())

    def merge(self, state: list[Any], other: list[Any]) -> None:
        """By addition."""
        state[0] += other[0]


FoldOver = Callable[[Sequence[Part], Sequence[Fold]], list[Any]]  # the states of the folds, in their order


def fold_here(parts: Sequence[Part], folds: Sequence[Fold], *, threads: int = THREADS) -> list[Any]:
    """The states of *folds* over all of *parts*, read by *threads* threads of this process."""
    with ThreadPoolExecutor(max_workers=threads) as pool:
        done = list(pool.map(lambda mine: fold_parts(mine, folds), [parts[i::threads] for i in range(threads)]))
    for others in done[1:]:
        merge_states(folds, done[0], others)
    return done[0]


def fold_parts(parts: Sequence[Part], folds: Sequence[Fold]) -> list[Any]:
    """The states of *folds* over *parts*, one after the other."""
    states = [one.empty() for one in folds]
    columns = sorted(frozenset().union(*(one.columns for one in folds)))
    for part in parts:
        for batch in part.batches(columns):
            for one, state in zip(folds, states, strict=True):
                one.add(state, batch)
    return states


def merge_states(folds: Sequence[Fold], states: Sequence[Any], others: Sequence[Any]) -> None:
    """Add *others* to *states*, fold by fold."""
    for one, state, other in zip(folds, states, others, strict=True):
        one.merge(state, other)
