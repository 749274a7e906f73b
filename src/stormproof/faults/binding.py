"""From a fault's own `bind` to what a plan says of it, and to what Chaos Toolkit calls: said once for all faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from stormproof.faults import activity
from stormproof.faults.protocol import Fault
from stormproof.model.plan import ResolvedFault

Bind = Callable[[Mapping[str, Any], Mapping[str, Any]], Fault]  # (target, configuration) of a plan or a ledger


def resolved(
    bind: Bind,
    *,
    fault_id: str,
    kind: str,
    target: Mapping[str, Any],
    configuration: Mapping[str, Any],
    targets: Sequence[str],
    undo: str,
) -> ResolvedFault:
    """What a plan says of the fault: its own words for what it does and shows, *undo* for how it is undone.

    The module that Chaos Toolkit is to import is that of *bind*.
    """
    fault = bind(target, configuration)
    return ResolvedFault(
        fault_id=fault_id,
        kind=kind,
        module=bind.__module__,
        target=target,
        configuration=configuration,
        targets=tuple(targets),
        what=fault.what,
        undo=undo,
        effect=fault.effect,
    )


class Activities(NamedTuple):
    """What Chaos Toolkit calls, by these names, in a fault's module."""

    inject: Callable[[str, bool, dict[str, Any], dict[str, Any]], dict[str, Any]]
    confirm: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
    undo: Callable[[str, dict[str, Any]], dict[str, Any]]


def activities(kind: str, bind: Bind) -> Activities:
    """The three activities of a fault, for its module to name ``inject, confirm, undo``.

    Functions, not methods or partials: chaoslib (1.44) takes nothing else for an activity. It reads their parameters,
    too: an experiment gives them by these names, and `configuration` is given because it is asked for.
    """

    def inject(fault_id: str, noop: bool, target: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
        return activity.inject(
            bind(target, configuration),
            fault_id=fault_id,
            kind=kind,
            noop=noop,
            target=target,
            configuration=configuration,
        )

    def confirm(target: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
        return activity.confirm(bind(target, configuration))

    def undo(fault_id: str, configuration: dict[str, Any]) -> dict[str, Any]:
        return activity.undo(configuration=configuration, fault_id=fault_id)

    inject.__doc__ = f"Chaos Toolkit action: {kind}, and wait until it is seen from outside."
    confirm.__doc__ = f"Chaos Toolkit probe: is {kind} seen from outside now?"
    undo.__doc__ = f"Chaos Toolkit action: undo {kind} by what the ledger says of it."
    for function in (inject, confirm, undo):
        function.__module__, function.__qualname__ = bind.__module__, function.__name__
    return Activities(inject, confirm, undo)
