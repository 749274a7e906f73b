"""The one way in which every fault is injected, confirmed and undone: write → act → confirm → undo → confirm.

Called from the activities that `binding` makes for each fault, and, for the undo, by whoever holds the ledger.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stormproof.errors import FaultEndedError, FaultError, IdentityError
from stormproof.faults import lasting
from stormproof.faults.aws import is_loopback
from stormproof.faults.aws_errors import reason_of
from stormproof.faults.dead_man import DeadMan, HasInverse
from stormproof.faults.envoy_admin import EnvoyAdmin
from stormproof.faults.ledger import Entry, Ledger
from stormproof.faults.mirror import Mirror, run_of
from stormproof.faults.onset import Watch
from stormproof.faults.protocol import Fault, Seen, SlowToBeFelt, SlowToGo
from stormproof.record import events

# How long a fault may take to be felt, and an undo to be seen; longer, and the run is invalid (or not whole).
FELT_WITHIN_S = 5.0
GONE_WITHIN_S = 15.0


def inject(
    fault: Fault,
    *,
    fault_id: str,
    kind: str,
    noop: bool,
    target: Mapping[str, Any],
    configuration: Mapping[str, Any],
) -> dict[str, Any]:
    """Break it, and wait until that is seen from outside.

    Returns ``{"felt": bool, …}``. With *noop* everything happens but the act: the negative control.
    Raises `FaultError` when the undo could not be written down or the act failed; what may have been
    broken stays in the ledger and is undone by the rollback.
    """
    ledger = Ledger(_path(configuration, "ledger_path", "stormproof-ledger.jsonl"))
    log = _path(configuration, "events_path", "stormproof-events.jsonl")
    mirror = Mirror.of(configuration)
    try:
        fault.identify()
        prior = fault.prior()
        row = ledger.intend(fault_id, kind=kind, target=target, configuration=configuration, prior=prior)
        if mirror is not None:
            mirror.intend(row)
        _arm(fault, prior, fault_id=fault_id, configuration=configuration)
    except Exception as error:
        _tell_failed(log, fault_id, kind, f"nothing was broken: {reason_of(error)}")
        raise

    watch = Watch(fault, until=Seen.BROKEN).start()
    watch.wait_for_first_look(FELT_WITHIN_S)
    at = time.time()
    events.record_event(
        log, events.FAULT_INJECTING, who="player", fault_id=fault_id, kind=kind, at=at, what=fault.what,
        effect=fault.effect,
    )  # fmt: skip
    try:
        if not noop:
            fault.act()
            _arm(fault, prior, fault_id=fault_id, configuration=configuration)  # what only the act made known
    except BaseException as error:
        watch.stop(join_s=0)
        if isinstance(error, Exception):  # an interruption is the conductor's to tell: the act did not fail
            what = events.FAULT_ENDED if isinstance(error, FaultEndedError) else events.FAULT_FAILED
            _tell_failed(log, fault_id, kind, reason_of(error), what=what)
        raise
    ledger.note(fault_id, "acted")
    if mirror is not None:
        mirror.note(run_of(configuration), fault_id, "acted")  # what it cannot be told is outstanding there already
    events.record_event(log, events.FAULT_INJECTED, who="player", fault_id=fault_id, kind=kind, at=time.time())
    found = _await_felt(watch, log, fault, fault_id=fault_id, kind=kind, at=at)
    if found["felt"]:
        lasting.watch(fault, log, fault_id=fault_id, kind=kind)
    return found


def _tell_failed(log: Path, fault_id: str, kind: str, reason: str, *, what: str = events.FAULT_FAILED) -> None:
    """The event of a fault that failed; a disk that has no room for it must not hide why it did."""
    with contextlib.suppress(OSError):
        events.record_event(log, what, who="player", fault_id=fault_id, kind=kind, reason=reason)


def _arm(fault: Fault, prior: Mapping[str, Any], *, fault_id: str, configuration: Mapping[str, Any]) -> None:
    """Have AWS bring it back should nobody of ours be left, where the environment wants that and the fault can."""
    switch = DeadMan.of(fault_id, configuration)
    if switch is not None and isinstance(fault, HasInverse):
        switch.arm(fault.inverse(prior))


def patience_of(fault: Fault) -> float:
    """How long *fault* may take to be felt, in seconds: what it says itself if it is slow by nature."""
    return fault.felt_within_s if isinstance(fault, SlowToBeFelt) else FELT_WITHIN_S


def _await_felt(watch: Watch, log: Path, fault: Fault, *, fault_id: str, kind: str, at: float) -> dict[str, Any]:
    patience_s = patience_of(fault)
    felt = watch.wait(patience_s)
    evidence = dict(watch.look.evidence) if watch.look else {}
    if not felt or watch.seen_at is None:
        reason = f"not seen from outside within {patience_s:g} s ({watch.looks} looks)"
        events.record_event(
            log,
            events.FAULT_NOT_FELT,
            who="player",
            fault_id=fault_id,
            kind=kind,
            reason=reason,
            evidence=evidence,
        )
        return {"felt": False, "reason": reason, "evidence": evidence}
    # The canary's last good look, but never before the act: until then the world was whole by definition.
    last_ok_at = min(max(at, watch.last_before_at or at), watch.seen_at)
    events.record_event(
        log, events.FAULT_FELT, who="player", fault_id=fault_id, kind=kind, at=watch.seen_at, last_ok_at=last_ok_at,
        evidence=evidence, effect=fault.effect,
    )  # fmt: skip
    return {"felt": True, "at": watch.seen_at, "last_ok_at": last_ok_at, "evidence": evidence}


def confirm(fault: Fault) -> dict[str, Any]:
    """One look from outside, as a probe's reading: ``{"felt": bool, "seen": str, "evidence": {…}}``."""
    look = fault.look()
    return {"felt": look.seen is Seen.BROKEN, "seen": str(look.seen), "evidence": dict(look.evidence)}


