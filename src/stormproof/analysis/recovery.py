"""Time to recover: from the fault's onset until requests succeed again, and go on succeeding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from stormproof.analysis.estimate import Estimate, no_estimate

if TYPE_CHECKING:
    import numpy.typing as npt

    from stormproof.analysis.window import Window

METHOD = "one-second buckets, one recovery (n = 1)"
BUCKET_S = 1.0
BAD_SHARE = 0.01  # a bucket with a larger share of failed requests is bad
CLEAR_P = 0.001  # a bad bucket is clear when 1 % failing would bring that many failures less often than this
BUCKETS_MAX = 1_000_000  # eleven days; a longer window has an end that is not a time of this run
LASTING_S = 5.0  # this long without a bad bucket is a lasting good stretch


def time_to_recover(requests: Window, *, bad_share: float = BAD_SHARE, onset_slack_s: float = 0.0) -> Estimate:
    """Seconds from the start of *requests* (the onset) to the end of the last bad bucket before lasting good.

    Buckets of one second by scheduled time, from the onset to the end of load. A bucket is *bad* when more than
    *bad_share* of its requests failed, *clear* when that cannot well be chance. Recovery is the first stretch of
    `LASTING_S` seconds with requests and without a bad bucket that no clear bucket follows: a stray failure later
    on is not a relapse, a second of outage is. Never bad: 0, interval [0, 1 s].

    The interval runs from the start of the last clear bucket to the end of the first good one. *onset_slack_s* is
    how much later than the onset the fault may have begun (between two canary calls); it lowers the lower end.
    """
    if requests.n == 0:
        return no_estimate("no requests after the onset", method=METHOD)
    buckets = math.floor(requests.duration_s / BUCKET_S + 1e-6)
    lasting = round(LASTING_S / BUCKET_S)
    if buckets > BUCKETS_MAX:
        return no_estimate(f"a window of {requests.duration_s:.3g} s is not that of a run", n=1, method=METHOD)
    if buckets < lasting:
        return no_estimate(
            f"only {requests.duration_s:.1f} s were seen after the onset; a lasting good stretch takes "
            f"{LASTING_S:.0f} s",
            n=1,
            method=METHOD,
        )
    counts, failed = requests.seconds(buckets)
    bad = failed > bad_share * counts
    clear = bad & (special.bdtrc(failed - 1, counts, bad_share) <= CLEAR_P)
    last_clear = int(np.flatnonzero(clear)[-1]) if clear.any() else -1
    low_s = max(0.0, max(last_clear, 0) * BUCKET_S - onset_slack_s)
    recovered = _first_lasting(~bad & (counts > 0), start=last_clear + 1, lasting=lasting)
    if recovered is None:
        reason = f"not recovered when load ended, {requests.duration_s:.1f} s after the onset"
        return Estimate(value=None, low=low_s, high=math.inf, n=1, method=METHOD, reason=reason)
    before = np.flatnonzero(bad[:recovered])
    value_s = (int(before[-1]) + 1) * BUCKET_S if before.size else 0.0
    strays = int(np.count_nonzero(bad[recovered:]))
    note = f"{strays} later seconds had single failures, no more than chance would bring" if strays else ""
    high_s = (recovered + 1) * BUCKET_S
    return Estimate(value=value_s, low=min(low_s, value_s), high=high_s, n=1, method=METHOD, note=note)


def _first_lasting(good: npt.NDArray[np.bool_], *, start: int, lasting: int) -> int | None:
    """The first index from *start* on at which *lasting* good buckets in a row begin."""
    run = 0
    for index in range(start, len(good)):
        run = run + 1 if good[index] else 0
        if run == lasting:
            return index - lasting + 1
    return None
