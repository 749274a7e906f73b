"""How clients retry, read off the arrivals at a dependency: back-off, jitter, attempts, amplification, synchrony.

`identify_retries` takes a frame of arrivals; `retry_with_jitter` takes a file, for Chaos Toolkit and the command
line. Neither decides anything. Reading (every key is always there):

| key | what |
| --- | --- |
| retries, attempts_max | does the client try again; tries of one call at most, the first included |
| family | none, immediate, fixed, linear, quadratic, fibonacci, exponential, or other: it cannot be told |
| base_s, multiplier, increment_s, cap_s | of the family, before jitter; None where it has none or it does not show |
| jitter | none, full, equal, decorrelated, additive, proportional, or other |
| honours_retry_after, budget, breaker | True, False (it would have shown), None (not exercised, or it cannot be told) |
| amplification, amplification_peak | arrivals per logical call; in the busiest second, over calls a second |
| synchrony | 0: retries of independent clients; 1: all in the same instant |
| confidence | 0 … 1 for each of these |
| candidates | what else explains the waits, with weights that sum to 1 |
| n_ops, n_retries, n_arrivals | logical calls, retries, arrivals that were read |
| attempts_is_lower_bound | nothing shows that the client would stop at attempts_max |
| detail | lead, jitter_param, cap_order, deadline_s, outcomes, link, dropped and notes: see the guide |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stormprobes.retries import unlinked
from stormprobes.retries.arrivals import Arrivals, clean
from stormprobes.retries.attempts import Attempts, read_attempts, retried_outcomes
from stormprobes.retries.backoff import UNKNOWN, Backoff, read_backoff
from stormprobes.retries.budget import read_breaker, read_budget
from stormprobes.retries.confidence import ceiling, rounded
from stormprobes.retries.linking import link
from stormprobes.retries.population import Population, population_of
from stormprobes.retries.retry_after import Obedience, obedience
from stormprobes.retries.traffic import read_traffic
from stormprobes.retries.waits import Waits, measure

if TYPE_CHECKING:
    import pandas as pd

    from stormprobes.retries.calls import Calls

__all__ = ["identify_retries", "retry_with_jitter"]

BAD_INPUT = 65
TWO_RULES = 0.88
MIXED = 0.45  # no confidence of a mixture of clients is above this


def retry_with_jitter(path: str, format: str | None = None, dependency: str | None = None) -> dict[str, Any]:  # noqa: A002 - as on the command line
    """The reading of the arrivals in the file *path*: CSV, Parquet, or an access log; see `stormprobes.retries.source`.

    Raises `ValueError` for a file that is not what *format* says, or has no arrivals, and `OSError` for one that is
    not there: a probe that cannot see does not say "fine".
    """
    from stormprobes.retries.source import read_arrivals

    arrivals, used = read_arrivals(path, format, dependency)
    source = {"path": str(path), "format": used, "lines_skipped": int(arrivals.attrs.get("lines_skipped", 0))}
    return identify_retries(arrivals) | {"source": source}


def identify_retries(arrivals: pd.DataFrame) -> dict[str, Any]:
    """The reading of *arrivals*, with columns client, op, attempt, t_start_s, t_end_s, outcome[, retry_after_s].

    Only t_start_s is required; the less there is, the less is told. Raises `ValueError` for a frame that has no
    rows, lacks t_start_s, or has times that are none.
    """
    rows = clean(arrivals)
    calls = link(rows)
    budget, breaker = read_budget(calls), read_breaker(calls)
    waits = measure(calls)
    obeys = obedience(waits)
    population = population_of(
        calls, waits, changes=bool(budget.there or breaker.there), obeys=obeys.honoured is not False
    )
    backoff = _backoff(calls, waits, obeys) if calls.trust > 0 else UNKNOWN
    attempts = read_attempts(calls, until_s=budget.since_s, waits_are_exact=backoff.is_exact)
    if backoff.last_is_cut:
        attempts = _cut_short(attempts, calls)
    if breaker.there:  # calls end because it opens
        attempts = _bounded(attempts)
    reading = _client(calls, attempts, backoff, obeys, population)
    reading |= {"budget": None if breaker.there else budget.there, "breaker": breaker.there}
    reading["confidence"] |= {
        "budget": 0.0 if breaker.there else budget.confidence,
        "breaker": breaker.confidence,
    }
    _add_traffic(reading, rows, calls)
    reading["detail"] |= {
        "budget_since_s": budget.since_s,
        "breaker_probe_every_s": breaker.every_s,
        "link": calls.method,
        "dropped": rows.dropped,
        "outcomes": {str(k): int(v) for k, v in sorted(rows.frame["outcome"].value_counts().items())},
        "notes": list(population.notes),
    }
    most = ceiling(calls.count)  # whatever the data look like: fewer calls allow less
    reading["confidence"] = {name: rounded(min(most, value)) for name, value in reading["confidence"].items()}
    return reading


def _backoff(calls: Calls, waits: Waits, obeys: Obedience) -> Backoff:
    """Of the waits that the client chose itself: those after an obeyed Retry-After are the server's."""
    import numpy as np

    own = waits
    if obeys.honoured or (obeys.honoured is None and np.any(waits.retry_after_s > 0)):
        own = waits.where(~(waits.retry_after_s > 0))
    alike = _largest_alike(own)
    # Other waits after another outcome: one client with two rules, or two clients in one log. Never quite sure, then.
    trust = calls.trust * (1.0 if len(alike) == len(own) else TWO_RULES)
    own = alike
    tries = calls.table.loc[calls.table["last_failed"], "tries"]
    if len(tries) >= 8 and tries.max() - tries.min() >= 2 and tries.quantile(0.02) >= 5:
        # Different numbers of tries, none of them few: a deadline ended the calls, and chose or cut the last waits.
        own = own.where(own.nth <= int(tries.quantile(0.02)) - 3)
    return read_backoff(own, trust=trust)


