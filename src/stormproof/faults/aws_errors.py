"""What botocore raises, in our words: which call, what AWS said, and what to do about it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from stormproof.errors import UnavailableError
from stormproof.faults.aws import EXPIRED

_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
_GONE = ("NotFound", "NotFoundFault")  # InvalidInstanceID.NotFound, DBClusterNotFoundFault
_THROTTLED = ("Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException")


@contextlib.contextmanager
def told(doing: str) -> Iterator[None]:
    """Raise `UnavailableError` for what AWS, or the way to it, refuses while *doing* ("reading the instances")."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response["Error"].get("Code", ""))
        said = str(error.response["Error"].get("Message", ""))[:300]
        raise UnavailableError(
            f"AWS: {doing}: {error.operation_name}: {code}: {said}; nothing was touched", hint=_hint(code)
        ) from error
    except BotoCoreError as error:
        hint = "check the environment file's profile or role, and the way to AWS"
        raise UnavailableError(f"AWS: {doing}: {error}; nothing was touched", hint=hint) from error


def reason_of(error: Exception) -> str:
    """*error* in one sentence for a ledger or an event; of what AWS said also what to do about it."""
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError):
        return f"{type(error).__name__}: {error}"
    code = str(error.response["Error"].get("Code", ""))
    said = str(error.response["Error"].get("Message", ""))[:300]
    hint = _hint(code)
    return f"AWS: {error.operation_name}: {code}: {said}" + (f" ({hint})" if hint else "")


def _hint(code: str) -> str | None:
    if code in EXPIRED:
        return "the credentials have expired: log in again"
    if code in _DENIED:
        return "stormproof plan SPEC --env ENV --iam-policy prints what is needed"
    if code in _THROTTLED:
        return "the account's API limit is used up by others; we asked three times and stopped: try later"
    if code.endswith(_GONE):
        return "it is gone: somebody else has deleted it since"
    return None
