"""The two shops: the same code and topology, with and without the design properties that experiments test.

A variant is data. What each field protects against, and what it costs, stands beside the field; the table in
docs/guides/lab.md says the same in prose.
"""

from __future__ import annotations

from dataclasses import dataclass

from stormproof.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerPolicy:
    """How the balancer (Envoy's front listener) treats its six targets."""

    # A dead target gets its share of the traffic until the check has failed *unhealthy_threshold* times in a row:
    # interval × threshold is the length of the hole that a lost zone makes.
    health_interval_s: float
    health_timeout_s: float
    unhealthy_threshold: int
    healthy_threshold: int
    # The target with the fewest requests under way, of three drawn at random, instead of each in its turn: one that is
    # slow, whatever its health check says, gets what it can take.
    least_request: bool
    # Attempts beyond the first, on another target. Only failures that cannot have been acted on are retried for a
    # POST (no connection, or reset before the request was sent); a GET is also retried when its answer is cut off.
    retries: int
    # Ejects a target after this many failed connections in a row, without waiting for the health check; 0 is off.
    outlier_failures: int
    # Below this share of healthy targets, in percent, all are asked, healthy or not ("fails open"): a check that fails
    # everywhere is more often wrong than right. 0 never: then nobody is asked, and every request fails ("closed").
    panic_percent: int
    # After this long one attempt of a GET is given up and retried elsewhere: a target may hang. 0: no such limit.
    try_timeout_s: float
    # After this long a request is given up by the balancer; 0 waits for ever.
    request_timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationsPolicy:
    """How a shop process calls the recommendations dependency."""

    # The whole call, connect to last byte; None waits for ever, so that the page is as slow as the dependency.
    timeout_s: float | None
    # Immediate attempts after a failure: they multiply the load on a dependency that is already in trouble.
    immediate_retries: int
    # A static list instead of an error page: recommendations are not worth a lost sale.
    fallback: bool
    # After this many failures in a row the dependency is not called for *breaker_open_s* (0: no breaker): a page then
    # costs nothing while the dependency is down, and the dependency gets room to recover.
    breaker_failures: int
    breaker_open_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CartPolicy:
    """How a shop process calls DynamoDB, where the cart lives."""

    # botocore's own attempts, in its `standard` mode (backs off with jitter, has a retry quota).
    sdk_attempts_max: int
    # Attempts by hand after the SDK gave up, at once: what a hurried programmer adds.
    immediate_retries: int
    connect_timeout_s: float
    read_timeout_s: float
    # The whole call as the customer sees it, SDK retries included; None waits for ever.
    answer_within_s: float | None
    # Writes that cannot be made now are accepted (202) and drained later; reads answer from the last known copy.
    degrade: bool
    # After a throttled call the process leaves DynamoDB alone for a random time up to this (full jitter, doubling up
    # to gate_cap_s): six processes that come back together would be throttled together.
    gate_base_s: float
    gate_cap_s: float
    # Threads for calls that block; more waiting calls than this are answered degraded at once (if *degrade*).
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePolicy:
    """How a new release is rolled out, instance by instance."""

    # After each instance ask the balancer, and go on only when it says healthy. Without, a bad build reaches all.
    wait_for_health: bool
    # First asked this long after the instance serves the new build: longer than the balancer needs to find it unwell.
    bake_s: float
    # Not healthy by then: the release has failed, the rollout ends, and the instance gets the former build back.
    healthy_within_s: float
    # Between two instances.
    pause_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPolicy:
    """How instances that are lost are replaced."""

    # How long an instance must be gone before a replacement is launched.
    replace_after_s: float
    # From the launch until the replacement serves. A design that counts on replacements has to make this short; one
    # that is provisioned for the loss of a zone need not care, and has the minutes that a machine usually takes.
    boot_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How one process retries its calls of one dependency."""

    # Attempts, the first included: with a of them in each of n layers the last one sees a^n calls for one.
    attempts_max: int
    # One attempt; what is given up is still worked on by the dependency.
    attempt_timeout_s: float
    # The pause before the n-th retry is min(cap, base · multiplier^(n-1)); with full jitter U(0, that). Without jitter
    # calls that failed together come back together.
    base_s: float = 0.0
    multiplier: float = 1.0
    cap_s: float = 1.0
    full_jitter: bool = False
    # Retries that a process may make while nothing succeeds (0: as many as it likes), and the part of a token that a
    # success gives back: so retries are at most that share of the calls in the long run.
    budget_tokens: int = 0
    budget_refund: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsPolicy:
    """Who retries on the way from the shop to *stock*, and how."""

    shop_of_stock: RetryPolicy
    shop_of_prices: RetryPolicy
    # Attempts beyond the first that the proxy in front of *prices* makes by itself, as a service mesh does by default.
    proxy_of_prices_retries: int
    prices_of_stock: RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One design of the shop."""

    name: str
    balancer: BalancerPolicy
    recommendations: RecommendationsPolicy
    cart: CartPolicy
    release: ReleasePolicy
    fleet: FleetPolicy
    # Something instead of a picture that there is no memory for; without it, an error.
    placeholders: bool
    calls: CallsPolicy


