"""The hypothesis language says one thing for each text, and says where a text leaves the language."""

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stormproof.errors import HypothesisError
from stormproof.model.hypothesis import (
    UNIT_OF,
    AlarmStopCondition,
    Hypothesis,
    Metric,
    Op,
    Phase,
    ProbeStopCondition,
    StopCondition,
    Unit,
)
from stormproof.spec.hypothesis import parse_hypothesis, parse_stop_condition
from stormproof.spec.hypothesis_forms import FORMS, Form, Qualifier
from stormproof.spec.hypothesis_text import format_hypothesis, format_stop_condition


def test_a_full_claim_is_read_whole() -> None:
    """Every part of the grammar at once."""
    text = 'p99.9 latency of "GET /a b" in zone a during recovery <= 1.5x steady'

    parsed = parse_hypothesis(text, where="e.yaml:7")

    assert parsed == Hypothesis(
        text=text,
        metric=Metric.LATENCY_QUANTILE,
        op=Op.LE,
        bound=1.5,
        quantile=0.999,
        endpoint="GET /a b",
        zone="a",
        phase=Phase.RECOVERY,
        relative_to_steady=True,
        where="e.yaml:7",
    )


@pytest.mark.parametrize(
    ("text", "bound", "unit"),
    [
        ("availability >= 99.5%", 0.995, Unit.SHARE),
        ("error rate < 1%", 0.01, Unit.SHARE),
        ("p50 latency <= 250ms", 250.0, Unit.MILLISECONDS),
        ("p99 latency <= 2s", 2000.0, Unit.MILLISECONDS),
        ("mean latency <= 0.1s", 100.0, Unit.MILLISECONDS),
        ("throughput >= 90/min", 1.5, Unit.PER_SECOND),
        ("requests failed <= 0", 0.0, Unit.COUNT),
        ("share of traffic in zone b <= 60%", 0.6, Unit.SHARE),
        ("time to detect <= 3s", 3.0, Unit.SECONDS),
        ("time to recover of /cart <= 1m", 60.0, Unit.SECONDS),
        ("p99 latency <= 2 x steady", 2.0, Unit.RATIO),
    ],
)
def test_bounds_are_in_the_metrics_unit(text: str, bound: float, unit: Unit) -> None:
    """The text's unit is turned into the one that estimates have."""
    parsed = parse_hypothesis(text)

    assert (parsed.bound, parsed.unit) == (bound, unit)


def test_the_phase_is_fault_unless_said_and_none_for_the_whole_run() -> None:
    """Claims are about the fault; times to detect and recover are of the run."""
    assert parse_hypothesis("availability >= 99%").phase is Phase.FAULT
    assert parse_hypothesis("availability during steady >= 99%").phase is Phase.STEADY
    assert parse_hypothesis("time to recover <= 5s").phase is None


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("availabilty >= 99%", 1, "did you mean `availability`"),
        ("availability durng fault >= 99%", 14, "did you mean `during`"),
        ("availability during falt >= 99%", 21, "did you mean `fault`"),
        ("error ratee <= 1%", 7, "did you mean `rate`"),
        ("p99 latncy <= 1s", 5, "did you mean `latency`"),
        ("p99 latency <= 2x stedy", 19, "did you mean `steady`"),
        ("availability >= 0.995", 17, "say the unit"),
        ("p99 latency <= 5", 16, "say the unit"),
        ("availability >= 5s", 17, "a share"),
        ("throughput >= 5%", 15, "a rate"),
        ("time to recover <= 5%", 20, "a duration"),
        ("requests failed <= 2x steady", 20, "a whole number"),
        ("p100 latency <= 5s", 1, "below p100"),
        ("p0 latency <= 5s", 1, "above p0"),
        ("availability during fault of /cart >= 99%", 27, "in this order"),
        ("availability = 99%", 14, "did you mean `<=`"),
        ("availability ≥ 99%", 14, "did you mean `>=`"),
        ("availability >= -5%", 17, "cannot be negative"),
        ("availability >= 99% always", 21, "the end of the text"),
        ("availability of >= 99%", 17, "an endpoint"),
        ("availability in region b >= 99%", 17, "`zone`"),
        ("share of traffic <= 60%", 18, "in zone"),
        ("time to recover during fault <= 5s", 17, "no `during`"),
        ("time to recover in zone a <= 5s", 17, "of all zones"),
        ("time to detect of /cart <= 5s", 16, "of the balancer"),
        ("time to recover <= 2x steady", 20, "a duration"),
        ("p99 latency during steady <= 2x steady", 30, "an absolute bound"),
        ("availability", 13, "the end of the text"),
        ('availability of "/cart >= 99%', 17, "closed quotation"),
        ("", 1, "empty"),
        ("availability\n>= 99%", 1, "one line"),
        ("availability " * 60, 1, "at most 400"),
    ],
)
def test_an_error_names_the_column_and_what_was_expected(text: str, column: int, says: str) -> None:
    """Where the text leaves the language, and the nearest word that would have stayed in it."""
    with pytest.raises(HypothesisError) as caught:
        parse_hypothesis(text, where="e.yaml:3")

    message = str(caught.value)
    assert message.startswith("e.yaml:3: ")
    assert f"column {column}:" in message
    assert says in message


