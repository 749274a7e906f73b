"""The calibration's counts as tables, and which of them miss their goal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from calibration_run import ABSOLUTE, RELATIVE, Cell
from calibration_world import NONE

COVERAGE_MIN = 0.93
ON_THE_BOUND_MAX = 0.05
FAMILY_MAX = 0.025
WIDTH_MAX = 1.3
JUDGED_MIN = 0.5  # of the runs of a cell; fewer have an interval: reported, not counted


def report(tables: Mapping[str, Mapping[Cell, Counter[str]]]) -> str:
    """Everything that was gathered, as Markdown."""
    parts = []
    if tables.get("coverage"):
        parts += [coverage_table(tables["coverage"]), misses(tables["coverage"])]
    if tables.get("comparison"):
        parts.append(comparison_table(tables["comparison"]))
    return "\n\n".join(parts)


def coverage_table(found: Mapping[Cell, Counter[str]]) -> str:
    """One row a world and claim: the worst and the mean cell."""
    lines = [
        "| world | claim | cells | runs | coverage: mean (worst) | held / refuted at the truth | width / independent |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for world in dict.fromkeys(cell.world.name for cell in found):
        cells = [(cell, counts) for cell, counts in found.items() if cell.world.name == world]
        rows = [_claim_row(name, [counts for _, counts in cells]) for name in (*ABSOLUTE, *RELATIVE)]
        lines += [f"| {world} | {row}" for row in rows if row]
        shares = [counts["family|refuted"] / counts["runs"] for _, counts in cells]
        runs = sum(counts["runs"] for _, counts in cells)
        lines.append(
            f"| {world} | any of 6 refuted, all true | {len(cells)} | {runs:,} |  | "
            f"mean {_mean(shares):.3f}, worst {max(shares):.3f} |  |"
        )
    return "\n".join(lines)


def _claim_row(name: str, cells: list[Counter[str]]) -> str:
    judged = [one for one in cells if one[f"{name}|judged"] >= JUDGED_MIN * one["runs"]]
    if not judged:
        return ""
    coverage = [one[f"{name}|covered"] / one[f"{name}|judged"] for one in judged]
    held, refuted = (
        max(one[f"{name}|{what}"] / one[f"{name}|judged"] for one in judged) for what in ("held", "refuted")
    )
    widths = [one[f"{name}|width"] / one[f"{name}|widths"] for one in judged if one[f"{name}|widths"]]
    width = f"{_mean(widths):.2f} ({max(widths):.2f})" if widths else ""
    runs = sum(one[f"{name}|judged"] for one in judged)
    return (
        f"{name} | {len(judged)} of {len(cells)} | {runs:,} | {_mean(coverage):.3f} ({min(coverage):.3f}) | "
        f"{held:.3f} / {refuted:.3f} | {width} |"
    )


def misses(found: Mapping[Cell, Counter[str]]) -> str:
    """Every cell and claim beyond its goal by more than the chance of so many runs would bring."""
    lines = []
    for cell, counts in found.items():
        runs = counts["runs"]
        for name in (*ABSOLUTE, *RELATIVE):
            judged = counts[f"{name}|judged"]
            if judged < JUDGED_MIN * runs:
                continue
            covered, held, refuted = (counts[f"{name}|{what}"] / judged for what in ("covered", "held", "refuted"))
            if covered < COVERAGE_MIN or max(held, refuted) > ON_THE_BOUND_MAX:
                lines.append(
                    f"- {cell.key}: {name}: covers {covered:.3f}, held {held:.3f}, refuted {refuted:.3f} ({runs})"
                )
            widths = counts[f"{name}|widths"]
            width = counts[f"{name}|width"] / widths if widths else 0.0
            if name.startswith("availability") and cell.world.name in {"independent", "sparse"} and width > WIDTH_MAX:
                lines.append(f"- {cell.key}: {name}: {width:.2f} times as wide as of independent requests")
        if counts["family|refuted"] / runs > FAMILY_MAX:
            lines.append(
                f"- {cell.key}: any of 6 true claims refuted in {counts['family|refuted'] / runs:.3f} ({runs})"
            )
    return "Beyond the goal:\n\n" + ("\n".join(lines) or "none")


def comparison_table(found: Mapping[Cell, Counter[str]]) -> str:
    """One row a planted effect: who raises an alarm in which share of the runs, by world."""
    worlds = list(dict.fromkeys(cell.world.name for cell in found))
    lines = [
        "| planted | " + " | ".join(f"{world}: ours / Kayenta" for world in worlds) + " |",
        "| --- |" + " --- |" * len(worlds),
    ]
    for effect in dict.fromkeys(cell.effect for cell in found):
        row = {cell.world.name: counts for cell, counts in found.items() if cell.effect == effect}
        parts = []
        if effect == NONE:
            parts.append("nothing (false alarms)")
        if effect.latency != 1:
            parts.append(f"latency × {effect.latency:g}")
        if effect.failed:
            parts.append(f"{effect.failed:.1%} fail")
        if effect.outage_s:
            parts.append(f"outage of {effect.outage_s:g} s")
        cells = [
            f"{row[w]['ours'] / row[w]['runs']:.3f} / {row[w]['kayenta'] / row[w]['runs']:.3f}" if w in row else ""
            for w in worlds
        ]
        lines.append(f"| {', '.join(parts)} | " + " | ".join(cells) + " |")
    runs = min(counts["runs"] for counts in found.values())
    return "\n".join(lines) + f"\n\n{runs:,} runs or more a cell."


def _mean(values: Iterable[float]) -> float:
    every = list(values)
    return sum(every) / len(every)
