"""Who calls, before anything else is asked: the file's account and partition, and no account called production."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stormproof.errors import GuardrailError
from stormproof.faults import aws
from stormproof.model.cloud import CloudFile
from stormproof.spec.aws_file import looks_like_production


def check_identity(file: CloudFile, configuration: Mapping[str, Any]) -> None:
    """Raises `IdentityError` for another account or partition, `GuardrailError` for an alias that says production.

    That an account has no alias, or that we may not ask for it, is no objection: most roles may not.
    """
    from botocore.exceptions import ClientError

    aws.identify(configuration)
    if file.production:
        return
    iam: Any = aws.client("iam", configuration)
    try:
        pages = iam.get_paginator("list_account_aliases").paginate()
        aliases = [str(alias) for page in pages for alias in page["AccountAliases"]]
    except ClientError as error:
        if error.response["Error"].get("Code") not in ("AccessDenied", "AccessDeniedException"):
            raise
        return
    for alias in aliases:
        if looks_like_production(alias):
            raise GuardrailError(
                f"{file.where}: account {file.account} calls itself {alias!r}, which looks like production;"
                " nothing was touched",
                hint="if it is meant: `production: true` under `aws`, in a change that is reviewed",
            )
