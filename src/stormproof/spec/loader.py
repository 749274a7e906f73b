"""An experiment file → `Experiment`, or one `SpecError` that says file, line, expected and got."""

from __future__ import annotations

import ast
import functools
import importlib.resources
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from stormproof.errors import HypothesisError, SpecError
from stormproof.model.experiment import (
    AT,
    COMPOSITE,
    STEPS,
    ArrivalProcess,
    Experiment,
    FaultRequest,
    Limits,
    Load,
    Step,
    Timeline,
)
from stormproof.model.hypothesis import Claim, ClaimStopCondition, Phase, ReadingHypothesis
from stormproof.spec.control import check_control, control_from
from stormproof.spec.document import Document, Location, dotted, read_document
from stormproof.spec.fields import ELSEWHERE, FAULT_MIN_S, ExperimentFields, FaultSpanFields
from stormproof.spec.hypothesis import parse_hypothesis, parse_stop_condition
from stormproof.spec.override import apply_overrides
from stormproof.spec.quantity import format_duration, parse_duration
from stormproof.spec.reading_forms import RETRY
from stormproof.spec.translate import nearest, validate
from stormproof.spec.variable import resolve_variables, variables_from

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

FILE_NAME = "experiment.yaml"  # what a folder's experiment is called

_VARIABLE = "var."  # --set var.name=… gives ${name} its value


def experiment_path(path: Path) -> Path:
    """The file of an experiment that may be named by its folder. Raises `SpecError` if there is none."""
    file = path / FILE_NAME if path.is_dir() else path
    if file.is_file():
        return file
    siblings = [entry.name for entry in path.parent.iterdir() if entry != path] if path.parent.is_dir() else []
    there = "something that is no file" if path.exists() else "nothing there"
    got = f"a folder without {FILE_NAME}" if path.is_dir() else there
    expected = "an experiment file, or its folder"
    raise SpecError(
        where=str(path), what="", expected=expected, got=got, hint=nearest(path.name, siblings, or_all=False)
    )


def load_document(
    path: Path, *, overrides: Mapping[str, str] | None = None, variables: Mapping[str, str] | None = None
) -> Document:
    """The experiment file with `--set` and `${…}` put in, not yet checked.

    *overrides* is `Overrides.spec`; *variables* defaults to the environment's `STORMPROOF_VAR_…`.
    """
    given = dict(overrides or {})
    known = dict(variables_from(os.environ) if variables is None else variables)
    for key in [key for key in given if key.startswith(_VARIABLE)]:
        known[key.removeprefix(_VARIABLE)] = given.pop(key)
    document = read_document(experiment_path(path))
    document = apply_overrides(document, given, sections=ExperimentFields.model_fields.keys())
    return resolve_variables(document, known)


def dump_document(document: Document) -> str:
    """The document as YAML, for `spec.yaml` in a run directory: what was asked, after `--set`."""
    text: str = yaml.safe_dump(document.value, sort_keys=False, allow_unicode=True, width=110)
    return text


def load_experiment(
    path: Path,
    *,
    catalogue: Mapping[str, type[BaseModel]] | None = None,
    overrides: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    check_files: bool = True,
) -> Experiment:
    """Read, resolve and check the experiment at *path* (the file or its folder).

    *catalogue* maps each kind of fault to the model of its arguments; without one, faults are not checked.
    *check_files* is off for the copy in a run directory, whose locustfile need not exist any more.
    Raises `SpecError` or `HypothesisError`.
    """
    document = load_document(path, overrides=overrides, variables=variables)
    return experiment_from(document, catalogue=catalogue, check_files=check_files)


