"""What people are told of one run in an account: when it begins, when it is aborted, and what it came to. Pure."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from stormproof.run.message import Message, written
from stormproof.run.metadata import operator
from stormproof.spec.quantity import format_duration

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.model.guardrails import Guardrails
    from stormproof.model.plan import ResolvedFault
    from stormproof.record.layout import RunDirectory

NAMES_MAX = 12  # of targets, in one line
BREAKS_MAX = 12  # lines
REASONS_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The facts of one run, JSON-clean: whoever survives it can tell people of its end."""

    environment: str
    where: str  # account, region, and whether it is real
    run_id: str
    run_dir: str
    title: str
    breaks: tuple[str, ...]  # what each fault does, in words
    zones: tuple[str, ...]
    targets: tuple[str, ...]
    lasts: str
    by: str
    stop: str  # how to end it
    undo: str  # how to finish what was not put back

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        environment: Environment,
        faults: Sequence[ResolvedFault],
        run: RunDirectory,
        guardrails: Guardrails,
        *,
        lasts: str | None = None,
    ) -> Self:
        """What is known of a run before anything is touched; *lasts*: for how long, if not as its timeline has it."""
        host, aws, timeline = socket.gethostname(), environment.aws, experiment.timeline
        real = "simulated: an emulator" if environment.simulated else "real"
        switch = f"; from elsewhere: the kill switch {guardrails.kill_switch}" if guardrails.kill_switch else ""
        atoms = [atom for fault in faults for atom in fault.atoms]
        return cls(
            environment=environment.name,
            where=f"{environment.name}: account {aws.account}, {aws.region} ({real})",
            run_id=run.path.name,
            run_dir=str(run.path),
            title=experiment.title,
            breaks=tuple(atom.what for atom in atoms),
            zones=_zones(atoms, environment),
            targets=tuple(sorted({target for fault in faults for target in fault.targets})),
            lasts=lasts
            or (
                f"about {format_duration(timeline.total_s)}, of which the fault at most"
                f" {format_duration(timeline.fault_s)}; ended after {format_duration(experiment.limits.duration_s)}"
                " whatever happens"
            ),
            by=f"{operator()} on {host}",
            stop=f"on {host}: stormproof abort {run.path.name}{switch}",
            undo=(
                f"stormproof undo --env {environment.name}, on any machine that has its file"
                if aws.ledger_bucket
                else f"on {host}: stormproof undo {run.ledger}"
            ),
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `document` gave."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in document.items()
        }
        return cls(**fields)

    @property
    def document(self) -> dict[str, Any]:
        """For a process that is started beside the run."""
        return dataclasses.asdict(self)

    def begins(self) -> Message:
        """What is about to happen, and how to stop it."""
        return self._written(
            "begins",
            [
                f"BEGINS in {self.where}: {self.title}",
                *(f"will break: {one}" for one in self.breaks[:BREAKS_MAX]),
                *([f"and {len(self.breaks) - BREAKS_MAX} more"] if len(self.breaks) > BREAKS_MAX else []),
                *self._touched(),
                f"for {self.lasts}",
                f"started by {self.by}",
                f"to stop it, {self.stop}. What was broken is put back then.",
            ],
        )

    def aborted(self, reason: str, *, left: Sequence[str] | None) -> Message:
        """That it ends early; *left*: what is not put back, None where that is going on."""
        put_back = "what was broken is being put back; what the run came to follows" if left is None else None
        return self._written(
            "aborted",
            [f"ABORTED in {self.where}: {self.title}", f"why: {reason}", put_back or self._put_back(left or ())],
        )

    def ended(self, word: str, reasons: Sequence[str], *, left: Sequence[str]) -> Message:
        """What it came to, why, and whether everything was put back."""
        more = [f"and {len(reasons) - REASONS_MAX} more"] if len(reasons) > REASONS_MAX else []
        return self._written(
            word,
            [
                f"{word.upper()} in {self.where}: {self.title}",
                *(f"why: {one}" for one in reasons[:REASONS_MAX]),
                *more,
                self._put_back(left),
                f"started by {self.by}; everything about it: {self.run_dir}",
            ],
        )

    def _put_back(self, left: Sequence[str]) -> str:
        if not left:
            return "everything that was broken was put back"
        return f"NOT PUT BACK: {', '.join(left)}. To finish, {self.undo}"

    def _touched(self) -> list[str]:
        more = f" and {len(self.targets) - NAMES_MAX} more" if len(self.targets) > NAMES_MAX else ""
        zones = [f"zones: {', '.join(self.zones)}"] if self.zones else []
        return [*zones, f"targets ({len(self.targets)}): {', '.join(self.targets[:NAMES_MAX])}{more}"]

    def _written(self, word: str, lines: Sequence[str]) -> Message:
        return written(f"stormproof {self.environment}: {word}: {self.title}", [*lines, f"run {self.run_id}"])


def _zones(atoms: Sequence[ResolvedFault], environment: Environment) -> tuple[str, ...]:
    """The zones that faults name; with AWS's name and id, as whoever is called knows them by those."""
    known = environment.cloud.zones if environment.cloud else {}
    names = sorted({str(atom.target["zone"]) for atom in atoms if atom.target.get("zone")})
    return tuple(f"{name} ({known[name].az_name}, {known[name].az_id})" if name in known else name for name in names)
