"""A look that is a call to AWS: one that is refused is blind, and neither felt nor gone."""

from __future__ import annotations

from collections.abc import Callable

from stormproof.faults.protocol import Look, Seen


def looked(ask: Callable[[], Look]) -> Look:
    """What *ask* sees; partial, and why, where AWS or the way to it refuses. The next look may see."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return ask()
    except (BotoCoreError, ClientError) as error:
        return Look(seen=Seen.PARTIAL, evidence={"blind": str(error)[:300]})
