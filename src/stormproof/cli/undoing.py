"""`stormproof undo`: what earlier runs left broken, from their ledgers or from the environment's bucket."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stormproof.cli.environments import ENVIRONMENT_FOLDERS, LOCAL, is_path, known_environment, runs_folder
from stormproof.cli.printing import print_json
from stormproof.cli.running import JsonOption, RunsOption, short_path
from stormproof.errors import GuardrailError, UnavailableError, UsageError

if TYPE_CHECKING:
    from stormproof.faults.ledger import Ledger
    from stormproof.spec.environment_file import EnvironmentFile


def undo(
    ledgers: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[LEDGER]...", help="Ledgers, or run directories.", show_default=False),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Only say what is still to be undone.")] = False,
    env: Annotated[
        str | None,
        typer.Option(
            "--env", help="Only what is outstanding in this environment, its bucket included.", show_default=False
        ),
    ] = None,
    out: RunsOption = None,
    as_json: JsonOption = False,
) -> int:
    """Undo what earlier runs left broken. Exit 0 only when nothing is left to undo, else 69.

    Without LEDGER, every ledger that this user's runs have left open, and every one under the runs' folder. With an
    environment in AWS that has a bucket for its ledger, also what was left open there, from whichever machine.
    """
    from stormproof.faults.activity import undo_outstanding
    from stormproof.faults.ledger import Ledger
    from stormproof.faults.outstanding import settle

    file = known_environment(env) if env else None
    paths = _ledger_paths(ledgers, runs_folder(out), env, file)
    if file is not None and file.cloud is not None:
        if not ledgers:
            paths += _from_bucket(file, [Ledger(path) for path in paths])
        for path in paths:
            _check_same_account(Ledger(path), file)
    if env and file is None:
        _check_known(env, looked_at=paths)
    rows: list[dict[str, Any]] = []
    for path in paths:
        ledger = Ledger(path)
        if list_:
            rows += [
                {"ledger": str(path), "fault_id": entry.fault_id, "kind": entry.kind, "state": entry.state,
                 "undone": False, "reason": entry.reason}
                for entry in ledger.outstanding()
            ]  # fmt: skip
        else:
            results = undo_outstanding(ledger, events_path=path.with_name("events.jsonl"), who="undo")
            rows += [{"ledger": str(path), **result} for result in results]
            settle(path)
    left = [row for row in rows if not row["undone"]]
    if as_json:
        print_json({"outstanding" if list_ else "results": rows, "left": len(left)})
    else:
        for row in rows:
            done = f"{'undone' if row['undone'] else 'TO BE UNDONE'} {row['reason']}".rstrip()
            typer.echo(f"{row['fault_id']}  {done}  ({short_path(Path(row['ledger']))})")
        if not rows:
            typer.echo("nothing is left to undo")
    return UnavailableError.exit_code if left else 0


def _check_known(env: str, *, looked_at: list[Path]) -> None:
    """A name without a file may be a slip, or a file that is elsewhere: then nobody knows that nothing is left."""
    if env == LOCAL:
        return
    if not looked_at:
        where = " or ".join(map(str, ENVIRONMENT_FOLDERS))
        raise UsageError(f"--env {env}: there is no environment {env!r} in {where}", hint="--env takes a file, too")
    sys.stderr.write(f"there is no file of environment {env!r} here: if it has a bucket, that was not looked at\n")


def _ledger_paths(given: list[Path] | None, folder: Path, env: str | None, file: EnvironmentFile | None) -> list[Path]:
    from stormproof.faults.outstanding import remembered

    if not given:
        under = [] if env else folder.resolve().glob("*/*/ledger.jsonl")
        name = file.name if file is not None and env is not None and is_path(env) else env
        return sorted({*remembered(name), *under})
    paths = [path / "ledger.jsonl" if path.is_dir() else path for path in given]
    for path in paths:
        if not path.is_file():
            raise UsageError(f"{path}: there is no ledger", hint="a run directory has one: ledger.jsonl")
    return paths


def _check_same_account(ledger: Ledger, file: EnvironmentFile) -> None:
    """`GuardrailError` for a ledger of another account or region than *file*'s."""
    assert file.cloud is not None, "the caller knows that it is in AWS"
    ours = (file.cloud.account, file.cloud.region)
    for entry in ledger.outstanding():
        theirs = tuple(str(entry.configuration.get(key, "none")) for key in ("aws_account", "aws_region"))
        if theirs != ours:
            raise GuardrailError(
                f"{ledger.path}: expected faults in {' '.join(ours)}, as {file.path} says, got {' '.join(theirs)};"
                " nothing was touched",
                hint="stormproof undo without --env takes a ledger for what it says",
            )


def _from_bucket(file: EnvironmentFile, local: list[Ledger]) -> list[Path]:
    """What the environment's bucket holds beyond the *local* ledgers, as ledgers of our own: their paths."""
    from stormproof.faults.aws_errors import told
    from stormproof.faults.mirror import Mirror, grouped, ledger_of
    from stormproof.record.state import state_folder
    from stormproof.staging.environment import account_of
    from stormproof.staging.identity import check_identity

    assert file.cloud is not None, "the caller knows that it is in AWS"
    where = account_of(file.name, file.cloud).configuration
    mirror = Mirror.of(where)
    if mirror is None:
        return []
    with told("who we are"):
        check_identity(file.cloud, where)
    with told("reading the ledger's bucket"):
        entries = mirror.entries()
    known = {(ledger.path.resolve(), entry.fault_id) for ledger in local for entry in ledger.outstanding()}
    entries = [one for one in entries if (one.ledger.resolve(), one.document["fault_id"]) not in known]
    if file.cloud.sidecar is not None:
        where = {**where, "envoy_admin_url": file.cloud.sidecar.admin_url}
    folder = state_folder() / "mirrored" / file.name
    return [ledger_of(own, folder / run / "ledger.jsonl", configuration=where) for run, own in grouped(entries)]
