"""Hundreds of kills: how long until the lab is whole again, and whether anything is ever left.

Each trial starts a run of a shipped experiment on a shortened timeline, sends SIGKILL to one of its processes at a
random moment of its life, and watches from outside until nobody of the run is left, its ledger holds nothing and the
lab is whole. A run that ended before its moment is played again, and not counted.

    python bench/kill_campaign.py --kills 240 --seed 1 --out campaign.jsonl

Half of the kills go to the conductor, the rest in equal parts to player, load child and watchdog.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.kill import EXPERIMENTS, kill_at, length_of_a_run, started_run, watch_aftermath
from support.lab import RunningLab, running_lab

VICTIMS = ("conductor", "player", "conductor", "load", "conductor", "watchdog")
GIVE_UP_AFTER_S = 60.0
GOAL_WHOLE_S, GOAL_UNDO_BEGINS_S = 5.0, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One kill; seconds from it."""

    experiment: str
    victim: str
    share: float  # of a run's length, when it came
    phase: str  # what the run was in
    broken: bool  # whether the ledger held something at that instant
    whole_s: float  # until the lab was whole and the ledger empty
    ended_s: float  # until the last process of the run was gone
    undo_began_s: float | None
    by: str | None
    residue: str  # what was left after GIVE_UP_AFTER_S; "" for nothing


def trials(lab: RunningLab, folder: Path, *, kills: int, seed: int) -> Iterator[Trial]:
    """*kills* kills, over the experiments and victims in turn, each at its own random moment."""
    drawn = random.Random(seed)
    lengths = {name: length_of_a_run(name, lab, folder / f"whole-{name}") for name in EXPERIMENTS}
    done = attempts = 0
    while done < kills:
        experiment = EXPERIMENTS[done % len(EXPERIMENTS)]
        victim = VICTIMS[done // len(EXPERIMENTS) % len(VICTIMS)]
        attempts += 1
        trial = _trial(
            lab, folder / str(attempts), experiment, victim, share=drawn.random(), length_s=lengths[experiment]
        )
        if trial is not None:
            done += 1
            yield trial


def _trial(
    lab: RunningLab, folder: Path, experiment: str, victim: str, *, share: float, length_s: float
) -> Trial | None:
    """One kill; None when there was no such process at that moment (before its start, after its end)."""
    with started_run(experiment, lab, folder) as run:
        kill = kill_at(share, length_s, run, victim)
        if kill is None:
            return None
        said = [row for row in run.events() if row["wall_s"] <= kill.wall_s]
        found: dict[str, Any] = {
            "experiment": experiment,
            "victim": victim,
            "share": round(share, 4),
            "phase": next((row["phase"] for row in reversed(said) if row["event"] == "phase"), "start"),
            "broken": bool(kill.outstanding),
        }
        try:
            after = watch_aftermath(run, lab, kill, within_s=GIVE_UP_AFTER_S)
        except AssertionError as error:
            return Trial(
                **found, whole_s=GIVE_UP_AFTER_S, ended_s=GIVE_UP_AFTER_S, undo_began_s=None, by=None,
                residue=str(error),
            )  # fmt: skip
        return Trial(**found, **asdict(after), residue="")


def table(rows: list[Trial]) -> str:
    """Time to whole by experiment and victim, the kills that hit while something was broken apart."""
    lines = [
        f"{'experiment':<20}{'victim':<11}{'broken':<8}{'kills':>6}{'median':>9}{'p95':>9}{'max':>9}{'residue':>9}"
    ]
    for experiment in (*EXPERIMENTS, "all"):
        for victim in (*dict.fromkeys(VICTIMS), "all"):
            for broken in (True, False):
                cell = [
                    row
                    for row in rows
                    if experiment in (row.experiment, "all") and victim in (row.victim, "all") and row.broken is broken
                ]
                if cell:
                    whole = np.array([row.whole_s for row in cell])
                    left = sum(bool(row.residue) for row in cell)
                    lines.append(
                        f"{experiment:<20}{victim:<11}{'yes' if broken else 'no':<8}{len(cell):>6}"
                        f"{np.median(whole):>7.2f} s{np.quantile(whole, 0.95):>7.2f} s{whole.max():>7.2f} s{left:>9}"
                    )
    return "\n".join(lines)


def verdict(rows: list[Trial]) -> str:
    """The goals, and what came of them."""
    late = sum(row.whole_s > GOAL_WHOLE_S for row in rows)
    began = [
        row.undo_began_s for row in rows if row.broken and row.victim == "conductor" and row.undo_began_s is not None
    ]
    lines = [
        f"kills: {len(rows)}, {sum(row.broken for row in rows)} of them while something was broken",
        f"not whole within {GOAL_WHOLE_S:g} s: {late}",
        f"residue: {sum(bool(row.residue) for row in rows)}",
    ]
    if began:
        lines.append(
            f"from the conductor's death to the first undo: median {np.median(began):.3f} s, max {max(began):.3f} s "
            f"(goal {GOAL_UNDO_BEGINS_S:g} s, n = {len(began)})"
        )
    by = {name: sum(row.by == name for row in rows) for name in ("watchdog", "player", "conductor")}
    lines.append("undone by: " + ", ".join(f"{name} {count}" for name, count in by.items()))
    return "\n".join(lines)


def main() -> int:
    """Play the campaign; 0 when every kill met its goal and nothing was left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("/dev/null"), help="where every trial goes, a JSON line each")
    chosen = parser.parse_args()
    rows: list[Trial] = []
    begun = time.monotonic()
    with (
        contextmanager(running_lab)("hardened") as lab,
        tempfile.TemporaryDirectory(prefix="stormproof-kills-") as folder,
        chosen.out.open("w", buffering=1) as out,
    ):
        for trial in trials(lab, Path(folder), kills=chosen.kills, seed=chosen.seed):
            rows.append(trial)
            out.write(json.dumps(asdict(trial)) + "\n")
            sys.stderr.write(
                f"{len(rows):>4}  {trial.experiment:<20}{trial.victim:<11}{trial.phase:<10}"
                f"whole after {trial.whole_s:5.2f} s  {trial.residue}\n"
            )
            if trial.residue:  # every later trial would start in a broken lab
                break
    print(table(rows))
    print(verdict(rows))
    print(f"seed {chosen.seed}, {time.monotonic() - begun:.0f} s")
    return 0 if all(not row.residue and row.whole_s <= GOAL_WHOLE_S for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
