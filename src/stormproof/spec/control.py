"""`control:` of a spec: a zone, or a share of the arrivals that a header sends past the fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stormproof.errors import SpecError
from stormproof.model.control import HeaderControl
from stormproof.model.experiment import AT, COMPOSITE, STEPS
from stormproof.model.hypothesis import Hypothesis
from stormproof.spec.document import Document, Location, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stormproof.model.experiment import Experiment
    from stormproof.spec.fields import ControlFields

_EITHER = "either `zone`, or `header` with `share`"


def control_from(fields: ControlFields | None, document: Document) -> tuple[str | None, HeaderControl | None]:
    """The zone, or the header and its share; both None where there is no control. Raises `SpecError`."""
    if fields is None:
        return None, None
    given = [name for name in ("zone", "header", "share") if getattr(fields, name) is not None]
    if given == ["zone"]:
        return fields.zone, None
    if fields.zone is not None or fields.header is None or fields.share is None:
        raise _wrong(document, ("control",), _EITHER, " and ".join(f"`{name}`" for name in given) or "neither")
    return None, HeaderControl(header=fields.header, share=fields.share)


def check_control(experiment: Experiment, document: Document) -> None:
    """A control group that a fault is aimed at, or that nothing is compared with, is a slip. Raises `SpecError`."""
    zone, header = experiment.control_zone, experiment.control_header
    if zone is None and header is None:
        return
    aimed = [kind for kind, at in _aims(experiment) if zone is not None and at.get("zone") == zone]
    if aimed:
        raise _wrong(document, ("control", "zone"), "a zone that no fault is aimed at", f"`{zone}`, hit by {aimed[0]}")
    if not any(isinstance(one, Hypothesis) and one.is_beside_control for one in experiment.hypotheses):
        raise _wrong(document, ("control",), "a claim with `x control`", "none: nothing is compared with it")
    if header is not None and experiment.load.arrivals_per_s is None:
        expected = "`load.arrivals`: a share of the arrivals is drawn from their schedule"
        raise _wrong(document, ("control", "header"), expected, "`users`, who have none")


def _aims(experiment: Experiment) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each fault with its arguments, those of the steps of one that is made of others included."""
    for fault in experiment.faults:
        yield fault.kind, fault.arguments
        if fault.kind == COMPOSITE:
            for step in fault.arguments.get(STEPS, ()):
                yield from ((kind, at or {}) for kind, at in step.items() if kind != AT)


def _wrong(document: Document, at: Location, expected: str, got: str) -> SpecError:
    return SpecError(where=document.where(at), what=dotted(at), expected=expected, got=got)
