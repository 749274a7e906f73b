"""Everything that can refuse a run between its plan and its first breath: only reads, touches nothing."""

from __future__ import annotations

import datetime as dt

from stormproof.errors import GuardrailError
from stormproof.model.environment import Environment
from stormproof.model.experiment import Experiment
from stormproof.model.guardrails import Guardrails
from stormproof.model.plan import ResolvedFault
from stormproof.plan.guardrails import check_guardrails
from stormproof.run.killswitch import check_kill_switch
from stormproof.run.patience import felt_s_max, undo_s_max
from stormproof.run.stopping import check_stop_conditions
from stormproof.spec.quantity import format_duration


def preflight(
    guardrails: Guardrails,
    experiment: Experiment,
    resolved: tuple[ResolvedFault, ...],
    environment: Environment,
    *,
    now: dt.datetime,
) -> tuple[str, ...]:
    """Check the kill switch, the guardrails and the stop conditions; *now* is aware.

    Returns what a person should know though it does not stop the run. Raises `GuardrailError`, `InputError` or
    `UnavailableError`. The typed phrase comes after this: nobody is asked to confirm what is refused anyway.
    """
    check_kill_switch(guardrails)
    _check_dead_man(experiment, resolved, environment)
    check_guardrails(guardrails, experiment, resolved, environment, now=now)
    return (
        *check_stop_conditions(experiment.stop_when, environment),
        *_short_limits(experiment, resolved, environment),
    )


def _short_limits(
    experiment: Experiment, resolved: tuple[ResolvedFault, ...], environment: Environment
) -> tuple[str, ...]:
    """What to know where machines take minutes: the limit may come before the fault is even felt."""
    if environment.cloud is None:
        return ()
    wanted_s = experiment.load.warmup_s + experiment.timeline.total_s + felt_s_max(resolved)
    limit_s = experiment.limits.duration_s
    if limit_s >= wanted_s:
        return ()
    note = (
        f"limits.duration of {format_duration(limit_s)} may end the run early: its timeline, and faults that may take"
        f" {format_duration(felt_s_max(resolved))} to be felt, come to {format_duration(wanted_s)}"
    )
    return (note,)


def _check_dead_man(experiment: Experiment, resolved: tuple[ResolvedFault, ...], environment: Environment) -> None:
    """`GuardrailError` for a switch that would bring things back while the run still wants them broken."""
    after_s = environment.aws.dead_man_after_s
    longest_s = experiment.limits.duration_s + 2 * undo_s_max(resolved)
    if after_s is not None and after_s < longest_s:
        raise GuardrailError(
            f"dead_man.after: expected more than limits.duration and the undo, {format_duration(longest_s)},"
            f" got {format_duration(after_s)}; nothing was touched"
        )
