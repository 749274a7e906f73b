"""`evidence.yaml`: what no run can know: people, tickets, what is claimed or configured, what is production."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from stormproof.errors import UsageError
from stormproof.spec.document import read_document
from stormproof.spec.loader import reliability_choices
from stormproof.spec.translate import nearest, validate

DEFAULT_PATH = Path("experiments/evidence.yaml")
DAY_S = 86_400.0


def _known_choice(value: object) -> str:
    text = str(value)
    if text not in reliability_choices():
        hint = nearest(text, reliability_choices(), or_all=False)
        raise ValueError(f"a choice id of the Reliability pillar{f' ({hint})' if hint else ''}")
    return text


def _day(value: object) -> dt.date:
    if isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError("a day, as in 2026-11-25") from error


ChoiceId = Annotated[str, BeforeValidator(_known_choice)]
Day = Annotated[dt.date, BeforeValidator(_day)]
Line = Annotated[str, Field(min_length=1, max_length=500)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Attestation(_Section):
    """What a person says of a practice, without a run."""

    state: Literal["claimed", "configured"] = Field(description="Said to be so, or configured so.")
    by: Line = Field(description="Who says it.")
    on: Day = Field(description="When, as a day.")
    where: Line | None = Field(default=None, description="Where it is configured: a file, a resource, a page.")


class Workload(_Section):
    """What the records are about."""

    name: Line = "the workload"
    id: Line | None = Field(default=None, description="Its id in the Well-Architected Tool.")
    criticality: Line | None = None
    exclusions: tuple[Line, ...] = ()


class People(_Section):
    """Who answers for the experiments. Whoever executed a run stands in the run."""

    author: Line | None = None
    approver: Line | None = None
    reviewer: Line | None = None


class Authority(_Section):
    """Under what the experiments are allowed."""

    change_ticket: Line | None = None
    notified: tuple[Line, ...] = ()
    scenario_source: Line | None = Field(default=None, description="An incident, an analysis, a regulation.")
    type: Literal["test", "exercise"] = "test"


class Retention(_Section):
    """How long the records are kept."""

    class_: Line | None = Field(default=None, alias="class")
    days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    legal_hold: bool = False


class EvidenceSettings(_Section):
    """The whole file; every key may be left out."""

    schema_version: Literal[1] = 1
    record_runs: bool = Field(
        default=False, description="`stormproof run` writes its record itself; a suite always does."
    )
    workload: Workload = Workload()
    people: People = People()
    authority: Authority = Authority()
    retention: Retention = Retention()
    production: tuple[Line, ...] = Field(default=(), description="Environments whose runs are tests in production.")
    stale_after_days: Annotated[float, Field(gt=0, le=3_650)] = Field(default=90, description="Older is stale.")
    practices: dict[ChoiceId, Attestation] = Field(default={}, description="Choice id → what is said of it.")


def load_settings(path: Path | None) -> EvidenceSettings:
    """The settings in *path*, or in `experiments/evidence.yaml` if there is one; else the defaults.

    Raises `UsageError` when *path* is not there, `SpecError` when the file is wrong.
    """
    if path is None and not DEFAULT_PATH.is_file():
        return EvidenceSettings()
    chosen = path or DEFAULT_PATH
    if not chosen.is_file():
        raise UsageError(f"--settings {chosen}: there is no such file")
    document = read_document(chosen)
    return validate(EvidenceSettings, document.value, document)
