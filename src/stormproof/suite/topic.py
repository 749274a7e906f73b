"""A message to an SNS topic, in the region that its ARN names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormproof.errors import UnavailableError

if TYPE_CHECKING:
    from stormproof.suite.message import Message

TIMEOUT_S = 10


def publish(message: Message, *, arn: str) -> None:
    """Publish *message* to the topic *arn*, as whoever this process is. Raises `UnavailableError`."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(
        connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"mode": "standard", "total_max_attempts": 3}
    )
    try:
        client = boto3.client("sns", region_name=arn.split(":")[3], config=config)
        client.publish(TopicArn=arn, Subject=message.subject, Message=message.text)
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"{arn}: {error}") from error
