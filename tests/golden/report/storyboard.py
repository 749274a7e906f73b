"""Fixed run directories for the report's tests: every byte is arithmetic, so that the goldens never move by chance.

`tests/support/synthetic.py` draws samples from a generator and leaves the verdict to the judges. Here the verdict
is written down, because what is under test is how it is printed.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from golden.report.parts import (
    RUN_JSON,
    WINDOWS,
    ZERO_S,
    checks,
    confirmation,
    events,
    finding,
    findings_held,
    samples,
    verdict,
)
from stormproof.analysis.cause import Bad, gather
from stormproof.model.verdict import Check, Outcome, Verdict
from stormproof.record.atomic import append_line, write_json, write_text
from stormproof.record.layout import RunDirectory
from stormproof.record.samples import samples_schema
from stormproof.verdict.cause import cause_of
from stormproof.verdict.document import write_verdict

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "WINDOWS", "ZERO_S", "aborted", "bare", "confirmation", "events", "finding", "foreign", "held", "hostile",
    "invalid", "refuted", "samples", "verdict", "write_run",
]  # fmt: skip


def write_run(
    path: Path,
    *,
    the_verdict: Verdict | None = None,
    the_samples: pd.DataFrame | None = None,
    the_events: list[dict[str, Any]] | None = None,
    run_json: dict[str, Any] | None = None,
) -> RunDirectory:
    """Write a run directory with these parts; None samples or events mean that there are none."""
    run = RunDirectory(path).create()
    write_json(run.run_json, RUN_JSON | (run_json or {}))
    write_verdict(run.verdict, the_verdict or verdict())
    for event in the_events or []:
        append_line(run.events, event)
    if the_samples is not None:
        table = pa.Table.from_pandas(the_samples, schema=samples_schema(), preserve_index=False)
        # pandas' own note in the metadata is not part of the schema
        pq.write_table(table.replace_schema_metadata(samples_schema().metadata), run.samples / "part-000.parquet")
    write_text(run.spec, "title: az-loss\n")
    return run


def held(path: Path) -> RunDirectory:
    """A run in which everything held."""
    return write_run(path, the_samples=samples(), the_events=events())


def refuted(path: Path) -> RunDirectory:
    """A naive workload: two claims refuted, one undecided."""
    first, second, third = findings_held()
    the_samples, bad = samples(naive=True), Bad()
    to_the_end = (WINDOWS["fault"][0], WINDOWS["recovery"][1])
    the_findings = (
        dataclasses.replace(
            first,
            outcome=Outcome.REFUTED,
            estimate=0.8878,
            low=0.8761,
            high=0.8987,
            reason="345 of 3,075 requests failed; none of the interval keeps the bound.",
            cause=cause_of(gather(the_samples, WINDOWS["fault"], WINDOWS["steady"], bad), bad),
        ),
        dataclasses.replace(
            second,
            outcome=Outcome.INCONCLUSIVE,
            estimate=2.31,
            low=1.71,
            high=3.12,
            reason="The interval lies on both sides of the bound; about 60 s of fault would decide it.",
        ),
        dataclasses.replace(
            third,
            outcome=Outcome.REFUTED,
            estimate=None,
            low=20.5,
            high=None,
            reason="Not recovered when the fault ended.",
            cause=cause_of(gather(the_samples, to_the_end, WINDOWS["steady"], bad), bad),
        ),
    )
    the_verdict = verdict(
        outcome=Outcome.REFUTED,
        reasons=(
            "availability during fault >= 99.5%: 345 of 3,075 requests failed; none of the interval keeps the bound.",
            "time to recover <= 10s: Not recovered when the fault ended.",
        ),
        findings=the_findings,
    )
    return write_run(
        path,
        the_verdict=the_verdict,
        the_samples=the_samples,
        the_events=events(),
        run_json={"variant": "naive"},
    )


def invalid(path: Path) -> RunDirectory:
    """The fault did nothing."""
    reason = "az-loss was not felt: after 5 s every instance of zone a still answered."
    the_verdict = verdict(
        outcome=Outcome.INVALID,
        reasons=(reason,),
        findings=tuple(
            dataclasses.replace(one, outcome=Outcome.INCONCLUSIVE, reason="The fault was not felt.")
            for one in findings_held()
        ),
        confirmations=(confirmation(felt=False, felt_at=None, gone=True, reason="Every instance still answered."),),
        checks=checks(fault_felt=reason),
    )
    told = [
        {
            **one,
            "event": "fault.not_felt",
            "reason": "every instance still answered",
            "evidence": {"answered": ["i-0a1", "i-0a2"]},
        }
        if one["event"] == "fault.felt"
        else one
        for one in events()
    ]
    return write_run(path, the_verdict=the_verdict, the_samples=samples(), the_events=told)


def aborted(path: Path) -> RunDirectory:
    """Ctrl-C in steady: no fault window, nothing decided."""
    the_verdict = verdict(
        outcome=Outcome.ABORTED,
        reasons=("A person ended the run in steady, before the fault was due.",),
        findings=tuple(
            dataclasses.replace(
                one,
                outcome=Outcome.INCONCLUSIVE,
                estimate=None,
                low=None,
                high=None,
                n=0,
                reason="There is no fault window.",
            )
            for one in findings_held()
        ),
        confirmations=(),
        checks=(),
        windows={"steady": (ZERO_S + 2, ZERO_S + 9.4)},
    )
    told = events(until_s=9.4)
    told.insert(
        -3,
        {**told[-1], "event": "abort", "reason": "interrupted (SIGINT)", "by": "person", "at": ZERO_S + 9.4},
    )
    return write_run(path, the_verdict=the_verdict, the_samples=samples(until_s=9.4), the_events=told)


HOSTILE = "<script>document.title='owned'</script>\"'><img src=x onerror=document.title='owned'></style></title>"
HOSTILE_LINK = "javascript:document.title='owned' [x](https://example.invalid) @all `| \x00\x1b[31m\u202e"


def hostile(path: Path) -> RunDirectory:
    """Every text that a stranger could choose is an attack."""
    frame = samples(naive=True)
    for column, name in (("endpoint", "/"), ("zone", "a"), ("error", "connection refused")):
        frame[column] = frame[column].replace(name, HOSTILE)
    first, *others = findings_held()
    the_verdict = verdict(
        outcome=Outcome.REFUTED,
        reasons=(HOSTILE, HOSTILE_LINK),
        title=HOSTILE,
        run_id=HOSTILE,
        slug=HOSTILE,
        repeat=HOSTILE + "```",
        findings=(
            dataclasses.replace(
                first,
                claim=HOSTILE + " | ``x``",
                reason=HOSTILE_LINK,
                method=HOSTILE,
                outcome=Outcome.REFUTED,
                unit=HOSTILE,
            ),
            *others,
        ),
        confirmations=(
            confirmation(kind=HOSTILE, reason="x" * 100_000, evidence={HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]}),
        ),
        checks=(Check(name=HOSTILE, ok=False, reason=HOSTILE_LINK),),
    )
    told = [{**one, "what": HOSTILE, "who": HOSTILE, "reason": HOSTILE_LINK} for one in events()]
    told += [{**told[0], "event": HOSTILE, "phase": HOSTILE, HOSTILE: HOSTILE}]
    run_json = {
        "why": HOSTILE_LINK + HOSTILE,
        "versions": {HOSTILE: HOSTILE},
        "environment": HOSTILE,
        "variant": HOSTILE,
    }
    return write_run(path, the_verdict=the_verdict, the_samples=frame, the_events=told, run_json=run_json)


def foreign(path: Path) -> RunDirectory:
    """A plain Chaos Toolkit experiment: a journal, and nothing of ours but the verdict."""
    the_verdict = verdict(
        outcome=Outcome.REFUTED,
        reasons=("The steady state was met before and not after.",),
        findings=(),
        confirmations=(),
        checks=(),
        windows={},
        slug="plain",
        title="Does the page come back?",
        simulated=False,
        run_id="20270115T075958Z-plain-00ff",
        repeat="stormproof run plain.json",
    )
    probe = {
        "activity": {"name": "page-answers", "type": "probe"},
        "status": "succeeded",
        "duration": 0.012,
        "output": 200,
    }
    run = write_run(
        path,
        the_verdict=the_verdict,
        run_json={"kind": "chaostoolkit", "variant": None, "environment": "local"},
    )
    write_json(
        run.journal,
        {
            "status": "failed",
            "steady_states": {
                "before": {"probes": [{**probe, "tolerance_met": True}]},
                "after": {"probes": [{**probe, "output": 503, "tolerance_met": False}]},
            },
            "run": [
                {
                    "activity": {"name": "stop-it", "type": "action"},
                    "status": "succeeded",
                    "duration": 0.2,
                    "output": None,
                }
            ],
            "rollbacks": [],
        },
    )
    return run


def bare(path: Path) -> RunDirectory:
    """As little as a run can leave: run.json and verdict.json."""
    nothing = verdict(
        outcome=Outcome.INVALID,
        reasons=("The load generator did not start.",),
        findings=(),
        confirmations=(),
        checks=(),
        windows={},
        repeat="",
    )
    run = RunDirectory(path).create()
    write_json(run.run_json, {"run_id": nothing.run_id})
    write_verdict(run.verdict, nothing)
    return run
