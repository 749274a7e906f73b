"""The exact phrase that some environments want typed before anything is broken."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from stormproof.errors import GuardrailError

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.model.guardrails import Guardrails


def confirm(guardrails: Guardrails, environment: Environment, experiment: Experiment, *, given: str | None) -> None:
    """Raise `GuardrailError` unless the phrase is *given*, or typed now at the terminal, where one is required."""
    from stormproof.plan.guardrails import check_confirmation, phrase

    if guardrails.confirm and given is None and sys.stdin.isatty():
        wanted = phrase(environment, experiment)
        sys.stderr.write(f"this breaks things in {environment.name}; to go on, type: {wanted}\n> ")
        sys.stderr.flush()
        given = sys.stdin.readline()
    try:
        check_confirmation(guardrails, environment, experiment, given=given)
    except GuardrailError as error:
        if given is None:
            raise GuardrailError(f"{error.message} (stdin is no terminal)", hint=error.hint) from None
        raise
