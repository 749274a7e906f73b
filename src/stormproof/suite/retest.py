"""A held run closes the open post-incident records of its experiment: it appends, and rewrites nothing.

The same experiment: same slug and environment, the same faults in the spec, and every claim that was refuted is among
those that are held now. A spec whose bound was loosened does not close what the old bound refuted.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml

from stormproof.errors import InputError
from stormproof.model.verdict import Outcome, Verdict
from stormproof.record.layout import RunDirectory
from stormproof.report.page_markdown import code
from stormproof.verdict.document import read_verdict

CLOSED = "<!-- stormproof:closed-by "


def close_earlier(run: RunDirectory) -> list[Path]:
    """If *run* held, append to each open record of an earlier run that it answers; their paths."""
    verdict = _verdict(run)
    if verdict is None or verdict.outcome is not Outcome.HELD:
        return []
    closed = []
    for path in sorted(run.path.parent.glob("*/incident.md")):
        before = RunDirectory(path.parent)
        if before.path.name < run.path.name and _answers(before, run, verdict) and _append(path, run, verdict):
            closed.append(path)
    return closed


def is_open(text: str) -> bool:
    """Whether a record has not been closed yet."""
    return not any(line.startswith(CLOSED) for line in text.splitlines())


def _answers(before: RunDirectory, run: RunDirectory, verdict: Verdict) -> bool:
    refuted = _verdict(before)
    if refuted is None or _where(before) != _where(run) or _faults(before) != _faults(run):
        return False
    wrong = {one.claim for one in refuted.findings if one.outcome is Outcome.REFUTED}
    right = {one.claim for one in verdict.findings if one.outcome is Outcome.HELD}
    return bool(wrong) and wrong <= right


def _append(path: Path, run: RunDirectory, verdict: Verdict) -> bool:
    """One write at the end of the file, under a lock; False when it was closed meanwhile."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        text = os.pread(descriptor, size, 0)
        if not is_open(text.decode(errors="replace")):
            return False
        lead = "" if text.endswith(b"\n") or not text else "\n"
        os.write(descriptor, (lead + _section(RunDirectory(path.parent), run, verdict)).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def _section(before: RunDirectory, run: RunDirectory, verdict: Verdict) -> str:
    about, earlier = _document(run.run_json), _document(before.run_json)
    changed = [
        f"- {name}: {code(str(earlier.get(name)))} then, {code(str(about.get(name)))} now"
        for name in ("workload_version", "variant", "topology_digest", "overrides", "git")
        if earlier.get(name) != about.get(name)
    ]
    what_changed = "What is not as it was then:\n\n" + "\n".join(changed) if changed else "Nothing on record changed."
    when = about.get("ended_at") or dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    claims = "\n".join(f"- {code(one.claim)}: held" for one in verdict.findings if one.outcome is Outcome.HELD)
    return (
        f"\n{CLOSED}{run.path.name} -->\n## Closed by a re-test\n\n"
        f"Run {code(run.path.name)}, ended {code(str(when))}, injected the same faults, and held:\n\n{claims}\n\n"
        f"{what_changed}\n\nIts report: [{run.path.name}](../{run.path.name}/report.html)\n"
    )


def _where(run: RunDirectory) -> object:
    return _document(run.run_json).get("environment")


def _faults(run: RunDirectory) -> object:
    """What the spec says is broken; it says it of every run, whatever was overridden elsewhere."""
    try:
        spec = yaml.safe_load(run.spec.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return object()  # equal to nothing
    return [spec.get("faults"), [step.get("faults") for step in spec.get("steps") or ()]]


def _verdict(run: RunDirectory) -> Verdict | None:
    try:
        return read_verdict(run.verdict)
    except InputError:
        return None


def _document(path: Path) -> Mapping[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
