"""The state of a lab that a fault may change, read from the real things; what must be the same after as before."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import psutil

from stormproof.faults.direct import open_direct
from stormproof.lab.state import LabFolder, read_record
from support.lab import RunningLab

# Written all the time, fault or no fault. A lock file says whose turn it is to write, and sets nothing.
MOVING = ("logs", "arrivals", "lab.json")
LOCK = ".lock"


def snapshot(lab: RunningLab, *, mark: tuple[str, str]) -> dict[str, Any]:
    """What Envoy, moto, the processes and the lab's files are set to; JSON types, equal where the state is.

    Process ids are left out: an instance that was stopped and started again is a new process. *mark* is an
    environment variable (name, value) that everything we start inherits: processes that a fault has left.
    """
    status = lab.status()
    return {
        "instances": {row["id"]: (row["zone"], row["state"], row["healthy"]) for row in status["instances"]},
        "faults": status["faults"],
        "runtime": _runtime(lab),
        "files": _files(lab.directory),
        "network": _network(lab),
        "release": _release(lab),
        "fis": _fis(lab),
        "processes": _processes(lab),
        "left_behind": [process.cmdline()[:4] for process in marked(*mark)],
    }


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is not the same, in words."""
    return [change for part in before for change in _changes(part, before[part], after[part])]


def _changes(name: str, before: object, after: object) -> list[str]:
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return [change for key in keys for change in _changes(f"{name} {key}", before.get(key), after.get(key))]
    return [f"{name}: {before!r} → {after!r}"]


def marked(name: str, value: str) -> list[psutil.Process]:
    """The processes that were started with the environment variable *name* set to *value*."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(name) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:  # gone in between, or not ours to look at
            continue
    return found


def _runtime(lab: RunningLab) -> dict[str, str]:
    """Every value that Envoy's admin layer overrides."""
    with open_direct(f"{lab.admin.url}/runtime", timeout_s=3) as answer:
        document = json.loads(answer.read())
    layer = next(index for index, name in enumerate(document["layers"]) if "admin" in name)
    values = {key: entry["layer_values"][layer] for key, entry in document["entries"].items()}
    return {key: value for key, value in sorted(values.items()) if value}


def _files(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.suffix != LOCK and path.relative_to(directory).parts[0] not in MOVING
    }


def _network(lab: RunningLab) -> list[Any]:
    """The entries of every network ACL, and which subnets it guards."""
    acls = lab.client("ec2").describe_network_acls()["NetworkAcls"]
    return sorted(
        [
            acl["NetworkAclId"],
            sorted(json.dumps(entry, sort_keys=True, default=str) for entry in acl["Entries"]),
            sorted(association["SubnetId"] for association in acl["Associations"]),
        ]
        for acl in acls
    )


def _release(lab: RunningLab) -> dict[str, Any]:
    """What is wanted, and what the deployment says of itself, but for how often somebody wanted something."""
    rows = lab.client("ssm").get_parameters(Names=["/deployment/shop/wanted", "/deployment/shop/status"])["Parameters"]
    values = {row["Name"]: row["Value"] for row in rows}
    status = json.loads(values["/deployment/shop/status"])
    return {
        "wanted": values["/deployment/shop/wanted"],
        **{key: value for key, value in status.items() if key != "version"},
    }


def _fis(lab: RunningLab) -> list[str]:
    """Experiments that are not over, and templates."""
    fis = lab.client("fis")
    rows = fis.list_experiments()["experiments"]
    running = [row["id"] for row in rows if row["state"]["status"] not in ("stopped", "completed")]
    return sorted([*running, *(row["id"] for row in fis.list_experiment_templates()["experimentTemplates"])])


def _processes(lab: RunningLab) -> dict[str, tuple[str, int, list[int], str]]:
    """For each process of the lab: going or stopped, niceness, the processors it may use, and its limits."""
    record = read_record(LabFolder(path=lab.directory))
    assert record is not None
    found: dict[str, tuple[str, int, list[int], str]] = {}
    for name, identity in record.processes.items():
        found[name] = ("gone", 0, [], "")
        process = identity.find()
        if process is None:
            continue
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):  # it ends as we look
            going = "stopped" if process.status() == psutil.STATUS_STOPPED else "going"
            limits = hashlib.sha256(Path(f"/proc/{process.pid}/limits").read_bytes()).hexdigest()[:16]
            found[name] = (going, process.nice(), process.cpu_affinity() or [], limits)
    return found
