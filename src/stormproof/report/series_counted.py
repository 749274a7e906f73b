"""The time series of a run whose samples do not fit in memory, from `analysis.table_counts`: as `series.tabulate`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stormproof.report.series import ERROR_KINDS_MAX, OTHER, Series, bucket_width_s, covered_s, tail_of

if TYPE_CHECKING:
    from stormproof.analysis.table_counts import TableCounts


def tabulate_counted(counts: TableCounts, offered: Sequence[tuple[float, float]]) -> Series | None:
    """Put *counts* and *offered* ((Unix second, requests) pairs) into buckets. None without data."""
    import numpy as np

    from stormproof.analysis.table_counts import longest, quantile_of, stretches

    offered = [(second, requests) for second, requests in offered if math.isfinite(second)]
    first, last = counts.first_s, counts.last_s
    edges = [*([first, last] if math.isfinite(first) else []), *(second for second, _ in offered)]
    if not edges:
        return None
    start_s = math.floor(min(edges))
    width = bucket_width_s(max(edges) - start_s + 1)
    size = int((max(edges) - start_s) // width) + 1
    covered = covered_s((first, last, counts.rows), [second for second, _ in offered], start_s, width, size)
    offered_per_s: list[float | None] = [None] * size
    for second, requests in offered:
        slot = int((second - start_s) // width)
        offered_per_s[slot] = (offered_per_s[slot] or 0.0) + requests / float(covered[slot])
    answered = np.zeros(size)
    for at, count in counts.answered.items():
        answered[(at - start_s) // width] += count
    rows = list(stretches(counts.seconds, start_s, width, size))
    known = [int(latencies.sum()) for *_, latencies in rows]
    enough, quantile, tail = tail_of(known)
    # A little slack, or a rate of just 100/s would flicker between a p99 and none.
    tails = [
        None if n < 0.9 * enough or not n else longest(one) if quantile == 1 else quantile_of(one, quantile)
        for n, (*_, one) in zip(known, rows, strict=True)
    ]
    return Series(
        start_s=float(start_s),
        bucket_s=width,
        offered_per_s=tuple(offered_per_s),
        answered_per_s=tuple((answered / covered).tolist()),
        failed_per_s=_failed(counts, start_s, width, covered.tolist()),
        latency_ms_p50=tuple(quantile_of(one, 0.5) if n else None for n, (*_, one) in zip(known, rows, strict=True)),
        latency_ms_tail=tuple(tails),
        tail=tail,
    )


def _failed(counts: TableCounts, start_s: int, width: int, covered: Sequence[float]) -> dict[str, tuple[float, ...]]:
    total: Counter[str] = Counter()
    for (kind, _), count in counts.kinds.items():
        total[kind] += count
    named = sorted(total, key=lambda kind: (-total[kind], kind))
    if len(named) > ERROR_KINDS_MAX:
        named = [*named[: ERROR_KINDS_MAX - 1], OTHER]
    sums = {kind: [0] * len(covered) for kind in named}
    for (kind, at), count in counts.kinds.items():
        sums[kind if kind in sums else OTHER][(at - start_s) // width] += count
    return {
        kind: tuple(count / seconds for count, seconds in zip(column, covered, strict=True))
        for kind, column in sums.items()
    }
