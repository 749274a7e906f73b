"""Somebody who reads what a topic sends: a queue of the emulator's behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """Somebody who is told: a queue that a topic delivers to."""

    topic: str  # ARN
    url: str
    sqs: Any

    def letters(self) -> list[dict[str, str]]:
        """What has come since it was last asked: `Subject` and `Message` of each, in order."""
        found: list[dict[str, str]] = []
        while rows := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(row["Body"]) for row in rows]
            for row in rows:
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=row["ReceiptHandle"])
        return found


def mailbox(client_of: Callable[[str], Any]) -> Mailbox:
    """A topic, and somebody who reads it, where the clients of *client_of* (by service) lead."""
    sns, sqs = client_of("sns"), client_of("sqs")
    topic = sns.create_topic(Name="chaos")["TopicArn"]
    url = sqs.create_queue(QueueName="whoever-is-on-call")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    box = Mailbox(topic=topic, url=url, sqs=sqs)
    box.letters()  # those of an earlier test
    return box