def experiment_from(
    document: Document, *, catalogue: Mapping[str, type[BaseModel]] | None = None, check_files: bool = True
) -> Experiment:
    """The experiment that *document* describes; see `load_experiment`."""
    fields = validate(ExperimentFields, document.value, document, elsewhere=ELSEWHERE)
    _check_reliability(fields.reliability, document)
    steps = _steps(fields, document, catalogue)
    span = fields.timeline.fault
    control, control_header = control_from(fields.control, document)
    experiment = Experiment(
        slug=slug_of(Path(document.file)),
        title=fields.title.strip(),
        why=fields.why.strip(),
        load=_load(fields, document, check_files=check_files),
        timeline=Timeline(
            steady_s=fields.timeline.steady,
            fault_s=(span.at_most if isinstance(span, FaultSpanFields) else span)
            or sum(step.duration_s for step in steps),
            recovery_s=fields.timeline.recovery,
            until_decided=isinstance(span, FaultSpanFields),
            fault_min_s=span.at_least if isinstance(span, FaultSpanFields) else 0.0,
        ),
        faults=tuple(fault for step in steps for fault in step.faults)
        or _faults(fields.faults or [], ("faults",), document, catalogue),
        steps=steps,
        hypotheses=tuple(
            parse_hypothesis(
                text,
                where=document.where(("hypotheses", index)),
                steps=tuple(step.name for step in steps),
                control=control,
                control_header=control_header.header if control_header else None,
            )
            for index, text in enumerate(fields.hypotheses)
        ),
        stop_when=tuple(
            parse_stop_condition(text, where=document.where(("stop_when", index)))
            for index, text in enumerate(fields.stop_when)
        ),
        limits=Limits(
            duration_s=fields.limits.duration,
            targets=fields.limits.targets,
            share=fields.limits.share,
            faults_at_once=fields.limits.faults_at_once,
        ),
        reliability=tuple(fields.reliability),
        tags=tuple(fields.tags),
        control_zone=control,
        control_header=control_header,
        path=document.file,
        schema_version=fields.schema_version,
    )
    experiment = replace(experiment, hypotheses=_whose_clients(experiment, document))
    _check_together(experiment, document)
    _check_early_end(experiment, document)
    check_control(experiment, document)
    return experiment


def _whose_clients(experiment: Experiment, document: Document) -> tuple[Claim, ...]:
    """The hypotheses, each claim about retries with its dependency: unsaid, it is the one that the faults break."""
    broken = sorted({str(f.arguments["dependency"]) for f in experiment.faults if "dependency" in f.arguments})
    claims: list[Claim] = []
    for index, one in enumerate(experiment.hypotheses):
        if not isinstance(one, ReadingHypothesis) or one.probe != RETRY or one.dependency is not None:
            claims.append(one)
            continue
        if len(broken) != 1:
            raise HypothesisError(
                where=document.where(("hypotheses", index)),
                what=f'"{one.text}"',
                expected="`of <dependency>`, as the faults do not break exactly one",
                got=f"faults that break {', '.join(broken) or 'no dependency'}",
            )
        claims.append(replace(one, dependency=broken[0]))
    return tuple(claims)


def slug_of(path: Path) -> str:
    """The experiment's short name: the folder's name, or the file's where it is not `experiment.yaml`."""
    name = path.resolve().parent.name if path.name == FILE_NAME else path.stem
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "experiment"


@functools.cache
def reliability_choices() -> Mapping[str, Mapping[str, str]]:
    """Choice id → {practice, title}: the Reliability pillar's best practices, as shipped."""
    data = importlib.resources.files("stormproof.spec").joinpath("data/reliability.json").read_bytes()
    choices: Mapping[str, Mapping[str, str]] = json.loads(data)
    return choices


def _no_python(path: Path) -> str:
    """Why the file at *path* cannot even be parsed, with its line; "" when it can. Nothing of it is run."""
    try:
        ast.parse(path.read_bytes(), filename=path.name)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, OSError) as error:  # null bytes; a file that may not be read
        return str(error)
    return ""


def _load(fields: ExperimentFields, document: Document, *, check_files: bool) -> Load:
    load = fields.load
    if load.arrivals is not None and load.users is not None:
        raise _wrong(document, ("load", "users"), "either arrivals (open model) or users (closed model)", "both")
    if load.arrivals is None and load.users is None:
        raise _wrong(document, ("load",), "arrivals (open model, 150/s) or users (closed model, 40)", "neither")
    if load.users is not None and load.process != "uniform":
        raise _wrong(document, ("load", "process"), "no process: users wait for answers", f"`{load.process}`")
    if load.delivered <= 0:
        raise _wrong(document, ("load", "delivered"), "a share above 0%", "0%, which any load would satisfy")
    locustfile = (Path(document.file).parent / load.locustfile).resolve()
    if check_files and not locustfile.is_file():
        raise _wrong(document, ("load", "locustfile"), "a file beside the spec", f"`{load.locustfile}`, not there")
    if check_files and (problem := _no_python(locustfile)):
        raise _wrong(document, ("load", "locustfile"), "a Python file", f"`{load.locustfile}`, {problem}")
    return Load(
        locustfile=str(locustfile),
        arrivals_per_s=load.arrivals,
        users=load.users,
        process=ArrivalProcess(load.process),
        workers=load.workers,
        timeout_s=load.timeout,
        delivered_share_min=load.delivered,
        warmup_s=load.warmup,
    )


