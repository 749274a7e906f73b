"""From the name of an environment to the environment itself; for `local`, the lab that is up or one of our own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from stormproof.errors import GuardrailError, LabError, UsageError
from stormproof.model.environment import Environment
from stormproof.model.guardrails import Guardrails
from stormproof.spec.environment_file import LAB, EnvironmentFile, load_environment

LOCAL = "local"
DEFAULT_VARIANT = "hardened"
ENVIRONMENT_FOLDERS = (Path("experiments/environments"), Path("environments"))
WHOLE_WITHIN_S = 30.0  # naive: three health checks, five seconds apart, until a target is healthy again


def find_environment(name: str, *, spec: Path, lab_overrides: Mapping[str, str]) -> EnvironmentFile:
    """The file of environment *name*: beside the spec's folder, or under the current one; `local` needs none.

    *name* may also be the path of a file, ``…/staging.yaml``.
    """
    beside = (spec if spec.is_dir() else spec.parent).resolve()
    folders = [beside.parent / "environments", beside / "environments", *ENVIRONMENT_FOLDERS]
    if is_path(name):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"--env {name}: there is no such file")
        folders, name = [path.resolve().parent, *folders], path.stem
    known = next((folder for folder in folders if (folder / f"{name}.yaml").is_file()), None)
    if known is None and name == LOCAL and not set(lab_overrides) - {"variant"}:
        return EnvironmentFile(name=LOCAL, kind=LAB, variant=lab_overrides.get("variant", DEFAULT_VARIANT), path="")
    file = load_environment(known or folders[0], name, lab_overrides=lab_overrides)
    for folder in folders:
        if known is not None and (folder / f"{name}.yaml").is_file() and not known.samefile(folder):
            _check_same_guardrails(file, load_environment(folder, name))
    return file


def _check_same_guardrails(file: EnvironmentFile, other: EnvironmentFile) -> None:
    """A spec that brings a file of its own for a known environment must not get rid of the known one's guardrails."""
    ours, theirs = (dataclasses.replace(one.guardrails, where="") for one in (file, other))
    if theirs not in (ours, Guardrails()):
        raise GuardrailError(
            f"{file.path}: its guardrails are not those of {other.path}, which is the same environment",
            hint="one environment, one file; or the same guardrails in both",
        )


def is_path(name: str) -> bool:
    """Whether *name* says where an environment's file is, and not what it is called."""
    return name.endswith(".yaml") or "/" in name


def known_environment(name: str) -> EnvironmentFile | None:
    """The file of environment *name* (or at that path) where there is no spec to look beside; None for none."""
    if is_path(name):
        return find_environment(name, spec=Path(), lab_overrides={})
    folder = next((folder for folder in ENVIRONMENT_FOLDERS if (folder / f"{name}.yaml").is_file()), None)
    return load_environment(folder, name) if folder else None


def refuse_aws(file: EnvironmentFile, doing: str) -> None:
    """`UsageError` for what an environment in AWS cannot have done to it in this version."""
    if file.cloud is not None:
        raise UsageError(
            f"environment {file.name!r} is of kind aws: {doing} is not in this version there; nothing was touched",
            hint="write it as a spec",
        )


def running_lab() -> Environment | None:
    """The lab that somebody started by hand and that is up now."""
    from stormproof.lab import control

    folder = control.default_directory()
    try:
        return control.environment(folder)
    except LabError:
        return None


def planning_environment(file: EnvironmentFile, *, seed: int | None = None, say: bool = True) -> Environment:
    """What *file*'s experiments are planned against: the lab that is up, else one as `run` would bring up.

    Of the latter the shape is true and the ids and ports are examples, which is said on stderr where *say*. Of an
    environment in AWS what is there now, read and not touched; *seed* orders the instances of a zone.
    """
    if file.cloud is not None:
        from stormproof.staging.environment import discover

        return discover(file.name, file.cloud, seed=seed)
    there = running_lab()
    if there is not None:
        return there
    from stormproof.lab import control
    from stormproof.lab.topology import Reservations, choose_topology, resolve

    if say:
        sys.stderr.write(
            "no lab is up: ids and ports below are examples of the lab that a run brings up for itself"
            " (to play a compiled plan: stormproof lab up, then compile again)\n"
        )
    reservations = Reservations()
    try:
        return resolve(choose_topology(file.variant, reservations), control.default_directory())
    finally:
        reservations.close()