NAIVE = Variant(
    name="naive",
    balancer=BalancerPolicy(
        health_interval_s=5.0,
        health_timeout_s=2.0,
        unhealthy_threshold=3,
        healthy_threshold=2,
        least_request=False,
        retries=0,
        outlier_failures=0,
        panic_percent=0,
        try_timeout_s=0.0,
        request_timeout_s=0.0,
    ),
    recommendations=RecommendationsPolicy(
        timeout_s=None, immediate_retries=3, fallback=False, breaker_failures=0, breaker_open_s=0.0
    ),
    cart=CartPolicy(
        sdk_attempts_max=1,
        immediate_retries=3,
        connect_timeout_s=60.0,  # botocore's default
        read_timeout_s=60.0,  # botocore's default
        answer_within_s=None,
        degrade=False,
        gate_base_s=0.0,
        gate_cap_s=0.0,
        threads=16,
    ),
    release=ReleasePolicy(wait_for_health=False, bake_s=0.0, healthy_within_s=0.0, pause_s=0.2),
    fleet=FleetPolicy(replace_after_s=2.0, boot_s=2.0),
    placeholders=False,
    calls=CallsPolicy(
        shop_of_stock=RetryPolicy(attempts_max=10, attempt_timeout_s=0.5, base_s=0.2),
        # Three attempts in each of three layers: 27.
        shop_of_prices=RetryPolicy(attempts_max=3, attempt_timeout_s=5.0),
        proxy_of_prices_retries=2,
        prices_of_stock=RetryPolicy(attempts_max=3, attempt_timeout_s=0.5),
    ),
)

HARDENED = Variant(
    name="hardened",
    balancer=BalancerPolicy(
        health_interval_s=0.5,
        health_timeout_s=0.3,
        unhealthy_threshold=2,
        healthy_threshold=2,
        least_request=True,
        retries=2,
        outlier_failures=3,
        panic_percent=50,
        # Above what a page may take while a dependency is late (0.35 s), below half of the request's limit.
        try_timeout_s=0.9,
        request_timeout_s=2.0,
    ),
    recommendations=RecommendationsPolicy(
        timeout_s=0.25, immediate_retries=0, fallback=True, breaker_failures=5, breaker_open_s=1.0
    ),
    cart=CartPolicy(
        sdk_attempts_max=2,
        immediate_retries=0,
        connect_timeout_s=0.2,
        read_timeout_s=0.3,
        answer_within_s=0.35,
        degrade=True,
        gate_base_s=0.5,
        gate_cap_s=4.0,
        threads=8,
    ),
    # The balancer above needs up to 1.3 s: two checks, one every 0.5 s, and 0.25 s until we hear of it.
    release=ReleasePolicy(wait_for_health=True, bake_s=2.0, healthy_within_s=3.0, pause_s=0.0),
    fleet=FleetPolicy(replace_after_s=2.0, boot_s=120.0),
    placeholders=True,
    calls=CallsPolicy(
        shop_of_stock=RetryPolicy(
            attempts_max=4,
            attempt_timeout_s=0.2,
            base_s=0.1,
            multiplier=2.0,
            cap_s=0.4,
            full_jitter=True,
            budget_tokens=16,
        ),
        # Retries in one layer only, the one nearest to the customer, who is the one that knows whether he still waits.
        shop_of_prices=RetryPolicy(
            attempts_max=3,
            attempt_timeout_s=0.25,
            base_s=0.05,
            multiplier=2.0,
            cap_s=0.2,
            full_jitter=True,
            budget_tokens=5,
        ),
        proxy_of_prices_retries=0,
        prices_of_stock=RetryPolicy(attempts_max=1, attempt_timeout_s=0.2),
    ),
)

VARIANTS = {variant.name: variant for variant in (NAIVE, HARDENED)}


def variant_named(name: str) -> Variant:
    """The variant called *name*; raises `UsageError` with the names that exist."""
    try:
        return VARIANTS[name]
    except KeyError:
        raise UsageError(
            f"lab.variant: expected one of {', '.join(sorted(VARIANTS))}, got {name!r}",
            hint="`stormproof lab up --variant hardened`",
        ) from None
