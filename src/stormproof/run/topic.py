"""Messages to an SNS topic, in the region that its ARN names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stormproof.errors import StormproofError, UnavailableError
from stormproof.faults import aws
from stormproof.faults.aws_errors import reason_of

if TYPE_CHECKING:
    from stormproof.run.message import Message


def publisher(
    arn: str, *, configuration: Mapping[str, Any] | None = None, attempts: int = 3, timeout_s: float = 10.0
) -> Callable[[Message], None]:
    """What publishes to the topic *arn*, as whom *configuration* (of an environment) says, else as this process.

    At most *attempts* attempts of *timeout_s* each. Both this, which calls nobody, and what it returns raise
    `UnavailableError`, whose message says why in one sentence.
    """
    where = {**(configuration or {}), "aws_region": arn.split(":")[3]}
    with _told(arn):
        sns: Any = aws.client("sns", where, attempts=attempts, timeout_s=timeout_s)

    def publish(message: Message) -> None:
        with _told(arn):
            sns.publish(TopicArn=arn, Subject=message.subject, Message=message.text)

    return publish


@contextlib.contextmanager
def _told(arn: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"{arn}: {reason_of(error)}") from error
    except StormproofError as error:
        raise UnavailableError(f"{arn}: {error.message}") from error
