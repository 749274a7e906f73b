"""What the time plot draws: samples in buckets of whole seconds, never more of them than fit on a page."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd

    Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

BUCKETS_MAX = 300  # beyond this a bucket is narrower than three pixels, and the page grows for nothing
_WIDTHS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
ERROR_KINDS_MAX = 4  # more colours than that cannot be told apart; the rest is "other"
OTHER = "other"
# A quantile is drawn only where a bucket has requests enough to have one: 100 for p99, 20 for p95.
_TAILS = ((100, 0.99, "p99"), (20, 0.95, "p95"), (1, 1.0, "slowest"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One value a bucket, in the order of time; None where nothing is known. Rates are per second."""

    start_s: float  # Unix s, the left edge of the first bucket
    bucket_s: int
    offered_per_s: tuple[float | None, ...]
    answered_per_s: tuple[float, ...]
    failed_per_s: Mapping[str, tuple[float, ...]]  # kind of error → rate; the commonest kind first
    latency_ms_p50: tuple[float | None, ...]
    latency_ms_tail: tuple[float | None, ...]
    tail: str  # "p99", "p95" or "slowest": what the number of requests a bucket bears

    @property
    def end_s(self) -> float:
        """Unix s, the right edge of the last bucket."""
        return self.start_s + self.bucket_s * len(self.answered_per_s)


def bucket_width_s(span_s: float) -> int:
    """The least whole width, in seconds, that keeps *span_s* within `BUCKETS_MAX` buckets."""
    for width in _WIDTHS_S:
        if span_s <= width * BUCKETS_MAX:
            return width
    return math.ceil(span_s / BUCKETS_MAX)


def error_kinds(samples: pd.DataFrame) -> pd.Series:
    """Per failed request the word for what went wrong: the recorded error, else the status. Indexed as *samples*."""
    from stormproof.analysis.table_counts import error_kind

    failed = samples.loc[~samples["ok"].astype(bool), ["error", "status"]]
    return error_kind(failed)


def tabulate(samples: pd.DataFrame, offered: Sequence[tuple[float, float]]) -> Series | None:
    """Put *samples* (record/samples columns) and *offered* ((Unix second, requests) pairs) into buckets.

    A request counts in the bucket in which it was *scheduled*, as everywhere in the analysis. None without data.
    """
    import numpy as np

    offered = [(second, requests) for second, requests in offered if math.isfinite(second)]
    at = samples["scheduled_at"].to_numpy(dtype="float64")
    keep = np.isfinite(at)
    samples, at = samples.loc[keep], at[keep]
    edges = [*([at.min(), at.max()] if len(at) else []), *(second for second, _ in offered)]
    if not edges:
        return None
    start_s = math.floor(min(edges))
    width = bucket_width_s(max(edges) - start_s + 1)
    size = int((max(edges) - start_s) // width) + 1
    index = ((at - start_s) // width).astype(int)

    extent = (float(at.min(initial=np.inf)), float(at.max(initial=-np.inf)), len(at))
    covered = covered_s(extent, [second for second, _ in offered], start_s, width, size)
    offered_per_s: list[float | None] = [None] * size
    for second, requests in offered:
        slot = int((second - start_s) // width)
        offered_per_s[slot] = (offered_per_s[slot] or 0.0) + requests / float(covered[slot])
    failed = _failed(samples, index, covered)
    answered = np.bincount(index[samples["status"].to_numpy() != 0], minlength=size) / covered
    medians, tails, tail = _latency(samples["latency_ms"].to_numpy(dtype="float64"), index, size)
    return Series(
        start_s=float(start_s),
        bucket_s=width,
        offered_per_s=tuple(offered_per_s),
        answered_per_s=tuple(answered.tolist()),
        failed_per_s=failed,
        latency_ms_p50=medians,
        latency_ms_tail=tails,
        tail=tail,
    )


def covered_s(
    extent: tuple[float, float, int], seconds: Sequence[float], start_s: float, width: int, size: int
) -> Floats:
    """How much of each bucket the load covered: a load that ends in mid-second did not fall to half its rate there.

    *extent* is the first and the last scheduled time, and of how many requests.
    At least a tenth of a bucket, or a handful of requests at the edge would be drawn as a spike.
    """
    import numpy as np

    first, last, n = extent
    gap_s = (last - first) / (n - 1) if n > 1 else 0.0
    begin, end = first, last + gap_s
    if seconds and (not n or min(seconds) < math.floor(first)):
        begin = min(seconds)
    if seconds and (not n or max(seconds) > last):
        end = max(seconds) + 1
    if size == 1:
        return np.full(1, float(width))
    left = start_s + width * np.arange(size)
    covered: Floats = np.minimum(left + width, end) - np.maximum(left, begin)
    return np.clip(covered, 0.1 * width, width)


def _failed(samples: pd.DataFrame, index: object, covered_s: Floats) -> dict[str, tuple[float, ...]]:
    import numpy as np
    import pandas as pd

    kinds = error_kinds(samples)
    if kinds.empty:
        return {}
    slots = pd.Series(np.asarray(index), index=samples.index).loc[kinds.index]
    # equal counts are ordered by name, so that the same data always gives the same page
    counts = sorted(kinds.value_counts().items(), key=lambda pair: (-int(pair[1]), str(pair[0])))
    named = [str(kind) for kind, _ in counts]
    if len(named) > ERROR_KINDS_MAX:
        named = named[: ERROR_KINDS_MAX - 1]
        kinds = kinds.where(kinds.isin(named), OTHER)
        named.append(OTHER)
    size = len(covered_s)
    counts_of = {kind: np.bincount(slots[kinds == kind].to_numpy(), minlength=size) for kind in named}
    return {kind: tuple((counted / covered_s).tolist()) for kind, counted in counts_of.items()}


def tail_of(counts: Sequence[int]) -> tuple[int, float, str]:
    """Which tail buckets of so many requests bear: the requests that it takes, its quantile, its name."""
    busy = [count for count in counts if count]
    typical = statistics.median(busy) if busy else 0.0
    return next((row for row in _TAILS if typical >= row[0]), _TAILS[-1])


def _latency(
    latency_ms: object, index: object, size: int
) -> tuple[tuple[float | None, ...], tuple[float | None, ...], str]:
    import numpy as np

    values, slots = np.asarray(latency_ms), np.asarray(index)
    keep = np.isfinite(values)
    values, slots = values[keep], slots[keep]
    counts = np.bincount(slots, minlength=size)
    enough, quantile, tail = tail_of(counts.tolist())
    medians: list[float | None] = [None] * size
    tails: list[float | None] = [None] * size
    order = np.argsort(slots, kind="stable")
    for slot, chunk in enumerate(np.split(values[order], np.cumsum(counts)[:-1])):
        if len(chunk):
            medians[slot] = float(np.quantile(chunk, 0.5, method="inverted_cdf"))
            # a little slack, or a rate of just 100/s would flicker between a p99 and none
            if len(chunk) >= 0.9 * enough:
                tails[slot] = float(np.quantile(chunk, quantile, method="inverted_cdf"))
    return tuple(medians), tuple(tails), tail