def _largest_alike(waits: Waits) -> Waits:
    """Waits after outcomes that the client treats alike; after the commonest outcome, if it does not."""
    import numpy as np
    from scipy.stats import ks_2samp

    names, counts = np.unique(waits.outcome.astype(str), return_counts=True)
    if len(names) < 2:
        return waits
    main = names[int(np.argmax(counts))]
    keep = waits.outcome == main
    for name in names[names != main]:
        other = waits.outcome == name
        differs = False
        for nth in np.unique(waits.nth[other]):
            a, b = waits.wait_s[keep & (waits.nth == nth)], waits.wait_s[other & (waits.nth == nth)]
            if len(a) >= 8 and len(b) >= 8:
                found = ks_2samp(a, b)
                differs |= bool(found.statistic > 0.4 and found.pvalue < 1e-5)
        if not differs:
            keep = keep | other
    return waits.where(keep)


def _client(
    calls: Calls, attempts: Attempts, backoff: Backoff, obeys: Obedience, population: Population
) -> dict[str, Any]:
    """What is said of the client itself."""
    rows = calls.rows
    failures = int(rows["failed"].sum())
    retries = int((rows["nth"] > 1).sum())
    does = retries > 0
    tried = ceiling(retries) if does else ceiling(int(calls.table["last_failed"].sum()))
    sure = {"retries": tried * calls.trust, "attempts_max": attempts.confidence, **_zeros(), **backoff.confidence}
    family, jitter = backoff.family, backoff.jitter
    if not does:
        told = calls.trust > 0 and failures > 0
        family, jitter = ("none", "none") if told else ("other", "other")
        sure |= {"family": tried if told else 0.0, "jitter": tried if told else 0.0}
        sure["attempts_max"] = attempts.confidence if told else 0.0
    elif obeys.honoured and family == "other" and obeys.jitter in {"additive", "proportional"}:
        jitter = obeys.jitter  # the header's wait is jittered; that the client's own is too is likely, and not seen
        sure["jitter"] = 0.6 * tried
    sure["honours_retry_after"] = obeys.confidence * ceiling(int((rows["retry_after_s"] > 0).sum())) * calls.trust
    limit = MIXED if population.is_mixed else 1.0
    return {
        "retries": does,
        "attempts_max": int(attempts.most),
        "family": family,
        "base_s": _tidy(backoff.base_s) if does else None,
        "multiplier": _tidy(backoff.multiplier),
        "cap_s": _tidy(backoff.cap_s),
        "increment_s": _tidy(backoff.increment_s),
        "jitter": jitter,
        "honours_retry_after": obeys.honoured,
        "confidence": {name: min(limit, value) for name, value in sure.items()},
        "candidates": list(backoff.candidates),
        "n_ops": calls.count,
        "n_retries": retries,
        "n_arrivals": len(rows),
        "attempts_is_lower_bound": bool(attempts.is_lower_bound),
        "detail": {
            **backoff.detail,
            "deadline_s": attempts.deadline_s,
            "retry_after_form": obeys.form,
            "retried_outcomes": retried_outcomes(calls),
        },
    }


