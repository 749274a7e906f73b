"""What the environment allows, checked before anything is touched; a spec cannot say otherwise."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from stormproof.errors import GuardrailError
from stormproof.faults import catalogue
from stormproof.plan.resolve import kinds_of
from stormproof.spec.quantity import format_duration

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.model.guardrails import Guardrails
    from stormproof.model.plan import ResolvedFault

# Change windows begin and end on whole minutes: a look a minute sees every gap between two of them.
_STEP = dt.timedelta(minutes=1)
# EC2's ids: i-…, subnet-…, acl-…, eni-…; what else a fault touches (a proxy, a process) carries no tags.
_AWS_ID = re.compile(r"[a-z]+-[0-9a-f]{8}(?:[0-9a-f]{9})?")

TagsOf = Callable[["Environment", Sequence[str]], Mapping[str, Mapping[str, str]]]


def check_guardrails(
    guardrails: Guardrails,
    experiment: Experiment,
    resolved: tuple[ResolvedFault, ...],
    environment: Environment,
    *,
    now: dt.datetime,
    tags_of: TagsOf | None = None,
) -> None:
    """Raise `GuardrailError` unless *guardrails* allow *resolved* in *environment*, from *now* (aware) on.

    *tags_of* tells the tags of AWS resources by id (default: `read_tags`, which only reads). The kill switch is
    `run.killswitch`, the typed phrase `check_confirmation`.
    """
    _check_names(guardrails, "faults", guardrails.faults, [*(fault.kind for fault in resolved), *kinds_of(resolved)])
    _check_undo(guardrails, kinds_of(resolved))
    _check_names(guardrails, "accounts", guardrails.accounts, [environment.aws.account])
    _check_names(guardrails, "regions", guardrails.regions, [environment.aws.region])
    targets = sorted({target for fault in resolved for target in fault.targets})
    if guardrails.targets_max is not None and len(targets) > guardrails.targets_max:
        raise _refusal(guardrails, "max_targets", f"at most {guardrails.targets_max}", f"{len(targets)} targets")
    limit_s = experiment.limits.duration_s
    if guardrails.duration_s_max is not None and limit_s > guardrails.duration_s_max:
        expected = f"limits.duration of at most {format_duration(guardrails.duration_s_max)}"
        raise _refusal(guardrails, "max_duration", expected, format_duration(limit_s))
    check_change_windows(guardrails, now=now, duration_s_max=limit_s)
    _check_tags(guardrails, targets, environment, tags_of or read_tags)


def check_change_windows(guardrails: Guardrails, *, now: dt.datetime, duration_s_max: float) -> None:
    """Raise `GuardrailError` unless *now* (aware) and everything up to *duration_s_max* later is inside a window.

    Windows that touch count as one. Instants are compared, not clock times: a run across a change to or from
    summer time is as long as it is.
    """
    if not guardrails.change_windows:
        return
    assert now.tzinfo is not None, "an instant without a time zone is none"
    end = now + dt.timedelta(seconds=duration_s_max)
    for instant in _minutes(now, end):
        if not any(window.holds(instant) for window in guardrails.change_windows):
            shown = "; ".join(window.text for window in guardrails.change_windows)
            at = f"{instant.astimezone(dt.UTC):%a %Y-%m-%d %H:%M} UTC"
            got = f"{at}, which is outside" if instant == now else f"a run that may last until {at}, which is outside"
            raise _refusal(guardrails, "change_windows", shown, got, hint="wait, or shorten limits.duration")


def phrase(environment: Environment, experiment: Experiment) -> str:
    """What a person must type where the environment says `confirm: required`."""
    return f"{environment.name} {experiment.slug}"


def check_confirmation(
    guardrails: Guardrails, environment: Environment, experiment: Experiment, *, given: str | None
) -> None:
    """Raise `GuardrailError` unless *given* is the exact phrase, where one is required."""
    if not guardrails.confirm:
        return
    wanted = phrase(environment, experiment)
    if given is None or given.strip() != wanted:
        got = "nothing" if not given else "another phrase"
        raise _refusal(guardrails, "confirm", f"the phrase `{wanted}`", got, hint=f"--confirm '{wanted}'")


def check_plain(guardrails: Guardrails) -> None:
    """Raise `GuardrailError` for a plain Chaos Toolkit experiment where what it breaks would have to be checked.

    It is code: which faults, accounts, resources it touches, nobody can know before it runs.
    """
    for name, value in (
        ("faults", guardrails.faults),
        ("accounts", guardrails.accounts),
        ("regions", guardrails.regions),
        ("tags", guardrails.tags or None),
        ("max_targets", guardrails.targets_max),
        ("max_duration", guardrails.duration_s_max),
        ("change_windows", guardrails.change_windows or None),
        ("confirm", guardrails.confirm or None),
    ):
        if value is not None:
            got = "a plain Chaos Toolkit experiment, which cannot be checked"
            raise _refusal(guardrails, name, "an experiment of ours", got, hint="write it as a spec")


def read_tags(environment: Environment, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """The tags of each EC2 resource of *ids*, from the control plane; only reads. Raises `GuardrailError`."""
    from botocore.exceptions import BotoCoreError, ClientError

    from stormproof.faults import aws

    configuration = environment.aws.configuration
    found: dict[str, dict[str, str]] = {one: {} for one in ids}
    try:
        pages = aws.client("ec2", configuration).get_paginator("describe_tags")
        for page in pages.paginate(Filters=[{"Name": "resource-id", "Values": list(ids)}]):
            for tag in page["Tags"]:
                found.setdefault(tag["ResourceId"], {})[tag["Key"]] = tag["Value"]
    except (BotoCoreError, ClientError) as error:
        raise GuardrailError(f"guardrails.tags: the tags could not be read ({error}); nothing was touched") from error
    return found


def _check_tags(guardrails: Guardrails, targets: Sequence[str], environment: Environment, tags_of: TagsOf) -> None:
    if not guardrails.tags:
        return
    instances = {instance.id for zone in environment.zones.values() for instance in zone}
    resources = [target for target in targets if target in instances or _AWS_ID.fullmatch(target)]
    if not resources:
        return
    found = tags_of(environment, resources)
    for resource in resources:
        for key, value in guardrails.tags.items():
            has = found.get(resource, {}).get(key)
            if has != value:
                got = f"{resource} without it" if has is None else f"{resource} with {key}={has}"
                raise _refusal(guardrails, "tags", f"{key}={value} on everything that is touched", got)


def _check_names(guardrails: Guardrails, name: str, allowed: Sequence[str] | None, asked: Sequence[str]) -> None:
    for one in asked:
        if allowed is not None and one not in allowed:
            raise _refusal(guardrails, name, ", ".join(allowed) or "none", repr(one))


def _check_undo(guardrails: Guardrails, kinds: Sequence[str]) -> None:
    for kind in kinds:
        if kind not in guardrails.allow_no_undo and not catalogue.has_undo(kind):
            raise _refusal(
                guardrails,
                "allow_no_undo",
                ", ".join(guardrails.allow_no_undo) or "none",
                f"{kind!r}, and nothing brings back what that breaks",
                hint=f"if that is meant: `allow_no_undo: [{kind}]` under `guardrails`, in a change that is reviewed",
            )


def _minutes(start: dt.datetime, end: dt.datetime) -> Iterator[dt.datetime]:
    """*start*, every whole minute after it, and *end*."""
    yield start
    instant = start.astimezone(dt.UTC).replace(second=0, microsecond=0) + _STEP
    while instant < end:
        yield instant
        instant += _STEP
    yield end


def _refusal(guardrails: Guardrails, name: str, allowed: str, got: str, *, hint: str | None = None) -> GuardrailError:
    where = f"{guardrails.where}: " if guardrails.where else ""
    return GuardrailError(f"{where}guardrails.{name}: allowed is {allowed}; got {got}; nothing was touched", hint=hint)
