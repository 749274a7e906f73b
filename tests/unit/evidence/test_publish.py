"""Publishing into a review, against the double over HTTP with the real client.

After each test the double has seen nothing, and said nothing, that botocore's model of the service does not allow.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from stormproof.cli.entry import call
from stormproof.errors import UnavailableError, UsageError
from stormproof.evidence.review import (
    ANSWER_NOTE_MAX,
    CHOICE_NOTE_MAX,
    MARK,
    Answer,
    Choice,
    Pointer,
    answer_notes,
    change_of,
)  # fmt: skip
from stormproof.evidence.upload import upload
from stormproof.evidence.well_architected import ATTEMPTS_MAX, HEAD_TAG, Tool
from support.evidence_runs import copy_run
from support.well_architected import MODEL, WORKLOAD, Double, Served, broken_limits

SHOWN = "rel_withstand_component_failures_failover2good"  # directly, by an az-loss
QUESTION = "withstand-component-failures"


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    """The double, and the environment of a client that finds it."""
    with Served(Double()) as served:
        for name, value in (
            ("AWS_ENDPOINT_URL_WELLARCHITECTED", served.address), ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_DEFAULT_REGION", "eu-central-1"),
        ):  # fmt: skip
            monkeypatch.setenv(name, value)
        yield served.double
        assert [] == served.problems


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One held az-loss in a real environment, today, recorded."""
    now = dt.datetime.now(dt.UTC)
    folder = tmp_path_factory.mktemp("reports")
    times = {"started_at": now.isoformat(), "ended_at": now.isoformat()}
    copy_run(folder, f"{now:%Y%m%dT%H%M%SZ}-az-loss-0001", run=times, real=True)
    assert 0 == call(["evidence", "record", "--reports", str(folder)])
    return folder


def published(reports: Path, *more: str, env: str = "staging") -> int:
    return call(["evidence", "publish", "--workload-id", WORKLOAD, "--env", env, "--reports", str(reports), *more])


YES = ("--yes", "--approver", "Kim Example")