def _zeros() -> dict[str, float]:
    return dict.fromkeys(("family", "jitter", "base_s", "multiplier", "cap_s", "increment_s"), 0.0)


def _tidy(value: float | None) -> float | None:
    """To four digits: more would be the noise's."""
    return None if value is None else float(f"{value:.4g}")


def _add_traffic(reading: dict[str, Any], rows: Arrivals, calls: Calls) -> None:
    traffic = read_traffic(calls)
    reading["amplification_peak"] = round(traffic.amplification_peak, 4)
    reading["detail"]["arrivals_peak_per_s"] = traffic.arrivals_peak_per_s
    reading["detail"]["wave_share_max"] = round(traffic.wave_share_max, 4)
    if calls.method == "none":
        amplification, sure, method = unlinked.amplification(rows.frame)
        reading |= {"amplification": round(amplification, 4), "amplification_peak": None}
        reading["synchrony"] = round(unlinked.synchrony(rows.frame), 4)
        reading["detail"]["amplification_method"] = method
        reading["confidence"] |= {"amplification": sure, "synchrony": 0.3 * ceiling(len(rows.frame))}
        return
    reading |= {"amplification": round(traffic.amplification, 4), "synchrony": round(traffic.synchrony, 4)}
    reading["detail"]["amplification_method"] = "calls"
    reading["confidence"] |= {
        "amplification": ceiling(calls.count) * calls.trust,
        "synchrony": ceiling(traffic.retries) * calls.trust if traffic.retries else 0.0,
    }


def _cut_short(attempts: Attempts, calls: Calls) -> Attempts:
    """Last waits that are cut show a deadline, whatever the number of tries says."""
    ended = calls.table[calls.table["last_failed"]]
    return Attempts(
        most=attempts.most,
        confidence=min(attempts.confidence, 0.6),
        is_lower_bound=True,
        deadline_s=round(float((ended["end_s"] - ended["start_s"]).median()), 2),
        gave_up=attempts.gave_up,
    )


def _bounded(attempts: Attempts) -> Attempts:
    return Attempts(
        most=attempts.most,
        confidence=min(attempts.confidence, 0.3),
        is_lower_bound=True,
        deadline_s=attempts.deadline_s,
        gave_up=attempts.gave_up,
    )


def main(arguments: list[str] | None = None) -> int:
    """``python -m stormprobes.retry_with_jitter FILE``: the reading as JSON; 65 and one line for a file that is none.

    With ``--run RUN_DIR`` it is that of a run of Stormproof, a reading a dependency, as ``{"probe", "value"}``.
    """
    import argparse
    import json
    import sys

    parser = argparse.ArgumentParser(prog="python -m stormprobes.retry_with_jitter", description="How clients retry.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", nargs="?")
    source.add_argument("--run", metavar="RUN_DIR")
    parser.add_argument("--format", default=None)
    parser.add_argument("--dependency", default=None)
    options = parser.parse_args(arguments)
    if options.run is not None:
        from stormprobes._retries_of_run import print_reading

        return print_reading(options.run, options.dependency)
    try:
        reading = retry_with_jitter(options.file, options.format, options.dependency)
    except OSError as error:
        sys.stderr.write(f"{options.file}: expected a file to read, got: {error.strerror or error}\n")
        return BAD_INPUT
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    sys.stdout.write(json.dumps(reading, allow_nan=False) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
