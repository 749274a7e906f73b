"""The token bucket's document: the rate asked for is the rate that Envoy fills."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stormproof.faults.envoy_rate_limit import FILL_INTERVAL_MIN_S, bucket_resource


def bucket(rate_per_s: float, burst: int) -> dict[str, Any]:
    document = bucket_resource("throttle.x", rate_per_s=rate_per_s, burst=burst, runtime_key="x.percent")
    config: dict[str, Any] = document["resources"][0]["typed_config"]
    return config


@given(rate_per_s=st.floats(0.01, 10_000), burst=st.integers(1, 10_000))
def test_tokens_over_interval_is_the_rate(rate_per_s: float, burst: int) -> None:
    """Within the nanosecond that a duration can say, and never faster than Envoy allows."""
    found = bucket(rate_per_s, burst)["token_bucket"]
    interval_s = float(found["fill_interval"].removesuffix("s"))

    assert found["tokens_per_fill"] / interval_s == pytest.approx(rate_per_s, rel=1e-6)
    assert interval_s >= FILL_INTERVAL_MIN_S * (1 - 1e-9) or found["tokens_per_fill"] == 1
    assert found["max_tokens"] >= burst


def test_a_slow_bucket_keeps_the_burst_asked_for() -> None:
    """Five a second with a burst of three starts with three."""
    assert bucket(5, 3)["token_bucket"] == {"max_tokens": 3, "tokens_per_fill": 1, "fill_interval": "0.200000000s"}


def test_it_is_off_until_its_key_is_raised() -> None:
    """The file alone throttles nobody; the key decides."""
    enabled = bucket(5, 3)["filter_enabled"]

    assert enabled["runtime_key"] == "x.percent"
    assert enabled["default_value"]["numerator"] == 0


def test_equal_buckets_are_equal_documents() -> None:
    """What was undone can be told from what was not, by comparing; another rate is another version."""

    def document(rate_per_s: float) -> dict[str, Any]:
        return bucket_resource("throttle.x", rate_per_s=rate_per_s, burst=3, runtime_key="k")

    assert document(5) == document(5)
    assert document(5)["version_info"] != document(6)["version_info"]


@pytest.mark.parametrize(("rate_per_s", "burst"), [(0, 1), (-1, 1), (float("nan"), 1), (float("inf"), 1), (1, 0)])
def test_nonsense_is_refused(rate_per_s: float, burst: int) -> None:
    """No rate, no burst, no number: an error here, not a filter that Envoy rejects in silence."""
    with pytest.raises(ValueError, match="expected"):
        bucket(rate_per_s, burst)