def _steps(
    fields: ExperimentFields, document: Document, catalogue: Mapping[str, type[BaseModel]] | None
) -> tuple[Step, ...]:
    """The steps; () without any, and then there are faults and `timeline.fault`: one way or the other, never both."""
    if fields.steps is None:
        if fields.faults is None:
            raise _wrong(document, (), "the key `faults` (or `steps`)", "none")
        if fields.timeline.fault is None:
            raise _wrong(document, ("timeline",), "the key `fault`", "none")
        return ()
    for at, given in ((("faults",), fields.faults), (("timeline", "fault"), fields.timeline.fault)):
        if given is not None:
            raise _wrong(document, at, f"no `{at[-1]}` beside `steps`", "both", hint="each step has its own")
    phases = [phase.value for phase in Phase]
    seen: set[str] = set()
    for index, step in enumerate(fields.steps):
        if step.name in phases or step.name in seen:
            got = f"`{step.name}`, {'a phase' if step.name in phases else 'again'}"
            raise _wrong(document, ("steps", index, "name"), "a name of its own", got)
        seen.add(step.name)
    return tuple(
        Step(
            name=step.name,
            duration_s=step.duration,
            faults=_faults(step.faults, ("steps", index, "faults"), document, catalogue),
        )
        for index, step in enumerate(fields.steps)
    )


def _faults(
    items: Sequence[Mapping[str, Any]],
    at: Location,
    document: Document,
    catalogue: Mapping[str, type[BaseModel]] | None,
) -> tuple[FaultRequest, ...]:
    return tuple(_fault(item, (*at, index), document, catalogue) for index, item in enumerate(items))


def _fault(
    item: Mapping[str, Any], at: Location, document: Document, catalogue: Mapping[str, type[BaseModel]] | None
) -> FaultRequest:
    if len(item) != 1:
        got = f"{len(item)} keys: {', '.join(item)}"[:80] if item else "none"
        raise _wrong(document, at, "one fault with its arguments: `- az-loss: {zone: a}`", got)
    kind, arguments = next(iter(item.items()))
    if catalogue is not None and kind not in catalogue:
        raise _wrong(document, (*at, kind), "a known fault", f"`{kind}`", hint=nearest(kind, catalogue))
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, dict):
        raise _wrong(document, (*at, kind), "a mapping of arguments", f"`{arguments}`")
    if catalogue is not None:
        validate(catalogue[kind], arguments, document, at=(*at, kind))
    if kind == COMPOSITE:
        _check_steps(arguments.get(STEPS), (*at, kind, STEPS), document, catalogue)
    return FaultRequest(kind=kind, arguments=arguments, where=document.where((*at, kind)))


def _check_steps(
    steps: object, at: Location, document: Document, catalogue: Mapping[str, type[BaseModel]] | None
) -> None:
    """Each step is `at` and one fault that is not made of others itself."""
    simple = None if catalogue is None else {kind: one for kind, one in catalogue.items() if kind != COMPOSITE}
    if not isinstance(steps, list):
        raise _wrong(document, at, "a list of steps", f"`{steps}`"[:80])
    for index, step in enumerate(steps):
        here = (*at, index)
        if not isinstance(step, dict):
            raise _wrong(document, here, "a mapping of `at` and one fault", f"`{step}`"[:80])
        kinds = [key for key in step if key != AT]
        if len(kinds) != 1:
            got = f"{len(kinds)}: {', '.join(kinds)}"[:80] if kinds else "none"
            raise _wrong(document, here, "one fault a step: `{at: 3s, az-loss: {zone: a}}`", got)
        kind, arguments = kinds[0], step[kinds[0]]
        if simple is None:
            continue
        if kind not in simple:
            expected = "a known fault" if kind != COMPOSITE else f"a fault that is no {COMPOSITE}"
            raise _wrong(document, (*here, kind), expected, f"`{kind}`", hint=nearest(kind, simple))
        arguments = {} if arguments is None else arguments
        if not isinstance(arguments, dict):
            raise _wrong(document, (*here, kind), "a mapping of arguments", f"`{arguments}`")
        validate(simple[kind], arguments, document, at=(*here, kind))


