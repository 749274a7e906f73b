"""The folds of a run on dask.distributed: the same parts, the same states, the same answer to the last count.

Each worker must have this version of Stormproof and see the parts under the same names: a shared folder, or S3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from stormproof.analysis.fold import THREADS, Fold, FoldOver, Part, fold_parts, merge_states
from stormproof.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 10.0
TASKS_A_THREAD = 4  # more than one, so that a slow part keeps one worker busy and not all of them waiting


@contextmanager
def fold_on_cluster(address: str | None = None, *, workers: int = THREADS) -> Iterator[FoldOver]:
    """Who adds up on the scheduler at *address*; without one, on *workers* processes of this machine, on loopback.

    Raises `UsageError` when dask.distributed is not installed, `UnavailableError` when the scheduler does not answer.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise UsageError(
            "--cluster: expected dask.distributed, got no such package", hint="pip install 'stormproof[cluster]'"
        ) from error
    with ExitStack() as stack:
        if address is None:
            scheduler: Any = stack.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                )
            )
        else:
            scheduler = address
        try:
            client = stack.enter_context(Client(scheduler, timeout=CONNECT_S))
        except (OSError, TimeoutError, ValueError) as error:
            raise UnavailableError(
                f"--scheduler {address}: expected a dask scheduler, got {error or type(error).__name__}",
                hint="tcp://host:8786, where `dask scheduler` runs",
            ) from error
        yield lambda parts, folds: _fold(client, parts, folds)


def _fold(client: Client, parts: Sequence[Part], folds: Sequence[Fold]) -> list[Any]:
    from distributed import KilledWorker

    threads = max(1, sum(client.nthreads().values()))
    tasks = max(1, min(len(parts), threads * TASKS_A_THREAD))
    states = [client.submit(fold_parts, parts[i::tasks], folds, pure=False) for i in range(tasks)]
    while len(states) > 1:
        pairs = [states[i : i + 2] for i in range(0, len(states), 2)]
        states = [client.submit(_merged, folds, *pair, pure=False) for pair in pairs]
    try:
        found: list[Any] = states[0].result()
    except (ImportError, KilledWorker) as error:
        raise UnavailableError(
            f"the cluster failed: expected every worker to count its parts, got {type(error).__name__}: {error}",
            hint="each worker needs this version of stormproof[cluster], and about 1 GiB a thread",
        ) from error
    return found


def _merged(folds: Sequence[Fold], *each: list[Any]) -> list[Any]:
    """The states of *each* together, in new ones: what another task made may be asked for again."""
    together = [one.empty() for one in folds]
    for states in each:
        merge_states(folds, together, states)
    return together
