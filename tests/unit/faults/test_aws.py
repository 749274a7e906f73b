"""Clients for the plan's endpoint, from whichever thread asks for one."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import IdentityError
from stormproof.faults import aws

CONFIGURATION = {"aws_endpoint_url": "http://127.0.0.1:9", "aws_region": "us-east-1"}


def test_threads_do_not_take_each_others_environment_away() -> None:
    """A look and an act ask at the same time; each client has credentials, and nothing is left behind."""

    def credentials(_: int) -> Any:
        return aws.client("sts", CONFIGURATION)._request_signer._credentials  # type: ignore[attr-defined]

    before = dict(os.environ)
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = list(pool.map(credentials, range(16)))

    assert all(one is not None and one.access_key == "testing" for one in found)
    assert dict(os.environ) == before


def test_a_client_of_a_role_has_its_credentials() -> None:
    """Those that STS gave, not the process's own."""
    session = {"AccessKeyId": "of-the-role", "SecretAccessKey": "s", "SessionToken": "t"}
    client: Any = aws.client("ec2", CONFIGURATION, attempts=1, credentials=session)

    assert client._request_signer._credentials.access_key == "of-the-role"


def test_without_credentials_no_role_is_assumed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A sentence, before anybody is asked; not an error of the library's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))

    with pytest.raises(IdentityError, match="expected credentials to assume arn:aws:iam::123456789012:role/x"):
        aws.client(
            "sts", {"aws_region": "us-east-1", "aws_role_arn": "arn:aws:iam::123456789012:role/x"}
        ).get_caller_identity()


def test_a_client_of_the_plans_identity_is_kept_and_others_are_not() -> None:
    """By place and identity: another region, role or endpoint is another client; so is the process's own each time."""
    role = {**CONFIGURATION, "aws_role_arn": "arn:aws:iam::123456789012:role/x"}

    assert aws.client("sts", role) is aws.client("sts", dict(role))
    assert aws.client("sts", role) is not aws.client("sts", {**role, "aws_region": "eu-west-1"})
    assert aws.client("sts", role) is not aws.client("sts", {**role, "aws_role_arn": f"{role['aws_role_arn']}y"})
    assert aws.client("sts", CONFIGURATION) is not aws.client("sts", CONFIGURATION)
