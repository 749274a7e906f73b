"""The hypothesis language: text in, `Hypothesis` or `StopCondition` out, or one error with the column.

::

    hypothesis: <metric> [of <endpoint>] [in zone <z>] [during <phase>] <op> <bound> [x steady|x control]
    stop:       <metric> <op> <bound> for <duration>
                healthy targets <op> <count> for <duration>
                alarm "<name>" [for <duration>]
                <hypothesis> refuted

The metrics and what each may be followed by are the table in `hypothesis_forms`; claims about what a closing probe
read are productions of their own (`reading_forms`, `reading_hypothesis`). The language is strict: one way to say each
thing, lower case, units always; so a text that parses means what it says.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NoReturn

from stormproof.errors import HypothesisError, InputError
from stormproof.model.hypothesis import (
    OF_CONTROL,
    UNIT_OF,
    WHOLE_RUN,
    AlarmStopCondition,
    Claim,
    ClaimStopCondition,
    Hypothesis,
    Metric,
    Op,
    Phase,
    ProbeStopCondition,
    StopCondition,
    StopWhen,
    Unit,
)
from stormproof.spec.hypothesis_forms import ALARM_EXAMPLE, FORMS, PROBE_FORMS, UNIT_TEXT, Form, Qualifier
from stormproof.spec.hypothesis_text import CONTROL, PLAIN_NAME, REFUTED, STEADY, format_bound
from stormproof.spec.quantity import (
    parse_count,
    parse_duration,
    parse_milliseconds,
    parse_rate,
    parse_share,
)
from stormproof.spec.reading_forms import STARTS
from stormproof.spec.reading_hypothesis import parse_reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_TEXT = 400  # characters; the longest sensible claim has about 100
MAX_ALARM_NAME = 255  # CloudWatch's own

_TOKEN = re.compile(r"""\s*(?:("(?:[^"\\]|\\.)*")|('[^']*')|(<=|>=|==|!=|<|>|=|≤|≥)|([{}])|([^\s<>=≤≥{}"']+))""")
_PERCENTILE = re.compile(r"p([0-9]{1,3}(?:\.[0-9]{1,6})?)")
_RATIO = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,18})?)x")

