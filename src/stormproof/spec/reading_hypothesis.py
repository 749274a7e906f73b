"""Claims about what a closing probe read: the productions of `reading_forms`, parsed and written back.

::

    health_check detects within <duration>
    retry jitter [of <dependency>] in {<word>, …}
    retries [of <dependency>] are not synchronised

The cursor over the text, and how it complains, is `hypothesis.Cursor`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stormproof.model.hypothesis import Op, Phase, ReadingHypothesis, Unit
from stormproof.spec.quantity import format_duration, parse_count, parse_duration
from stormproof.spec.reading_forms import READING_FORMS, YES, Ending, ReadingForm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormproof.spec.hypothesis import Cursor

_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_BARE_NAME = re.compile(r"[^\s<>=≤≥{}\"'\\]+")
_WORDS_AFTER = ("are", "honour", "exists", "in", "during", "of")


def parse_reading(parser: Cursor, steps: Sequence[str] = ()) -> ReadingHypothesis:
    """The claim at *parser*, whose next word starts one of `READING_FORMS`; *steps* are the spec's.

    Raises `HypothesisError`.
    """
    fitting = _by_words(parser)
    dependency = _dependency(parser, fitting)
    phase = _phase(parser, fitting)
    form = _by_phrase(parser, fitting) if fitting[0].ending is Ending.PHRASE else fitting[0]
    op, bound, accepted = _ending(parser, form)
    step = _step(parser, steps) if form.steps and parser.peek() == "during" else None
    parser.end()
    return ReadingHypothesis(
        text=parser.text,
        probe=form.probe,
        reading=form.reading,
        op=op,
        unit=form.unit,
        bound=bound,
        accepted=accepted,
        dependency=dependency,
        phase=phase,
        step=step,
        where=parser.where,
    )


def format_reading(hypothesis: ReadingHypothesis) -> str:
    """The canonical text: parsed again it makes the same claim."""
    form = form_of(hypothesis)
    parts = [form.name]
    if hypothesis.dependency is not None:
        escaped = hypothesis.dependency.replace("\\", "\\\\").replace('"', '\\"')
        plain = _BARE_NAME.fullmatch(hypothesis.dependency) and hypothesis.dependency not in _WORDS_AFTER
        parts.append(f"of {hypothesis.dependency}" if plain else f'of "{escaped}"')
    if hypothesis.phase is not None:
        parts.append(f"during {hypothesis.phase}")
    match form.ending:
        case Ending.DURATION:
            parts.append(format_duration(hypothesis.bound or 0.0))
        case Ending.BOUND:
            parts += [hypothesis.op, f"{hypothesis.bound:.12g}"]
        case Ending.SET:
            parts.append(f"in {{{', '.join(hypothesis.accepted)}}}")
        case Ending.WORD:
            parts.append(hypothesis.accepted[0])
        case Ending.PHRASE:
            parts += form.choices
    if hypothesis.step is not None:
        parts.append(f"during {hypothesis.step}")
    return " ".join(parts)


def form_of(hypothesis: ReadingHypothesis) -> ReadingForm:
    """The production that *hypothesis* was made with."""
    return next(form for form in READING_FORMS if (form.probe, form.reading) == (hypothesis.probe, hypothesis.reading))


def _by_words(parser: Cursor) -> list[ReadingForm]:
    """The forms that begin with what stands there; all of them have the same words and qualifiers."""
    fitting = list(READING_FORMS)
    depth = 0
    while any(len(form.words) > depth for form in fitting):
        word = parser.peek()
        matching = [form for form in fitting if len(form.words) > depth and form.words[depth] == word]
        if not matching:
            known = [form.words[depth] for form in fitting if len(form.words) > depth]
            shapes = [f"`{form.shape}`" for form in fitting]
            parser.unexpected(f"one of {', '.join(shapes)}" if len(shapes) > 1 else shapes[0], known)
        parser.position += 1
        depth += 1
        fitting = matching
    return fitting


def _dependency(parser: Cursor, fitting: Sequence[ReadingForm]) -> str | None:
    if parser.peek() != "of":
        return None
    if not fitting[0].of:
        parser.fail(parser.position, f"no `of` after `{fitting[0].name}`", "`of`", hint="it is of the balancer")
    parser.position += 1
    if parser.peek() in _WORDS_AFTER:
        parser.fail(parser.position, "a dependency", f"`{parser.peek()}`", hint='quote it if it is a name: "…"')
    return parser.name("a dependency")


def _step(parser: Cursor, steps: Sequence[str]) -> str:
    """``during <step>``, after everything else."""
    if not steps:
        parser.fail(parser.position, "the end of the text", "`during`", hint="the spec has no steps")
    parser.position += 1
    word = parser.peek()
    if word is None or word not in steps:
        parser.unexpected(f"a step: {', '.join(steps)}", list(steps))
    parser.position += 1
    return word


def _phase(parser: Cursor, fitting: Sequence[ReadingForm]) -> Phase | None:
    if parser.peek() != "during":
        return None
    if not fitting[0].during:
        hint = "it is read from the fault phase" if fitting[0].of else "it is of the whole run"
        parser.fail(parser.position, f"no `during` after `{fitting[0].name}`", "`during`", hint=hint)
    parser.position += 1
    return Phase(parser.phase())


def _by_phrase(parser: Cursor, fitting: Sequence[ReadingForm]) -> ReadingForm:
    form = next((form for form in fitting if form.choices[0] == parser.peek()), None)
    if form is None:
        expected = " or ".join(f"`{' '.join(form.choices)}`" for form in fitting)
        parser.unexpected(expected, [*(form.choices[0] for form in fitting), "of"])
    for word in form.choices:
        parser.word(word)
    return form


def _ending(parser: Cursor, form: ReadingForm) -> tuple[str, float | None, tuple[str, ...]]:
    """Operator, bound and accepted words."""
    match form.ending:
        case Ending.DURATION:
            start = parser.position
            within_s = parser.quantity(parse_duration)
            if within_s <= 0:
                parser.fail(start, "a duration above 0", "0s")
            return Op.LE, within_s, ()
        case Ending.BOUND:
            return _bound(parser, form)
        case Ending.SET:
            return "in", None, _set(parser, form)
        case Ending.WORD:
            word = parser.peek()
            if word not in form.choices:
                parser.unexpected(" or ".join(f"`{choice}`" for choice in form.choices), form.choices)
            parser.position += 1
            return "in", None, (word,)
        case Ending.PHRASE:
            return "in", None, (YES,)


def _bound(parser: Cursor, form: ReadingForm) -> tuple[str, float, tuple[str, ...]]:
    op = parser.op()
    start = parser.position
    if form.unit is Unit.COUNT:
        bound = parser.quantity(parse_count)
    else:
        word = parser.peek() or ""
        if not _NUMBER.fullmatch(word):
            parser.unexpected(f"a number: {form.example.rpartition(' ')[2]}", [])
        bound = float(word)
        parser.position += 1
    always = (op is Op.GE and bound <= form.floor) or (op is Op.GT and bound < form.floor)
    never = (op is Op.LT and bound <= form.floor) or (op is Op.LE and bound < form.floor)
    if always or never:
        got = f"`{op} {bound:g}`, which is {'always' if always else 'never'} true"
        parser.fail(start, "a bound that could be met and could be missed", got)
    return op, bound, ()


def _set(parser: Cursor, form: ReadingForm) -> tuple[str, ...]:
    """``in {a, b}``: known words, each once, and not all there are."""
    parser.word("in", hint=f"for example: {form.example}")
    start = parser.position
    parser.word("{", hint=f"for example: {form.example}")
    accepted: list[str] = []
    after_comma = True  # where a word must stand
    while parser.peek() not in {"}", None}:
        parts = (parser.peek() or "").split(",")
        for index, part in enumerate(parts):
            if index and after_comma:
                parser.unexpected("one comma between two words", [])
            after_comma = after_comma or bool(index)
            if not part:
                continue
            if not after_comma:
                parser.unexpected("a comma between two words", [])
            if part not in form.choices or part in accepted:
                known = [choice for choice in form.choices if choice not in accepted]
                parser.unexpected(f"one of {', '.join(known)}", known)
            accepted.append(part)
            after_comma = False
        parser.position += 1
    if not accepted or after_comma:
        parser.unexpected("a word", [])
    parser.word("}")
    if len(accepted) == len(form.choices):
        parser.fail(start, "a set that could be missed", "every word there is, which is always true")
    return tuple(accepted)