@pytest.mark.parametrize(
    "text", ["availability >= 0%", "availability > 100%", "error rate <= 100%", "p99 latency < 0s", "throughput >= 0/s"]
)
def test_a_claim_that_cannot_fail_or_cannot_hold_is_refused(text: str) -> None:
    """A hypothesis is a claim that could be wrong."""
    with pytest.raises(HypothesisError):
        parse_hypothesis(text)


def test_a_stop_condition_is_read() -> None:
    """`for <duration>` belongs to it."""
    text = "p99 latency > 2s for 5s"
    expected = StopCondition(
        text=text, metric=Metric.LATENCY_QUANTILE, op=Op.GT, bound=2000.0, for_s=5.0, quantile=0.99, where="e:1"
    )

    assert parse_stop_condition(text, where="e:1") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "healthy targets < 3 for 2s",
            ProbeStopCondition(
                text="healthy targets < 3 for 2s",
                probe="target_health",
                quantity="healthy targets",
                op=Op.LT,
                bound=3.0,
                for_s=2.0,
                where="e:1",
            ),
        ),
        (
            ' alarm "checkout-5xx"',
            AlarmStopCondition(text='alarm "checkout-5xx"', alarm="checkout-5xx", for_s=0.0, where="e:1"),
        ),
        (
            "alarm 'it\"s \\ here' for 1m30s",
            AlarmStopCondition(text="alarm 'it\"s \\ here' for 1m30s", alarm='it"s \\ here', for_s=90.0, where="e:1"),
        ),
    ],
)
def test_stop_conditions_on_probes_and_alarms_are_read(
    text: str, expected: ProbeStopCondition | AlarmStopCondition
) -> None:
    """And survive being written and read again."""
    condition = parse_stop_condition(text, where="e:1")
    assert condition == expected

    written = format_stop_condition(condition)
    assert dataclasses.replace(parse_stop_condition(written, where="e:1"), text=expected.text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('alarms "x"', "did you mean `alarm`"),
        ("alarm checkout-5xx", "the quoted name"),
        ('alarm ""', "the quoted name"),
        ("alarm", "the end of the text"),
        ('alarm "x" for', "a number with its unit"),
        ('alarm "x" for 0s', "above 0"),
        ('alarm "x" > 3', "the end of the text"),
        ("healthy target < 3 for 2s", "did you mean `targets`"),
        ("helthy targets < 3 for 2s", "did you mean `healthy`"),
        ("healthy targets < 3", "`for`"),
        ("healthy targets < 3% for 2s", "whole number"),
        ("healthy targets < 0 for 2s", "never true"),
        ("healthy targets < 2x steady for 2s", "an absolute bound"),
        ("healthy targets in zone a < 3 for 2s", "<=, <, >= or >"),
    ],
)
def test_an_unknown_stop_condition_names_the_nearest(text: str, says: str) -> None:
    """One language, one kind of error."""
    with pytest.raises(HypothesisError) as caught:
        parse_stop_condition(text)

    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "availability < 50%",
        "availability < 50% for 5",
        "availability < 50% for 0s",
        "time to recover > 5s for 5s",
        "throughput < 5/s for 5s",
        "p99 latency > 2x steady for 5s",
        "availability of /cart < 50% for 5s",
        "availability < 0% for 5s",
    ],
)
def test_a_stop_condition_is_simple_or_refused(text: str) -> None:
    """What the conductor does not watch live is an error, not a decoration."""
    with pytest.raises(HypothesisError):
        parse_stop_condition(text)


