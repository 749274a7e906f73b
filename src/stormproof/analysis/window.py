"""What a measure may ask of one window's requests, whether these are rows in memory or counters of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from stormproof.analysis.requests import Floats, Ints

End = Literal["low", "value", "high"]


class Ordered(Protocol):
    """Latencies in ms by size."""

    def __len__(self) -> int:
        """How many."""
        ...

    def ranked(self, rank: int, end: End = "value") -> float:
        """The *rank*-th smallest, counted from 1; ranks beyond the ends are the ends.

        Where it is only known to lie in a bucket, *end* says which edge to take.
        """
        ...

    @property
    def finite(self) -> int:
        """How many of them ended."""
        ...


class Window(Protocol):
    """The requests scheduled in [start_s, end_s), of one endpoint and zone where asked."""

    @property
    def start_s(self) -> float: ...  # noqa: D102  # as in `Requests`
    @property
    def duration_s(self) -> float: ...  # noqa: D102
    @property
    def rate_per_s(self) -> float: ...  # noqa: D102
    @property
    def n(self) -> int: ...  # noqa: D102
    @property
    def n_ok(self) -> int: ...  # noqa: D102
    @property
    def unattributed_failed(self) -> int: ...  # noqa: D102
    @property
    def unattributed_ok(self) -> int: ...  # noqa: D102
    @property
    def unknown_latency(self) -> int: ...  # noqa: D102

    def block_counts(self) -> Floats:
        """Requests a block of time (`block.block_count`)."""
        ...

    def block_ok(self) -> Floats:
        """Successes a block."""
        ...

    def block_below(self, value_ms: float) -> Floats:
        """Requests a block that took at most *value_ms*; an unknown latency is none of them."""
        ...

    def block_latency_sums(self) -> Floats:
        """The sum of the latencies a block, in ms."""
        ...

    def readings(self) -> tuple[Ordered, Ordered, Ordered]:
        """Latencies as recorded, as short as they can have been, and as long as they can have been."""
        ...

    def largest(self, count: int) -> Floats:
        """The *count* longest latencies, ascending."""
        ...

    def seconds(self, buckets: int) -> tuple[Ints, Ints]:
        """Requests and failures in each second from the start; the last one also holds what is left of a second."""
        ...
