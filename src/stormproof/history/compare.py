"""Two runs, finding by finding: what differs, by how much at least, and whether they may be compared at all."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormproof.analysis.difference import difference
from stormproof.analysis.estimate import Estimate
from stormproof.errors import InputError, StormproofError
from stormproof.history.entry import CONDITIONS, FindingEntry, RunEntry, entry_of
from stormproof.history.measure import FAULT, GENERATOR, LOAD
from stormproof.history.series import COUNTS
from stormproof.model.hypothesis import Hypothesis
from stormproof.model.verdict import Outcome
from stormproof.record.layout import RunDirectory
from stormproof.report.notation import quantity
from stormproof.spec.document import read_document

if TYPE_CHECKING:
    from stormproof.analysis.measure import Observations

LOAD_MAX = 0.05  # of the requests a second; more is another load, and another experiment
MEASURE_MIN = 0.05  # of a fault's strength, or the generator's strain: less is not worth a line
DECIDED = {Outcome.HELD, Outcome.REFUTED}
BURSTS = "of these two windows only: what failed came in bursts, and says little of how another run would differ"


class Conclusion(enum.StrEnum):
    """What became of one comparison."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no difference seen"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedFinding:
    """One claim in both runs; numbers in *unit*, the difference is the second run's minus the first's."""

    claim: str
    conclusion: Conclusion
    before: FindingEntry | None
    after: FindingEntry | None
    difference: float | None
    low: float | None
    high: float | None
    unit: str
    method: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both runs, why they are not comparable (empty: they are), what else differs, and every claim of either."""

    before: RunEntry
    after: RunEntry
    obstacles: tuple[str, ...]
    notes: tuple[str, ...]
    findings: tuple[ComparedFinding, ...]


def compare(before: Path, after: Path) -> Comparison:
    """Hold the run in *after* against the one in *before*. Raises `RunDirectoryError` for what is no judged run."""
    first, second = entry_of(before), entry_of(after)
    obstacles = _obstacles(first, second, RunDirectory(before), RunDirectory(after))
    seen = (_observations(before), _observations(after)) if not obstacles else (None, None)
    claims = dict.fromkeys(one.claim for one in (*first.findings, *second.findings))
    return Comparison(
        before=first,
        after=second,
        obstacles=tuple(obstacles),
        notes=tuple(_notes(first, second)),
        findings=tuple(_compared(claim, (first, second), seen, comparable=not obstacles) for claim in claims),
    )


def _obstacles(first: RunEntry, second: RunEntry, before: RunDirectory, after: RunDirectory) -> list[str]:
    found = []
    if first.slug != second.slug:
        found.append(f"another experiment: {first.slug} and {second.slug}")
    if first.simulated != second.simulated:
        found.append("one of them is simulated: the lab says nothing about a real environment")
    if first.conditions != second.conditions:
        parts = [name for name in CONDITIONS if _asked(before).get(name) != _asked(after).get(name)]
        found.append(f"another spec: {', '.join(parts) or 'what is run'} differ{'s' if len(parts) == 1 else ''}")
    found += [
        f"the {place} run is {run.verdict}: it did not test its claims"
        for place, run in (("first", first), ("second", second))
        if run.verdict not in COUNTS
    ]
    sent = [_measure(run, LOAD) for run in (first, second)]
    if sent[0] and sent[1] and abs(sent[1] / sent[0] - 1) > LOAD_MAX:
        found.append(
            f"another load: {quantity(sent[0], '/s')} and {quantity(sent[1], '/s')} were sent in the fault phase"
        )
    return found


def _asked(folder: RunDirectory) -> dict[str, Any]:
    try:
        found: dict[str, Any] = read_document(folder.spec).value
    except (InputError, OSError):
        return {}
    return found


def _measure(run: RunEntry, kind: str) -> float | None:
    return next((one.value for one in run.measures if one.kind == kind), None)


def _notes(first: RunEntry, second: RunEntry) -> list[str]:
    """What else differs, and may be the reason."""
    found = [
        f"{name}: {one or 'not known'} and {other or 'not known'}"
        for name, one, other in (
            ("workload version", first.workload_version, second.workload_version),
            ("topology", first.topology_digest, second.topology_digest),
            ("environment", first.environment, second.environment),
            ("variant", first.variant, second.variant),
            ("experiment's commit", first.experiment_commit[:12], second.experiment_commit[:12]),
        )
        if one != other
    ]
    known = {(one.kind, one.name): one for one in first.measures}
    for now in second.measures:
        was = known.get((now.kind, now.name))
        if was is None or now.kind not in {FAULT, GENERATOR}:
            continue
        if abs(now.value - was.value) > MEASURE_MIN * max(abs(was.value), 0.1):
            word = {FAULT: "fault", GENERATOR: "load generator"}[now.kind]
            found.append(f"{word}: {now.name}: {quantity(was.value, was.unit)} and {quantity(now.value, now.unit)}")
    return found


def _observations(path: Path) -> Observations | None:
    """The samples of a run; None where they are not there, or too many for memory: then its findings speak."""
    from stormproof.analysis.population import observed
    from stormproof.record.sample_part import fit_in_memory, parts_of
    from stormproof.record.samples import read_samples
    from stormproof.verdict.document import read_verdict

    folder = RunDirectory(path)
    try:
        verdict = read_verdict(folder.verdict)
        if not fit_in_memory(parts_of(folder)):
            return None
        return observed(read_samples(folder), {**verdict.windows, **verdict.steps})
    except StormproofError:
        return None


def _compared(
    claim: str,
    runs: tuple[RunEntry, RunEntry],
    seen: tuple[Observations | None, Observations | None],
    *,
    comparable: bool,
) -> ComparedFinding:
    before, after = (next((one for one in run.findings if one.claim == claim), None) for run in runs)
    known = after or before
    assert known is not None
    if before is None or after is None:
        where = "second" if before is None else "first"
        return _without(claim, before, after, f"only the {where} run was held against it")
    if not comparable:
        return _without(claim, before, after, "the runs are not comparable")
    if before.found is not None or after.found is not None:
        same = before.found == after.found
        conclusion = Conclusion.NO_DIFFERENCE if same else _by_verdict(before, after)
        return _without(claim, before, after, f"{before.found} and {after.found}", conclusion=conclusion)
    if before.unit != after.unit:
        return _without(claim, before, after, f"measured in {before.unit} and in {after.unit}")
    told = difference(_estimate(after, seen[1]), _estimate(before, seen[0]))
    if told.value is None:
        return _without(claim, before, after, told.reason)
    reason = ""
    if _conclusion(told, op=after.op) is Conclusion.NO_DIFFERENCE and {before.verdict, after.verdict} == DECIDED:
        # A burst is noise to blocks of time. But no value satisfies a bound and breaks it: these two windows differ.
        told, reason = difference(_estimate(after, None), _estimate(before, None)), BURSTS
    return ComparedFinding(
        claim=claim,
        conclusion=_conclusion(told, op=after.op),
        before=before,
        after=after,
        difference=told.value,
        low=told.low,
        high=told.high,
        unit=after.unit,
        method=told.method,
        reason=reason,
    )


def _estimate(finding: FindingEntry, seen: Observations | None) -> Estimate:
    """The claim's number again, with the noise between stretches of time; the finding's where there is none."""
    from stormproof.analysis.measure import measure_between_blocks
    from stormproof.spec.hypothesis import parse_hypothesis

    told = Estimate(
        value=finding.estimate, low=finding.low, high=finding.high, n=finding.n, method=finding.method,
        reason=finding.reason,
    )  # fmt: skip
    if seen is None:
        return told
    try:
        hypothesis = parse_hypothesis(finding.claim)
    except InputError:  # of another version, or of Chaos Toolkit
        return told
    again = measure_between_blocks(hypothesis, seen) if isinstance(hypothesis, Hypothesis) else None
    return told if again is None or again.value is None else again


def _conclusion(told: Estimate, *, op: str) -> Conclusion:
    low, high = told.low or 0.0, told.high or 0.0
    if low <= 0 <= high:
        return Conclusion.NO_DIFFERENCE
    return Conclusion.WORSE if (low > 0) is op.startswith("<") else Conclusion.BETTER


def _by_verdict(before: FindingEntry, after: FindingEntry) -> Conclusion:
    """Of words: whether the claim began, or ceased, to hold; another word alone is neither better nor worse."""
    if before.verdict == after.verdict:
        return Conclusion.NO_DIFFERENCE
    return Conclusion.BETTER if after.verdict == "held" else Conclusion.WORSE


def _without(
    claim: str,
    before: FindingEntry | None,
    after: FindingEntry | None,
    reason: str,
    *,
    conclusion: Conclusion = Conclusion.NOT_COMPARABLE,
) -> ComparedFinding:
    known = after or before
    return ComparedFinding(
        claim=claim,
        conclusion=conclusion,
        before=before,
        after=after,
        difference=None,
        low=None,
        high=None,
        unit=known.unit if known else "",
        method="",
        reason=reason,
    )


def comparison_document(found: Comparison) -> dict[str, Any]:
    """*found* as JSON: `comparable`, why not, what else differs, a row a claim."""
    return {
        "schema_version": 1,
        "before": found.before.run_id,
        "after": found.after.run_id,
        "comparable": not found.obstacles,
        "obstacles": list(found.obstacles),
        "notes": list(found.notes),
        "findings": [_row(one) for one in found.findings],
    }


def _row(one: ComparedFinding) -> dict[str, Any]:
    sides: Sequence[tuple[str, FindingEntry | None]] = (("before", one.before), ("after", one.after))
    return {
        "claim": one.claim,
        "conclusion": str(one.conclusion),
        **{
            name: None if side is None else {"verdict": str(side.verdict), "estimate": side.estimate, "n": side.n}
            for name, side in sides
        },
        "difference": one.difference,
        "low": one.low,
        "high": one.high,
        "unit": one.unit,
        "method": one.method,
        "reason": one.reason,
    }
