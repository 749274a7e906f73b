"""Clients for the plan's endpoint, from whichever thread asks for one."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

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
