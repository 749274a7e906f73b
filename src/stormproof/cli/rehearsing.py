"""`stormproof rehearse`: every fault of a spec, cut off at every step and undone, in the lab or in AWS."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from stormproof.cli.environments import experiment_environment, find_environment, runs_folder
from stormproof.cli.printing import print_json
from stormproof.cli.running import ConfirmOption, EnvOption, JsonOption, OutOption, SetOption, SpecArgument
from stormproof.errors import StormproofError, UnavailableError, UsageError

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.model.guardrails import Guardrails
    from stormproof.model.plan import ResolvedFault
    from stormproof.run.rehearsal import Rehearsed


def rehearse(
    spec: SpecArgument,
    env: EnvOption = "local",
    set_: SetOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Inject each fault, kill the process at every step, undo from the ledger, and compare.

    What the steps of a spec break several times in the same way is rehearsed once. Exit code 0 only if the environment
    after equals the environment before, each time; else 69. Drives no load, gives no verdict. In AWS it also says which
    calls were made, what was changed, and what came back.
    """
    import datetime as dt

    from stormproof.cli.confirming import confirm as ask
    from stormproof.faults import catalogue
    from stormproof.plan.resolve import kinds_of, resolve_faults
    from stormproof.run.preflight import preflight
    from stormproof.spec.loader import load_experiment
    from stormproof.spec.override import split_overrides
    from stormproof.suite.keeping import refuse_over_quota

    overrides = split_overrides(set_ or [])
    if overrides.noop:
        raise UsageError("--set fault.noop=true: a rehearsal of nothing proves nothing")
    experiment = load_experiment(spec, catalogue=catalogue.argument_models(), overrides=overrides.spec)
    file = find_environment(env, spec=spec, lab_overrides=overrides.lab)
    refuse_over_quota(runs_folder(out))
    with experiment_environment(file, variant_asked="variant" in overrides.lab) as environment:
        asked = resolve_faults(experiment, environment)
        if lacking := [kind for kind in kinds_of(asked) if not catalogue.has_undo(kind)]:
            raise UsageError(f"{', '.join(lacking)}: there is no undo that could be rehearsed")
        preflight(file.guardrails, experiment, asked, environment, now=dt.datetime.now(dt.UTC))
        resolved = _each_once(asked)
        ask(file.guardrails, environment, experiment, given=confirm)
        rows, folder = _rehearse(experiment, resolved, environment, file.guardrails, runs_folder(out))
    passed = bool(rows) and len(rows) == _expected(resolved) and all(row.passed for row in rows)
    if as_json:
        print_json({"passed": passed, "steps": [_document(row) for row in rows], "folder": str(folder)})
    else:
        _print(rows, passed=passed, folder=folder)
    return 0 if passed else UnavailableError.exit_code