def _check_reliability(ids: list[str], document: Document) -> None:
    for index, choice in enumerate(ids):
        if choice not in reliability_choices():
            near = nearest(choice, reliability_choices())
            expected = "a choice id of the Reliability pillar"
            raise _wrong(document, ("reliability", index), expected, f"`{choice}`", hint=near)


def _check_together(experiment: Experiment, document: Document) -> None:
    """What no single key can say: the parts must fit each other."""
    total_s = experiment.load.warmup_s + experiment.timeline.total_s + _last_offset_s(experiment)
    limit_s = experiment.limits.duration_s
    if total_s > limit_s:
        raise _wrong(
            document,
            ("limits", "duration") if "limits" in document.value else ("timeline",),
            f"a timeline within limits.duration ({format_duration(limit_s)})",
            f"{format_duration(total_s)} of warm-up and phases",
        )
    at_once = experiment.limits.faults_at_once
    together = [step.faults for step in experiment.steps] or [experiment.faults]
    count = max(sum(len(fault.kinds) for fault in faults) for faults in together)
    if count > at_once:
        raise _wrong(
            document,
            ("limits", "faults_at_once"),
            f"at most {at_once} in force together",
            f"{count} faults",
            hint=f"say `faults_at_once: {count}` under limits if that is meant",
        )
    seen: set[str] = set()
    for index, hypothesis in enumerate(experiment.hypotheses):
        text = " ".join(hypothesis.text.split())
        if text in seen:
            raise HypothesisError(
                where=document.where(("hypotheses", index)),
                what=f'"{text}"',
                expected="each claim once",
                got="it again",
            )
        seen.add(text)


def _check_early_end(experiment: Experiment, document: Document) -> None:
    """What ends when something is decided must be able to see that."""
    claims = [
        (("stop_when", index), one.text)
        for index, one in enumerate(experiment.stop_when)
        if isinstance(one, ClaimStopCondition)
    ]
    until: Location = ("timeline", "fault", "until")
    asked = ([(until, "until: decided")] if experiment.timeline.until_decided else []) + claims
    if asked and experiment.load.arrivals_per_s is None:
        raise _wrong(
            document,
            asked[0][0],
            "`load.arrivals`: only a schedule tells which requests have not ended yet",
            f"`{asked[0][1]}` with `users`",
        )
    if claims and experiment.steps:
        raise _wrong(document, claims[0][0], "a condition without a claim, as the faults come in steps", claims[0][1])
    timeline = experiment.timeline
    if timeline.until_decided and not FAULT_MIN_S <= timeline.fault_min_s <= timeline.fault_s:
        at_least: Location = ("timeline", "fault", "at_least")
        expected = f"at least {format_duration(FAULT_MIN_S)}, and no more than `at_most`"
        raise _wrong(document, at_least, expected, format_duration(timeline.fault_min_s))
    if timeline.until_decided and not any(one.depends_on_fault for one in experiment.hypotheses):
        raise _wrong(document, until, "a claim that depends on the fault", "none: there is nothing to decide")


def _last_offset_s(experiment: Experiment) -> float:
    """By how much the steps of composites make the fault phase longer than the timeline says, at least."""
    steps = [step for fault in experiment.faults if fault.kind == COMPOSITE for step in fault.arguments[STEPS]]
    return max((parse_duration(step[AT]) for step in steps if AT in step), default=0.0)


def _wrong(document: Document, at: Location, expected: str, got: str, *, hint: str | None = None) -> SpecError:
    return SpecError(where=document.where(at), what=dotted(at), expected=expected, got=got, hint=hint)
