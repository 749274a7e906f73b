"""`make controls`: every shipped experiment's three runs at full length, and those beside a control group by header.

Exit code 0 only when all came to what they must.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from controls.nine import BESIDE_CONTROL, SHIPPED, Control, controls_of, run_control, short
from stormproof.cli.printing import value


def main() -> int:
    """Run them one after the other and print as they end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("reports"), help="where the runs go")
    parser.add_argument("--short", action="store_true", help="the short timelines of the tests")
    parser.add_argument("--only", default="", help="a part of the names to run, such as az-loss or naive")
    chosen = parser.parse_args()
    wrong = 0
    print(f"{'experiment':<20}{'control':<10}{'verdict':<14}{'expected':<10}")
    for control in (one for one in controls_of((*SHIPPED, BESIDE_CONTROL)) if chosen.only in one.id):
        done, document = run_control(control, out=chosen.out, more=short(control.experiment) if chosen.short else ())
        right = (document.get("verdict"), done.code) == (control.verdict, control.code)
        wrong += not right
        show(control, document, right=right, error=done.err)
    print("all as they must be" if not wrong else f"{wrong} NOT as they must be")
    return 1 if wrong else 0


def show(control: Control, document: dict[str, Any], *, right: bool, error: str) -> None:
    """A line for the run, one for each of its findings."""
    mark = "" if right else "   <-- WRONG"
    verdict = document.get("verdict", "no verdict")
    print(f"{control.experiment:<20}{control.name:<10}{verdict:<14}{control.verdict:<10}{mark}")
    if not document:
        print("    " + error[-500:])
    for reason in document.get("reasons", [])[:2] if control.verdict == "invalid" or not right else []:
        print(f"    {reason}")
    for finding in document.get("findings", []):
        interval = f"{value(finding['low'], finding['unit'])} … {value(finding['high'], finding['unit'])}"
        estimate = value(finding["estimate"], finding["unit"])
        print(f"    {finding['verdict']:<14}{finding['claim']:<52}{estimate:>10}  [{interval}]  n={finding['n']}")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
