"""Arrivals out of Envoy's access log, line by line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stormproof.errors import RunDirectoryError
from stormproof.record.arrivals import arrivals_schema, collect_arrivals, parse_line, read_arrivals
from stormproof.record.layout import RunDirectory

LINE: dict[str, Any] = {
    "start_s": "1700000000.250000",
    "duration_ms": 12,
    "duration_us": 12500,
    "status": 400,
    "flags": "RL",
    "method": "POST",
    "path": "/",
    "user_agent": "Boto3/1.44 md/Botocore#1.44 app/shop-a1",
    "invocation_id": "5f0c",
    "sdk_request": "attempt=2; max=3",
    "op_id": None,
    "attempt": None,
    "canary": None,
    "retry_after": "1.5",
}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run").create()


def parse(**changes: Any) -> dict[str, Any]:
    row = parse_line(orjson.dumps({**LINE, **changes}), "cart")
    assert row is not None
    return row


def test_a_line_of_the_sdk_becomes_an_arrival() -> None:
    """All columns of a throttled DynamoDB call, as the real client and the real proxy name them."""
    assert parse() == {
        "dependency": "cart",
        "arrived_at": 1700000000.25,
        "t_start_s": 1700000000.25,
        "t_end_s": 1700000000.2625,
        "duration_ms": 12.5,
        "status": 400,
        "outcome": "400",
        "retry_after_s": 1.5,
        "client": "shop-a1",
        "op": "5f0c",
        "attempt": 2,
        "flags": "RL",
        "canary": False,
    }


def test_plain_http_clients_are_read_from_their_own_headers() -> None:
    """Without the SDK's headers, x-op-id and x-attempt say the same."""
    row = parse(invocation_id=None, sdk_request=None, op_id="op-7", attempt="3", user_agent="app/shop-b2 aiohttp/3")

    assert (row["op"], row["attempt"], row["client"]) == ("op-7", 3, "shop-b2")


@pytest.mark.parametrize("absent", [None, "-", ""])
def test_what_is_absent_stays_unknown(absent: str | None) -> None:
    """Missing headers give 0, "" or NaN, not a guess."""
    row = parse(
        invocation_id=absent, sdk_request=absent, op_id=absent, attempt=absent, user_agent=absent, retry_after=absent,
        flags=absent, duration_us=absent,
    )  # fmt: skip

    assert (row["op"], row["attempt"], row["client"], row["flags"]) == ("", 0, "", "")
    assert math.isnan(row["retry_after_s"])
    assert row["duration_ms"] == 12


@pytest.mark.parametrize(
    ("status", "flags", "outcome"),
    [
        (200, "-", "200"),
        (503, "UF", "503"),
        (0, "DC", "hang"),
        (0, "DI,DC", "hang"),
        (0, "LR", "reset"),
        (0, "-", "close"),
    ],
)
def test_an_exchange_without_a_status_says_how_it_ended(status: int, flags: str, outcome: str) -> None:
    """The caller gave up waiting, was reset, or the connection closed."""
    assert parse(status=status, flags=flags)["outcome"] == outcome


@pytest.mark.parametrize(("text", "canary"), [("1", True), ("true", True), ("0", False), (None, False)])
def test_our_own_calls_are_marked(text: str | None, canary: bool) -> None:
    """Confirmation calls carry a header, so that no estimate counts them."""
    assert parse(canary=text)["canary"] is canary


@given(st.binary(max_size=80))
def test_no_line_can_break_the_parser(line: bytes) -> None:
    """Whatever is in the log, the answer is a row or None."""
    row = parse_line(line, "cart")

    assert row is None or set(row) == set(arrivals_schema().names)


def test_only_what_was_logged_after_the_offset_counts(run: RunDirectory, tmp_path: Path) -> None:
    """A lab that lives on keeps one log; a run takes its own part of it, and passes over a torn last line."""
    log = tmp_path / "cart.log"
    old, new = (orjson.dumps({**LINE, "start_s": at}) + b"\n" for at in (1.0, 2.0))
    log.write_bytes(old + new + b"nonsense\n" + new[:20])

    count = collect_arrivals(run, "cart", log, len(old))

    assert count == 1
    assert list(read_arrivals(run)["arrived_at"]) == [2.0]


def test_arrivals_of_all_dependencies_are_read_in_order(run: RunDirectory, tmp_path: Path) -> None:
    """Two parts make one frame by time; collecting again replaces, and never adds."""
    for dependency, at in (("cart", 5.0), ("recommendations", 4.0)):
        log = tmp_path / f"{dependency}.log"
        log.write_bytes(orjson.dumps({**LINE, "start_s": at}) + b"\n")
        for _ in range(2):
            assert collect_arrivals(run, dependency, log, 0) == 1

    arrivals = read_arrivals(run)

    assert list(arrivals["dependency"]) == ["recommendations", "cart"]
    assert list(arrivals.columns) == arrivals_schema().names


def test_nobody_called_is_a_part_of_no_rows(run: RunDirectory, tmp_path: Path) -> None:
    """No log, no arrivals: an empty part, which differs from no part."""
    assert collect_arrivals(run, "reviews", tmp_path / "none.log", 0) == 0
    assert (run.arrivals / "reviews.parquet").exists()
    assert len(read_arrivals(run)) == 0


def test_a_part_with_other_columns_is_refused(run: RunDirectory, tmp_path: Path) -> None:
    """Foreign columns name the file."""
    collect_arrivals(run, "cart", tmp_path / "none.log", 0)
    part = run.arrivals / "cart.parquet"
    pq.write_table(pq.read_table(part).drop_columns(["op"]), part)

    with pytest.raises(RunDirectoryError, match=r"cart\.parquet"):
        read_arrivals(run)


def test_the_applications_own_id_comes_before_the_sdks() -> None:
    """Who retries around an SDK makes several of its operations: they are one call all the same."""
    row = parse(invocation_id="sdk-2", sdk_request="attempt=1; max=1", op_id="call-7", attempt="2")

    assert (row["op"], row["attempt"]) == ("call-7", 2)
