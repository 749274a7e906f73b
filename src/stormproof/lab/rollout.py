"""A rolling release: instance by instance to the release that is wanted, carefully or not, as the variant says.

No process, no clock and no network in here: the supervisor hands in the time and does what `Fleet` names.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from stormproof.lab.variants import ReleasePolicy

START_WITHIN_S = 20.0  # a process that does not listen by then has failed

_log = logging.getLogger("stormproof.lab")


class Fleet(Protocol):
    """What a rollout needs done."""

    def begin(self, instance: str, release: str) -> bool:
        """Start *release* beside what serves; False where nothing serves: it will be started when there is power."""

    def listens(self, instance: str) -> bool | None:
        """Whether what was begun listens; None when it has ended."""

    def take_over(self, instance: str) -> None:
        """What was begun serves from now on, and what served before ends."""

    def give_up(self, instance: str) -> None:
        """What was begun ends, and nothing has changed."""

    def is_healthy(self, instance: str) -> bool:
        """As the balancer says."""


class State(enum.StrEnum):
    """What a deployment says of itself."""

    SETTLED = "settled"  # every instance has the wanted release
    ROLLING = "rolling"
    ROLLED_BACK = "rolled-back"  # the wanted release failed; every instance has the former one


class Rollout:
    """One deployment, for as long as the lab is up. All instants are monotonic seconds."""

    def __init__(self, fleet: Fleet, *, instances: Sequence[str], policy: ReleasePolicy, known: Sequence[str]) -> None:
        self._fleet, self._policy, self._known = fleet, policy, known
        self.serving = dict.fromkeys(instances, known[0])
        self._wanted, self._version = known[0], 0
        self._former = known[0]  # what all instances had when they last had one
        self._failed = False  # the wanted release
        self._starting: tuple[str, str, float] | None = None  # instance, release, since
        self._watched: tuple[str, float] | None = None  # instance, since it was taken over
        self._next_at = 0.0

    def want(self, release: str, version: int) -> None:
        """*release* is wanted from now on, by the *version*th change; what was begun for another is given up."""
        if version == self._version:
            return
        if release != self._wanted:
            _log.info("release %s is wanted", release)
        self._wanted, self._version, self._failed = release, version, release not in self._known
        self._watched = None

    def turn(self, now: float) -> None:
        """Do what is due."""
        if self._starting is not None:
            self._go_on_starting(*self._starting, now=now)
        elif self._watched is not None:
            self._go_on_watching(*self._watched, now=now)
        elif now >= self._next_at:
            self._begin_next(now)

    def document(self) -> dict[str, Any]:
        """As it stands in `STATUS_PARAMETER`."""
        counts = {name: list(self.serving.values()).count(name) for name in sorted(set(self.serving.values()))}
        return {"wanted": self._wanted, "version": self._version, "state": str(self.state), "instances": counts}

    @property
    def state(self) -> State:
        """Settled only when nothing is left to do, and nothing is under way."""
        under_way = self._starting is not None or self._watched is not None
        if under_way or any(release != self._goal for release in self.serving.values()):
            return State.ROLLING
        return State.ROLLED_BACK if self._failed else State.SETTLED

    @property
    def _goal(self) -> str:
        return self._former if self._failed else self._wanted

    def _begin_next(self, now: float) -> None:
        left = [instance for instance, release in self.serving.items() if release != self._goal]
        if not left:
            self._former = self._goal
            return
        instance = left[0]
        if self._fleet.begin(instance, self._goal):
            self._starting = (instance, self._goal, now)
        else:
            self.serving[instance] = self._goal

    def _go_on_starting(self, instance: str, release: str, since: float, *, now: float) -> None:
        listens = self._fleet.listens(instance)
        if release != self._goal:  # another one is wanted meanwhile
            self._fleet.give_up(instance)
            self._starting = None
        elif listens:
            self._fleet.take_over(instance)
            self.serving[instance] = release
            self._starting = None
            self._next_at = now + self._policy.pause_s
            self._watched = (instance, now) if self._policy.wait_for_health else None
        elif listens is None or now > since + START_WITHIN_S:
            self._fleet.give_up(instance)
            self._starting = None
            self._next_at = now + self._policy.pause_s  # a careless one tries again: nothing has been replaced
            self._fail(instance, release, "does not start")

    def _go_on_watching(self, instance: str, since: float, *, now: float) -> None:
        if now < since + self._policy.bake_s:
            return  # what the balancer says may still be about the process before
        if self._fleet.is_healthy(instance):
            self._watched = None
        elif now > since + self._policy.healthy_within_s:
            self._watched = None
            self._fail(instance, self.serving[instance], "is not healthy")

    def _fail(self, instance: str, release: str, why: str) -> None:
        """Where the policy looks at all: end the rollout of a new release; the former one has nowhere to go back to."""
        if self._policy.wait_for_health and release == self._wanted != self._former:
            _log.warning("%s %s with release %s: rolled back", instance, why, release)
            self._failed = True
