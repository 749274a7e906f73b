"""How soon everything is undone, side by side with plain `chaos run` on the same compiled experiment.

In one run, in one lab, the arms in turn: `stormproof run`; `chaos run` on what `stormproof compile` wrote (it asks for
rollbacks *always*); and `chaos run` on the same file with Chaos Toolkit's own default for rollbacks. Under the fault
the process gets SIGINT, SIGTERM or SIGKILL, or a stop condition fails; the clock runs until the world is whole again,
seen from outside: the proxy's runtime value is gone, or every instance of the zone answers. What is not undone
after GIVE_UP_AFTER_S is counted as *not undone*, and healed from the ledger before the next trial.

Chaos Toolkit has no stop conditions; its nearest is a hypothesis that is asked continuously and fails fast.

For `stop_when` the reaction is printed too: from the aggregate that completes the condition to the last undo.
It is an upper bound: the condition cannot be complete before the first slow request has ended and stayed in view.

    python bench/undo_latency.py --trials 10 --seed 1
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import sys
import tempfile
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from stormproof.faults.direct import open_direct
from stormproof.lab.topology import delay_percent_key, throttle_key
from support.command import ROOT, stormproof, variables, wait_for
from support.kill import KilledRun, started_run
from support.lab import RunningLab, running_lab

CHAOS = Path(sys.executable).with_name("chaos")
STORMPROOF_ARM, COMPILED_ARM, DEFAULT_ARM = "stormproof run", "chaos run, compiled", "chaos run, its default"
ARMS = (STORMPROOF_ARM, COMPILED_ARM, DEFAULT_ARM)
SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}
STOP = "stop condition"
STOP_AFTER_S = 0.5
SLOW_MS = 100.0  # between the home page as it is (some 20 ms) and without recommendations (some 250 ms)
STOP_WHEN = f"p99 latency > {SLOW_MS:g}ms for {STOP_AFTER_S * 1000:g}ms"
AGGREGATE_S = 0.1
# On the command line: the same words in the file's `runtime` are not heeded (chaostoolkit-lib 1.44).
CONTINUOUSLY = ("--hypothesis-strategy=continuously", f"--hypothesis-frequency={AGGREGATE_S:g}", "--fail-fast")
FAULT_S = 60.0  # planned; nothing here waits for it
GIVE_UP_AFTER_S = 10.0
LOOK_EVERY_S = 0.01
REACTION_GOAL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One interrupted run; None where it was not undone in time."""

    arm: str
    experiment: str
    trigger: str
    undone_s: float | None  # from the signal; for a stop condition from the first look that saw the fault
    reaction_s: float | None = None  # stop_when only: from the completing aggregate to the last undo, at most


def is_broken(lab: RunningLab, experiment: str) -> bool:
    """Whether the fault is in force, asked of the proxy or of the instances."""
    if experiment == "az-loss":
        return not all(_answers(instance.url) for instance in lab.environment.zones["a"])
    key = delay_percent_key("recommendations") if experiment == "dependency-timeout" else throttle_key("cart")
    return float(lab.admin.overrides([key])[key] or 0) > 0


