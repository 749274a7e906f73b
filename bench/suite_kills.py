"""SIGKILL a suite at each of its events in turn, resume it, and look whether a run was lost or counted twice.

The events are those of `tests/support/suite_driver.py`: before a rename, before a process is started, before a wait.
The runs are stand-ins that end in a fraction of a second (`suite_program`); what they write, and the suite, are real.

    python bench/suite_kills.py --every 1
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.suites import begin, check_nothing_lost_or_twice, drive

TITLES = {"a": "invalid, held", "b": "refuted", "c": "held"}
ENDED_BEFORE = "it had ended by then"  # waits are not the same number each time
EXPECTED = {"a": ["invalid", "held"], "b": ["refuted"], "c": ["held"]}


def one_kill(folder: Path, kill_at: int) -> str:
    """What was wrong after a kill at that event and a resume; "" for nothing, `ENDED_BEFORE` for no kill."""
    reports = folder / "reports"
    suite, _ = begin(reports, TITLES)
    killed, _ = drive(reports, folder / "state", kill_at=kill_at, waits=True)
    resumed, _ = drive(reports, folder / "state")
    try:
        check_nothing_lost_or_twice(suite, reports, EXPECTED)
    except AssertionError as error:
        return f"at event {kill_at}: {error}"
    if killed == 0:
        return ENDED_BEFORE
    return "" if resumed == 0 else f"at event {kill_at}: the resumed suite ended with {resumed}"


def main() -> int:
    """Kill at every N-th event; exit code 0 when nothing was ever lost or counted twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="kill at every N-th event")
    chosen = parser.parse_args()
    wrong, early = [], 0
    with tempfile.TemporaryDirectory(prefix="stormproof-suite-kills-") as name:
        folder = Path(name)
        begin(folder / "whole" / "reports", TITLES)
        _, events = drive(folder / "whole" / "reports", folder / "whole" / "state", waits=True)
        kills = range(1, int(events) + 1, chosen.every)
        for kill_at in kills:
            problem = one_kill(folder / str(kill_at), kill_at)
            early += problem == ENDED_BEFORE
            if problem not in ("", ENDED_BEFORE):
                wrong.append(problem)
                print(problem, flush=True)
    kinds = f"{len(kills) - early} kills, at every {chosen.every}. of {events} events"
    print(f"{kinds}: {len(wrong)} lost or duplicated a run")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