def _rehearse(
    experiment: Experiment,
    resolved: tuple[ResolvedFault, ...],
    environment: Environment,
    guardrails: Guardrails,
    out: Path,
) -> tuple[list[Rehearsed], Path]:
    """Hold the environment, play, record; the rows and where they are kept."""
    from stormproof.faults import outstanding
    from stormproof.faults.activity import undo_outstanding
    from stormproof.faults.ledger import Ledger
    from stormproof.record.atomic import write_json
    from stormproof.record.layout import RunDirectory, new_run_id
    from stormproof.run.killswitch import check_kill_switch
    from stormproof.run.lease import environment_lease, refuse_if_open
    from stormproof.run.lock import environment_lock, lock_name
    from stormproof.run.notice import Notice
    from stormproof.run.patience import undo_s_max
    from stormproof.run.people import People
    from stormproof.run.rehearsal import Rehearsal
    from stormproof.run.session import child_environment
    from stormproof.spec.quantity import format_duration

    key = lock_name(environment)
    slug = f"{experiment.slug}-rehearsal"
    run = RunDirectory(out.resolve() / slug / new_run_id(slug))
    patience_s = undo_s_max(resolved)
    longest_s = _expected(resolved) * (_STEP_S_MAX + 3 * patience_s)
    lasts = f"at most {format_duration(round(longest_s))}: a rehearsal, each fault cut off and undone, without load"
    notice = Notice.of(experiment, environment, resolved, run, guardrails, lasts=lasts)
    people = People.of(environment, notice, ledger=run.ledger)
    with (
        environment_lock(key, run=run.path, duration_s_max=longest_s),
        environment_lease(environment, run=run.path),
    ):
        outstanding.refuse_if_any(key)
        refuse_if_open(environment.name, environment.aws)
        run.create()
        outstanding.register(run.ledger, environment=key)
        rows: list[Rehearsed] = []
        people.begins()
        try:
            rehearsal = Rehearsal(
                snapshot=lambda: _snapshot(environment, resolved),
                patience_s=patience_s,
                faults=resolved,
                run=run,
                process_environment=child_environment(environment),
                before_each=lambda: check_kill_switch(guardrails),
            )
            for row in rehearsal.play():
                rows.append(row)
                sys.stderr.write(f"{_line(row)}\n")
        finally:  # also Ctrl-C: what a step has begun is in the ledger
            undo_outstanding(Ledger(run.ledger), events_path=run.events, who="rehearsal")
            outstanding.settle(run.ledger)
            write_json(run.path / "rehearsal.json", [_document(row) for row in rows])
            left = [entry.fault_id for entry in Ledger(run.ledger).outstanding()]
            told = [f"{row.fault_id}, {row.step}: not as before" for row in rows if not row.passed]
            people.ended(
                "rehearsed", told or [f"{len(rows)} of {_expected(resolved)} times, each as before"], left=left
            )
            people.settle()
    if left:
        raise StormproofError(f"NOT UNDONE: {', '.join(left)}", hint=f"stormproof undo {run.ledger}")
    return rows, run.path


def _snapshot(environment: Environment, resolved: tuple[ResolvedFault, ...]) -> dict[str, Any]:
    if environment.cloud is not None:
        from stormproof.staging.snapshot import snapshot

        return snapshot(environment, resolved)
    from stormproof.lab.snapshot import snapshot as lab_snapshot

    return lab_snapshot(environment)


def _each_once(resolved: tuple[ResolvedFault, ...]) -> tuple[ResolvedFault, ...]:
    """Steps break the same thing in the same way again and again; to cut it off once more tells nothing new."""
    first: dict[str, ResolvedFault] = {}
    for fault in resolved:
        first.setdefault(json.dumps([fault.kind, fault.target], sort_keys=True, default=str), fault)
    return tuple(first.values())


_STEP_S_MAX = 240.0  # the sum of a step's own deadlines, with room


def _expected(resolved: tuple[ResolvedFault, ...]) -> int:
    from stormproof.run.rehearsal import Step

    return sum(len(fault.atoms) for fault in resolved) * len(Step)


def _document(row: Rehearsed) -> dict[str, Any]:
    return {**dataclasses.asdict(row), "step": str(row.step), "passed": row.passed}


def _line(row: Rehearsed) -> str:
    took = "" if row.whole_after_s is None else f", whole {row.whole_after_s:.1f} s after the undo began"
    return f"{'equal    ' if row.passed else 'NOT EQUAL'} {row.fault_id}, killed {row.step}{took}"


def _print(rows: Sequence[Rehearsed], *, passed: bool, folder: Path) -> None:
    width = max([len(row.fault_id) for row in rows] + [len("fault")])
    typer.echo(f"{'fault':<{width}}  killed        undone  after = before  whole after")
    for row in rows:
        killed = str(row.step) if row.killed else f"NOT {row.step}"
        undone, equal = ("yes" if true else "NO" for true in (row.undone, row.equal))
        whole = "–" if row.whole_after_s is None else f"{row.whole_after_s:.1f} s"
        typer.echo(f"{row.fault_id:<{width}}  {killed:<12}  {undone:<6}  {equal:<14}  {whole}")
    for row in rows:
        calls = (
            [f"{' '.join(row.broken_by)} | undone by {' '.join(row.undone_by) or 'nothing'}"] if row.broken_by else []
        )
        for sentence in calls + ([row.reason] if row.reason else []) + list(row.differences):
            typer.echo(f"  {row.fault_id}, {row.step}: {sentence}")
    typer.echo("every state after equals the state before" if passed else "IT IS NOT AS IT WAS")
    typer.echo(f"ledger  {folder / 'ledger.jsonl'}")
