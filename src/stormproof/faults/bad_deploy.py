"""A rolling release of a build that fails its checks: it starts, says that it is not healthy, and its pages fail.

The wanted release is a parameter in SSM, as many a deployment reads it. The fault sets it to a build that is known to
be bad, and does nothing else: how far that build gets is the deployment's own doing, and what the experiment is about.
A careless one rolls it out to every instance; a careful one stops at the first that is not healthy in time and rolls
it back by itself, *while the fault is still in force*. So the fault counts as felt when one instance serves the bad
build, and the fault phase goes on until the parameter is back and every instance serves one good release: what a
customer saw of the bad build, and of its being rolled back, is all in that phase (docs/adr/0013-releases.md).
"""

from __future__ import annotations

import json
import time
import urllib.error
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws
from stormproof.faults.binding import activities, resolved
from stormproof.faults.direct import open_direct
from stormproof.faults.protocol import Look, Seen
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "bad-deploy"
SUMMARY = "A build that fails its checks is released: it starts, and its pages fail."
CONFIRMED_BY = (
    "an instance, called directly, names the bad release and says that it is not healthy; "
    "the load gets error pages of instances that there were none of before"
)
UNDONE_BY = (
    "the parameter gets its former value back, and the deployment has finished with it; "
    "every instance, called directly, is healthy and names the same release"
)
ENVIRONMENTS = ("local",)
EXAMPLE: dict[str, Any] = {}

ANSWERS = 8  # of an instance in one look
LOOK_TIMEOUT_S = 0.5
SETTLED_WITHIN_S = 60.0  # six instances, one after the other, on a busy machine
BUILD_HEADER = "x-build"
_PAGE_STATUS = 500  # of an instance whose build fails; the balancer's own errors name no zone


class Arguments(BaseModel):
    """What the spec says of a `bad-deploy`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    release: str | None = Field(
        default=None, description="the release; left out: the first that the environment knows to fail", min_length=1
    )


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to the environment's deployment; `InputError` where there is none, or not that release."""
    deployment = environment.deployment
    broken = deployment.broken if deployment else ()
    release = arguments.release or next(iter(broken), None)
    if deployment is None or release is None or release not in broken:
        raise InputError(
            where=where,
            what=f"faults: {KIND}.release",
            expected=f"a release of {environment.name!r} that is known to fail: {', '.join(broken) or 'none'}",
            got=repr(release),
        )
    instances = [instance for zone in environment.zones.values() for instance in zone]
    target = {
        "parameter": deployment.parameter,
        "status_parameter": deployment.status_parameter,
        "release": release,
        "urls": [instance.url for instance in instances],
    }
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=environment.aws.configuration,
        targets=[instance.id for instance in instances],  # all: how far it gets is not in our hands
        undo="set the former release again and see every instance serve it",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BadDeploy:
    """A deployment, bound."""

    parameter: str
    status_parameter: str
    release: str
    urls: list[str]
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.03
    felt_within_s: ClassVar[float] = 12.0  # a process has to start, on a machine that is under load

    @property
    def what(self) -> str:
        """In words."""
        return f"release {self.release}, which fails its checks, to {len(self.urls)} instances ({self.parameter})"

    @property
    def effect(self) -> dict[str, Any]:
        """Error pages that an instance gave."""
        return {"kind": "pages-failed", "status": _PAGE_STATUS}

    def identify(self) -> None:
        """The caller's account is the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The wanted release; ours already, or a deployment under way, is an error."""
        value, _ = self._wanted()
        if value == self.release:
            raise FaultError(f"{KIND}: {self.parameter} is {value!r} already", hint="stormproof undo --list")
        status = self._status()
        if status.get("state") != "settled":
            raise FaultError(f"{KIND}: expected a deployment that has settled, got {status}")
        return {"release": value}

    def act(self) -> None:
        """Want the bad release."""
        self._want(self.release)

    def look(self) -> Look:
        """Ask every instance for its health and its release, past the balancer."""
        with ThreadPoolExecutor(max_workers=len(self.urls)) as pool:
            found = dict(zip(self.urls, pool.map(_ask_again, self.urls), strict=True))
        bad = [
            url
            for url, answers in found.items()
            if all(release == self.release and status != 200 for release, status in answers)
        ]
        releases = {release for answers in found.values() for release, _ in answers}
        well = all(status == 200 for answers in found.values() for _, status in answers)
        one_good = well and len(releases) == 1 and self.release not in releases
        evidence = {
            url: "; ".join(
                sorted({f"{release or 'no release'}: {status or 'no answer'}" for release, status in answers})
            )
            for url, answers in found.items()
        }
        seen = Seen.BROKEN if bad else Seen.WHOLE if one_good else Seen.PARTIAL
        return Look(seen=seen, evidence={"called_directly": evidence})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Want the former release where ours is still wanted, and wait for the deployment to have finished with it."""
        value, version = self._wanted()
        if value == self.release:
            version = self._want(str(prior["release"]))
        elif value != prior["release"]:
            raise FaultError(
                f"{KIND}: {self.parameter} is {value!r}, neither ours ({self.release!r}) nor the one before"
                f" ({prior['release']!r}): somebody else has released since; left alone"
            )
        give_up_at = time.monotonic() + SETTLED_WITHIN_S
        while not _is_settled(status := self._status(), version):
            if time.monotonic() > give_up_at:
                raise FaultError(f"{KIND}: the deployment has not settled within {SETTLED_WITHIN_S:g} s: {status}")
            time.sleep(0.1)

    def _ssm(self) -> Any:
        return aws.client("ssm", self.configuration)

    def _wanted(self) -> tuple[str, int]:
        """The parameter's value and version."""
        found = self._ssm().get_parameter(Name=self.parameter)["Parameter"]
        return str(found["Value"]), int(found["Version"])

    def _want(self, release: str) -> int:
        """Set the parameter; its new version."""
        answer = self._ssm().put_parameter(Name=self.parameter, Value=release, Type="String", Overwrite=True)
        return int(answer["Version"])

    def _status(self) -> dict[str, Any]:
        """What the deployment says of itself."""
        document: dict[str, Any] = json.loads(
            self._ssm().get_parameter(Name=self.status_parameter)["Parameter"]["Value"]
        )
        return document


def _is_settled(status: Mapping[str, Any], version: int) -> bool:
    """Whether the deployment has seen this version of what is wanted, and has nothing left to do for it."""
    return status.get("state") == "settled" and int(status.get("version", 0)) >= version


def _ask_again(url: str) -> list[tuple[str, int]]:
    """Some answers of one instance: while a process hands over to the next one, both listen, and either may answer."""
    return [_ask(url) for _ in range(ANSWERS)]


def _ask(url: str) -> tuple[str, int]:
    """The release that the instance at *url* names, and the status of its health page; "" and 0 for no answer."""
    try:
        with open_direct(f"{url}/healthz", timeout_s=LOOK_TIMEOUT_S) as answer:
            return answer.headers.get(BUILD_HEADER, ""), answer.status
    except urllib.error.HTTPError as error:
        return error.headers.get(BUILD_HEADER, ""), error.code
    except (urllib.error.URLError, OSError, ValueError):
        return "", 0


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> BadDeploy:
    """The fault from the data in a plan or a ledger."""
    return BadDeploy(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
