"""How the loss of a zone in AWS is seen from outside, whoever has caused it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stormproof.faults import aws
from stormproof.faults.instances import look_for_silence
from stormproof.faults.protocol import Look, Seen

_IN_SERVICE, _WHOLLY_OUT = "healthy", ("unhealthy", "unused", "draining", "unavailable", "initial", "gone")


def look_at_zone(
    instance_ids: Sequence[str], urls: Sequence[str], target_groups: Sequence[str], configuration: Mapping[str, Any]
) -> Look:
    """Call each instance directly; where none can be reached from here, ask the target groups what they see."""
    if urls:
        with ThreadPoolExecutor(max_workers=len(urls)) as pool:
            pairs = zip(instance_ids, urls, strict=True)
            looks = list(pool.map(lambda pair: look_for_silence(dict([pair])), pairs))
        seen = {one.seen for one in looks}
        answers = {url: answer for one in looks for url, answer in one.evidence["called_directly"].items()}
        return Look(seen=seen.pop() if len(seen) == 1 else Seen.PARTIAL, evidence={"called_directly": answers})
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        states = _target_states(instance_ids, target_groups, configuration)
    except (BotoCoreError, ClientError) as error:  # one look that is blind: neither felt nor gone, and looked again
        return Look(seen=Seen.PARTIAL, evidence={"blind": str(error)[:300]})
    if set(states.values()) == {_IN_SERVICE}:
        return Look(seen=Seen.WHOLE, evidence={"target_health": states})
    out = all(state in _WHOLLY_OUT for state in states.values())
    return Look(seen=Seen.BROKEN if out else Seen.PARTIAL, evidence={"target_health": states})


def _target_states(
    instance_ids: Sequence[str], target_groups: Sequence[str], configuration: Mapping[str, Any]
) -> dict[str, str]:
    client: Any = aws.client("elbv2", configuration)
    states = dict.fromkeys(instance_ids, "gone")
    for group in target_groups:
        for row in client.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]:
            if row["Target"]["Id"] in states:
                states[row["Target"]["Id"]] = row["TargetHealth"]["State"]
    return states
