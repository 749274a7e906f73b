"""Files of arrivals, as their writers write them, give the same reading as the frame; what is no such file is
refused.
"""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stormprobes.retry_with_jitter import retry_with_jitter
from support.command import stormproof
from support.retry_traces import some_calls, trace

BEGAN_S = 1_790_000_000.0
ROOT_ID = "1-67891233-abcdef012345678912{:06x}"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Twenty calls of a client with waits of 60 ms, 120 ms, …"""
    frame = some_calls(trace("axios_retry_linear"), 20)
    return frame.assign(t_start_s=frame["t_start_s"] + BEGAN_S, t_end_s=frame["t_end_s"] + BEGAN_S)


def alb(row: Any) -> str:
    """One line as the service writes it, a field each of the documented ones."""

    def iso(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    root = ROOT_ID.format(int(row.op[2:]))
    return (
        f"https {iso(row.t_end_s)} app/my-lb/50dc6c495c0c9188 192.168.131.39:{2000 + row.Index} "
        "10.0.0.1:80 0.000 0.002 0.000 "
        f'{row.outcome} {row.outcome} 34 366 "GET https://www.example.com:443/a%20b HTTP/1.1" "curl/8.5 (x; \\"y\\")" '
        "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/t/1 "
        f'"Root={root}" "www.example.com" "arn:aws:acm:eu-central-1:123456789012:certificate/1" 0 {iso(row.t_start_s)} '
        f'"forward" "-" "-" "10.0.0.1:80" "{row.outcome}" "-" "-" TID_1234abcd'
    )


def envoy(row: Any) -> str:
    """One line of our own Envoy configuration."""
    entry = {
        "start_s": f"{row.t_start_s:.6f}", "duration_us": f"{(row.t_end_s - row.t_start_s) * 1e6:.0f}",
        "status": row.outcome, "flags": "-", "user_agent": "Boto3/1.44 app/cart-1", "invocation_id": row.op,
        "retry_after": "-", "sdk_request": f"attempt={row.attempt}; max=7", "op_id": "-", "attempt": "-", "canary": "-",
    }  # fmt: skip
    return json.dumps(entry)


def nginx(row: Any) -> str:
    """One line of a `log_format … escape=json` with NGINX's variables under their own names."""
    entry = {
        "msec": f"{row.t_end_s:.3f}", "request_time": f"{row.t_end_s - row.t_start_s:.3f}", "remote_addr": "10.1.2.3",
        "http_user_agent": "axios/1.7", "status": row.outcome, "http_x_request_id": row.op, "sent_http_retry_after": "",
    }  # fmt: skip
    return json.dumps(entry)


LOGS = {"alb": alb, "envoy": envoy, "nginx": nginx}


def written(path: Path, rows: pd.DataFrame, form: str) -> Path:
    """*rows* in a file of *form*."""
    if form == "csv":
        rows.to_csv(path, index=False)
    elif form == "parquet":
        rows.to_parquet(path, index=False)
    else:
        path.write_text("\n".join(LOGS[form](row) for row in rows.itertuples()) + "\n")
    return path


@pytest.mark.parametrize("form", ["csv", "parquet", *LOGS])
def test_a_file_is_recognised_and_read(form: str, rows: pd.DataFrame, tmp_path: Path) -> None:
    """Each format is told from its content, and the client in it is the same client."""
    reading = retry_with_jitter(str(written(tmp_path / "arrivals", rows, form)))

    assert form == reading["source"]["format"]
    assert ("linear", "none", 7) == (reading["family"], reading["jitter"], reading["attempts_max"])
    assert (20, 7.0) == (reading["n_ops"], reading["amplification"])
    assert reading["increment_s"] == pytest.approx(0.06, rel=0.05)


def test_a_gzipped_log_is_unpacked(rows: pd.DataFrame, tmp_path: Path) -> None:
    """The ALB delivers gzip."""
    plain = written(tmp_path / "plain", rows, "alb")
    (tmp_path / "log.gz").write_bytes(gzip.compress(plain.read_bytes()))

    assert "linear" == retry_with_jitter(str(tmp_path / "log.gz"))["family"]


