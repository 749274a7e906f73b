"""The player: plays a Chaos Toolkit experiment in this process's main thread, and nothing else.

``python -m stormproof.run.player PLAN JOURNAL``. chaoslib is the player and never the judge: it works only in a main
thread, calls a run whose fault never happened "completed", and plays no rollbacks on an interruption unless told
(chaoslib 1.44). So it gets a process of its own and rollbacks ``always``; what it says of the outcome is kept in the
journal and not believed. The undo is in the ledger, whatever happens to this process.
"""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Any

from stormproof.record.atomic import write_bytes


def play(plan: Path, journal_path: Path) -> int:
    """Play *plan*, write chaoslib's journal to *journal_path*; 0 when it was played to its end, 1 otherwise."""
    import json

    from chaoslib.experiment import ensure_experiment_is_valid, run_experiment
    from chaoslib.types import Schedule, Strategy

    experiment = json.loads(plan.read_text(encoding="utf-8"))
    runtime = experiment.get("runtime", {})
    # The library ignores the experiment's own `runtime`, only its CLI merges it: pass it on by hand.
    settings = {"runtime": {**runtime, "rollbacks": {"strategy": "always"}}}
    strategy = Strategy.from_string(runtime.get("hypothesis", {}).get("strategy", "default"))
    ensure_experiment_is_valid(experiment)
    journal = run_experiment(experiment, settings=settings, strategy=strategy, schedule=Schedule())
    write_bytes(journal_path, encode(journal))
    return 0 if journal.get("status") == "completed" else 1


def encode(journal: Any) -> bytes:
    """*journal* as JSON; a value that JSON does not know becomes its text: one must not cost the journal."""
    import json

    from stormproof.record.redact import redact

    return json.dumps(redact(journal), indent=2, default=str).encode()


def main() -> int:
    """Set the process up as chaoslib needs it, and play."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s")
    # SIGTERM inside a Python activity is swallowed by chaoslib 1.44, which then goes on to the next fault;
    # SIGINT ends the activity and plays the rollbacks. chaoslib sets SIGTERM itself once it runs.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return play(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    raise SystemExit(main())
