"""The AWS Well-Architected Tool: answers read, changes written one by one, each against what was shown.

`UpdateAnswer` has no condition: whoever writes last wins. So an answer is read again just before it is written, and
left alone when it is not what the change was made for; between that read and the write is a moment that nobody can
close.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stormproof.errors import UnavailableError, UsageError
from stormproof.evidence.canonical import stable_id
from stormproof.evidence.review import SELECTED, Answer, AnswerChange, Choice

LENS, PILLAR = "wellarchitected", "reliability"
PAGE = 50
ATTEMPTS_MAX = 6
WAIT_S, WAIT_MAX_S = 0.5, 8.0
HEAD_TAG, BY_TAG = "stormproof:evidence-head", "stormproof:approved-by"
_AGAIN = frozenset({"ThrottlingException", "InternalServerException", "TooManyRequestsException", "429", "500", "503"})
WRITTEN, EDITED, CONFLICT, ALTERED = "written", "edited in between", "conflict", "not as written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The pillar's answers of one workload, and what it was tagged with."""

    arn: str
    name: str
    tags: Mapping[str, str]
    answers: tuple[Answer, ...]


class Tool:
    """One workload in the tool. *client* must not retry by itself; *wait* is given seconds, *rng* the jitter."""

    def __init__(self, client: Any, workload_id: str, *, wait: Callable[[float], None], rng: random.Random) -> None:
        self._client, self._workload_id, self._wait, self._rng = client, workload_id, wait, rng

    def read(self) -> Review:
        """The workload with every answer of the pillar. Raises `UnavailableError`."""
        workload = self._call("get_workload")["Workload"]
        return Review(
            arn=workload["WorkloadArn"],
            name=str(workload.get("WorkloadName", "")),
            tags=dict(workload.get("Tags") or {}),
            answers=tuple(self._answer(question_id) for question_id in self._questions()),
        )

    def write(self, change: AnswerChange) -> str:
        """Write *change*, and say what became of it: written, edited in between, conflict, or not as written."""
        question_id = change.before.question_id
        for attempt in range(ATTEMPTS_MAX):
            if self._answer(question_id) != change.before:
                return EDITED
            try:
                updated = self._call("update_answer", **_update(change))
            except _ConflictError:
                self._pause(attempt)
                continue
            return WRITTEN if _is_as_written(_answer(updated["Answer"]), change) else ALTERED
        return CONFLICT

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add *tags* to the workload; others stay."""
        self._call("tag_resource", alone=True, WorkloadArn=arn, Tags=dict(tags))

    def milestone(self, name: str) -> bool:
        """Make the milestone *name*; False when there is one of that name already."""
        listed = self._pages("list_milestones", "MilestoneSummaries")
        if any(one.get("MilestoneName") == name for one in listed):
            return False
        try:
            token = stable_id("milestone", self._workload_id, name)
            self._call("create_milestone", MilestoneName=name, ClientRequestToken=token)
        except _ConflictError:  # somebody was a moment sooner
            return False
        return True

    def _questions(self) -> Iterator[str]:
        for one in self._pages("list_answers", "AnswerSummaries", LensAlias=LENS, PillarId=PILLAR):
            yield str(one["QuestionId"])

    def _answer(self, question_id: str) -> Answer:
        return _answer(self._call("get_answer", LensAlias=LENS, QuestionId=question_id)["Answer"])

    def _pages(self, operation: str, key: str, **arguments: Any) -> Iterator[Mapping[str, Any]]:
        token: str | None = None
        while True:
            if token:
                arguments["NextToken"] = token
            page = self._call(operation, MaxResults=PAGE, **arguments)
            yield from page.get(key, [])
            token = page.get("NextToken")
            if not token:
                return

    def _call(self, operation: str, *, alone: bool = False, **arguments: Any) -> Mapping[str, Any]:
        """Call *operation*, again while the service throttles or fails; *alone*: it takes no workload id."""
        from botocore.exceptions import BotoCoreError, ClientError

        if not alone:
            arguments["WorkloadId"] = self._workload_id
        for attempt in range(ATTEMPTS_MAX):
            try:
                answered: Mapping[str, Any] = getattr(self._client, operation)(**arguments)
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code"))
                if code == "ConflictException":
                    raise _ConflictError(str(error)) from error
                if code == "ResourceNotFoundException":
                    raise UsageError(f"--workload-id {self._workload_id}: {error}") from error
                if code not in _AGAIN or attempt + 1 == ATTEMPTS_MAX:
                    raise UnavailableError(f"Well-Architected Tool: {error}") from error
                self._pause(attempt)
            except BotoCoreError as error:
                raise UnavailableError(f"Well-Architected Tool: {error}") from error
            else:
                return answered
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _pause(self, attempt: int) -> None:
        """Full jitter: up to a cap that doubles."""
        self._wait(self._rng.uniform(0.0, min(WAIT_MAX_S, WAIT_S * 2**attempt)))


def milestone_name(head: str, at: dt.datetime) -> str:
    """`resilience-<day>-<eight hex digits of the evidence head>`: the same evidence on one day has one name."""
    return f"resilience-{at:%Y-%m-%d}-{head[:8]}"


def new_tags(review: Review, head: str, approver: str) -> dict[str, str]:
    """The tags that are missing; none when the workload has this head already."""
    return {} if review.tags.get(HEAD_TAG) == head else {HEAD_TAG: head, BY_TAG: approver[:256]}


def changed(changes: Sequence[AnswerChange]) -> list[AnswerChange]:
    """Those with something to write."""
    return [one for one in changes if not one.is_empty]


class _ConflictError(Exception):
    """The service says that somebody else is writing."""


def _update(change: AnswerChange) -> dict[str, Any]:
    """The request. `SelectedChoices` replaces the whole list, so it is never sent; updates leave the others alone."""
    updates: dict[str, dict[str, str]] = {name: {"Status": SELECTED} for name in (*change.select, *change.choice_notes)}
    for name, note in change.choice_notes.items():
        updates[name]["Notes"] = note
    # Without a note of its own a selected choice keeps the one that it has.
    for name in change.select:
        if name not in change.choice_notes and change.before.choices[name].notes:
            updates[name]["Notes"] = change.before.choices[name].notes
    request: dict[str, Any] = {"LensAlias": LENS, "QuestionId": change.before.question_id}
    if updates:
        request["ChoiceUpdates"] = updates
    if change.notes is not None:
        request["Notes"] = change.notes
    return request


def _is_as_written(now: Answer, change: AnswerChange) -> bool:
    """Whether everything that was to be there is, and nothing that was selected is gone."""
    was = {name for name, choice in change.before.choices.items() if choice.status == SELECTED}
    is_ = {name for name, choice in now.choices.items() if choice.status == SELECTED}
    notes = change.before.notes if change.notes is None else change.notes
    kept = all(now.choices[name].notes == note for name, note in change.choice_notes.items())
    return was | set(change.select) <= is_ and kept and now.notes == notes


def _answer(document: Mapping[str, Any]) -> Answer:
    told = {one["ChoiceId"]: one for one in document.get("ChoiceAnswers") or []}
    selected = set(document.get("SelectedChoices") or [])
    choices = {}
    for one in document.get("Choices") or []:
        name = str(one["ChoiceId"])
        about = told.get(name, {})
        status = SELECTED if name in selected else str(about.get("Status") or "UNSELECTED")
        choices[name] = Choice(status=status, notes=str(about.get("Notes") or ""), is_none=_is_none(name, one))
    return Answer(
        question_id=str(document["QuestionId"]),
        is_applicable=document.get("IsApplicable") is not False,
        notes=str(document.get("Notes") or ""),
        choices=choices,
    )


def _is_none(name: str, choice: Mapping[str, Any]) -> bool:
    return name.endswith("_no") or str(choice.get("Title", "")).strip().lower() == "none of these"