def undo(*, configuration: Mapping[str, Any], fault_id: str) -> dict[str, Any]:
    """The rollback of one fault: what the ledger says of it, undone and seen gone. Safe to repeat."""
    ledger = Ledger(_path(configuration, "ledger_path", "stormproof-ledger.jsonl"))
    log = _path(configuration, "events_path", "stormproof-events.jsonl")
    results = undo_outstanding(ledger, events_path=log, who="player", only=fault_id)
    failed = [result for result in results if not result["undone"]]
    if failed:
        raise FaultError("; ".join(f"{result['fault_id']}: {result['reason']}" for result in failed))
    return {"undone": [result["fault_id"] for result in results]}


def undo_outstanding(
    ledger: Ledger, *, events_path: Path | None, who: str, only: str | None = None
) -> list[dict[str, Any]]:
    """Undo what the ledger still holds, last broken first; goes on past failures and reports each.

    *only* is one fault's id, its parts included.
    The one undo: conductor, player's rollbacks and `stormproof undo` all come here, one at a time.
    Returns a row an entry: ``{"fault_id", "kind", "undone": bool, "reason"}``.
    """
    if not ledger.path.exists():
        return []
    with ledger.locked():
        return [
            _undo_entry(ledger, entry, events_path=events_path, who=who)
            for entry in ledger.outstanding()
            if only is None or entry.fault_id == only or entry.fault_id.startswith(part_id(only, ""))
        ]


