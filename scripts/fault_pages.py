"""Writes docs/reference/faults/<kind>.md, a page a fault, from the fault's own module (`make docs`).

``python scripts/fault_pages.py [--check]``: with --check nothing is written, and the exit code says whether a page is
behind. What a page says of a fault's maturity names the test that shows it; a fault is in the catalogue only if it
passes those tests, for they are parametrised over the catalogue.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

import reference
from stormproof.faults import catalogue

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "reference" / "faults"
CATALOGUE_TEST = "tests/e2e/test_catalogue.py"
AWS_TEST = "tests/aws/test_faults.py"

MATURITY = (
    ("undo is idempotent", "test_inject_confirm_undo", "the second undo changes nothing"),
    ("undo after `kill -9`", "test_injector_is_killed", "from the ledger alone, by another process"),
    ("confirmed from outside", "test_inject_confirm_undo", "felt after the act, gone after the undo"),
    ("no residue", "test_injector_is_killed", "the lab's state after equals its state before"),
    ("a no-op is not felt", "test_a_fault_that_does_nothing_is_not_felt", "the confirmation does not confirm itself"),
)

# Of a fault that there is in AWS only: shown against an emulator, over HTTP.
MATURITY_IN_AWS = (
    ("undo is idempotent", "the second undo changes nothing"),
    ("undo wherever it was cut off", "before and after each call, and at each call of the undo, from the ledger alone"),
    ("confirmed from outside", "felt after the act, gone after the undo"),
    ("no residue", "the state after equals the state before"),
    ("a no-op is not felt", "the confirmation does not confirm itself"),
)

# Of one that nothing brings back: what its undo waits for.
MATURITY_WITHOUT_UNDO = (
    ("no undo", "refused unless the environment's guardrails allow it; what is gone stays gone, and is named"),
    (
        "whole again wherever it was cut off",
        "before and after the call, from the ledger alone: what replaces it serves",
    ),
    ("not whole until then", "an undo that does not see it says so, stays outstanding, and the next one asks again"),
    ("confirmed from outside", "felt after the act, gone when what replaces it is healthy"),
    ("a no-op is not felt", "the confirmation does not confirm itself"),
)


def page(module: Any) -> str:
    """The page of one fault."""
    about = (module.__doc__ or "").strip()
    lines = [
        f"# {module.KIND}",
        "",
        "<!-- written by scripts/fault_pages.py from the fault's module; change it there, then `make docs` -->",
        "",
        *_summary(module),
        "## In a spec",
        "",
        "```yaml",
        yaml.safe_dump({"faults": [{module.KIND: dict(module.EXAMPLE)}]}, sort_keys=False).rstrip(),
        "```",
        "",
        "## What it really does",
        "",
        about.replace("``", "`"),
        "",
        "## Maturity",
        "",
        "| gate | shown by | what is shown |",
        "| --- | --- | --- |",
    ]
    lines += _in_the_lab(module) if "local" in module.ENVIRONMENTS else _in_aws(module)
    lines.append("| bounds | `Arguments` above | a value out of bounds is an error with file and line |")
    return "\n".join(lines) + "\n"


def _in_the_lab(module: Any) -> list[str]:
    """The gates, with the tests that are parametrised over the catalogue."""
    lines = []
    cases = [module.KIND, *(f"{module.KIND}-{mode}" for mode in getattr(module, "MODE_EXAMPLES", {}))]
    for gate, test, what in MATURITY:
        shown = ", ".join(f"[`{test}[{case}]`](../../../{CATALOGUE_TEST})" for case in cases)
        lines.append(f"| {gate} | {shown} | {what} |")
    experiments = _experiments(module.KIND)
    shown = ", ".join(f"[{slug}](../../../experiments/{slug}/notes.md)" for slug in experiments) or "none yet"
    what = "held on hardened, refuted on naive, invalid as no-op: `make controls`"
    return [*lines, *_rehearsed_in_aws(module.KIND), f"| positive control | {shown} | {what} |"]


def _rehearsed_in_aws(kind: str) -> list[str]:
    """Of a fault that there is in AWS, too: the files that say, row by row, that it was this one that was cut off."""

    def is_of(row: dict[str, Any]) -> bool:
        return kind == row.get("fault") or f"-{kind}." in row.get("fault_id", "")  # the parts of a composite

    paths = sorted((ROOT / "tests/golden/aws").glob("*-rehears*.json"))
    files = [path for path in paths if any(map(is_of, json.loads(path.read_text())))]
    shown = ", ".join(f"[{path.stem}](../../../{path.relative_to(ROOT)})" for path in files)
    return [f"| in AWS, wherever it is cut off | {shown} | the state after equals the state before |"] if files else []


def _in_aws(module: Any) -> list[str]:
    """The gates, with the test and what it wrote down: a page may not promise a rehearsal that is not there."""
    rehearsals = sorted((ROOT / "tests/golden/aws").glob(f"{module.KIND}*-rehearsal.json"))
    if not rehearsals:
        raise FileNotFoundError(f"{module.KIND}: no rehearsal in tests/golden/aws")
    data = ", ".join(f"[{path.stem}](../../../{path.relative_to(ROOT)})" for path in rehearsals)
    of_its_own = f"tests/aws/test_{module.KIND.replace('-', '_')}.py"
    tests = [of_its_own] if (ROOT / of_its_own).exists() else []
    if not tests or f'"{module.KIND}"' in (ROOT / AWS_TEST).read_text():
        tests.insert(0, AWS_TEST)
    shown = ", ".join(f"[{test}](../../../{test})" for test in tests)
    gates = MATURITY_IN_AWS if catalogue.has_undo(module.KIND) else MATURITY_WITHOUT_UNDO
    lines = [f"| {gate} | {shown}, {data} | {what} |" for gate, what in gates]
    return [*lines, "| positive control | none: no account of AWS was there to try it in | – |"]


def _summary(module: Any) -> list[str]:
    """Summary, arguments, confirmation, undo: what `reference.faults` says, without its heading."""
    return reference.fault(module).splitlines()[2:]


def _experiments(kind: str) -> list[str]:
    """The shipped experiments that inject *kind*."""
    found = []
    for path in sorted((ROOT / "experiments").glob("*/experiment.yaml")):
        faults = yaml.safe_load(path.read_text()).get("faults", [])
        steps = [step for fault in faults for step in (fault.get("composite") or {}).get("steps", [])]
        if any(kind in fault for fault in [*faults, *steps]):
            found.append(path.parent.name)
    return found


def pages() -> dict[Path, str]:
    """Every page by its path."""
    return {PAGES / f"{module.KIND}.md": page(module) for module in reference.fault_modules()}


def main() -> int:
    """Write the pages, or say which are behind."""
    wanted = pages()
    behind = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    stray = [path for path in PAGES.glob("*.md") if path not in wanted]
    if "--check" in sys.argv[1:]:
        for path in [*behind, *stray]:
            sys.stderr.write(f"{path.relative_to(ROOT)} is behind the code: make docs\n")
        return 1 if behind or stray else 0
    PAGES.mkdir(exist_ok=True)
    for path in behind:
        path.write_text(wanted[path])
    for path in stray:
        path.unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
