"""A plain Chaos Toolkit experiment, played in the player's process.

It has no load, no hypotheses of ours and no ledger; its verdict comes from its own steady-state hypothesis. Its
activities name Python modules, programs and URLs: it is code, and is run only because somebody asked for it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from typing import Any

import orjson

from stormproof.model.guardrails import Guardrails
from stormproof.record import events
from stormproof.record.atomic import write_bytes, write_json
from stormproof.record.layout import RunDirectory
from stormproof.record.redact import redact
from stormproof.run.children import Child
from stormproof.run.interrupt import Interrupts
from stormproof.run.killswitch import KillSwitchWatch
from stormproof.run.progress import Progress

TICK_S = 0.1
ROLLBACKS_WITHIN_S = 60.0  # its own rollbacks, after an interruption


def play_plain(
    document: Mapping[str, Any],
    run: RunDirectory,
    progress: Progress,
    *,
    process_environment: Mapping[str, str],
    guardrails: Guardrails,
) -> None:
    """Play *document* until it ends, or a person or the kill switch of *guardrails* ends it.

    `journal.json` and `events.jsonl` say afterwards what happened.
    """
    private = run.path / ".plan.private.json"
    write_bytes(private, orjson.dumps(document), mode=0o600)
    write_json(run.plan, redact(dict(document)))
    with Interrupts() as interrupts, KillSwitchWatch(guardrails) as switch:
        events.record_event(run.events, events.RUN_STARTED, who="conductor", experiment=str(document["title"]))
        player = Child.spawn(
            "player",
            ["-m", "stormproof.run.player", str(private), str(run.journal)],
            log=run.logs / "player.log",
            environment=process_environment,
            orphan_signal=signal.SIGINT,
        )
        reason = None
        while player.running and not (reason := interrupts.reason or switch.thrown()):
            time.sleep(TICK_S)
        if reason:
            events.record_event(run.events, events.ABORT, who="conductor", reason=reason, by="person")
            progress.say(f"abort    {reason}; its rollbacks are played")
        interrupted = player.running
        code = player.end(signal.SIGINT, within_s=ROLLBACKS_WITHIN_S) if interrupted else player.collect(within_s=5)
        events.record_event(run.events, "player.ended", who="conductor", exit_code=code, interrupted=interrupted)
        if code not in (0, 1) and not run.journal.exists():
            progress.say(f"the player failed:\n{player.tail()}")
        private.unlink(missing_ok=True)
        events.record_event(run.events, events.RUN_ENDED, who="conductor", at=time.time(), undone=not interrupted)
    progress.close()
