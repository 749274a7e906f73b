"""A run directory (docs/reference/run-directory.md) as the history of a health check. Reads files, nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormprobes._history import REQUEST_COLUMNS, Fault, History, Opinion, Settings, View

if TYPE_CHECKING:
    import pandas as pd

OPINION_PROBES = ("target_health", "elbv2_target_health")
SILENCING = ("zone-silent", "client-silent")  # effects of faults whose targets no longer answer


def history_of(run: Path) -> History:
    """What *run* recorded. Raises `OSError` or `ValueError` when it is no run directory or cannot be read."""
    environment = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    if not isinstance(environment, dict):
        raise ValueError(f"{run / 'environment.json'}: expected an object")  # noqa: TRY004 - a file's fault, not ours
    zones = {
        str(zone): tuple(str(instance["id"]) for instance in instances)
        for zone, instances in (environment.get("zones") or {}).items()
    }
    ids = {one for own in zones.values() for one in own}
    opinions = opinions_of(read_rows(run / "readings.jsonl"))
    return History(
        opinions=tuple(replace(one, targets=_by_instance(one.targets, ids)) for one in opinions),
        requests=_requests(run / "samples"),
        faults=faults_of(read_rows(run / "events.jsonl"), zones),
        # Of a balancer that is our proxy, else of target groups.
        settings=settings_of((environment.get("proxy") or {}).get("health_check") or environment.get("health_check")),
        groups=zones,
    )


def steps_of(run: Path, history: History) -> dict[str, History]:
    """Each step of *run*'s plan as a history of its own: its faults, and what was seen between its neighbours.

    From the end of the step before to the onset of the step after, so that a late return still counts as the step's.
    """
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8")) if (run / "plan.json").exists() else {}
    blocks = [
        block for block in plan.get("extensions", []) if isinstance(block, dict) and block.get("name") == "stormproof"
    ]
    faults = {fault.fault_id: fault for fault in history.faults}
    steps = [
        (str(step["name"]), [faults[one] for one in step["faults"] if one in faults])
        for block in blocks
        for step in block.get("steps", [])
    ]
    felt = [(name, own) for name, own in steps if own]  # a step that breaks nothing has nothing to read
    found = {}
    for number, (name, own) in enumerate(felt):
        before = felt[number - 1][1] if number else []
        after = felt[number + 1][1] if number + 1 < len(felt) else []
        start_s = max((fault.end_high_s or fault.onset_high_s for fault in before), default=-math.inf)
        end_s = min((fault.onset_low_s for fault in after), default=math.inf)
        found[name] = _between(history, own, start_s, end_s)
    return found


def _between(history: History, faults: Sequence[Fault], start_s: float, end_s: float) -> History:
    requests = history.requests
    if requests is not None:
        requests = requests[((requests["sent_at"] >= start_s) & (requests["sent_at"] < end_s)).to_numpy(dtype=bool)]
    return replace(
        history,
        opinions=tuple(opinion for opinion in history.opinions if start_s <= opinion.at_s < end_s),
        requests=requests,
        faults=tuple(faults),
    )


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; a torn last line is passed over, a missing file has none."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def opinions_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Opinion, ...]:
    """The looks among readings. Each was over when the next one, good or failed, began; the last when it is written."""
    looks = sorted(
        (row for row in rows if row.get("probe") in OPINION_PROBES and isinstance(row.get("wall_s"), int | float)),
        key=lambda row: float(row["wall_s"]),
    )
    found = []
    for number, row in enumerate(looks):
        reading = row.get("reading")
        targets = reading.get("targets") if isinstance(reading, dict) else None
        if not isinstance(targets, dict):
            continue  # nobody saw anything: the looks around it are further apart
        at_s = float(row["wall_s"])
        until_s = float(looks[number + 1]["wall_s"]) if number + 1 < len(looks) else at_s
        views = {
            str(name): View(healthy=bool(one.get("healthy")), flags=tuple(map(str, one.get("flags", ()))))
            for name, one in targets.items()
            if isinstance(one, dict)
        }
        found.append(Opinion(at_s=at_s, until_s=until_s, targets=views))
    return tuple(found)


def _by_instance(targets: Mapping[str, View], ids: Collection[str]) -> dict[str, View]:
    """*targets* by the ids that faults know: one of target groups is called ``<group>/<id>`` in a reading.

    An instance in several groups is out only where all of them say so: until then it is sent something.
    """
    found: dict[str, View] = {}
    for name, view in targets.items():
        one = name.rpartition("/")[2]
        key = one if one in ids else name
        other = found.get(key)
        found[key] = (
            view if other is None else View(healthy=other.healthy or view.healthy, flags=other.flags + view.flags)
        )
    return found


def faults_of(events: Sequence[Mapping[str, Any]], zones: Mapping[str, tuple[str, ...]]) -> tuple[Fault, ...]:
    """Every fault that was felt. One that only changes the workload (a release) breaks nothing and is left out."""
    found = []
    for felt in (row for row in events if row.get("event") == "fault.felt"):
        later = [row for row in events if row.get("fault_id") == felt.get("fault_id")]
        undoing = _first(later, "fault.undoing") or _first(later, "fault.undone")
        gone = _last(later, "fault.gone")
        effect = felt.get("effect") or {}
        kind = str(effect.get("kind", ""))
        is_dependency = kind.startswith("arrivals-")
        if not is_dependency and kind not in SILENCING:
            continue
        found.append(
            Fault(
                fault_id=str(felt["fault_id"]),
                onset_low_s=float(felt.get("last_ok_at") or felt["at"]),
                onset_high_s=float(felt["at"]),
                end_low_s=_at(undoing),
                end_high_s=_at(gone),
                targets=_broken(effect, zones),
                silences=not is_dependency,
                dependency=is_dependency,
            )
        )
    return tuple(found)


def _broken(effect: Mapping[str, Any], zones: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    if "zone" in effect:
        return tuple(zones.get(str(effect["zone"]), ()))
    return tuple(str(client) for client in effect.get("clients", ()))


def settings_of(document: Any) -> Settings | None:
    """The balancer's settings as an environment or a balancer states them; None where it does not."""
    if not isinstance(document, Mapping):
        return None
    return Settings(
        interval_s=float(document["interval_s"]),
        timeout_s=float(document["timeout_s"]),
        unhealthy_threshold=int(document["unhealthy_threshold"]),
        healthy_threshold=int(document["healthy_threshold"]),
        counts_from=str(document.get("counts_from", "start")),
    )


