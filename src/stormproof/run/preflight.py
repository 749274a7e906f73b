"""Everything that can refuse a run between its plan and its first breath: only reads, touches nothing."""

from __future__ import annotations

import datetime as dt

from stormproof.model.environment import Environment
from stormproof.model.experiment import Experiment
from stormproof.model.guardrails import Guardrails
from stormproof.model.plan import ResolvedFault
from stormproof.plan.guardrails import check_guardrails
from stormproof.run.killswitch import check_kill_switch
from stormproof.run.stopping import check_stop_conditions


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
    check_guardrails(guardrails, experiment, resolved, environment, now=now)
    return check_stop_conditions(experiment.stop_when, environment)
