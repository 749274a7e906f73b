"""From one hypothesis to the estimate it is about: which rows, which measure, relative or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.analysis.block import block_count
from stormproof.analysis.detection import health_of_zone, time_to_detect
from stormproof.analysis.estimate import ALPHA_SIDE, Estimate, no_estimate
from stormproof.analysis.latency import mean, quantile, quantile_between_blocks
from stormproof.analysis.proportion import pooled_design_effect, share, share_between_blocks
from stormproof.analysis.ratio import ratio
from stormproof.analysis.recovery import time_to_recover
from stormproof.analysis.requests import answered_in, is_window, requests_in, unscheduled
from stormproof.analysis.throughput import throughput
from stormproof.analysis.window import Window
from stormproof.model.hypothesis import Hypothesis, Metric, Phase

if TYPE_CHECKING:
    import pandas as pd

    from stormproof.analysis.requests import Bools, Floats, Requests

Measure = Callable[[Window, Hypothesis, "Precision"], Estimate]
Windows = Mapping[str, tuple[float, float]]
_PHASES = frozenset(phase.value for phase in Phase)
CENSUS = "count of every request of the window"
PICKED_MAX = 8  # windows kept; each holds a copy of its rows' times and latencies
UNSCHEDULED = "unscheduled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How wide an interval must be."""

    tail: float = ALPHA_SIDE  # the chance left on each side
    at_any_time: bool = False  # valid however often it was looked at, where there is such an interval
    design_effect_min: float = 1.0  # of a share: how much its hits come in bursts, as the other phase shows it


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Whose part in the traffic of a window is asked for."""

    everything: Window  # what a block's share is of
    hits: Floats  # that were the zone's or the endpoint's, a block
    answered: int
    unknown: int = 0  # that may have been anyone's


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """Everything that a hypothesis may be held against."""

    samples: pd.DataFrame
    windows: Windows  # phase → (start, end), Unix s
    readings: Sequence[Mapping[str, Any]] = ()
    lost_zone: str | None = None  # the zone that the fault silenced
    onset_slack_s: float = 0.0  # from the last canary that saw it whole to the first that did not
    control: Observations | None = None  # of the control group by header, whose rows are not among *samples*
    # What was picked already: the claims of a spec ask for the same few windows again and again.
    picked: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def requests(self, window: tuple[float, float], *, endpoint: str | None = None, zone: str | None = None) -> Window:
        """`requests_in` of the samples, remembered; *samples* must not change."""
        key = (window, endpoint, zone)
        if key not in self.picked:
            if len(self.picked) >= PICKED_MAX:
                self.picked.clear()
            self.picked[key] = requests_in(self.samples, window, endpoint=endpoint, zone=zone)
        found: Window = self.picked[key]
        return found

    def traffic(self, window: tuple[float, float], *, endpoint: str | None, zone: str | None) -> Traffic:
        """The share of the answered requests that *zone* answered; those without a zone may be anyone's.

        Without a zone it is the share that *endpoint* had: every request says of which it is.
        """
        if zone is not None:
            answered, of_zone = answered_in(self.samples, window, zone=zone, endpoint=endpoint)
            return Traffic(
                everything=answered,
                hits=_hits(answered, of_zone),
                answered=answered.n,
                unknown=answered.unattributed_failed + answered.unattributed_ok,
            )
        everything = requests_in(self.samples, window)
        has_answer = (self.samples["status"].to_numpy() > 0)[everything.rows]
        of_endpoint = (self.samples["endpoint"] == endpoint).to_numpy(dtype=bool, na_value=False)[everything.rows]
        return Traffic(
            everything=everything,
            hits=_hits(everything, of_endpoint & has_answer),
            answered=int(has_answer.sum()),
        )

    @property
    def unscheduled(self) -> int:
        """How many rows have no scheduled time, remembered."""
        if UNSCHEDULED not in self.picked:
            self.picked[UNSCHEDULED] = unscheduled(self.samples)
        return int(self.picked[UNSCHEDULED])


def measure(
    hypothesis: Hypothesis, seen: Observations, *, tail: float = ALPHA_SIDE, at_any_time: bool = False
) -> Estimate:
    """The estimate that *hypothesis* is about; without a value where there is none, with the reason.

    *tail* is the chance left on each side of the interval: 2.5 % by default, less where several claims share it. With
    *at_any_time* a claim that may be looked at while the fault phase goes on has an interval that stays valid.
    """
    lost = seen.unscheduled
    if lost:
        return no_estimate(f"{lost} rows have no scheduled time, so their phase is not known")
    if hypothesis.metric is Metric.TIME_TO_DETECT:
        return _time_to_detect(seen)
    if hypothesis.metric is Metric.TIME_TO_RECOVER:
        return _time_to_recover(hypothesis, seen)
    if not hypothesis.is_relative:
        precision = Precision(tail=tail, at_any_time=at_any_time and hypothesis.is_sequential)
        return _of_window(hypothesis, seen, hypothesis.window, ABSOLUTE, precision)
    if hypothesis.metric is Metric.REQUESTS_FAILED:
        return no_estimate(f"{hypothesis.metric} has no form relative to steady: the phases differ in length")
    if hypothesis.is_beside_control:
        return _beside_control(hypothesis, seen, tail)
    precision = Precision(tail=tail, design_effect_min=_burstiness(hypothesis, seen))
    return ratio(
        _of_window(hypothesis, seen, hypothesis.window, BETWEEN_BLOCKS, precision),
        _of_window(hypothesis, seen, Phase.STEADY.value, BETWEEN_BLOCKS, precision),
        tail=tail,
    )


def measure_between_blocks(hypothesis: Hypothesis, seen: Observations) -> Estimate | None:
    """The claim's number with the noise between stretches of time in its interval: for holding two runs together.

    None for what has no such interval: one detection, one recovery, a count of everything.
    """
    if hypothesis.is_relative:
        return measure(hypothesis, seen)
    if hypothesis.metric is not Metric.TRAFFIC_SHARE and hypothesis.metric not in BETWEEN_BLOCKS:
        return None
    return _of_window(hypothesis, seen, hypothesis.window, BETWEEN_BLOCKS)


def _beside_control(hypothesis: Hypothesis, seen: Observations, tail: float) -> Estimate:
    """The group that the fault may reach over the control, both in the claim's window (docs/adr/0028, 0069)."""
    if hypothesis.control_header is None:
        groups = [(hypothesis, seen), (replace(hypothesis, zone=hypothesis.control_zone), seen)]
        name = f"zone {hypothesis.control_zone}, the control"
    elif seen.control is None:
        return no_estimate("the samples do not say which of them are the control group's")
    else:
        groups, name = [(hypothesis, seen), (hypothesis, seen.control)], "the control"
    pooled = max(1.0, *(_burstiness(*group) for group in groups))
    precision = Precision(tail=tail, design_effect_min=pooled)
    faulted, beside = (_of_window(claim, whom, claim.window, BETWEEN_BLOCKS, precision) for claim, whom in groups)
    return ratio(faulted, beside, tail=tail, beside=name)