_NAMES = st.text(
    st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("äß中"), min_size=1, max_size=12
).filter(lambda name: name.strip() == name)


@st.composite
def _hypotheses(draw: st.DrawFn) -> Hypothesis:
    form: Form = draw(st.sampled_from(FORMS))

    def maybe(rule: Qualifier, values: st.SearchStrategy[str]) -> str | None:
        if rule is Qualifier.NO:
            return None
        return draw(values if rule is Qualifier.REQUIRED else st.none() | values)

    relative = form.relative and draw(st.booleans())
    unit = Unit.RATIO if relative else UNIT_OF[form.metric]
    numbers = {
        Unit.SHARE: st.integers(1, 99_999).map(lambda number: number / 100_000),
        Unit.COUNT: st.integers(1, 10_000).map(float),
    }.get(unit, st.integers(1, 10_000_000).map(lambda number: number / 1000))
    phases = [Phase.FAULT, Phase.RECOVERY] if relative else list(Phase)
    is_quantile = form.metric is Metric.LATENCY_QUANTILE
    endpoint, zone = maybe(form.endpoint, _NAMES), maybe(form.zone, _NAMES)
    if form.needs_part and zone is None:
        endpoint = endpoint or draw(_NAMES)
    phase = None if form.phase is Qualifier.NO else draw(st.sampled_from(phases))
    return Hypothesis(
        text="",
        metric=form.metric,
        op=draw(st.sampled_from(Op)),
        bound=draw(numbers),
        quantile=draw(st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999, 0.29])) if is_quantile else None,
        endpoint=endpoint,
        zone=zone,
        phase=phase,
        step=draw(st.sampled_from([None, "off", "v2-off"])) if phase is Phase.FAULT else None,
        relative_to_steady=relative,
    )


@given(_hypotheses())
def test_every_claim_survives_text(claim: Hypothesis) -> None:
    """parse(format(x)) makes the same claim as x, whatever the endpoint and the zone are called."""
    text = format_hypothesis(claim)

    assert parse_hypothesis(text, steps=["off", "v2-off"]) == dataclasses.replace(claim, text=text)


@given(st.sampled_from(["availability < 50% for 5s", "error rate >= 20% for 1m", "p99.9 latency > 1.5s for 500ms"]))
def test_every_stop_condition_survives_text(text: str) -> None:
    """The canonical text is stable."""
    parsed = parse_stop_condition(text)
    again = parse_stop_condition(format_stop_condition(parsed))

    assert dataclasses.replace(again, text=text) == parsed


@given(st.text(max_size=60) | st.lists(st.sampled_from(["availability", "p99", "latency", ">=", "99%", "2x", "of"])))
def test_any_text_is_a_claim_or_a_hypothesis_error(text: object) -> None:
    """Nothing else escapes the parser."""
    written = " ".join(text) if isinstance(text, list) else str(text)
    with contextlib.suppress(HypothesisError):
        assert parse_hypothesis(written).text == written.strip()