@contextlib.contextmanager
def experiment_environment(
    file: EnvironmentFile, *, variant_asked: bool, seed: int | None = None
) -> Iterator[Environment]:
    """What *file*'s experiments happen in: a lab (`lab_environment`), or what the account has now.

    Of an account the caller's identity is checked before anything else is asked; *seed* orders a zone's instances.
    """
    if file.cloud is None:
        with lab_environment(file, variant_asked=variant_asked) as environment:
            yield environment
        return
    _refuse_if_broken(file)
    yield planning_environment(file, seed=seed)


def _refuse_if_broken(file: EnvironmentFile) -> None:
    """`OutstandingUndoError` before anything is looked for: what an earlier run broke would only be missing."""
    from stormproof.faults.aws_errors import told
    from stormproof.faults.outstanding import refuse_if_any
    from stormproof.run.lease import refuse_if_open
    from stormproof.staging.environment import account_of
    from stormproof.staging.identity import check_identity

    assert file.cloud is not None, "the caller knows that it is in AWS"
    refuse_if_any(f"{file.name}-{file.cloud.account}-{file.cloud.region}")
    account = account_of(file.name, file.cloud)
    with told("who we are"):
        check_identity(file.cloud, account.configuration)
    refuse_if_open(file.name, account)


@contextlib.contextmanager
def lab_environment(file: EnvironmentFile, *, variant_asked: bool, say: bool = True) -> Iterator[Environment]:
    """The lab of *file*: the running one if it fits, else one of our own that goes when we do.

    A running lab fits if its variant is the one asked for by `--set lab.variant`, or none was asked for. One that
    is not whole is refused: an experiment on a sick system proves nothing.
    """
    from stormproof.lab import control
    from stormproof.lab.processes import Owner
    from stormproof.run.interrupt import Interrupts

    there = running_lab()
    if there is not None and (not variant_asked or there.variant == file.variant):
        await_whole(there)
        yield there
        return
    folder = Path(tempfile.mkdtemp(prefix="stormproof-lab-"))
    if say:
        sys.stderr.write(f"bringing up a lab ({file.variant}) …\n")
    try:
        yield control.up(folder, variant=file.variant, owner=Owner.this_process())
    finally:
        # What was started is taken down whole, and a run that is over keeps its verdict.
        with Interrupts(), contextlib.suppress(LabError):
            control.down(folder)
        shutil.rmtree(folder, ignore_errors=True)


def await_whole(there: Environment) -> None:
    """Return once the running lab is whole; a naive one needs some seconds after a run to notice that it is.

    Raises `UnavailableError` when a run is going on in it, `OutstandingUndoError` when one has left something
    broken, `LabError` when it does not become whole.
    """
    from stormproof.faults.outstanding import refuse_if_any
    from stormproof.lab import control
    from stormproof.run.lock import lock_name, refuse_if_held

    refuse_if_held(lock_name(there))
    refuse_if_any(lock_name(there))
    control.wait_until_whole(control.default_directory(), within_s=WHOLE_WITHIN_S)


def runs_folder(out: Path | None) -> Path:
    """Where runs go: `--out`, else ``$STORMPROOF_REPORTS``, else ``reports``."""
    return out or Path(os.environ.get("STORMPROOF_REPORTS", "reports"))


def writable_folder(folder: Path) -> Path:
    """*folder*, shown to be there or to be makeable, before anything is started for what is to be written to it.

    Nothing is left: a run that is refused later must not have made a folder. Raises `UsageError`.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in missing:
            path.rmdir()
    except OSError as error:
        raise UsageError(f"--out {folder}: expected a folder, or a place to make one, got {error.strerror}") from error
    if not missing and not os.access(folder, os.W_OK):
        raise UsageError(f"--out {folder}: expected a folder that can be written to")
    return folder