_OTHER_STOP_FORMS = (*(form.words[0] for form in PROBE_FORMS), "alarm")
_ORDER = "each once, in this order: of <endpoint>, in zone <z>, during <phase>"
_NOT_QUALIFIED = {
    "during": "it is of the whole run",
    "in": "it is of all zones: a request that failed has none",
    "of": "it is of the balancer, not of an endpoint",
}
_PARSE: dict[Unit, Callable[[object], float]] = {
    Unit.SHARE: parse_share,
    Unit.MILLISECONDS: parse_milliseconds,
    Unit.SECONDS: parse_duration,
    Unit.PER_SECOND: parse_rate,
    Unit.COUNT: parse_count,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    text: str
    column: int  # 1-based
    quoted: bool = False


def parse_hypothesis(
    text: str,
    *,
    where: str = "",
    steps: Sequence[str] = (),
    control: str | None = None,
    control_header: str | None = None,
) -> Claim:
    """The claim that *text* makes; *where* is its `file:line`, *steps* what `during` may name beside the phases.

    `x control` compares with the zone *control*, or with what *control_header* marks; both None: there is no control.

    Raises `HypothesisError`.
    """
    parser = Cursor(text, where)
    if parser.peek() in STARTS:
        return parse_reading(parser, steps)
    return _parse_metric(parser, steps, control, control_header)


def _parse_metric(
    parser: Cursor, steps: Sequence[str], control: str | None = None, control_header: str | None = None
) -> Hypothesis:
    form, quantile = parser.metric(FORMS, beside=STARTS)
    endpoint = parser.qualifier("of", form.endpoint, form, lambda: parser.name("an endpoint"))
    zone = parser.qualifier("in", form.zone, form, parser.zone)
    phase = parser.qualifier("during", form.phase, form, lambda: parser.phase(steps))
    if form.needs_part and endpoint is None and zone is None:
        hint = f"for example: {form.example}"
        parser.unexpected(f"`of <endpoint>` or `in zone <zone>` after `{form.name}`", ["of", "in"], hint=hint)
    op = parser.op()
    start = parser.position
    bound, beside = parser.bound(form)
    parser.end()
    relative = beside == STEADY
    if beside == CONTROL:
        _check_control(parser, start, form, zone, control, control_header)
    step = phase if phase in steps else None
    when = None if form.metric in WHOLE_RUN else Phase(phase) if phase and step is None else Phase.FAULT
    if relative and when is Phase.STEADY:
        parser.fail(start, "an absolute bound", "`x steady`", hint="steady compared with itself is always 1x")
    parser.refuse_empty_claims(start, op, bound, Unit.RATIO if beside else UNIT_OF[form.metric])
    return Hypothesis(
        text=parser.text,
        metric=form.metric,
        op=op,
        bound=bound,
        quantile=quantile,
        endpoint=endpoint,
        zone=zone,
        phase=when,
        step=step,
        relative_to_steady=relative,
        control_zone=control if beside == CONTROL else None,
        control_header=control_header if beside == CONTROL else None,
        where=parser.where,
    )


def _check_control(  # what the claim says, and what the spec does
    parser: Cursor, start: int, form: Form, zone: str | None, control: str | None, header: str | None
) -> None:
    """Refuse a comparison with the control group that means nothing."""
    if control is None and header is None:
        hint = "a spec names its control: {zone: c}, or {header: x-control, share: 20%}"
        parser.fail(start, "a bound, or `x steady`", "`x control`", hint=hint)
    if form.metric not in OF_CONTROL:
        parser.fail(start, "`x control` with availability, error rate or a latency", f"`{form.name}`")
    if header is not None and zone is not None:
        hint = f"for example: {form.name.replace('NN', '99')} during fault <= 1.5x control"
        parser.fail(start, "no zone: the header says who is in the control", f"`in zone {zone}`", hint=hint)
    if header is None and (zone is None or zone == control):
        got = "no zone" if zone is None else f"zone {zone}, which is the control"
        hint = f"for example: {form.name.replace('NN', '99')} in zone a during fault <= 1.5x control"
        parser.fail(start, "`in zone <z>`, the group that the fault is to reach", got, hint=hint)


def parse_stop_condition(text: str, *, where: str = "") -> StopWhen:
    """The stop condition that *text* states, e.g. `availability < 50% for 5s`. Raises `HypothesisError`."""
    parser, text = Cursor(text, where), text.strip()
    if parser.peek() == "alarm":
        parser.position += 1
        alarm = parser.alarm()
        alarm_s = parser.lasting() if parser.peek() == "for" else 0.0
        parser.end()
        return AlarmStopCondition(text=text, alarm=alarm, for_s=alarm_s, where=where)
    for probe in PROBE_FORMS:
        if parser.peek() == probe.words[0]:
            for word in probe.words:
                parser.word(word)
            op, bound = parser.absolute_bound(Unit.COUNT)
            probe_s = parser.lasting()
            parser.end()
            return ProbeStopCondition(
                text=text,
                probe=probe.probe,
                quantity=probe.name,
                op=op,
                bound=bound,
                for_s=probe_s,
                where=where,
            )
    if parser.tokens[-1].text == REFUTED and not parser.tokens[-1].quoted:
        return _parse_claim_to_stop(parser, text, where)
    form, quantile = parser.metric([form for form in FORMS if form.stop], beside=_OTHER_STOP_FORMS)
    op, bound = parser.absolute_bound(UNIT_OF[form.metric])
    for_s = parser.lasting()
    parser.end()
    return StopCondition(text=text, metric=form.metric, op=op, bound=bound, for_s=for_s, quantile=quantile, where=where)


def _parse_claim_to_stop(parser: Cursor, text: str, where: str) -> ClaimStopCondition:
    """`<claim> refuted`: a claim that may be looked at while the fault lasts."""
    parser.tokens.pop()
    claim = _parse_metric(parser, ())
    if not (claim.is_sequential or claim.metric is Metric.REQUESTS_FAILED) or claim.phase is not Phase.FAULT:
        expected = "an absolute claim about availability, error rate, pNN latency or requests failed during fault"
        parser.fail(0, expected, claim.text, hint="others are not known before the phase has ended")
    return ClaimStopCondition(text=text, claim=claim, where=where)


class Cursor:
    """A cursor over the words of one text."""

    def __init__(self, text: str, where: str) -> None:
        self.text, self.where, self.position = text.strip(), where, 0
        self.tokens: list[_Token] = []
        if not self.text:
            self._fail_at(1, "a hypothesis", "an empty text")
        if len(self.text) > MAX_TEXT or not self.text.isprintable():
            expected = f"one line of at most {MAX_TEXT} printable characters"
            self._fail_at(1, expected, f"{len(self.text)} characters")
        cursor = 0
        while cursor < len(self.text):
            match = _TOKEN.match(self.text, cursor)
            if match is None:
                rest = self.text[cursor:].lstrip()
                self._fail_at(len(self.text) - len(rest) + 1, "a word or a closed quotation", rest)
            token = match[match.lastindex or 0]
            quoted = match.lastindex in (1, 2)
            content = token[1:-1] if quoted else token
            if match.lastindex == 1:
                content = re.sub(r"\\(.)", r"\1", content)
            self.tokens.append(_Token(text=content, column=match.start(match.lastindex or 0) + 1, quoted=quoted))
            cursor = match.end()

    def peek(self) -> str | None:
        """The next word, if it is one and not a quotation."""
        if self.position >= len(self.tokens) or self.tokens[self.position].quoted:
            return None
        return self.tokens[self.position].text

    def fail(self, position: int, expected: str, got: str, *, hint: str | None = None) -> NoReturn:
        """Raise at the token *position* (or at the end)."""
        at = self.tokens[position].column if position < len(self.tokens) else len(self.text) + 1
        self._fail_at(at, expected, got, hint=hint)

    def _fail_at(self, column: int, expected: str, got: str, *, hint: str | None = None) -> NoReturn:
        shown = self.text if len(self.text) <= 100 else f"{self.text[:100]}…"
        shown = "".join(character if character.isprintable() else "�" for character in shown)
        what = f'"{shown}", column {column}'
        raise HypothesisError(where=self.where, what=what, expected=expected, got=got[:80], hint=hint)

    def unexpected(self, expected: str, known: Sequence[str], *, hint: str | None = None) -> NoReturn:
        """Raise at the next word, with the nearest of *known* as the hint."""
        if self.position >= len(self.tokens):
            self.fail(self.position, expected, "the end of the text", hint=hint)
        got = self.tokens[self.position].text
        near = difflib.get_close_matches(got.lower(), known, n=1, cutoff=0.6)
        self.fail(self.position, expected, f"`{got}`", hint=f"did you mean `{near[0]}`?" if near else hint)

    def metric(self, forms: Sequence[Form], *, beside: Sequence[str] = ()) -> tuple[Form, float | None]:
        """The metric at the start, with its quantile if it is a percentile; *beside* could have stood there too."""
        fitting = list(forms)
        quantile: float | None = None
        depth = 0
        while True:
            word = self.peek()
            percentile = _PERCENTILE.fullmatch(word) if word else None
            is_percentile = percentile is not None and any(form.words[depth] == "p*" for form in fitting)
            step = "p*" if is_percentile else word
            matching = [form for form in fitting if form.words[depth] == step]
            if not matching:
                self._unknown_metric(fitting, depth, () if depth else beside)
            if percentile is not None and is_percentile:
                quantile = float(Decimal(percentile[1]) / 100)
                if not 0 < quantile < 1:
                    self.fail(self.position, "a percentile above p0 and below p100", f"`{word}`")
            self.position += 1
            depth += 1
            fitting = matching
            if len(fitting) == 1 and len(fitting[0].words) == depth:
                return fitting[0], quantile

    def _unknown_metric(self, fitting: Sequence[Form], depth: int, beside: Sequence[str]) -> NoReturn:
        known = sorted({*(form.words[depth].replace("p*", "p99") for form in fitting), *beside})
        names = [f"`{name}`" for name in (*(form.name for form in fitting), *beside)]
        self.unexpected(f"one of {', '.join(names)}" if len(names) > 1 else names[0], known)

    def qualifier(self, word: str, rule: Qualifier, form: Form, read: Callable[[], str]) -> str | None:
        """`of …`, `in zone …` or `during …`, as the form allows it."""
        if self.peek() != word:
            if rule is Qualifier.REQUIRED:
                shown = "in zone <zone>" if word == "in" else f"{word} …"
                self.unexpected(f"`{shown}` after `{form.name}`", [word], hint=f"for example: {form.example}")
            return None
        if rule is Qualifier.NO:
            self.fail(self.position, f"no `{word}` after `{form.name}`", f"`{word}`", hint=_NOT_QUALIFIED.get(word))
        self.position += 1
        return read()

    def name(self, what: str) -> str:
        """An endpoint or a zone: a word or a quotation."""
        if self.position >= len(self.tokens):
            self.fail(self.position, what, "the end of the text")
        token = self.tokens[self.position]
        is_plain = bool(PLAIN_NAME.fullmatch(token.text)) and token.text not in {"in", "during", "of"}
        if not token.text or not (token.quoted or is_plain):
            self.fail(self.position, what, f"`{token.text}`", hint='quote it if it is a name: "…"')
        self.position += 1
        return token.text

    def zone(self) -> str:
        """`zone <z>`, after `in`."""
        self.word("zone")
        return self.name("the name of a zone")

    def phase(self, steps: Sequence[str] = ()) -> str:
        """One of the three phases, or of the spec's steps."""
        known = [*(phase.value for phase in Phase), *steps]
        word = self.peek()
        if word not in known:
            what = "a phase or a step" if steps else "a phase"
            self.unexpected(f"{what}: {', '.join(known)}", known)
        self.position += 1
        return word

    def op(self) -> Op:
        """A comparison; every word that could have stood here instead is offered as the nearest."""
        word = self.peek()
        if word in _NOT_QUALIFIED:
            self.fail(self.position, "<=, <, >= or >", f"`{word}`", hint=_ORDER)
        if word not in [op.value for op in Op]:
            hint = {"=": "<=", "==": "<=", "≤": "<=", "≥": ">=", "=<": "<=", "=>": ">="}.get(word or "")
            near = f"did you mean `{hint}`?" if hint else None
            self.unexpected("<=, <, >= or >", ["of", "in", "during"], hint=near)
        self.position += 1
        return Op(word)

    def bound(self, form: Form) -> tuple[float, str]:
        """The bound in the form's unit and "", or the ratio and what it is relative to, for `2x steady`."""
        word = self.peek() or ""
        following = [token.text for token in self.tokens[self.position + 1 : self.position + 3]]
        ratio = _RATIO.fullmatch(word)
        spaced = _RATIO.fullmatch(f"{word}x") if following[:1] == ["x"] else None
        found = ratio or spaced
        if found is None:
            return self.quantity(_PARSE[UNIT_OF[form.metric]]), ""
        if not form.relative:
            self.fail(self.position, UNIT_TEXT[UNIT_OF[form.metric]], f"`{word}`", hint="it has no steady value")
        self.position += 1 if ratio else 2
        beside = CONTROL if self.peek() == CONTROL else STEADY
        self.word(beside)
        return float(found[1]), beside

    def absolute_bound(self, unit: Unit) -> tuple[Op, float]:
        """A comparison with a bound in *unit*, never with steady."""
        op = self.op()
        start = self.position
        following = [token.text for token in self.tokens[start + 1 : start + 3]]
        if {STEADY, CONTROL} & {*following} or (self.peek() or "").endswith("x"):
            self.fail(start, "an absolute bound", "`x steady`", hint="stop conditions act before steady is known")
        bound = self.quantity(_PARSE[unit])
        self.refuse_empty_claims(start, op, bound, unit)
        return op, bound

    def lasting(self) -> float:
        """`for <duration>`, above 0, in seconds."""
        self.word("for", hint="how long the condition must last: `for 5s`")
        start = self.position
        for_s = self.quantity(parse_duration)
        if for_s <= 0:
            self.fail(start, "a duration above 0", "0s")
        return for_s

    def alarm(self) -> str:
        """The name of an alarm; always quoted, because it may hold anything."""
        if self.position >= len(self.tokens):
            self.fail(
                self.position, "the name of an alarm", "the end of the text", hint=f"for example: {ALARM_EXAMPLE}"
            )
        token = self.tokens[self.position]
        if not token.quoted or not token.text or len(token.text) > MAX_ALARM_NAME:
            self.fail(self.position, "the quoted name of an alarm", f"`{token.text}`", hint=ALARM_EXAMPLE)
        self.position += 1
        return token.text

    def quantity(self, parse: Callable[[object], float]) -> float:
        """One word as a quantity."""
        word = self.peek()
        if word is None:
            self.unexpected("a number with its unit", [])
        try:
            value = parse(word)
        except InputError as error:
            self.fail(self.position, error.expected, error.got or word, hint=error.hint)
        self.position += 1
        return value

    def word(self, expected: str, *, hint: str | None = None) -> None:
        """Exactly this word."""
        if self.peek() != expected:
            self.unexpected(f"`{expected}`", [expected], hint=hint)
        self.position += 1

    def end(self) -> None:
        """Nothing more."""
        if self.position < len(self.tokens):
            self.unexpected("the end of the text", ["x", "steady", "for"])

    def refuse_empty_claims(self, position: int, op: Op, bound: float, unit: Unit) -> None:
        """A claim that no run could refute, or none could meet, says nothing."""
        ceiling = 1.0 if unit is Unit.SHARE else None
        always = (op is Op.GE and bound <= 0) or (op is Op.LE and ceiling is not None and bound >= ceiling)
        never = (op is Op.LT and bound <= 0) or (op is Op.GT and ceiling is not None and bound >= ceiling)
        if always or never:
            got = f"`{op} {format_bound(bound, unit)}`, which is {'always' if always else 'never'} true"
            self.fail(position, "a bound that could be met and could be missed", got)
