"""Model in, Chaos Toolkit experiment out: what the player plays, and what plain `chaos run` can play as well.

Pure and free of clock, host and path, so that the compiled file can be compared with a golden one.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormproof.errors import FaultError
from stormproof.plan.closing import closing_probes
from stormproof.record.events import DECIDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormproof.model.experiment import Experiment
    from stormproof.model.plan import ResolvedFault

EXTENSION = "stormproof"  # the name of our block under `extensions`
HEALTH_PATH = "/healthz"
HEALTH_TIMEOUT_S = 3

NOTE = (
    "Played by `chaos run`, this experiment breaks things, holds, and undoes them. It has no load, no watchdog "
    "and no verdict: the hypotheses below are judged by `stormproof run` only. If it is killed, "
    "`stormproof undo` on the ledger named in `configuration` takes the faults back."
)

NOTE_UNTIL = "Nobody decides anything under `chaos run`, so the fault lasts as long as it may."

# Where the activities write what must be undone and what happened; `stormproof run` sets both variables.
_PATHS = {
    "ledger_path": {"type": "env", "key": "STORMPROOF_LEDGER", "default": "stormproof-ledger.jsonl"},
    "events_path": {"type": "env", "key": "STORMPROOF_EVENTS", "default": "stormproof-events.jsonl"},
}


def compile_experiment(
    experiment: Experiment, resolved: Sequence[ResolvedFault], *, noop: bool, seed: int, base_url: str
) -> dict[str, Any]:
    """The Chaos Toolkit experiment that plays *resolved* along the timeline; JSON types only.

    *noop* is the negative control: the activities do everything but act. *base_url* is where the gate looks
    before anything is broken. Raises `FaultError` when two faults need different values for one configuration key.
    """
    return {
        "title": experiment.title,
        "description": experiment.why or experiment.title,
        "tags": ["stormproof", *experiment.tags],
        "configuration": {**_configuration(resolved), **{key: dict(value) for key, value in _PATHS.items()}},
        "steady-state-hypothesis": _gate(base_url),
        "method": _method(experiment, resolved, noop=noop),
        "rollbacks": [_undo(fault) for fault in reversed(resolved)],
        "runtime": {
            # Nothing may stand between the end of the fault and its undo: the gate is not asked again.
            "hypothesis": {"strategy": "before-method-only"},
            "rollbacks": {"strategy": "always"},  # chaoslib plays none on interruption unless told
        },
        "extensions": [_extension(experiment, resolved, noop=noop, seed=seed)],
    }


def _configuration(resolved: Sequence[ResolvedFault]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for fault in resolved:
        for key, value in fault.configuration.items():
            if key in merged and merged[key] != value:
                raise FaultError(
                    f"{fault.fault_id}: needs {key} = {value!r}, another fault needs {merged[key]!r}",
                    hint="run them as two experiments",
                )
            merged[key] = value
    return merged


def _gate(base_url: str) -> dict[str, Any]:
    return {
        "title": "The workload answers before anything is broken",
        "probes": [
            {
                "type": "probe",
                "name": "workload-answers",
                "tolerance": 200,
                "provider": {
                    "type": "http",
                    "url": base_url.rstrip("/") + HEALTH_PATH,
                    "timeout": HEALTH_TIMEOUT_S,
                },
            }
        ],
    }


def _method(experiment: Experiment, resolved: Sequence[ResolvedFault], *, noop: bool) -> list[dict[str, Any]]:
    method = [_hold("steady", experiment.timeline.steady_s)]
    if experiment.steps:
        return [*method, *_stepped(experiment, resolved, noop=noop)]
    until = DECIDED if experiment.timeline.until_decided else None
    return [*method, *_injects(resolved, noop=noop), _hold("fault", experiment.timeline.fault_s, until=until)]


def _stepped(experiment: Experiment, resolved: Sequence[ResolvedFault], *, noop: bool) -> list[dict[str, Any]]:
    """Each step in turn: break, hold, take back. The rollbacks then find nothing left, unless a step was cut short."""
    by_id = {fault.fault_id: fault for fault in resolved}
    ids = experiment.step_fault_ids
    method: list[dict[str, Any]] = []
    for step in experiment.steps:
        faults = [by_id[one] for one in ids[step.name]]
        method += [*_injects(faults, noop=noop), _hold(step.name, step.duration_s)]
        method += [_undo(fault) for fault in reversed(faults)]
    return method


def _injects(resolved: Sequence[ResolvedFault], *, noop: bool) -> list[dict[str, Any]]:
    method = []
    for fault in resolved:
        inject = {"fault_id": fault.fault_id, "noop": noop, "target": dict(fault.target)}
        method.append(_activity("action", f"inject-{fault.fault_id}", fault.module, "inject", inject))
        confirm = {"target": dict(fault.target)}
        method.append(_activity("probe", f"confirm-{fault.fault_id}", fault.module, "confirm", confirm))
    return method


def _steps(experiment: Experiment) -> list[dict[str, Any]]:
    ids = experiment.step_fault_ids
    return [
        {"name": step.name, "duration_s": step.duration_s, "faults": list(ids[step.name])} for step in experiment.steps
    ]


def _undo(fault: ResolvedFault) -> dict[str, Any]:
    return _activity("action", f"undo-{fault.fault_id}", fault.module, "undo", {"fault_id": fault.fault_id})


def _hold(phase: str, seconds: float, *, until: str | None = None) -> dict[str, Any]:
    """An action that waits; not a pause, because an interruption waits for a pause to end."""
    arguments = {"phase": phase, "seconds": seconds, **({"until": until} if until else {})}
    return _activity("action", f"hold-{phase}", "stormproof.faults.hold", "hold", arguments)


def _activity(kind: str, name: str, module: str, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    provider = {"type": "python", "module": module, "func": function, "arguments": arguments}
    return {"type": kind, "name": name, "provider": provider}


def _extension(experiment: Experiment, resolved: Sequence[ResolvedFault], *, noop: bool, seed: int) -> dict[str, Any]:
    load = asdict(experiment.load)
    load["locustfile"] = Path(experiment.load.locustfile).name  # the folder is the reader's own
    load["process"] = str(experiment.load.process)
    return {
        "name": EXTENSION,
        "schema_version": experiment.schema_version,
        "note": f"{NOTE} {NOTE_UNTIL}" if experiment.timeline.until_decided else NOTE,
        "slug": experiment.slug,
        "seed": seed,
        "noop": noop,
        "load": load,
        "timeline": _timeline(experiment),
        **({"steps": _steps(experiment)} if experiment.steps else {}),
        "hypotheses": [hypothesis.text for hypothesis in experiment.hypotheses],
        **({"closing_probes": dict(probes)} if (probes := closing_probes(experiment)) else {}),
        **({"control": {"zone": experiment.control_zone}} if experiment.control_zone else {}),
        **({"control": asdict(experiment.control_header)} if experiment.control_header else {}),
        "stop_when": [condition.text for condition in experiment.stop_when],
        "limits": asdict(experiment.limits),
        "reliability": list(experiment.reliability),
        "faults": [_told(fault) for fault in resolved],
    }


def _timeline(experiment: Experiment) -> dict[str, Any]:
    timeline = experiment.timeline
    seconds = {"steady_s": timeline.steady_s, "fault_s": timeline.fault_s, "recovery_s": timeline.recovery_s}
    return {
        **seconds,
        **({"fault_until": DECIDED, "fault_min_s": timeline.fault_min_s} if timeline.until_decided else {}),
    }


def _told(fault: ResolvedFault) -> dict[str, Any]:
    told = {
        "fault_id": fault.fault_id,
        "kind": fault.kind,
        "what": fault.what,
        "undo": fault.undo,
        "targets": list(fault.targets),
        "effect": dict(fault.effect),
    }
    parts = [{"at_s": part.at_s, **_told(part)} for part in fault.parts]
    return {**told, "parts": parts} if parts else told
