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
EXPECTED = {"a": ["invalid", "held"], "b": ["refuted"], "c": ["held"]}


def one_kill(folder: Path, kill_at: int) -> str:
    """What was wrong after a kill at that event and a resume; "" for nothing."""
    reports = folder / "reports"
    suite, _ = begin(reports, TITLES)
    killed, _ = drive(reports, folder / "state", kill_at=kill_at)
    resumed, _ = drive(reports, folder / "state")
    try:
        check_nothing_lost_or_twice(suite, reports, EXPECTED)
    except AssertionError as error:
        return f"at event {kill_at}: {error}"
    return "" if (killed, resumed) == (-9, 0) else f"at event {kill_at}: ended with {killed}, then {resumed}"


def main() -> int:
    """Kill at every N-th event; exit code 0 when nothing was ever lost or counted twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="kill at every N-th event")
    chosen = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory(prefix="stormproof-suite-kills-") as name:
        folder = Path(name)
        begin(folder / "whole" / "reports", TITLES)
        _, events = drive(folder / "whole" / "reports", folder / "whole" / "state")
        kills = range(1, int(events) + 1, chosen.every)
        for kill_at in kills:
            if problem := one_kill(folder / str(kill_at), kill_at):
                wrong.append(problem)
                print(problem, flush=True)
    print(f"{len(kills)} kills, at every {chosen.every}. of {events} events: {len(wrong)} lost or duplicated something")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
