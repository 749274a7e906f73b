"""A whole fault whose world is one file: real acts, real looks, no lab. What the tests of the driver inject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from stormproof.errors import FaultError, IdentityError
from stormproof.faults.protocol import Look, Seen

WHOLE, BROKEN = "whole", "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """Writes "broken" into a file; the file `<path>.act` says how the act is to go wrong, if it is."""

    path: str
    configuration: Mapping[str, Any]
    gap_s: ClassVar[float] = 0.005

    @property
    def what(self) -> str:
        return f"write {BROKEN} into {self.path}"

    @property
    def effect(self) -> dict[str, Any]:
        return {"kind": "zone-silent", "zone": "a"}

    def identify(self) -> None:
        if not Path(self.path).exists():
            raise IdentityError(f"{self.path}: expected a file, got none; nothing was touched")

    def prior(self) -> dict[str, Any]:
        text = Path(self.path).read_text()
        if text == BROKEN:
            raise FaultError("broken already")
        return {"text": text}

    def act(self) -> None:
        order = Path(self.path + ".act")
        if order.exists() and order.read_text() == "fail-before":
            raise FaultError("the call was refused")
        Path(self.path).write_text(BROKEN)
        if order.exists() and order.read_text() == "fail-after":
            raise FaultError("the answer got lost")

    def look(self) -> Look:
        text = Path(self.path).read_text()
        return Look(seen=Seen.BROKEN if text == BROKEN else Seen.WHOLE, evidence={"text": text})

    def revert(self, prior: Mapping[str, Any]) -> None:
        text = Path(self.path).read_text()
        if text not in (BROKEN, prior["text"]):
            raise FaultError(f"somebody else wrote {text!r} since; left alone")
        Path(self.path).write_text(prior["text"])


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> FileFault:
    """As every fault module has it."""
    return FileFault(configuration=configuration, **target)
