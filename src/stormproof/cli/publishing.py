"""`stormproof evidence publish`: into the answers of a review in the AWS Well-Architected Tool; shown first."""

from __future__ import annotations

import datetime as dt
import difflib
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stormproof.cli.bundling import REPORTS, JsonOption, OneEnvOption, ReportsOption, SettingsOption
from stormproof.cli.printing import print_json
from stormproof.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from stormproof.evidence.chain import Link
    from stormproof.evidence.review import AnswerChange
    from stormproof.evidence.settings import EvidenceSettings
    from stormproof.evidence.well_architected import Review, Tool

DEFAULT_RETAIN_DAYS = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a call is to bring about."""

    changes: list[AnswerChange]  # of every answer, the empty ones included
    tags: dict[str, str]
    milestone: str | None
    address: str  # of the bundle; "" without one


def publish(  # noqa: PLR0913, PLR0917 - one parameter an option
    workload_id: Annotated[str, typer.Option("--workload-id", help="The workload in the Well-Architected Tool.")],
    env: OneEnvOption,
    reports: ReportsOption = REPORTS,
    settings: SettingsOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Write what is shown. (default: show it only)")] = False,
    approver: Annotated[
        str | None, typer.Option(help="Who answers for it. (default: people.approver of the settings)")
    ] = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", help="A bundle (zip) to upload with --upload.")] = None,
    upload: Annotated[
        str | None, typer.Option("--upload", help="s3://bucket/prefix with Object Lock, for the bundle.")
    ] = None,
    retain_days: Annotated[
        int, typer.Option("--retain-days", min=1, max=36_500, help="How long S3 keeps the bundle locked.")
    ] = DEFAULT_RETAIN_DAYS,
    milestone: Annotated[bool, typer.Option(help="Make a milestone when an answer was written.")] = True,
    as_json: JsonOption = False,
) -> int:
    """Write the newest evidence into the answers of the Reliability pillar: selections, notes, tags, a milestone.

    Shows a diff, and writes with --yes only. Nothing is ever unselected, "none of these" is not touched, other people's
    text stays. An answer that somebody edits in between is left alone. Exit code 69 when something was not written.
    """
    from stormproof.evidence.settings import load_settings

    said = load_settings(settings)
    approved_by = (approver or said.people.approver or "").strip()
    if yes and not approved_by:
        raise UsageError(
            "--yes: expected a named approver", hint="--approver NAME, or people.approver in evidence.yaml"
        )
    if (bundle is None) is not (upload is None):
        raise UsageError("--bundle and --upload: expected both, or neither")
    links = _links(reports, env)
    tool = _tool(workload_id)
    review = tool.read()
    wanted = _wanted(links, said, review, bundle=bundle, upload=upload, approver=approved_by, milestone=milestone)
    done = _write(tool, review, wanted, bundle, upload, retain_days) if yes else None
    if as_json:
        print_json(_document(review, wanted, done))
    else:
        _print(review, wanted, done)
    failed = [word for word in (done or {}).values() if word not in ("written", "unchanged")]
    return UnavailableError.exit_code if failed else 0


def _links(reports: Path, env: str) -> list[Link]:
    """The records of *env*, all of a real environment: what the lab shows is no answer to a review."""
    from stormproof.evidence.chain import read_links, store_of
    from stormproof.evidence.simulation import is_simulated

    links = read_links(store_of(reports, env))
    if not links:
        raise UsageError(f"--env {env}: there are no records under {reports}", hint="stormproof evidence record")
    if any(is_simulated(link.record) for link in links):
        raise UsageError(f"--env {env}: it is emulated, and is no evidence for a review of a workload")
    return links


def _tool(workload_id: str) -> Tool:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    from stormproof.evidence.well_architected import Tool

    try:
        client = boto3.Session().client(
            "wellarchitected",
            config=Config(retries={"total_max_attempts": 1}, user_agent_extra="stormproof", connect_timeout=10),
        )
    except BotoCoreError as error:
        raise UnavailableError(f"Well-Architected Tool: {error}", hint="AWS_REGION, and credentials") from error
    return Tool(client, workload_id, wait=time.sleep, rng=random.Random(workload_id))  # noqa: S311 - jitter


def _wanted(
    links: Sequence[Link],
    said: EvidenceSettings,
    review: Review,
    *,
    bundle: Path | None,
    upload: str | None,
    approver: str,
    milestone: bool,
) -> _Wanted:
    from stormproof.evidence.coverage import coverage, now_for
    from stormproof.evidence.review import change_of, pointers
    from stormproof.evidence.upload import address_of
    from stormproof.evidence.well_architected import changed, milestone_name, new_tags

    at, records = dt.datetime.now(dt.UTC), [link.record for link in links]
    address = address_of(bundle, upload) if bundle is not None and upload is not None else ""
    by_run = {str(link.record["run_id"]): link for link in links}
    found = pointers(
        coverage(records, said, now_for(records, said, at=at), specified={}),
        {run_id: link.record for run_id, link in by_run.items()},
        {run_id: link.sha256 for run_id, link in by_run.items()},
        place=address,
    )
    changes = [change_of(answer, found.get(answer.question_id, [])) for answer in review.answers]
    head = links[-1].sha256
    tags = new_tags(review, head, approver)
    name = milestone_name(head, at) if milestone and changed(changes) else None
    return _Wanted(changes=changes, tags=tags, milestone=name, address=address)


def _write(
    tool: Tool, review: Review, wanted: _Wanted, bundle: Path | None, upload: str | None, retain_days: int
) -> dict[str, str]:
    """Bundle, answers, tags, milestone, in this order: each points to what is there already. What became of each."""
    from stormproof.evidence.upload import upload as put
    from stormproof.evidence.well_architected import changed

    done: dict[str, str] = {}
    if bundle is not None and upload is not None:
        import boto3

        now = dt.datetime.now(dt.UTC)
        _, is_new = put(boto3.Session(), bundle, upload, retain_days=retain_days, now=now)
        done[wanted.address] = "written" if is_new else "unchanged"
    for change in changed(wanted.changes):
        done[change.before.question_id] = tool.write(change)
    if all(word in ("written", "unchanged") for word in done.values()):
        if wanted.tags:
            tool.tag(review.arn, wanted.tags)
            done["tags"] = "written"
        if wanted.milestone:
            done[wanted.milestone] = "written" if tool.milestone(wanted.milestone) else "unchanged"
    return done


def _document(review: Review, wanted: _Wanted, done: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "workload": review.name,
        "written": done,
        "bundle": wanted.address or None,
        "tags": wanted.tags,
        "milestone": wanted.milestone,
        "answers": [
            {
                "question": change.before.question_id,
                "select": list(change.select),
                "choice_notes": dict(change.choice_notes),
                "notes": change.notes,
                "left_alone": list(change.left_alone),
            }
            for change in wanted.changes
            if not change.is_empty or change.left_alone
        ],
    }


def _print(review: Review, wanted: _Wanted, done: Mapping[str, str] | None) -> None:
    typer.echo(f"workload {review.name}")
    for change in wanted.changes:
        if change.is_empty and not change.left_alone:
            continue
        typer.echo(f"\n{change.before.question_id}")
        for name in change.select:
            typer.echo(f"  + selected: {name}")
        for name, note in change.choice_notes.items():
            _diff(f"note of {name}", change.before.choices[name].notes, note)
        if change.notes is not None:
            _diff("notes", change.before.notes, change.notes)
        for reason in change.left_alone:
            typer.echo(f"  ! left alone: {reason}")
    for name, value in wanted.tags.items():
        typer.echo(f"  + tag {name} = {value}")
    if wanted.milestone:
        typer.echo(f"  + milestone {wanted.milestone}")
    for name, word in (done or {}).items():
        sys.stderr.write(f"{word}: {name}\n")
    if done is None:
        sys.stderr.write("nothing was written: --yes writes it\n")


def _diff(title: str, before: str, after: str) -> None:
    typer.echo(f"  {title}:")
    for line in difflib.ndiff(before.split("\n") if before else [], after.split("\n")):
        if not line.startswith("?"):
            typer.echo(f"    {line}")