def test_the_first_time_it_shows_and_writes_nothing(
    double: Double, reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --yes: the selections and notes that would be written, and no call that writes."""
    capsys.readouterr()
    assert 0 == published(reports)

    streams = capsys.readouterr()
    assert f"+ selected: {SHOWN}" in streams.out
    assert "+ stormproof: PASS" in streams.out
    assert "nothing was written" in streams.err
    assert [] == double.writes


def test_the_first_run_writes_and_the_second_does_not(
    double: Double, reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Selected with a pointer, entry in the notes, tags and one milestone; again: reads only."""
    assert 0 == published(reports, *YES)

    answer = double.answers[QUESTION]
    assert SHOWN in answer["SelectedChoices"]
    assert answer["ChoiceAnswers"][SHOWN]["Notes"].startswith("stormproof: PASS ")
    assert answer["Notes"].startswith("stormproof: REL")
    assert {"UpdateAnswer", "TagResource", "CreateMilestone"} == set(double.writes)
    assert ("TagResource", "CreateMilestone") == tuple(double.writes[-2:])
    assert (64, "Kim Example") == (len(double.tags[HEAD_TAG]), double.tags["stormproof:approved-by"])
    (name,) = double.milestones
    assert f"resilience-{dt.datetime.now(dt.UTC):%Y-%m-%d}-{double.tags[HEAD_TAG][:8]}" == name
    double.calls.clear()
    assert 0 == published(reports, *YES)
    assert [] == double.writes
    assert {"GetWorkload", "ListAnswers", "GetAnswer"} == {operation for operation, _ in double.calls}


def test_what_people_wrote_stays(double: Double, reports: Path) -> None:
    """Their notes, selections and tags are as they were, beside ours; nothing is unselected."""
    answer = double.answers[QUESTION]
    answer["Notes"] = "Reviewed with the board.\n\n  Ask Kim.  "
    answer["SelectedChoices"] = ["rel_withstand_component_failures_notifications_sent_system"]
    answer["ChoiceAnswers"] = {SHOWN: {"Status": "UNSELECTED", "Reason": "NONE", "Notes": "to be shown"}}
    double.tags = {"team": "shop"}

    assert 0 == published(reports, *YES)

    assert answer["Notes"].startswith("Reviewed with the board.\n\n  Ask Kim.  \n\nstormproof: ")
    assert {"rel_withstand_component_failures_notifications_sent_system", SHOWN} <= set(answer["SelectedChoices"])
    assert answer["ChoiceAnswers"][SHOWN]["Notes"].startswith("to be shown\nstormproof: PASS")
    assert "shop" == double.tags["team"]


def test_none_of_these_is_a_persons_word(double: Double, reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it is selected nothing else is, the reason is said, and the notes still point to the evidence."""
    answer = double.answers[QUESTION]
    none = answer["Choices"][-1]["ChoiceId"]
    answer["SelectedChoices"] = [none]

    assert 0 == published(reports, *YES)

    assert [none] == answer["SelectedChoices"]
    assert "a person has to take that back" in capsys.readouterr().out
    assert MARK in answer["Notes"]
    sent = [asked for operation, asked in double.calls if operation == "UpdateAnswer"]
    assert all("SelectedChoices" not in asked for asked in sent)
    assert not any(name.endswith("_no") for asked in sent for name in asked.get("ChoiceUpdates", {}))


def test_an_answer_edited_in_between_is_left_alone(
    double: Double, reports: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody writes after the diff was made: their text stands, ours does not, 69; the next run does it."""
    read = Tool.read

    def read_then_edited(tool: Tool) -> object:
        review = read(tool)
        double.answers[QUESTION]["Notes"] = "edited by a person"
        return review

    monkeypatch.setattr(Tool, "read", read_then_edited)
    assert 69 == published(reports, *YES)

    assert "edited by a person" == double.answers[QUESTION]["Notes"]
    assert [] == double.answers[QUESTION]["SelectedChoices"]
    assert f"edited in between: {QUESTION}" in capsys.readouterr().err
    assert [] == double.milestones
    monkeypatch.setattr(Tool, "read", read)
    assert 0 == published(reports, *YES)
    assert double.answers[QUESTION]["Notes"].startswith("edited by a person\n\nstormproof: ")
    assert 1 == len(double.milestones)


def tool(double: Double, waited: list[float]) -> Tool:
    client = boto3.Session().client("wellarchitected", config=Config(retries={"total_max_attempts": 1}))
    return Tool(client, WORKLOAD, wait=waited.append, rng=random.Random(1))


def change(double: Double, waited: list[float]) -> tuple[Tool, object]:
    there = tool(double, waited)
    answer = next(one for one in there.read().answers if one.question_id == QUESTION)
    pointer = Pointer(choice_id=SHOWN, practice="REL11-BP02", day="2026-11-20", run_id="r", note="PASS", selects=True)
    return there, change_of(answer, [pointer])


def test_a_conflict_is_tried_again(double: Double) -> None:
    """Two conflicts, then it is written; each time the answer is read again first, and the pauses grow."""
    waited: list[float] = []
    there, wanted = change(double, waited)
    double.conflicts = 2
    double.calls.clear()

    assert "written" == there.write(wanted)  # type: ignore[arg-type]

    assert ["GetAnswer", "UpdateAnswer"] * 3 == [operation for operation, _ in double.calls]
    assert 2 == len(waited)
    assert SHOWN in double.answers[QUESTION]["SelectedChoices"]


def test_a_conflict_with_an_edit_is_an_edit(double: Double) -> None:
    """The other writer of the conflict changed the answer: it is left as they made it."""
    there, wanted = change(double, [])
    double.conflicts = 1
    double.before_update = lambda question: double.answers[question].update(Notes="theirs")

    assert "edited in between" == there.write(wanted)  # type: ignore[arg-type]
    assert ("theirs", []) == (double.answers[QUESTION]["Notes"], double.answers[QUESTION]["SelectedChoices"])


def test_a_conflict_that_does_not_end_is_said(double: Double) -> None:
    """After so many attempts it is given up, and nothing was written."""
    waited: list[float] = []
    there, wanted = change(double, waited)
    double.conflicts = 100

    assert "conflict" == there.write(wanted)  # type: ignore[arg-type]
    assert (ATTEMPTS_MAX, 100 - ATTEMPTS_MAX) == (len(waited), double.conflicts)


def test_throttling_is_waited_out(double: Double) -> None:
    """Five throttled calls, then the answer; pauses are random under a doubling cap; a sixth is one too many."""
    waited: list[float] = []
    there = tool(double, waited)
    double.throttled = ATTEMPTS_MAX - 1

    assert 13 == len(there.read().answers)
    assert ATTEMPTS_MAX - 1 == len(waited)
    assert all(0 <= pause <= 0.5 * 2**place for place, pause in enumerate(waited))
    double.throttled = ATTEMPTS_MAX
    with pytest.raises(UnavailableError, match="ThrottlingException"):
        there.read()


def answer(notes: str = "", choice: str = "", status: str = "SELECTED") -> Answer:
    return Answer(
        question_id=QUESTION, is_applicable=True, notes=notes,
        choices={SHOWN: Choice(status=status, notes=choice, is_none=False)},
    )  # fmt: skip


POINTER = Pointer(choice_id=SHOWN, practice="REL11-BP02", day="2026-11-20", run_id="r", note="PASS x", selects=True)


def test_notes_over_the_limit_lose_whole_entries() -> None:
    """Others' text stays whole, then as many entries as fit, the newest first, then how many are missing."""
    others = "x" * 1000
    entries = [f"{MARK}REL{number:02d} {'y' * 150}" for number in range(13)]

    text, missing = answer_notes(others, entries)

    assert len(text) <= ANSWER_NOTE_MAX
    lines = text.split("\n")
    assert [others, "", *entries[: 13 - missing], f"{MARK}{missing} more in the evidence bundle"] == lines
    assert len(answer_notes(others, entries[: 13 - missing])[0]) + len(entries[0]) + 1 > ANSWER_NOTE_MAX - 60
    assert (text, missing) == answer_notes(text, entries)


def test_others_text_that_fills_the_notes_stays_alone() -> None:
    """No room for one entry: the text is as it was, and that is said; a choice's note likewise."""
    full = answer(notes="x" * ANSWER_NOTE_MAX, choice="y" * CHOICE_NOTE_MAX)

    wanted = change_of(full, [POINTER])

    assert wanted.is_empty
    assert 2 == len(wanted.left_alone)


def test_a_choice_that_a_person_ruled_out_is_left_alone() -> None:
    """Not applicable: not selected, no note with a status that would change it; the answer's notes say it."""
    wanted = change_of(answer(status="NOT_APPLICABLE"), [POINTER])

    assert ((), {}) == (wanted.select, dict(wanted.choice_notes))
    assert "does not apply" in wanted.left_alone[0]


def test_what_cannot_be_published_is_said(
    double: Double, reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No approver, no such workload, evidence of the lab, a bundle without a place: one sentence, nothing written."""
    copy_run(tmp_path / "lab", "20261101T000000Z-az-loss-0001")
    assert 0 == call(["evidence", "record", "--reports", str(tmp_path / "lab")])
    for arguments, env, folder, words in (
        (("--yes",), "staging", reports, "a named approver"),
        (YES, "local", tmp_path / "lab", "it is emulated"),
        (YES, "nowhere", reports, "there are no records"),
        (("--bundle", "x.zip"), "staging", reports, "expected both"),
    ):
        assert 64 == published(folder, *arguments, env=env)
        assert words in capsys.readouterr().err
    code = call(["evidence", "publish", "--workload-id", "b" * 32, "--env", "staging", "--reports", str(reports)])
    assert (64, True) == (code, "no such workload" in capsys.readouterr().err)
    assert [] == double.writes


def test_as_json(double: Double, reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document: what is to be written, and what became of it."""
    capsys.readouterr()
    assert 0 == published(reports, *YES, "--json")

    document = json.loads(capsys.readouterr().out)
    assert "written" == document["written"][QUESTION]
    assert QUESTION in [one["question"] for one in document["answers"]]


def test_the_double_enforces_the_model() -> None:
    """Too long a note, an unknown member, a wrong status, a short workload id: each is found."""
    shape = MODEL.operation_model("UpdateAnswer").input_shape
    good = {"WorkloadId": WORKLOAD, "LensAlias": "wellarchitected", "QuestionId": QUESTION, "Notes": "x" * 2084}

    assert [] == broken_limits(shape, good)
    for bad in (
        {"Notes": "x" * 2085}, {"Nodes": "x"}, {"WorkloadId": "a"}, {"Notes": 1},
        {"ChoiceUpdates": {SHOWN: {"Status": "PICKED"}}},
        {"ChoiceUpdates": {SHOWN: {"Status": "SELECTED", "Notes": "x" * 251}}},
    ):  # fmt: skip
        assert broken_limits(shape, good | bad)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_the_bundle_goes_to_s3_under_object_lock(
    double: Double, reports: Path, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locked with its checksum, pointed to by the notes, uploaded once; a bucket without a lock is refused."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3)
    session = boto3.Session()
    client = session.client("s3")
    where = {"CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}}
    client.create_bucket(Bucket="evidence-held", ObjectLockEnabledForBucket=True, **where)
    client.create_bucket(Bucket="evidence-open", **where)
    bundle = tmp_path / "bundle.zip"
    assert 0 == call(["evidence", "bundle", "--env", "staging", "--reports", str(reports), "--out", str(bundle)])

    to = ("--bundle", str(bundle), "--upload", "s3://evidence-held/pillar")
    assert 0 == published(reports, *YES, *to)
    (one,) = client.list_objects_v2(Bucket="evidence-held")["Contents"]
    head = client.head_object(Bucket="evidence-held", Key=one["Key"])
    assert ("COMPLIANCE", bundle.stat().st_size) == (head["ObjectLockMode"], head["ContentLength"])
    assert f"s3://evidence-held/{one['Key']}" in double.answers[QUESTION]["ChoiceAnswers"][SHOWN]["Notes"]
    double.calls.clear()
    assert 0 == published(reports, *YES, *to)
    assert [] == double.writes
    assert 1 == len(client.list_object_versions(Bucket="evidence-held")["Versions"])
    now = dt.datetime.now(dt.UTC)
    with pytest.raises(UnavailableError, match="Object Lock"):
        upload(session, bundle, "s3://evidence-open", retain_days=1, now=now)
    with pytest.raises(UsageError, match="one file"):
        upload(session, reports, "s3://evidence-held", retain_days=1, now=now)