def _answers(url: str) -> bool:
    try:
        with open_direct(f"{url}/healthz", timeout_s=0.5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def playing(arm: str, experiment: str, lab: RunningLab, folder: Path, *, stop: bool) -> Iterator[KilledRun]:
    """The experiment going on under *arm*; what is left of it, or left broken by it, is gone afterwards."""
    settings = (f"timeline.fault={FAULT_S:g}s", "load.arrivals=100/s")
    spec = _spec_with_stop(experiment, folder) if stop else ROOT / "experiments" / experiment
    if arm == STORMPROOF_ARM:
        command = partial(_with_spec, spec)
    else:
        plan = _compiled(spec, lab, folder, settings, default=arm == DEFAULT_ARM, stop=stop)
        command = partial(_under_chaos, plan, CONTINUOUSLY if stop else ())
    try:
        with started_run(experiment, lab, folder, *settings, command=command, cwd=folder) as run:
            yield run
    finally:
        for ledger in [*folder.glob("stormproof-ledger.jsonl"), *folder.glob("runs/*/*/ledger.jsonl")]:
            stormproof("undo", ledger, **variables(lab.directory, folder))
        lab.wait_until_whole()


def _with_spec(spec: Path, line: list[str]) -> list[str]:
    """The command line of `stormproof run`, on *spec* instead."""
    return [line[0], line[1], str(spec), *line[3:]]


def _under_chaos(plan: Path, options: tuple[str, ...], _line: list[str]) -> list[str]:
    """`chaos run` in its place."""
    return [str(CHAOS), "--no-version-check", "--no-log-file", "run", *options, str(plan)]


def _spec_with_stop(experiment: str, folder: Path) -> Path:
    """The shipped spec with the stop condition of this bench for its own."""
    spec = folder / "spec"
    spec.mkdir(parents=True)
    for path in (ROOT / "experiments" / experiment).iterdir():
        text = path.read_text()
        if path.name == "experiment.yaml":
            text = re.sub(r"stop_when:\n(  - .*\n)+", f"stop_when:\n  - {STOP_WHEN}\n", text)
            assert STOP_WHEN in text, "the spec has no stop_when to replace"
        (spec / path.name).write_text(text)
    return spec


def _compiled(
    spec: Path, lab: RunningLab, folder: Path, settings: tuple[str, ...], *, default: bool, stop: bool
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    plan = folder / "plan.json"
    chosen = [argument for one in ("timeline.steady=1s", *settings) for argument in ("--set", one)]
    done = stormproof(
        "compile", spec, "--to", "chaostoolkit", "--out", plan, *chosen, **variables(lab.directory, folder)
    )
    assert done.code == 0, done.err
    document = json.loads(plan.read_text())
    if default:
        del document["runtime"]["rollbacks"]
    if stop:
        document["steady-state-hypothesis"]["probes"] = [
            {
                "type": "probe",
                "name": "home-page-is-fast",
                "tolerance": 200,
                "provider": {"type": "http", "url": lab.environment.base_url + "/", "timeout": SLOW_MS / 1000},
            }
        ]
    plan.write_text(json.dumps(document))
    return plan


def one_trial(lab: RunningLab, folder: Path, arm: str, experiment: str, trigger: str, *, into_fault_s: float) -> Trial:
    """Play, wait for the fault, pull the trigger *into_fault_s* seconds later, look until all is undone."""
    with playing(arm, experiment, lab, folder, stop=trigger == STOP) as run:

        def broken() -> bool:
            assert run.process.poll() is None, f"ended before the fault: {run.tail()}"
            return is_broken(lab, experiment)

        wait_for("the fault", broken, within_s=30, every_s=LOOK_EVERY_S)
        if trigger != STOP:
            time.sleep(into_fault_s)
            run.process.send_signal(SIGNALS[trigger])
        begun = time.monotonic()
        while is_broken(lab, experiment):
            if time.monotonic() - begun > GIVE_UP_AFTER_S:
                return Trial(arm=arm, experiment=experiment, trigger=trigger, undone_s=None)
            time.sleep(LOOK_EVERY_S)
        undone_s, undone_at = time.monotonic() - begun, time.time()
        reaction_s = None
        if trigger == STOP and arm == STORMPROOF_ARM:
            run.process.wait(60)
            reaction_s = undone_at - _complete_at(run)
        return Trial(arm=arm, experiment=experiment, trigger=trigger, undone_s=undone_s, reaction_s=reaction_s)


def _complete_at(run: KilledRun) -> float:
    """The earliest instant at which the stop condition can have been complete, Unix s, from the samples.

    True from the first tenth of a second that holds a slow request, in so many tenths in a row: the last of them ends
    no earlier than that request's end plus all tenths but one.
    """
    injecting = next(row["at"] for row in run.events() if row["event"] == "fault.injecting")
    frame = pd.concat(pd.read_parquet(path) for path in run.out.glob("*/2*/samples/*.parquet"))
    ended = frame["sent_at"] + frame["service_ms"].astype("float64") / 1000
    slow = ended[(frame["latency_ms"] > SLOW_MS) & (ended > injecting)]
    return float(slow.min()) + STOP_AFTER_S - AGGREGATE_S


def table(rows: list[Trial], cells: list[tuple[str, str]]) -> str:
    """One line an experiment and trigger, one column an arm: median and maximum, and how many were not undone."""
    lines = [f"{'':<38}" + "".join(f"{arm:>30}" for arm in ARMS)]
    for experiment, trigger in cells:
        texts = []
        for arm in ARMS:
            cell = [row for row in rows if (row.arm, row.experiment, row.trigger) == (arm, experiment, trigger)]
            seconds = [row.undone_s for row in cell if row.undone_s is not None]
            left = len(cell) - len(seconds)
            text = f"{np.median(seconds):.2f} s (max {max(seconds):.2f})" if seconds else ""
            texts.append("  ".join(part for part in (text, f"not undone {left}/{len(cell)}" if left else "") if part))
        lines.append(f"{experiment + ', ' + trigger:<38}" + "".join(f"{text:>30}" for text in texts))
    return "\n".join(lines)


def main() -> int:
    """Print the comparison; 0 when every run of ours was undone and the reaction met its goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10, help="of each cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a part of the triggers' names, such as SIGINT")
    chosen = parser.parse_args()
    # A shell starts what goes to the background with SIGINT ignored, and so would `chaos run` ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    drawn = random.Random(chosen.seed)
    cells = [(name, trigger) for name in ("dependency-timeout", "az-loss") for trigger in SIGNALS]
    cells.append(("dependency-timeout", STOP))
    cells = [cell for cell in cells if chosen.only in cell[1]]
    rows: list[Trial] = []
    with (
        contextmanager(running_lab)("hardened") as lab,
        tempfile.TemporaryDirectory(prefix="stormproof-undo-") as folder,
    ):
        for number in range(chosen.trials):
            for experiment, trigger in cells:
                for arm in drawn.sample(ARMS, len(ARMS)):
                    where = Path(folder) / f"{number}-{len(rows)}"
                    row = one_trial(lab, where, arm, experiment, trigger, into_fault_s=drawn.uniform(0.3, 1.5))
                    rows.append(row)
                    sys.stderr.write(f"{len(rows):>4}  {row}\n")
    print(table(rows, cells))
    reactions = [row.reaction_s for row in rows if row.reaction_s is not None]
    if reactions:
        print(f"stop_when ({STOP_WHEN}), from the completing aggregate to the last undo:")
        print(
            f"  median {np.median(reactions):.2f} s, max {max(reactions):.2f} s, "
            f"goal {REACTION_GOAL_S:g} s (n = {len(reactions)})"
        )
    print(f"{chosen.trials} trials a cell, seed {chosen.seed}; not undone: not within {GIVE_UP_AFTER_S:g} s")
    ours = all(row.undone_s is not None for row in rows if row.arm == STORMPROOF_ARM)
    return 0 if ours and max(reactions, default=0.0) <= REACTION_GOAL_S else 1


if __name__ == "__main__":
    raise SystemExit(main())
