"""Watching a balancer and, past it, its targets for some seconds: the history of a health check without a run."""

from __future__ import annotations

import itertools
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stormprobes._history import REQUEST_COLUMNS, Fault, History, Settings
from stormprobes._run_record import opinions_of

if TYPE_CHECKING:
    import pandas as pd

SECONDS_MAX = 3600.0
LOOK_TIMEOUT_S = 1.0
DIRECT_EVERY_S = 0.05


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it is the target's own answer, and may name a host that nobody asked us to call."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Nowhere."""


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One direct request at a target."""

    target: str
    sent_at: float
    done_at: float
    status: int  # 0: no answer

    @property
    def ok(self) -> bool:
        """Whether a balancer would take the answer for health: 2xx, as Envoy's and elbv2's defaults have it."""
        return 200 <= self.status < 300


@dataclass(slots=True)
class _Notes:
    rows: list[dict[str, Any]] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)


def watch(
    read: Callable[[], Mapping[str, Any]],
    *,
    seconds: float,
    every_s: float,
    target_urls: Mapping[str, str],
    settings: Settings | None,
) -> History:
    """Call *read* (the balancer's opinion) every *every_s*, and each of *target_urls*, for *seconds*.

    The first call of *read* may raise: a balancer that cannot be asked is no reading. Later failures are gaps.
    """
    if not 0 < seconds <= SECONDS_MAX:
        raise ValueError(f"expected between 0 and {SECONDS_MAX:g} seconds, got {seconds:g}")
    notes, stop = _Notes(), threading.Event()
    notes.rows.append({"probe": "target_health", "wall_s": time.time(), "reading": read()})
    threads = [threading.Thread(target=_ask, args=(read, every_s, notes, stop), daemon=True)]
    threads += [
        threading.Thread(target=_look, args=(target, url, notes, stop), daemon=True)
        for target, url in target_urls.items()
    ]
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join(timeout=2 * LOOK_TIMEOUT_S)
    looks = sorted(notes.looks, key=lambda look: look.sent_at)
    return History(
        opinions=opinions_of(notes.rows),
        requests=requests_of(looks) if target_urls else None,
        faults=faults_from(looks),
        settings=settings,
        groups={target: (target,) for target in target_urls},
    )


def _ask(read: Callable[[], Mapping[str, Any]], every_s: float, notes: _Notes, stop: threading.Event) -> None:
    while not stop.wait(every_s):
        row: dict[str, Any] = {"probe": "target_health", "wall_s": time.time()}
        try:
            row["reading"] = read()
        except (OSError, ValueError, KeyError) as error:
            row["error"] = f"{type(error).__name__}: {error}"
        notes.rows.append(row)


def _look(target: str, url: str, notes: _Notes, stop: threading.Event) -> None:
    while not stop.is_set():
        notes.looks.append(look_at(target, url, timeout_s=LOOK_TIMEOUT_S))
        stop.wait(DIRECT_EVERY_S)


def look_at(target: str, url: str, *, timeout_s: float) -> Look:
    """Ask *url* once. An answer is an answer, whatever its status."""
    sent_at, status = time.time(), 0
    try:
        with _OPENER.open(url, timeout=timeout_s) as answer:
            status = int(answer.status)
    except urllib.error.HTTPError as error:
        status = int(error.code)
        error.close()
    except (OSError, ValueError):  # refused, reset, timed out, or no HTTP
        status = 0
    return Look(target=target, sent_at=sent_at, done_at=time.time(), status=status)


def requests_of(looks: Sequence[Look]) -> pd.DataFrame:
    """Direct looks in the shape of requests."""
    import pandas as pd

    rows = [(look.sent_at, look.done_at, look.target, look.ok, look.status) for look in looks]
    return pd.DataFrame(rows, columns=list(REQUEST_COLUMNS))


def faults_from(looks: Sequence[Look]) -> tuple[Fault, ...]:
    """A fault for each stretch in which a target failed every direct look, from whole to whole.

    What was broken when the watch began has no onset, and is left out.
    """
    found = []
    for target in sorted({look.target for look in looks}):
        theirs = [look for look in looks if look.target == target]
        stretches = [(ok, list(of)) for ok, of in itertools.groupby(theirs, key=lambda look: look.ok)]
        for number, (ok, broken) in enumerate(stretches):
            if ok or number == 0:
                continue
            after = stretches[number + 1][1][0] if number + 1 < len(stretches) else None
            found.append(
                Fault(
                    fault_id=f"{target}-{number // 2 + 1}",
                    onset_low_s=stretches[number - 1][1][-1].sent_at,
                    onset_high_s=broken[0].done_at,
                    end_low_s=broken[-1].sent_at if after else None,
                    end_high_s=after.done_at if after else None,
                    targets=(target,),
                    silences=True,
                )
            )
    return tuple(sorted(found, key=lambda fault: fault.onset_low_s))
