"""A plan says what would be touched and whether the load can decide each claim, before anything runs."""

import pytest
from scipy.stats import beta

from stormproof.analysis.latency import quantile_n_min
from stormproof.errors import InputError
from stormproof.plan.describe import describe, describe_text
from stormproof.plan.power import is_undecidable, requests_needed
from stormproof.spec.hypothesis import parse_hypothesis
from support.planning import make_environment, make_experiment, make_fault


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("availability >= 99.5%", 736),
        ("error rate <= 0.5%", 736),
        ("availability >= 99%", 368),
        ("p99 latency <= 1s", 368),
        ("p99 latency <= 2x steady", 368),
        ("p50 latency >= 1ms", 6),
        ("availability <= 99%", None),
        ("availability >= 0.9x steady", None),
        ("throughput >= 5/s", None),
        ("time to recover <= 5s", None),
    ],
)
def test_the_requests_that_a_claim_needs(text: str, needed: int | None) -> None:
    """736 for 99.5 % (DESIGN 9.13), and none where no number can say."""
    assert requests_needed(parse_hypothesis(text)) == needed


@pytest.mark.parametrize("percent", [90.0, 99.0, 99.5, 99.9])
def test_the_number_is_the_smallest_that_clears_the_bound(percent: float) -> None:
    """Against scipy: Clopper–Pearson's lower end with no error among n, and with one request fewer."""
    bound = percent / 100
    needed = requests_needed(parse_hypothesis(f"availability >= {percent}%"))

    assert needed is not None
    assert beta.ppf(0.025, needed, 1) >= bound > beta.ppf(0.025, needed - 1, 1)


@pytest.mark.parametrize("percentile", [1, 10, 50, 90, 95, 99, 99.9])
def test_the_number_is_the_one_that_the_judge_asks_for(percentile: float) -> None:
    """What `plan` promises and what the analysis demands are computed apart, and must not drift apart."""
    needed = requests_needed(parse_hypothesis(f"p{percentile} latency <= 1s"))

    assert needed == quantile_n_min(percentile / 100)


def test_a_claim_of_perfection_is_called_undecidable() -> None:
    """No number of good requests proves that there is never a bad one."""
    assert is_undecidable(parse_hypothesis("availability >= 100%"))
    assert is_undecidable(parse_hypothesis("error rate <= 0%"))
    assert not is_undecidable(parse_hypothesis("availability >= 99.99%"))


def test_the_plan_says_what_is_expected_and_what_is_needed() -> None:
    """3,000 requests in 20 s at 150/s; an endpoint gets a part of them."""
    experiment = make_experiment(hypotheses=("availability >= 99.5%", "p99 latency of /cart <= 1s"))

    plan = describe(experiment, (make_fault(),), make_environment())

    assert [row["requests_expected"] for row in plan["timeline"]] == [2250, 3000, 2250]
    availability, p99 = plan["hypotheses"]
    assert (availability["requests_needed"], availability["requests_expected"]) == (736, 3000)
    assert availability["note"].startswith(
        "needs 736 requests without an error to be held; about 3,000 are expected: held if at most 7 fail, "
    )
    assert (p99["requests_needed"], p99["expected_is_upper_end"]) == (368, True)
    assert p99["note"] == "needs 368 requests to be held; at most 3,000 are expected"


def test_too_little_load_is_said_beforehand() -> None:
    """A night is not wasted on a claim that could only be inconclusive."""
    plan = describe(make_experiment(arrivals_per_s=10.0), (make_fault(),), make_environment())

    assert "TOO FEW" in plan["hypotheses"][0]["note"]


def test_a_closed_model_promises_no_number() -> None:
    """Users send as fast as they are answered."""
    plan = describe(make_experiment(arrivals_per_s=None), (make_fault(),), make_environment())

    assert {row["requests_expected"] for row in plan["timeline"]} == {None}
    assert "40 users" in describe_text(plan)


def test_too_many_targets_end_the_description() -> None:
    """`plan` must not show as possible what `run` would refuse."""
    with pytest.raises(InputError, match=r"limits\.targets"):
        describe(make_experiment(targets=1), (make_fault(1), make_fault(2)), make_environment())