def _undo_entry(ledger: Ledger, entry: Entry, *, events_path: Path | None, who: str) -> dict[str, Any]:
    def say(event: str, **fields: Any) -> None:
        if events_path is not None:
            with contextlib.suppress(OSError):  # a full disk must not keep anything broken
                events.record_event(events_path, event, who=who, fault_id=entry.fault_id, kind=entry.kind, **fields)

    mirror, run = Mirror.of(entry.configuration), run_of(entry.configuration)

    def result(step: str, reason: str = "") -> dict[str, Any]:
        with contextlib.suppress(OSError):  # then it stays outstanding, and the next undo finds nothing to do
            ledger.note(entry.fault_id, step, reason=reason)
        if mirror is not None and step != "undoing":
            reason = "; ".join(one for one in (reason, mirror.note(run, entry.fault_id, step, reason=reason)) if one)
        return {"fault_id": entry.fault_id, "kind": entry.kind, "undone": step == "undone", "reason": reason}

    from stormproof.faults import catalogue  # the catalogue knows the faults, which know this module

    if mirror is not None and (holder := mirror.claim(run, entry.fault_id)):
        return {"fault_id": entry.fault_id, "kind": entry.kind, "undone": False, "reason": holder}
    lasting.leave(entry.fault_id)
    result("undoing")
    say(events.FAULT_UNDOING, at=time.time())
    try:
        fault = catalogue.bind(entry.kind, entry.target, entry.configuration)
        fault.identify()
        fault.revert(entry.prior)
        say(events.FAULT_UNDONE, at=time.time())
    except Exception as error:  # noqa: BLE001 - one entry that fails must not stop the undo of the others
        if vanished(entry.configuration):
            return result("undone", "the lab it was in is gone, and the fault with it")
        reason = reason_of(error)
        say(events.FAULT_NOT_GONE, reason=reason)
        return result("undo-failed", reason)
    watch = Watch(fault, until=Seen.WHOLE).start()
    patience_s = fault.gone_within_s if isinstance(fault, SlowToGo) else GONE_WITHIN_S
    if not watch.wait(patience_s):
        if vanished(entry.configuration):  # meanwhile, or there was nothing in it to ask before
            return result("undone", "the lab it was in is gone, and the fault with it")
        reason = f"undone, but still seen from outside after {patience_s:g} s"
        say(events.FAULT_NOT_GONE, reason=reason, evidence=dict(watch.look.evidence) if watch.look else {})
        return result("undo-failed", reason)
    switch = DeadMan.of(entry.fault_id, entry.configuration) if isinstance(fault, HasInverse) else None
    if switch is not None and (left := switch.disarm()):
        say(events.FAULT_UNDONE, at=time.time(), reason=left)
    done = result("undone")
    say(events.FAULT_GONE, at=watch.seen_at, evidence=dict(watch.look.evidence) if watch.look else {})
    return done


def part_id(fault_id: str, part: str) -> str:
    """The id of a part of a fault that is made of others."""
    return f"{fault_id}.{part}"


def vanished(configuration: Mapping[str, Any]) -> bool:
    """Whether the lab that *configuration* points into is no more.

    Only for a lab or an emulator: every endpoint is on this machine, and each refuses connections or, where the port
    has been taken since, is an Envoy with another node id. Anything further away is never taken for gone: in front of a
    side-car in AWS there may be a tunnel that is down, or this is not the machine that it is on.
    """
    if configuration.get("aws_partition") and not configuration.get("aws_endpoint_url"):
        return False
    urls = [str(value) for key, value in configuration.items() if key.endswith("_url") and value]
    if not urls or not all(is_loopback(url) for url in urls):
        return False
    return all(_nobody_listens(url) or _is_another(url, configuration) for url in urls)


def _nobody_listens(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False  # it hangs: there is somebody


def _is_another(url: str, configuration: Mapping[str, Any]) -> bool:
    if url != configuration.get("envoy_admin_url"):
        return False
    try:
        EnvoyAdmin(url=url, node_id=str(configuration.get("envoy_node_id"))).identify()
    except IdentityError:
        return True
    except FaultError:
        return False
    return False


def _path(configuration: Mapping[str, Any], key: str, default: str) -> Path:
    value = configuration.get(key)
    if isinstance(value, Mapping):  # under a plain caller the env form may come unresolved
        value = os.environ.get(str(value.get("key", "")), value.get("default"))
    return Path(str(value or default))
