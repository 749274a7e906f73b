"""A parameter there and back, in moto's Systems Manager: nothing of anybody else's is overwritten."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from stormproof.errors import FaultError, InputError
from stormproof.faults import key_stale, parameter, release
from support.planning import make_environment

WHERE = {"aws_endpoint_url": None, "aws_region": "us-east-1", "aws_account": "123456789012"}
NAME = "/shop/release"


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account without parameters."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    parameter._client.cache_clear()
    with mock_aws():
        yield
    parameter._client.cache_clear()


@pytest.mark.parametrize("before", [None, "v1"])
def test_what_was_there_comes_back(ssm: None, before: str | None) -> None:
    """The value of before, or no parameter at all; a second undo finds it done."""
    if before is not None:
        parameter.write(WHERE, NAME, before)
    assert parameter.read(WHERE, NAME) == before
    parameter.write(WHERE, NAME, "v3")
    assert parameter.read(WHERE, NAME) == "v3"
    for _ in range(2):
        parameter.put_back(WHERE, NAME, ours="v3", before=before)

    assert parameter.read(WHERE, NAME) == before


def test_a_value_of_somebody_else_is_left_alone(ssm: None) -> None:
    """Neither ours nor the one before: who put it there meant it."""
    parameter.write(WHERE, NAME, "v7")
    with pytest.raises(FaultError, match="neither ours"):
        parameter.put_back(WHERE, NAME, ours="v3", before="v1")

    assert parameter.read(WHERE, NAME) == "v7"


@pytest.mark.parametrize(
    ("module", "arguments", "words"),
    [
        (release, {"version": "v2"}, "an environment that names its release parameter"),
        (key_stale, {"zone": "a"}, "an environment that names its instances' key parameters"),
        (key_stale, {"zone": "z"}, r"a zone \(a, b, c\)"),
        (key_stale, {"zone": "a", "dependency": "payment"}, "'payment'"),
    ],
)
def test_an_environment_that_cannot_do_it_says_so(module: object, arguments: dict[str, str], words: str) -> None:
    """Before anything is touched, with the names that it has."""
    with pytest.raises(InputError, match=words):
        module.resolve(  # type: ignore[attr-defined]
            module.Arguments(**arguments),  # type: ignore[attr-defined]
            make_environment(),
            fault_id="1",
            where="e.yaml:1",
        )
