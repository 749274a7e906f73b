"""FIS made true in one respect: while an experiment denies capacity, a launch by the roles that it names is refused.

moto keeps FIS experiments and injects nothing; it also calls them completed as soon as it is asked. Here one runs until
it is stopped or its duration is over, and as long as it does, ``RunInstances`` and ``StartInstances`` by a session of a
role among its targets end in ``InsufficientInstanceCapacity``. Everybody else's launches go on, as on AWS.
"""

from __future__ import annotations

import re
import time
from typing import Any

from stormproof.lab.topology import ACCOUNT, REGION

ACTION = "aws:ec2:api-insufficient-instance-capacity-error"
_PARTITION = "aws"
_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")
_UNITS_S = (3600, 60, 1)


def make_true() -> None:
    """Teach this process's moto; before anything is served."""
    _let_experiments_run()
    _refuse_launches()


def denied_roles(now_s: float) -> set[str]:
    """The roles that may launch nothing at *now_s* (Unix s)."""
    from moto.fis.models import fis_backends

    roles: set[str] = set()
    for experiment in list(fis_backends[ACCOUNT][REGION].experiments.values()):
        if experiment.status != "running":
            continue
        for action in experiment.actions.values():
            if action.get("actionId") != ACTION:
                continue
            duration_s = seconds(action.get("parameters", {}).get("duration", ""))
            if now_s >= experiment.start_time + duration_s:
                experiment.status = "completed"
                continue
            named = [experiment.targets.get(name, {}) for name in action.get("targets", {}).values()]
            roles.update(arn for target in named for arn in target.get("resourceArns") or [])
    return roles


def seconds(duration: str) -> float:
    """An ISO 8601 duration of hours, minutes and seconds, as FIS takes it; 0 for anything else."""
    match = _DURATION.fullmatch(duration)
    return sum(int(part) * unit for part, unit in zip(match.groups(), _UNITS_S, strict=True) if part) if match else 0.0


def _let_experiments_run() -> None:
    from moto.fis.models import Experiment

    of_moto = Experiment.__init__

    def __init__(self: Any, *arguments: Any, **named: Any) -> None:  # noqa: N807 - that is its name
        of_moto(self, *arguments, **named)
        self._transitions = [pair for pair in self._transitions if pair != ("running", "completed")]
        # As on AWS within a second, where nobody has to ask for it; a preview injects nothing.
        preview = (self.experiment_options or {}).get("actionsMode") == "skip-all"
        self._status = "completed" if preview else "running"

    Experiment.__init__ = __init__


def _refuse_launches() -> None:
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.responses.instances import InstanceResponse
    from moto.sts.models import sts_backends

    def refusing(launch: Any) -> Any:
        def refuse_or_launch(self: Any) -> Any:
            session = sts_backends[ACCOUNT][_PARTITION].get_assumed_role_from_access_key(self.access_key)
            if session is not None and session.role_arn in denied_roles(time.time()):
                raise EC2ClientError(
                    "InsufficientInstanceCapacity",
                    "We currently do not have sufficient capacity in the Availability Zone you requested.",
                )
            return launch(self)

        return refuse_or_launch

    for name in ("run_instances", "start_instances"):
        setattr(InstanceResponse, name, refusing(getattr(InstanceResponse, name)))
