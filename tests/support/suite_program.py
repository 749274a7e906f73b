"""Stands in for `stormproof run` where a suite is the thing under test: the same arguments, files, signals and codes.

A run that ends in a fraction of a second and comes to what its spec's title says: "held", "refuted", "invalid, held"
(one word a run), "aborted", "error 65", "sick", "dies" or "hangs" (until it is told to end; then held). It writes
what a suite reads of a run.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from stormproof.model.verdict import EXIT_CODE, Confirmation, Finding, Outcome, Verdict
from stormproof.record.atomic import write_json, write_text
from stormproof.record.events import ABORT, record_event
from stormproof.record.layout import RunDirectory
from stormproof.record.seal import seal
from stormproof.verdict.document import write_verdict

ENDS = {"error 65": 65, "sick": 69}
HANGS_AT_MOST_S = 30.0


def main() -> int:
    """Play one run."""
    told: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    signal.signal(signal.SIGTERM, remember)
    spec, out = Path(sys.argv[2]), Path(sys.argv[sys.argv.index("--out") + 1])
    slug, run_id = spec.parent.name, os.environ["STORMPROOF_RUN_ID"]
    words = str(yaml.safe_load(spec.read_text())["title"]).split(", ")
    runs_before = sum('"aborted"' not in one.read_text() for one in (out / slug).glob("2*/verdict.json"))
    word = words[min(runs_before, len(words) - 1)]
    if word == "hangs" and list((out / slug).glob("2*/verdict.json")):
        word = "held"  # it was ended once
    if word in ENDS:
        sys.stderr.write(f"error: {slug} is {word}\n")
        return ENDS[word]
    run = RunDirectory(out / slug / run_id).create()
    began_s = time.time()
    started_at = dt.datetime.fromtimestamp(began_s, tz=dt.UTC).isoformat()
    write_json(run.run_json, {"run_id": run_id, "environment": "local", "started_at": started_at})
    if word == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    deadline = time.monotonic() + (HANGS_AT_MOST_S if word == "hangs" else 0.1)
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    if told:
        record_event(run.events, ABORT, who="conductor", reason="SIGTERM received", by="person")
        word = "aborted"
    outcome = Outcome(word)
    write_json(run.plan, _plan())
    write_verdict(run.verdict, _verdict(outcome, slug, run_id, began_s))
    write_text(run.report_html, "<!DOCTYPE html>\n")
    seal(run)
    return EXIT_CODE[outcome]


def _plan() -> dict[str, Any]:
    return {"extensions": [{"name": "stormproof", "faults": [{"fault_id": "1-a", "targets": ["i-1", "i-2"]}]}]}


def _verdict(outcome: Outcome, slug: str, run_id: str, began_s: float) -> Verdict:
    refuted = outcome is Outcome.REFUTED
    found = outcome if outcome in (Outcome.HELD, Outcome.REFUTED) else Outcome.INCONCLUSIVE
    finding = Finding(
        claim="availability during fault >= 99%",
        outcome=found,
        estimate=0.5 if refuted else 1.0,
        low=0.45 if refuted else 0.999,
        high=0.55 if refuted else 1.0,
        n=1000,
        reason="half of it failed" if refuted else "it is so",
        unit="share",
        op=">=",
        bound=0.99,
        method="Wilson",
    )
    confirmation = Confirmation(
        fault_id="1-a", kind="az-loss", felt=True, gone=True, reason="seen",
        injected_at=began_s, felt_at=began_s, undone_at=began_s + 9, gone_at=began_s + 10,
    )  # fmt: skip
    return Verdict(
        outcome=outcome,
        reasons=() if outcome is Outcome.HELD else (f"`{finding.claim}`: as its title says",),
        findings=(finding,),
        confirmations=(confirmation,),
        checks=(),
        windows={"fault": (began_s, began_s + 10)},
        repeat=f"stormproof run experiments/{slug}",
        run_id=run_id,
        slug=slug,
        title=slug,
        simulated=True,
    )


if __name__ == "__main__":
    sys.exit(main())