def _requests(folder: Path) -> pd.DataFrame | None:
    """The samples that the load recorded, as requests by zone; None where there are none."""
    import pandas as pd

    parts = sorted(folder.glob("*.parquet"))
    if not parts:
        return None
    columns = ["sent_at", "service_ms", "status", "ok", "zone"]
    samples = pd.concat([pd.read_parquet(part, columns=columns) for part in parts], ignore_index=True)
    requests = pd.DataFrame(
        {
            "sent_at": samples["sent_at"].astype("float64"),
            "done_at": samples["sent_at"].astype("float64") + samples["service_ms"].astype("float64") / 1000,
            "served_by": samples["zone"].astype(str),
            "ok": samples["ok"].astype(bool),
            "status": samples["status"].astype("int64"),
        }
    )
    return requests[list(REQUEST_COLUMNS)].sort_values("sent_at", kind="stable", ignore_index=True)


def _first(rows: Sequence[Mapping[str, Any]], event: str) -> Mapping[str, Any] | None:
    return next((row for row in rows if row.get("event") == event), None)


def _last(rows: Sequence[Mapping[str, Any]], event: str) -> Mapping[str, Any] | None:
    return next((row for row in reversed(rows) if row.get("event") == event), None)


def _at(row: Mapping[str, Any] | None) -> float | None:
    return None if row is None else float(row.get("at", row["wall_s"]))
