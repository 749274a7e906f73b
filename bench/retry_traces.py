"""What the retry probe makes of recordings of real clients and of synthetic ones, and how it falls with fewer calls.

python bench/retry_traces.py                      # each trace: truth, answer, confidence; the score
python bench/retry_traces.py --calls 10 30 100    # the score with so many calls of each trace
python bench/retry_traces.py --synthetic 200      # random clients over the whole space, and calibration
python bench/retry_traces.py --merged 60         # two libraries in one trace, so many calls each: all pairs of kinds
python bench/retry_traces.py --parts 3           # random parts of each trace: is a label ever surer than in the whole?

The whole traces are a minute of one processor, each length another; pairs and parts are some minutes.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from stormprobes.retry_with_jitter import identify_retries
from support.retry_clients import Client, arrivals, random_client
from support.retry_traces import CONFIDENT, LABELS, WITHIN, Mark, marks, names, some_calls, trace, truth

KEYS = (*LABELS, "base_s", "multiplier", "cap_s")
RISE_SMALL = 0.05
MERGED_MAX = 0.6  # more says "one client", and is wrong
SYNTHETIC_CALLS = (5, 10, 30, 100, 300)


def score(calls: int | None, *, shown: bool) -> list[Mark]:
    """Every trace, or its first *calls* calls."""
    found: list[Mark] = []
    for name in names():
        rows = trace(name) if calls is None else some_calls(trace(name), calls)
        here = marks(name, identify_retries(rows))
        found += here
        if shown:
            cell = {m.key: _cell(m) for m in here}
            print(f"| {name} | {' | '.join(cell.get(key, '–') for key in KEYS)} |", flush=True)
    return found


def _cell(mark: Mark) -> str:
    """The answer and its confidence, and the truth where that is another."""
    return f"{mark.got}{'' if mark.is_right else f' (is {mark.expected})'} {mark.confidence:.2f}"


def parts(count: int) -> None:
    """Three labels of *count* random parts of each trace (20 to 80 % of its calls), held against those of the whole."""
    compared, rises = 0, []
    for name in names():
        rows = trace(name)
        calls = rows["op"].unique()
        whole = identify_retries(rows)
        for part in range(count):
            rng = np.random.default_rng([part, len(calls)])
            kept = rng.permutation(calls)[: max(1, int(len(calls) * rng.uniform(0.2, 0.8)))]
            reading = identify_retries(rows[rows["op"].isin(kept)])
            compared += len(LABELS)
            for key in LABELS:
                rise = reading["confidence"][key] - whole["confidence"][key]
                if rise > 0:
                    rises.append((name, rise))
                    print(
                        f"{name} {key}: {reading[key]} {reading['confidence'][key]} of {len(kept)} calls, "
                        f"{whole[key]} {whole['confidence'][key]} of {len(calls)}",
                        flush=True,
                    )
    much = {name for name, rise in rises if rise > RISE_SMALL}
    print(
        f"{compared} comparisons: surer in {len(rises)}, of {len({name for name, _ in rises})} traces; "
        f"by more than {RISE_SMALL} in {sum(rise > RISE_SMALL for _, rise in rises)}, of {', '.join(sorted(much))}"
    )


def summary(title: str, found: list[Mark]) -> None:
    """Shares right, and the confident ones."""
    cells = []
    for key in KEYS:
        of_key = [mark for mark in found if mark.key == key]
        cells.append(f"{sum(mark.is_right for mark in of_key)}/{len(of_key)}" if of_key else "–")
    right = [mark for mark in found if mark.is_right and mark.key in LABELS]
    sure = sum(mark.confidence >= CONFIDENT for mark in right) / max(1, len(right))
    wrong = [mark for mark in found if not mark.is_right and mark.confidence >= CONFIDENT]
    print(f"| {title} | {' | '.join(cells)} | {sure:.0%} | {len(wrong)} |", flush=True)
    for mark in wrong:
        print(f"  confident and wrong: {mark}")


def header(first: str) -> None:
    print(f"| {first} | {' | '.join(KEYS)} | right labels ≥ 0.9 | confident and wrong |")
    print("| --- " * (len(KEYS) + 3) + "|")


def synthetic(count: int, seed: int) -> dict[int, list[Mark]]:
    """Marks of *count* random clients, by the number of calls."""
    found: dict[int, list[Mark]] = {calls: [] for calls in SYNTHETIC_CALLS}
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        client = random_client(rng)
        calls = int(rng.choice(SYNTHETIC_CALLS))
        reading = identify_retries(arrivals(client, calls=calls, rng=rng))
        found[calls] += _client_marks(number, client, reading)
    return found


def _client_marks(number: int, client: Client, reading: dict[str, Any]) -> list[Mark]:
    waits = client.attempts - 1 - client.lead
    expected: dict[str, Any] = {"family": client.family, "jitter": client.jitter, "attempts_max": client.attempts}
    if client.family not in {"none", "immediate"}:
        expected["base_s"] = client.base_s
    if client.family == "exponential" and waits > 1:
        expected["multiplier"] = client.multiplier
    if reading["cap_s"] is not None or client.cap_s is not None:
        expected["cap_s"] = client.cap_s
    found = []
    for key, value in expected.items():
        got = reading[key]
        right = got == value
        if key not in LABELS and got is not None and value is not None:
            right = abs(got - value) <= WITHIN * value
        if key == "cap_s" and got is None:
            continue  # most caps of random clients are never reached
        right |= key == "family" and got == "other" and waits <= 1
        confidence = float(reading["confidence"][key])
        found.append(
            Mark(trace=f"#{number} {client}", key=key, expected=value, got=got, confidence=confidence, is_right=right)
        )
    return found


def kinds() -> dict[tuple[str, str], str]:
    """One trace for each family and jitter that the truth has a fair answer for."""
    found: dict[tuple[str, str], str] = {}
    for name in names():
        known = truth()[name]["truth"]
        if known["retries"] and not known.get("do_not_score") and known["retry_after"] != "honoured":
            found.setdefault((str(known["family"]), str(known["jitter"])), name)
    return found


def merged(calls: int) -> int:
    """Every pair of kinds of different families in one trace; how many were read as one client, nearly surely."""
    pairs = [(a, b) for a, b in itertools.combinations(sorted(kinds().items()), 2) if a[0][0] != b[0][0]]
    worst = 0.0
    wrong = 0
    for (kind, first), (other_kind, second) in pairs:
        other = some_calls(trace(second), calls)
        other = other.assign(op=other["op"] + "-b", client=other["client"] + "-b")
        reading = identify_retries(pd.concat([some_calls(trace(first), calls), other]))
        sure = max((reading["confidence"][key] for key in ("family", "jitter") if reading[key] != "other"), default=0.0)
        worst = max(worst, sure)
        if sure > MERGED_MAX:
            wrong += 1
            said = f"{reading['family']} {reading['confidence']['family']:.2f}"
            said += f", {reading['jitter']} {reading['confidence']['jitter']:.2f}"
            print(f"{first} ({', '.join(kind)}) + {second} ({', '.join(other_kind)}): {said}", flush=True)
    print(
        f"{len(pairs)} pairs of {len(kinds())} kinds, {calls} calls each: {wrong} above {MERGED_MAX}, at most {worst}"
    )
    return wrong


def calibration(found: list[Mark]) -> None:
    """Share right, by confidence."""
    print("\n| confidence | answers | right |\n| --- | --- | --- |")
    edges = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01)
    for low, high in itertools.pairwise(edges):
        here = [mark.is_right for mark in found if low <= mark.confidence < high]
        if here:
            print(f"| {low:.2f} – {min(high, 1):.2f} | {len(here)} | {sum(here) / len(here):.1%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, nargs="*", default=[])
    parser.add_argument("--synthetic", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--merged", type=int, metavar="CALLS")
    parser.add_argument("--parts", type=int, metavar="COUNT")
    options = parser.parse_args()
    if options.parts:
        parts(options.parts)
        return
    if options.merged:
        raise SystemExit(1 if merged(options.merged) else 0)
    if options.synthetic:
        by_calls = synthetic(options.synthetic, options.seed)
        header("calls")
        for calls, found in by_calls.items():
            summary(str(calls), found)
        calibration([mark for found in by_calls.values() for mark in found])
        return
    if options.calls:
        header("calls of each trace")
        for calls in options.calls:
            summary(str(calls), score(calls, shown=False))
        return
    print(f"| recording | {' | '.join(KEYS)} |")
    print("| --- " * (len(KEYS) + 1) + "|")
    whole = score(None, shown=True)
    print()
    header("calls of each trace")
    summary("all", whole)
    calibration(whole)


if __name__ == "__main__":
    main()
