"""A suite's settings file: overrides, budgets, who is told. Every key may be left out; no secret stands in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from stormproof.errors import UsageError
from stormproof.spec.document import read_document
from stormproof.spec.quantity import PositiveDuration
from stormproof.spec.translate import nearest, validate

Value = str | int | float | bool
Settings = dict[str, Value]
_ONE = re.compile(r"(?:(?P<slug>[a-z0-9-]+):)?(?P<path>[^:=]+)=(?P<value>.*)", re.DOTALL)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OfExperiment(_Section):
    """What is said of one experiment."""

    set: Settings = Field(default={}, description="Overrides for this one, instead of the general ones.")


class BudgetFields(_Section):
    """How long it may take and how much it may break."""

    wall_time: PositiveDuration | None = Field(default=None, description="No run is started that would end later.")
    target_seconds: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Targets × seconds of injected damage, all runs together."
    )


class NotifyFields(_Section):
    """Who is told at the end."""

    when: Literal["trouble", "always"] = Field(
        default="trouble", description="trouble: when something did not hold, and when all is well again after that."
    )
    topic: Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:\S+$")] | None = Field(
        default=None, description="An SNS topic, by its ARN."
    )
    webhook: Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]*$")] | None = Field(
        default=None, description="The environment variable that holds the URL of a Slack-compatible webhook."
    )


class SuiteSettings(_Section):
    """The whole file."""

    schema_version: Literal[1] = 1
    set: Settings = Field(default={}, description="Overrides for every experiment that has none of its own.")
    experiments: dict[str, OfExperiment] = Field(default={}, description="By slug.")
    budget: BudgetFields = BudgetFields()
    jobs: Annotated[int, Field(ge=1, le=16)] = Field(default=1, description="Runs at once, where nothing conflicts.")
    repeat: bool = Field(default=True, description="Run what is invalid or inconclusive once more.")
    link: str | None = Field(default=None, description="Where people find the suite's folder: the start of a URL.")
    notify: NotifyFields = NotifyFields()


def load_suite_settings(path: Path | None) -> SuiteSettings:
    """The settings in *path*; the defaults without one. Raises `UsageError` or `SpecError`."""
    if path is None:
        return SuiteSettings()
    if not path.is_file():
        raise UsageError(f"--settings {path}: there is no such file")
    document = read_document(path)
    return validate(SuiteSettings, document.value, document)


def notify_fields(said: NotifyFields, *, webhook: str | None, topic: str | None) -> NotifyFields:
    """*said* with what the command line says instead. Raises `UsageError`."""
    given = {name: text for name, text in (("webhook", webhook), ("topic", topic)) if text is not None}
    try:
        return NotifyFields.model_validate({**said.model_dump(), **given})
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        expected = {"webhook": "the name of an environment variable", "topic": "the ARN of an SNS topic"}[name]
        raise UsageError(f"--{name} {given[name]}: expected {expected}") from None


def check_names(settings: SuiteSettings, slugs: list[str]) -> None:
    """`UsageError` when *settings* speak of an experiment that is not among *slugs*."""
    for name in settings.experiments:
        if name not in slugs:
            raise UsageError(f"the settings name an experiment {name!r}, which is not there", hint=nearest(name, slugs))


def settings_of(slug: str, settings: SuiteSettings, given: list[str], slugs: list[str]) -> tuple[str, ...]:
    """The `--set` texts of experiment *slug*: the file's, then those of the command line, which win.

    *given* are the command line's, ``path=value`` or ``slug:path=value``. Raises `UsageError`.
    """
    own = settings.experiments.get(slug)
    found = {path: _text(value) for path, value in (own.set if own is not None else settings.set).items()}
    for text in given:
        one = _ONE.fullmatch(text)
        if one is None:
            raise UsageError(
                f"--set {text}: expected path=value, or slug:path=value", hint="--set az-loss:lab.variant=naive"
            )
        if one["slug"] is not None and one["slug"] not in slugs:
            raise UsageError(f"--set {text}: there is no experiment {one['slug']!r}", hint=nearest(one["slug"], slugs))
        if one["slug"] in (None, slug):
            found[one["path"]] = one["value"]
    return tuple(f"{path}={value}" for path, value in found.items())


def as_mapping(settings: tuple[str, ...]) -> Mapping[str, str]:
    """``path=value`` texts as a mapping."""
    return dict(one.split("=", 1) for one in settings)


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
