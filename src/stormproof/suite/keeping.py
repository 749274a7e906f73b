"""How long runs are kept in `reports/`, how much they may take, and which may go. docs/adr/0067-retention.md."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from stormproof.errors import UnavailableError
from stormproof.evidence.chain import environments, read_links, store_of
from stormproof.faults.ledger import Ledger
from stormproof.record.stored import StoredRun, stored_runs, total_bytes
from stormproof.run.lock import holders
from stormproof.spec.document import read_document
from stormproof.spec.quantity import Size
from stormproof.spec.translate import validate

SETTINGS = Path("experiments/reports.yaml")
SILENT_S = 86_400.0  # a run without a seal that was written to since may be going on, on another machine
_LEAVING = ".pruned-"


class ReportsSettings(BaseModel):
    """`experiments/reports.yaml`; every key may be left out, and then there is no such bound."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep_days: Annotated[int, Field(ge=1, le=36_500)] | None = Field(
        default=None, description="How long runs are kept; `stormproof reports prune` deletes older ones."
    )
    quota: Size | None = Field(default=None, description="How much runs may take before no further one begins.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A run, and why it is kept; "" where nothing keeps it."""

    stored: StoredRun
    kept: str


def load_reports_settings() -> ReportsSettings:
    """The settings in `experiments/reports.yaml`, or none of them. Raises `SpecError`."""
    if not SETTINGS.is_file():
        return ReportsSettings()
    document = read_document(SETTINGS)
    return validate(ReportsSettings, document.value, document)


def refuse_over_quota(reports: Path) -> None:
    """`UnavailableError` before a run begins that would be one too many: nothing was touched."""
    quota = load_reports_settings().quota
    if quota is None:
        return
    used = total_bytes(stored_runs(reports))
    if used >= quota:
        raise UnavailableError(
            f"{reports}: expected runs of less than {size_text(quota)} before another begins, as {SETTINGS} says,"
            f" got {size_text(used)}",
            hint="stormproof reports prune says which of them may go",
        )


def judged(reports: Path, *, keep_days: int, now: dt.datetime) -> list[Judged]:
    """Every run under *reports*, oldest first, and why it is kept; *now* is aware.

    Raises `InputError` when a chain of evidence is not whole: then nobody knows what it holds.
    """
    going_on = {Path(str(owner["run"])) for owner in holders()}
    evidence = _evidence(reports, now.date())
    return [
        Judged(stored=one, kept=_kept(one, keep_days=keep_days, now=now, going_on=going_on, evidence=evidence))
        for one in stored_runs(reports)
    ]


def prune(found: list[Judged]) -> None:
    """Delete those of *found* that nothing keeps; `UnavailableError` for one that cannot be.

    Each is renamed first: half a run is never taken for one.
    """
    for path in (one.stored.run.path for one in found if not one.kept):
        try:
            shutil.rmtree(path.rename(path.with_name(f"{_LEAVING}{path.name}")))
        except OSError as error:
            raise UnavailableError(f"{path}: could not be deleted: {error.strerror}") from error
        with contextlib.suppress(OSError):  # others are in it
            path.parent.rmdir()


def sweep(reports: Path) -> None:
    """Finish what an earlier `prune` was cut off in."""
    for leaving in reports.glob(f"*/{_LEAVING}*"):
        shutil.rmtree(leaving, ignore_errors=True)


def size_text(size_bytes: float) -> str:
    """For people: "1.2 GiB", "340.0 MiB"."""
    gib = size_bytes / 2**30
    return f"{gib:.1f} GiB" if gib >= 1 else f"{size_bytes / 2**20:.1f} MiB"


def _kept(
    one: StoredRun, *, keep_days: int, now: dt.datetime, going_on: Collection[Path], evidence: Mapping[str, str]
) -> str:
    """The weightiest reason first."""
    run = one.run
    if run.path.resolve() in going_on:
        return "it is going on"
    if run.ledger.exists() and (left := Ledger(run.ledger).outstanding()):
        return f"still to be undone: {', '.join(entry.fault_id for entry in left)}"
    if not run.sums.exists() and now.timestamp() - one.written_at_s < SILENT_S:
        return "it has no seal and was written to within a day: it may be going on elsewhere"
    if one.run_id in evidence:
        return evidence[one.run_id]
    if run.incident.exists():
        return f"{run.incident.name} is people's: delete such a run by hand"
    if now - one.begun_at < dt.timedelta(days=keep_days):
        return f"younger than {keep_days} days"
    return ""


def _evidence(reports: Path, today: dt.date) -> dict[str, str]:
    """Run id → why evidence keeps it: held by the law, or within the retention that its record states."""
    found = {}
    for environment in environments(reports):
        for link in read_links(store_of(reports, environment)):
            retention = link.record.get("retention") or {}
            until = retention.get("until")
            if retention.get("legal_hold"):
                found[str(link.record["run_id"])] = "evidence under a legal hold"
            elif until and dt.date.fromisoformat(str(until)) >= today:
                found[str(link.record["run_id"])] = f"evidence that is kept until {until}"
    return found