def steady_value(hypothesis: Hypothesis, seen: Observations) -> float | None:
    """The same metric in the steady phase, for the reader to compare with; None where it has none."""
    if hypothesis.phase in {None, Phase.STEADY} or seen.unscheduled:
        return None
    return _of_window(hypothesis, seen, Phase.STEADY.value, ABSOLUTE).value


def _of_window(
    hypothesis: Hypothesis,
    seen: Observations,
    name: str,
    measures: Mapping[Metric, Measure],
    precision: Precision = Precision(),
) -> Estimate:
    """*name* is a phase or a step."""
    window, phase = seen.windows.get(name), f"{name} phase" if name in _PHASES else f"step {name}"
    if window is None or not is_window(window):
        return no_estimate(f"there is no {phase}")
    where = "".join(
        (
            f" of {hypothesis.endpoint}" if hypothesis.endpoint is not None else "",
            f" in zone {hypothesis.zone}" if hypothesis.zone is not None else "",
        )
    )
    if hypothesis.metric is Metric.TRAFFIC_SHARE:
        estimate = _traffic_share(hypothesis, seen, window, blocked=measures is BETWEEN_BLOCKS, tail=precision.tail)
    else:
        requests = seen.requests(window, endpoint=hypothesis.endpoint, zone=hypothesis.zone)
        estimate = measures[hypothesis.metric](requests, hypothesis, precision)
    if estimate.value is None and estimate.n == 0:
        return replace(estimate, reason=f"no requests{where} in the {phase}")
    return estimate


def _burstiness(hypothesis: Hypothesis, seen: Observations) -> float:
    """How much failures come in bursts, by both phases of a relative claim; 1 where that is not what it is about."""
    if hypothesis.metric not in {Metric.AVAILABILITY, Metric.ERROR_RATE}:
        return 1.0
    windows = [seen.windows.get(one) for one in (hypothesis.window, Phase.STEADY.value)]
    phases = [
        seen.requests(window, endpoint=hypothesis.endpoint, zone=hypothesis.zone)
        for window in windows
        if window is not None and is_window(window)
    ]
    return pooled_design_effect([(requests, requests.block_ok()) for requests in phases])


def _time_to_detect(seen: Observations) -> Estimate:
    window = seen.windows.get(Phase.FAULT.value)
    if window is None or not is_window(window):
        return no_estimate("there is no fault phase")
    if seen.lost_zone is None:
        return no_estimate("no fault of this run silences a zone, so there is nothing for health checks to detect")
    health = health_of_zone(seen.readings, seen.lost_zone)
    return time_to_detect(health, onset_s=window[0], end_s=window[1], onset_slack_s=seen.onset_slack_s)


def _time_to_recover(hypothesis: Hypothesis, seen: Observations) -> Estimate:
    fault = seen.windows.get(Phase.FAULT.value)
    if fault is None or not is_window(fault):
        return no_estimate("there is no fault phase")
    recovery = seen.windows.get(Phase.RECOVERY.value)
    end_s = recovery[1] if recovery is not None and is_window(recovery) else fault[1]
    # Not by zone: what fails carries none, so a zone of its own would look recovered at once.
    requests = seen.requests((fault[0], max(end_s, fault[1])), endpoint=hypothesis.endpoint)
    return time_to_recover(requests, onset_slack_s=seen.onset_slack_s)


