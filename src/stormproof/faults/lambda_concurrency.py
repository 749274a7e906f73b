"""A Lambda function has too little concurrency: invocations beyond it are throttled by Lambda itself.

Its reserved concurrency is set, 0 unless said otherwise, which refuses every invocation. The undo puts the former
number back, or takes the setting away where there was none; chaostoolkit-aws' `delete_function_concurrency` would lose
the former one.

The canary invokes the function with the payload that the environment's file gives, as many times at once as would be
one too many. With more than 0 that is felt only while the invocations take long enough to overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, arn, reads
from stormproof.faults.binding import activities, resolved
from stormproof.faults.dead_man import DeadMan, Inverse
from stormproof.faults.protocol import Look, Seen
from stormproof.faults.proxied import ProxiedArguments
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "lambda-concurrency"
SUMMARY = "A Lambda function is throttled: its reserved concurrency is taken away, or made small."
CONFIRMED_BY = (
    "invocations of our own, with the environment's canary payload, are refused by Lambda as throttled; no effect on"
    " the workload is asked for"
)
UNDONE_BY = "the reserved concurrency is what it was, or none; invocations of our own are not throttled"
ENVIRONMENTS = ("aws",)
EXAMPLE: dict[str, Any] = {"dependency": "thumbnails"}

RESERVED_MAX = 20  # the canary invokes one more than that at once
_THROTTLED = "TooManyRequestsException"


class Arguments(ProxiedArguments):
    """What the spec says of a `lambda-concurrency`."""

    reserved: int = Field(default=0, description="how many invocations may run at once", ge=0, le=RESERVED_MAX)


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to a function; `InputError` for a dependency that is none."""
    known = environment.cloud.dependencies if environment.cloud else {}
    function = known[arguments.dependency].function if arguments.dependency in known else None
    if function is None:
        names = [name for name, one in known.items() if one.function]
        raise InputError(
            where=where,
            what=f"faults: {KIND}.dependency",
            expected=f"a dependency of {environment.name!r} with a `function`: {', '.join(names) or 'none'}",
            got=repr(arguments.dependency),
        )
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target={"function": function.name, "payload": function.payload, "reserved": arguments.reserved},
        configuration=environment.aws.configuration,
        targets=(function.name,),
        undo="put the function's reserved concurrency back as it was",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaConcurrency:
    """A function, bound."""

    function: str
    payload: str
    reserved: int
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 1.0  # each look is an invocation, or several
    felt_within_s: ClassVar[float] = 30.0
    gone_within_s: ClassVar[float] = 60.0
    look_writes: ClassVar[str] = "invokes the function"

    @property
    def what(self) -> str:
        """In words."""
        return f"let {self.reserved or 'no'} invocations of {self.function} run at once"

    @property
    def effect(self) -> dict[str, Any]:
        """None that must show: a workload that does without is what is hoped for."""
        return {}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """Lambda's, on this function."""
        own = (arn(self.configuration, "lambda", f"function:{self.function}"),)
        return (
            *reads("sts:GetCallerIdentity", "lambda:GetFunctionConcurrency"),
            ApiCall(service="lambda", operation="Invoke", purpose="inject", resources=own),
            ApiCall(service="lambda", operation="PutFunctionConcurrency", purpose="inject", resources=own),
            ApiCall(service="lambda", operation="PutFunctionConcurrency", purpose="undo", resources=own),
            ApiCall(service="lambda", operation="DeleteFunctionConcurrency", purpose="undo", resources=own),
            *(switch.api_calls if (switch := DeadMan.of("", self.configuration)) else ()),
        )

    def identify(self) -> None:
        """The caller's account and partition are the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The reserved concurrency, None where there is none; an error where it is as small already."""
        now = self._reserved()
        if now is not None and now <= self.reserved:
            raise FaultError(
                f"{KIND}: {self.function} has a concurrency of {now} already", hint="stormproof undo --list"
            )
        return {"reserved": now}

    def act(self) -> None:
        """Set it."""
        self._client().put_function_concurrency(FunctionName=self.function, ReservedConcurrentExecutions=self.reserved)

    def look(self) -> Look:
        """Invoke it, once more than it may run at once: is any invocation throttled?"""
        client = self._client(attempts=1)
        with ThreadPoolExecutor(max_workers=self.reserved + 1) as pool:
            codes = list(pool.map(lambda _: self._invoke(client), range(self.reserved + 1)))
        throttled = codes.count(_THROTTLED)
        whole = not any(codes)
        seen = Seen.BROKEN if throttled else Seen.WHOLE if whole else Seen.PARTIAL
        other = sorted({code for code in codes if code not in ("", _THROTTLED)})
        return Look(seen=seen, evidence={"invoked": len(codes), "throttled": throttled, "other_errors": other})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """The former number, or none; `FaultError` where it is neither ours nor the former one."""
        now, before = self._reserved(), prior["reserved"]
        if now == before:
            return
        if now != self.reserved:
            raise FaultError(
                f"{KIND}: the reserved concurrency of {self.function} is {now}, neither ours ({self.reserved}) nor the"
                f" one before ({before}): somebody else changed it since; left alone"
            )
        if before is None:
            self._client().delete_function_concurrency(FunctionName=self.function)
        else:
            self._client().put_function_concurrency(FunctionName=self.function, ReservedConcurrentExecutions=before)

    def inverse(self, prior: Mapping[str, Any]) -> list[Inverse]:
        """The same, as AWS would do it."""
        request = {"FunctionName": self.function}
        if prior["reserved"] is None:
            return [Inverse(service="lambda", operation="deleteFunctionConcurrency", request=request)]
        request["ReservedConcurrentExecutions"] = prior["reserved"]
        return [Inverse(service="lambda", operation="putFunctionConcurrency", request=request)]

    def _reserved(self) -> int | None:
        found = self._client().get_function_concurrency(FunctionName=self.function)
        value = found.get("ReservedConcurrentExecutions")
        return None if value is None else int(value)

    def _invoke(self, client: Any) -> str:
        """The error code; "" where it was let in, whatever it then made of the payload."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            client.invoke(FunctionName=self.function, Payload=self.payload.encode())
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        except BotoCoreError as error:
            return type(error).__name__
        return ""

    def _client(self, attempts: int = 3) -> Any:
        return aws.client("lambda", self.configuration, attempts=attempts)


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> LambdaConcurrency:
    """The fault from the data in a plan or a ledger."""
    return LambdaConcurrency(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
