"""`stormproof evidence bundle|verify|anchor`: what is taken away, and whether it is what it was."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stormproof.cli.printing import print_json
from stormproof.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from stormproof.evidence.verify import Verified

ReportsOption = Annotated[
    Path, typer.Option("--reports", help="Where the runs are, and `evidence/` with their records.")
]
SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", help="People, tickets, what is claimed. (default: experiments/evidence.yaml, if any)"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
OneEnvOption = Annotated[str, typer.Option("--env", help="The environment whose chain it is.")]
PLACES = "A git repository, s3://bucket/prefix, or kms:KEY"
REPORTS = Path("reports")


def bundle(
    env: OneEnvOption,
    out: Annotated[Path, typer.Option("--out", help="A new folder, or a file that ends in .zip.")],
    reports: ReportsOption = REPORTS,
    settings: SettingsOption = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="An Ed25519 key (PEM) that signs the in-toto statements.")
    ] = None,
) -> int:
    """Record what is finished, then write everything of one environment into a bundle that `verify` can check.

    Records, reports, digests of the raw data, OSCAL, in-toto, an HTML page and a PDF, and a manifest of them all.
    """
    from stormproof.evidence.attestation import read_private_key
    from stormproof.evidence.bundle import build_bundle, write_bundle
    from stormproof.evidence.chain import read_links, store_of
    from stormproof.evidence.recorder import find_runs, record_runs
    from stormproof.evidence.settings import load_settings

    signing = read_private_key(key) if key else None
    if out.exists() and out.suffix != ".zip":
        raise UsageError(f"--out {out}: there is something already", hint="a bundle is written once")
    runs = find_runs(reports)
    record_runs(runs, reports=reports, settings=load_settings(settings))
    store = store_of(reports, env)
    files = build_bundle(store, read_links(store), runs={path.name: path for path in runs}, key=signing)
    write_bundle(files, out)
    typer.echo(str(out))
    sys.stderr.write(f"{len(files)} files{'' if signing else '; the in-toto statements are not signed: no --key'}\n")
    return 0


def verify(
    path: Annotated[
        Path | None, typer.Argument(metavar="[BUNDLE]", help="A bundle; without one, the chain of --env.")
    ] = None,
    env: Annotated[str | None, typer.Option("--env", help="The environment whose chain to verify.")] = None,
    reports: ReportsOption = REPORTS,
    anchors: Annotated[list[str] | None, typer.Option("--anchor", help=f"{PLACES}, that holds heads of it.")] = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="The Ed25519 key (PEM) that must have signed each statement.")
    ] = None,
    require_anchor: Annotated[
        bool, typer.Option("--require-anchor", help="Fail when the last record is not anchored.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Say whether a bundle or a chain is what it was, byte for byte, record for record. Exit 0 only then, else 69."""
    from stormproof.evidence import anchor as outside
    from stormproof.evidence.attestation import read_public_key
    from stormproof.evidence.chain import store_of
    from stormproof.evidence.verify import hold_against, verify_bundle, verify_store

    if (path is None) == (env is None):
        raise UsageError("expected a bundle, or --env", hint="stormproof evidence verify BUNDLE")
    if path is not None:
        found = verify_bundle(path, key=read_public_key(public_key) if public_key else None)
    else:
        found = verify_store(store_of(reports, str(env)))
    for place in anchors or ():
        if of := env or _environment_of(found):
            found = hold_against(found, outside.read(place, of, found.signatures))
    return _say(found, require_anchor=require_anchor, as_json=as_json)


def anchor(
    places: Annotated[list[str], typer.Argument(metavar="WHERE", help=f"{PLACES}.", show_default=False)],
    env: OneEnvOption,
    retain: Annotated[int, typer.Option(min=1, max=36_500, help="Days that S3 locks it for.")] = 365,
    reports: ReportsOption = REPORTS,
) -> int:
    """Have the head of a chain held outside of it: in a git tag (push it), locked in S3, or signed by KMS.

    A signature is kept with the chain, in `anchors/`: bundle after it.
    """
    import datetime as dt

    from stormproof.evidence import anchor as outside
    from stormproof.evidence.chain import head_of, read_links, store_of

    store = store_of(reports, env)
    links = read_links(store)
    if not links:
        raise UsageError(f"--env {env}: there are no records to anchor", hint="stormproof evidence record")
    for place in places:
        typer.echo(outside.hold(place, head_of(links[-1]), store, retain_days=retain, now=dt.datetime.now(dt.UTC)))
    return 0


def _environment_of(found: Verified) -> str | None:
    return str(found.links[-1].record["scope"].get("environment")) if found.links else None


def _say(found: Verified, *, require_anchor: bool, as_json: bool) -> int:
    last = found.links[-1].sequence if found.links else 0
    anchored = max((one.sequence for one in found.anchors), default=0)
    is_missing = require_anchor and anchored < max(last, 1)
    if as_json:
        print_json(_document(found, anchored=anchored))
    else:
        for one in found.problems:
            typer.echo(f"{one.file} {one.what}")
        state = f"anchored to record {anchored}" if anchored else "unanchored: nothing outside holds its head"
        whole = "whole" if found.ok else f"NOT WHOLE: {len(found.problems)} problem(s)"
        typer.echo(f"{whole}; {last} record(s); {state}")
    return 0 if found.ok and not is_missing else UnavailableError.exit_code


def _document(found: Verified, *, anchored: int) -> dict[str, Any]:
    return {
        "whole": found.ok,
        "records": len(found.links),
        "anchored_to": anchored or None,
        "anchors": [{"sequence": one.sequence, "sha256": one.sha256, "by": one.by} for one in found.anchors],
        "problems": [{"file": one.file, "what": one.what} for one in found.problems],
    }
