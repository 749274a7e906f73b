"""The lab's own folder: what stands where, and the record that lets anybody find and end what was started."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stormproof.errors import LabError
from stormproof.lab.processes import ProcessIdentity, from_record, to_record
from stormproof.lab.topology import Topology
from stormproof.record.atomic import write_json

SCHEMA_VERSION = 1
SUPERVISOR = "supervisor"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabFolder:
    """The names in a lab's folder."""

    path: Path

    @property
    def record(self) -> Path:
        """``lab.json``: what runs; rewritten at every start and end of a process."""
        return self.path / "lab.json"

    @property
    def topology(self) -> Path:
        """Identities and addresses."""
        return self.path / "topology.json"

    @property
    def bootstrap(self) -> Path:
        """Envoy's configuration."""
        return self.path / "envoy.json"

    def log(self, name: str) -> Path:
        """The output of one process."""
        return self.path / "logs" / f"{name}.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabRecord:
    """What ``lab.json`` says."""

    processes: Mapping[str, ProcessIdentity]  # the supervisor under its own name; a shop process under its instance id
    topology: Topology | None = None
    ready: bool = False
    failure: str | None = None  # why the lab is not what it should be: a critical process died, or never started
    schema_version: int = field(default=SCHEMA_VERSION)

    def write(self, folder: LabFolder) -> None:
        """Replace the record."""
        document = {
            "schema_version": self.schema_version,
            "ready": self.ready,
            "failure": self.failure,
            "processes": {name: to_record(identity) for name, identity in self.processes.items()},
            "topology": self.topology.to_document() if self.topology else None,
        }
        write_json(folder.record, document)


def read_record(folder: LabFolder, *, with_topology: bool = True) -> LabRecord | None:
    """The record in *folder*; None when there is none (yet).

    Raises `LabError` for the record of another version. Its processes can be read all the same, *with_topology* False:
    whoever ends a lab need not know where its parts listen. A record always names the supervisor's.
    """
    try:
        content = folder.record.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        document: dict[str, Any] = json.loads(content)
        topology = document["topology"] if with_topology else None
        processes = {name: from_record(row) for name, row in document["processes"].items()}
        return LabRecord(
            processes={SUPERVISOR: processes[SUPERVISOR], **processes},
            topology=Topology.from_document(topology) if topology else None,
            ready=document["ready"],
            failure=document["failure"],
            schema_version=document["schema_version"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LabError(
            f"{folder.record}: expected the record of a lab of this version, got another's"
            f" ({type(error).__name__}: {error})",
            hint="stormproof lab down, then stormproof lab up"
            if with_topology
            else f"end the processes that name {folder.path} by hand, then remove that folder",
        ) from error
