"""What the answers of a Well-Architected review are to say, beside what people wrote into them. Pure.

A choice is selected when evidence shows it, and never unselected; "none of these" is a person's word, and what a person
wrote stays. The tool has no room for files, so a note is a pointer: word, day, experiment, digest, place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stormproof.evidence.grade import Grade
from stormproof.model.verdict import Outcome

CHOICE_NOTE_MAX, ANSWER_NOTE_MAX = 250, 2084  # characters; botocore's model of the service
MARK = "stormproof: "  # begins each line that is ours
SELECTED, NOT_APPLICABLE = "SELECTED", "NOT_APPLICABLE"
TESTED = frozenset({one.words for one in Grade if one >= Grade.TESTED_ONCE})
_WORD = {Outcome.HELD.value: "PASS", Outcome.REFUTED.value: "FAIL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One choice of an answer as the tool has it."""

    status: str  # SELECTED | UNSELECTED | NOT_APPLICABLE
    notes: str
    is_none: bool  # "none of these"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One question's answer as the tool has it."""

    question_id: str
    is_applicable: bool
    notes: str
    choices: Mapping[str, Choice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """The newest run that counts for one choice."""

    choice_id: str
    practice: str
    day: str
    run_id: str
    note: str  # without the mark
    selects: bool  # tested, and not contradicted


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerChange:
    """What is to be written of one answer; nothing when `is_empty`."""

    before: Answer
    select: tuple[str, ...] = ()
    choice_notes: Mapping[str, str] = field(default_factory=dict)
    notes: str | None = None  # the whole text, others' included; None: as it is
    left_alone: tuple[str, ...] = ()  # what was not done, and why

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self.select and not self.choice_notes and self.notes is None


def pointers(
    coverage: Mapping[str, Any], records: Mapping[str, Mapping[str, Any]], digests: Mapping[str, str], *, place: str
) -> dict[str, list[Pointer]]:
    """Question id → what the evidence says of its choices. *records*, *digests*: by run id; *place*: of the bundle."""
    found: dict[str, list[Pointer]] = {}
    for row in coverage["practices"]:
        piece = next((one for one in row["runs"] if one["counts"] and one["verdict"] in _WORD), None)
        if not row["testable"] or piece is None:
            continue
        run_id = piece["run_id"]
        found.setdefault(row["question"], []).append(
            Pointer(
                choice_id=row["choice_id"],
                practice=row["practice"],
                day=str(piece["at"] or "")[:10],
                run_id=run_id,
                note=_note(row, piece, records[run_id], digests[run_id], place),
                selects=row["grade"] in TESTED and not row["contradicted"],
            )
        )
    return found


def _note(row: Mapping[str, Any], piece: Mapping[str, Any], record: Mapping[str, Any], digest: str, place: str) -> str:
    """`PASS 2026-11-23 az-loss@1a2b3c4 sha256:9f3c… (tested once) s3://…`; what does not fit goes from the end."""
    commit = record["version"].get("experiment_commit")
    at = f"@{str(commit.get('commit') or '')[:7]}" if isinstance(commit, Mapping) and commit.get("commit") else ""
    grade = f"{row['grade']}{', stale' if row['stale'] else ''}{', contradicted' if row['contradicted'] else ''}"
    room = CHOICE_NOTE_MAX - len(MARK)
    parts = [
        f"{_WORD[piece['verdict']]} {str(piece['at'] or '')[:10]} {record['what'].get('experiment')}{at}"[: room // 2],
        f"sha256:{digest[:12]}",
        f"({grade})",
        place,
    ]
    text = parts[0]
    for part in parts[1:]:
        if part and len(text) + 1 + len(part) <= room:
            text = f"{text} {part}"
    return text


def change_of(answer: Answer, found: Sequence[Pointer]) -> AnswerChange:
    """What *found* changes in *answer*."""
    if not found:
        return AnswerChange(before=answer)
    if not answer.is_applicable:
        return AnswerChange(before=answer, left_alone=("a person says that the question does not apply",))
    none = [name for name, choice in answer.choices.items() if choice.is_none and choice.status == SELECTED]
    select, choice_notes, left = [], {}, []
    for one in found:
        choice = answer.choices.get(one.choice_id)
        if choice is None or choice.is_none:
            left.append(f"{one.choice_id}: the tool's version of the lens has no such choice")
            continue
        is_selected = choice.status == SELECTED
        if one.selects and not is_selected:
            if none:
                left.append(f"{one.choice_id}: 'none of these' is selected: a person has to take that back")
            elif choice.status == NOT_APPLICABLE:
                left.append(f"{one.choice_id}: a person says that it does not apply")
            else:
                select.append(one.choice_id)
                is_selected = True
        # A note needs a status beside it, and any but SELECTED could take back what a person selects meanwhile.
        if is_selected:
            note = _choice_note(choice.notes, MARK + one.note)
            if note is None:
                left.append(f"{one.choice_id}: a person's note leaves no room for ours")
            elif note != choice.notes:
                choice_notes[one.choice_id] = note
    notes, missing = answer_notes(answer.notes, [MARK + f"{one.practice} {one.note}" for one in _newest_first(found)])
    if missing:
        left.append(f"the answer's notes have no room for {missing} of {len(found)} entries")
    return AnswerChange(
        before=answer,
        select=tuple(select),
        choice_notes=choice_notes,
        notes=None if notes == answer.notes else notes,
        left_alone=tuple(left),
    )


def answer_notes(text: str, entries: Sequence[str]) -> tuple[str, int]:
    """*text* with our lines replaced by *entries*, whole ones only, the first first; and how many had no room.

    What is not ours stays, character for character; ours stand after it.
    """
    others = "\n".join(line for line in text.split("\n") if not line.startswith(MARK)).rstrip("\n")
    for count in range(len(entries), -1, -1):
        told = list(entries[:count])
        if count < len(entries):
            told.append(f"{MARK}{len(entries) - count} more in the evidence bundle")
        whole = "\n".join([*([others, ""] if others else []), *told])
        if len(whole) <= ANSWER_NOTE_MAX:
            return whole, len(entries) - count
    return text, len(entries)


def _newest_first(found: Sequence[Pointer]) -> list[Pointer]:
    return sorted(sorted(found, key=lambda one: one.practice), key=lambda one: one.day, reverse=True)


def _choice_note(before: str, ours: str) -> str | None:
    """A choice's note with *ours* in it; None where what a person wrote leaves no room."""
    others = "\n".join(line for line in before.split("\n") if not line.startswith(MARK)).rstrip("\n")
    note = f"{others}\n{ours}" if others else ours
    return note if len(note) <= CHOICE_NOTE_MAX else None
