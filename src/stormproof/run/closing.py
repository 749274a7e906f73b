"""Closing probes: asked once, when the load has ended and the arrivals are gathered, each in a child with a deadline.

``python -m stormprobes.<module> --run RUN_DIR`` prints one JSON document ``{"probe", "value"}``. Its value becomes the
probe's one line in `readings.jsonl`; a child that crashes, is late, or prints anything else becomes a line with
``error``. The verdict then comes from the file, here and wherever the directory is judged again.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from typing import Any

import orjson

from stormproof.record import events
from stormproof.record.atomic import append_line
from stormproof.record.layout import RunDirectory
from stormproof.record.redact import redact
from stormproof.run.children import Child

PROBE_S_MAX = 90.0  # for one probe; identifying the retries of ten thousand calls takes some seconds
ANSWER_BYTES_MAX = 4 << 20
_TAIL_MAX = 300  # characters of a child's last words


def ask_closing_probes(
    run: RunDirectory,
    probes: Mapping[str, str],
    *,
    process_environment: Mapping[str, str],
    within_s: float = PROBE_S_MAX,
) -> list[str]:
    """Ask each of *probes* (name → module) about *run*; one line each in its readings, one event each.

    Returns a sentence for each probe that saw nothing.
    """
    blind = []
    for name, module in probes.items():
        value, why = _ask(run, name, module, process_environment=process_environment, within_s=within_s)
        row: dict[str, Any] = {"probe": name, "wall_s": time.time(), "mono_s": time.monotonic()}
        row |= {"error": why} if value is None else {"reading": value}
        append_line(run.readings, redact(row))
        told = events.PROBE_READ if value is not None else events.PROBE_BLIND
        reason = {"reason": why} if value is None else {}
        events.record_event(run.events, told, who="conductor", probe=name, **reason)
        if value is None:
            blind.append(f"{name}: {why}")
    return blind


def _ask(
    run: RunDirectory, name: str, module: str, *, process_environment: Mapping[str, str], within_s: float
) -> tuple[Mapping[str, Any] | None, str]:
    """The probe's value, or None and why there is none."""
    output = run.logs / f"{name}.json"
    child = Child.spawn(
        name,
        ["-m", module, "--run", str(run.path)],
        log=run.logs / f"{name}.log",
        environment=process_environment,
        orphan_signal=signal.SIGKILL,  # it only reads
        output=output,
    )
    started_s = time.monotonic()
    code = child.collect(within_s=within_s)
    if code == -signal.SIGKILL and time.monotonic() - started_s >= within_s:
        return None, f"no answer within {within_s:g} s"
    if code != 0:
        return None, f"it ended with code {code}: {child.tail(1)[-_TAIL_MAX:] or 'it said nothing'}"
    if output.stat().st_size > ANSWER_BYTES_MAX:
        return None, f"it printed {output.stat().st_size} bytes, at most {ANSWER_BYTES_MAX} are read"
    try:
        document = orjson.loads(output.read_bytes())
    except orjson.JSONDecodeError as error:
        return None, f"it printed no JSON document: {error}"
    if not isinstance(document, dict) or document.get("probe") != name or not isinstance(document.get("value"), dict):
        return None, f'it printed no {{"probe": "{name}", "value": {{…}}}}'
    return document["value"], ""