def test_ids_that_a_proxy_gives_to_each_request_are_no_call_ids(rows: pd.DataFrame, tmp_path: Path) -> None:
    """A log with another id in every line does not say "nobody retries": calls are not known."""
    lines = [json.dumps(json.loads(nginx(row)) | {"http_x_request_id": f"r{row.Index}"}) for row in rows.itertuples()]
    (tmp_path / "log").write_text("\n".join(lines))
    reading = retry_with_jitter(str(tmp_path / "log"))

    assert "none" == reading["detail"]["link"]
    assert 0.0 == reading["confidence"]["retries"] == reading["confidence"]["family"]


def test_torn_lines_are_counted(rows: pd.DataFrame, tmp_path: Path) -> None:
    """A proxy that is still writing leaves half a line."""
    file = written(tmp_path / "log", rows, "envoy")
    file.write_text(file.read_text() + '{"start_s": "17')

    assert 1 == retry_with_jitter(str(file))["source"]["lines_skipped"]


def test_our_canaries_are_no_clients_and_dependencies_are_chosen(rows: pd.DataFrame, tmp_path: Path) -> None:
    """In our own arrivals canaries are left out, and of several dependencies one must be named."""
    ours = rows.assign(dependency="cart", canary=False)
    file = tmp_path / "a.parquet"
    pd.concat([ours, ours.assign(canary=True, op="canary"), ours.assign(dependency="dns")]).to_parquet(file)

    assert 20 == retry_with_jitter(str(file), dependency="cart")["n_ops"]
    with pytest.raises(ValueError, match="got cart, dns: choose one"):
        retry_with_jitter(str(file))
    with pytest.raises(ValueError, match="'dynamo', got: cart, dns"):
        retry_with_jitter(str(file), dependency="dynamo")


@pytest.mark.parametrize(
    ("content", "form", "words"),
    [
        (b"", None, "got an empty file"),
        (b"root:x:0:0\n", None, "a file that begins 'root:x:0:0'"),
        (b"\x1f\x8bnot gzip", None, "damaged file"),
        (b"PAR1 but not really", None, "expected Parquet"),
        (b'{"a": 1}\n', "nginx", "expected lines of an NGINX JSON log"),
        (b"client,op\na,b\n", "csv", "expected a column t_start_s"),
        (b"t_start_s\n", None, "at least one row"),
        (b"t_start_s\n1\n", "syslog", "expected csv, parquet"),
    ],
)
def test_what_is_no_arrivals_is_refused_in_words(content: bytes, form: str | None, words: str, tmp_path: Path) -> None:
    """A file that is none of ours is refused with what it is instead."""
    (tmp_path / "file").write_bytes(content)

    with pytest.raises(ValueError, match=words):
        retry_with_jitter(str(tmp_path / "file"), form)


def test_the_command_prints_one_document(rows: pd.DataFrame, tmp_path: Path) -> None:
    """`probe retries FILE --json` is the reading, and nothing else on stdout; without --json it is for people."""
    file = written(tmp_path / "arrivals.csv", rows, "csv")
    done = stormproof("probe", "retries", file, "--json")
    shown = stormproof("probe", "retries", file, "--format", "csv")

    assert (0, "") == (done.code, done.err)
    assert "linear" == done.document["family"]
    assert 0 == shown.code
    assert "140 arrivals of 20 calls: the client retries, at most 7 attempts a call" in shown.out
    assert "linear" in shown.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.csv"], 65, "missing.csv: expected a file to read, got: No such file"),
        (["."], 65, "got a folder"),
        (["bad"], 65, "got a file that begins 'nothing of the kind'"),
        (["bad", "--format", "xml"], 64, "--format xml: expected one of csv"),
    ],
)
def test_the_command_refuses_in_words(arguments: list[str], code: int, words: str, tmp_path: Path) -> None:
    """Bad input is 65, a bad option 64, and there is no traceback and nothing on stdout."""
    (tmp_path / "bad").write_text("nothing of the kind\n")
    done = stormproof("probe", "retries", *arguments, cwd=tmp_path)

    assert (code, "") == (done.code, done.out)
    assert words in done.err
    assert "Traceback" not in done.err
