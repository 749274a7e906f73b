"""The forms that speak of what a closing probe read, as data: they drive `reading_hypothesis`, and the docs print them.

A closing probe looks once, when the load has ended, at the whole record of the run (docs/adr/0017-closing-probes.md).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from stormproof.model.hypothesis import Unit

HEALTH_CHECK = "health_check"
RETRY = "retry_with_jitter"
SLI = "cloudwatch_sli"

FAMILIES = ("none", "immediate", "fixed", "linear", "quadratic", "fibonacci", "exponential", "other")
JITTERS = ("none", "full", "equal", "decorrelated", "additive", "proportional", "other")
YES = "yes"


class Ending(enum.StrEnum):
    """How a form ends, after its words and its qualifiers."""

    DURATION = "<duration>"  # at most that long
    BOUND = "<op> <bound>"
    SET = "in {<word>, …}"
    WORD = "<word>"  # one of the form's words
    PHRASE = "<phrase>"  # fixed words


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingForm:
    """One production: its words, what may follow, which part of which reading it is about."""

    probe: str
    reading: str
    words: tuple[str, ...]
    ending: Ending
    unit: Unit
    of: bool = False  # takes `of <dependency>`
    during: bool = False  # takes `during <phase>`
    steps: bool = False  # takes `during <step>`, where the spec has steps
    choices: tuple[str, ...] = ()  # SET, WORD: the words there are; PHRASE: the words of the phrase
    floor: float = 0.0  # the least that a reading can be: a bound below says nothing
    meaning: str
    example: str

    @property
    def name(self) -> str:
        """How docs and messages call it."""
        return " ".join(self.words)

    @property
    def shape(self) -> str:
        """The production as the docs write it."""
        match self.ending:
            case Ending.WORD:
                end = "|".join(self.choices)
            case Ending.PHRASE:
                end = " ".join(self.choices)
            case _:
                end = str(self.ending)
        of = " of <sli>" if self.probe == SLI else " [of <dependency>]"
        middle = (of if self.of else "") + (" [during <phase>]" if self.during else "")
        return f"{self.name}{middle} {end}" + (" [during <step>]" if self.steps else "")


READING_FORMS: tuple[ReadingForm, ...] = (
    ReadingForm(
        probe=HEALTH_CHECK,
        reading="detect_s",
        words=("health_check", "detects", "within"),
        ending=Ending.DURATION,
        unit=Unit.SECONDS,
        steps=True,
        meaning="from when a target went bad until the balancer calls it unhealthy",
        example="health_check detects within 3s",
    ),
    ReadingForm(
        probe=HEALTH_CHECK,
        reading="drain_s",
        words=("health_check", "drains", "within"),
        ending=Ending.DURATION,
        unit=Unit.SECONDS,
        steps=True,
        meaning="from when a target went bad until the last request that it was given",
        example="health_check drains within 5s",
    ),
    ReadingForm(
        probe=HEALTH_CHECK,
        reading="readd_s",
        words=("health_check", "readmits", "within"),
        ending=Ending.DURATION,
        unit=Unit.SECONDS,
        steps=True,
        meaning="from when a target was whole again until the balancer calls it healthy",
        example="health_check readmits within 5s",
    ),
    ReadingForm(
        probe=HEALTH_CHECK,
        reading="flaps",
        words=("health_check", "flaps"),
        ending=Ending.BOUND,
        unit=Unit.COUNT,
        steps=True,
        meaning="how often a target's health changed and changed back, in the whole run",
        example="health_check flaps <= 1",
    ),
    ReadingForm(
        probe=HEALTH_CHECK,
        reading="all_fail",
        words=("health_check", "fails"),
        ending=Ending.WORD,
        choices=("open", "closed"),
        unit=Unit.WORD,
        steps=True,
        meaning="what the balancer does when every target fails its check: sends traffic to all of them, or to none",
        example="health_check fails open",
    ),
    ReadingForm(
        probe=HEALTH_CHECK,
        reading="depth",
        words=("health_check", "is"),
        ending=Ending.WORD,
        choices=("deep", "shallow"),
        unit=Unit.WORD,
        steps=True,
        meaning="whether the check notices a broken dependency",
        example="health_check is shallow",
    ),
    ReadingForm(
        probe=RETRY,
        reading="attempts_max",
        words=("retry", "attempts"),
        ending=Ending.BOUND,
        unit=Unit.COUNT,
        of=True,
        floor=1.0,
        meaning="how many times one call is tried at most, the first time included",
        example="retry attempts of cart <= 3",
    ),
    ReadingForm(
        probe=RETRY,
        reading="family",
        words=("retry", "family"),
        ending=Ending.SET,
        choices=FAMILIES,
        unit=Unit.WORD,
        of=True,
        meaning="how the pause grows from one attempt to the next",
        example="retry family in {exponential}",
    ),
    ReadingForm(
        probe=RETRY,
        reading="jitter",
        words=("retry", "jitter"),
        ending=Ending.SET,
        choices=JITTERS,
        unit=Unit.WORD,
        of=True,
        meaning="how the pause is spread at random",
        example="retry jitter in {full, equal, decorrelated}",
    ),
    ReadingForm(
        probe=RETRY,
        reading="amplification",
        words=("retry", "amplification"),
        ending=Ending.BOUND,
        unit=Unit.RATIO,
        of=True,
        during=True,
        floor=1.0,
        meaning="arrivals at the dependency per logical call",
        example="retry amplification of cart during fault <= 1.5",
    ),
    ReadingForm(
        probe=RETRY,
        reading="budget",
        words=("retry", "budget"),
        ending=Ending.PHRASE,
        choices=("exists",),
        unit=Unit.WORD,
        of=True,
        meaning="clients stop retrying, and go on calling, when too many calls fail",
        example="retry budget of cart exists",
    ),
    ReadingForm(
        probe=RETRY,
        reading="breaker",
        words=("retry", "breaker"),
        ending=Ending.PHRASE,
        choices=("exists",),
        unit=Unit.WORD,
        of=True,
        meaning="clients stop calling for a while when too many calls fail",
        example="retry breaker exists",
    ),
    ReadingForm(
        probe=RETRY,
        reading="synchrony",
        words=("retries",),
        ending=Ending.PHRASE,
        choices=("are", "not", "synchronised"),
        unit=Unit.WORD,
        of=True,
        meaning="the fleet's retries do not fall into the same instants more than those of independent clients would",
        example="retries of cart are not synchronised",
    ),
    ReadingForm(
        probe=RETRY,
        reading="honours_retry_after",
        words=("retries",),
        ending=Ending.PHRASE,
        choices=("honour", "retry-after"),
        unit=Unit.WORD,
        of=True,
        meaning="a client that is told when to come back does not come before",
        example="retries of cart honour retry-after",
    ),
    ReadingForm(
        probe=SLI,
        reading="sli",
        words=("sli",),
        ending=Ending.BOUND,
        unit=Unit.NUMBER,
        of=True,
        during=True,
        floor=float("-inf"),
        meaning="each whole period of a CloudWatch metric that the environment names; no data decides nothing",
        example="sli of server-errors during fault <= 5",
    ),
)

STARTS = tuple(dict.fromkeys(form.words[0] for form in READING_FORMS))


def reading_table() -> str:
    """The forms as a Markdown table; `docs/reference/hypotheses.md` holds exactly this."""
    rows = ["| form | words or bound | meaning | example |", "| --- | --- | --- | --- |"]
    for form in READING_FORMS:
        match form.ending:
            case Ending.SET:
                bound = "of " + ", ".join(f"`{word}`" for word in form.choices)
            case Ending.DURATION:
                bound = "a duration: 10s, 1m30s"
            case Ending.BOUND:
                bound = "a whole number: 10" if form.unit is Unit.COUNT else "a number: 1.5"
            case _:
                bound = ""
        shape = form.shape.replace("|", "\\|")
        rows.append(f"| `{shape}` | {bound} | {form.meaning} | `{form.example}` |")
    return "\n".join(rows) + "\n"