def _traffic_share(
    hypothesis: Hypothesis, seen: Observations, window: tuple[float, float], *, blocked: bool, tail: float
) -> Estimate:
    if hypothesis.zone is None and hypothesis.endpoint is None:
        return no_estimate("a share of traffic needs a zone or an endpoint")
    found = seen.traffic(window, endpoint=hypothesis.endpoint, zone=hypothesis.zone)
    unknown = found.unknown
    if blocked:
        return share_between_blocks(found.everything, found.hits, tail=tail, unknown_out=unknown, unknown_in=unknown)
    hits = round(float(found.hits.sum()))
    return share(hits, found.answered, tail=tail, unknown_out=unknown, unknown_in=unknown)


def _hits(requests: Requests, hit: Bools) -> Floats:
    """How many of *hit* fall into each block; into one, where the window is shorter than that."""
    return requests.block_hits(hit) if block_count(requests.duration_s) else np.array([float(hit.sum())])


def _availability(requests: Window, _: Hypothesis, precision: Precision) -> Estimate:
    return share(
        requests.n_ok,
        requests.n,
        unknown_out=requests.unattributed_failed,
        unknown_in=requests.unattributed_ok,
        tail=precision.tail,
        at_any_time=precision.at_any_time,
    )


def _error_rate(requests: Window, _: Hypothesis, precision: Precision) -> Estimate:
    return share(
        requests.n - requests.n_ok,
        requests.n,
        unknown_out=requests.unattributed_ok,
        unknown_in=requests.unattributed_failed,
        tail=precision.tail,
        at_any_time=precision.at_any_time,
    )


def _availability_between_blocks(requests: Window, _: Hypothesis, precision: Precision) -> Estimate:
    return share_between_blocks(
        requests,
        requests.block_ok(),
        unknown_out=requests.unattributed_failed,
        unknown_in=requests.unattributed_ok,
        tail=precision.tail,
        design_effect_min=precision.design_effect_min,
    )


def _error_rate_between_blocks(requests: Window, _: Hypothesis, precision: Precision) -> Estimate:
    return share_between_blocks(
        requests,
        requests.block_counts() - requests.block_ok(),
        unknown_out=requests.unattributed_ok,
        unknown_in=requests.unattributed_failed,
        tail=precision.tail,
        design_effect_min=precision.design_effect_min,
    )


def _latency_quantile(requests: Window, hypothesis: Hypothesis, precision: Precision) -> Estimate:
    return quantile(requests, _share_of(hypothesis), tail=precision.tail, at_any_time=precision.at_any_time)


def _latency_quantile_between_blocks(requests: Window, hypothesis: Hypothesis, precision: Precision) -> Estimate:
    return quantile_between_blocks(requests, _share_of(hypothesis), tail=precision.tail)


def _latency_mean(requests: Window, _: Hypothesis, precision: Precision) -> Estimate:
    return mean(requests, tail=precision.tail)


def _throughput(requests: Window, _: Hypothesis, precision: Precision) -> Estimate:
    return throughput(requests, tail=precision.tail)


def _requests_failed(requests: Window, _: Hypothesis, __: Precision) -> Estimate:
    """How many failed: all of them were recorded, so the count has no error of sampling."""
    if requests.n == 0 and requests.unattributed_failed == 0:
        return no_estimate("no requests", method=CENSUS)
    failed = float(requests.n - requests.n_ok)
    return Estimate(
        value=failed,
        low=failed,
        high=failed + requests.unattributed_failed,
        n=max(requests.n, 1),
        method=CENSUS,
        bounded_by_unknowns=requests.unattributed_failed > 0,
    )


def _share_of(hypothesis: Hypothesis) -> float:
    if hypothesis.quantile is None or not 0 < hypothesis.quantile < 1:
        raise ValueError(f"{hypothesis.text!r} names no quantile between 0 and 1")
    return hypothesis.quantile


# TRAFFIC_SHARE needs rows of other zones too and is measured apart.
ABSOLUTE: Mapping[Metric, Measure] = {
    Metric.AVAILABILITY: _availability,
    Metric.ERROR_RATE: _error_rate,
    Metric.LATENCY_QUANTILE: _latency_quantile,
    Metric.LATENCY_MEAN: _latency_mean,
    Metric.THROUGHPUT: _throughput,
    Metric.REQUESTS_FAILED: _requests_failed,
}
BETWEEN_BLOCKS: Mapping[Metric, Measure] = {
    Metric.AVAILABILITY: _availability_between_blocks,
    Metric.ERROR_RATE: _error_rate_between_blocks,
    Metric.LATENCY_QUANTILE: _latency_quantile_between_blocks,
    Metric.LATENCY_MEAN: _latency_mean,
    Metric.THROUGHPUT: _throughput,
}
