"""Does the client obey `Retry-After`? Waits after an answer that carried one, held against what it said.

Seen in the field: exactly, plus one second, plus U(0, 1), times U(1, 1.2) or U(1, 1.5), as a floor under the
client's own wait, and cut at the client's cap. One that obeys never comes earlier (but for a cap), and its waits
begin where the header says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stormprobes.retries.waits import Waits

__all__ = ["Obedience", "obedience"]

TOLERANCE_S = 0.012
EARLY_SHARE_IGNORED = 0.2
EARLY_SHARE_HONOURED = 0.04


@dataclass(frozen=True, slots=True, kw_only=True)
class Obedience:
    """*honoured* None: not exercised, or it cannot be told. *form*: exact, plus one second, plus jitter, floor, capped,
    ignored, or "". *jitter*: what the header's wait itself carries, "none", "additive", "proportional", or ""."""

    honoured: bool | None
    confidence: float
    form: str = ""
    jitter: str = ""


NOT_EXERCISED = Obedience(honoured=None, confidence=0.0)


def obedience(waits: Waits) -> Obedience:
    """Read it off those waits of *waits* that follow a Retry-After of more than zero."""
    asked = waits.where(waits.retry_after_s > 0)
    if not len(asked):
        return NOT_EXERCISED
    wanted, late = asked.retry_after_s, asked.wait_s - asked.retry_after_s
    slack = TOLERANCE_S + 0.005 * wanted + asked.crowd_s
    early_share = float(np.mean(late < -slack))
    varies = float(wanted.max() - wanted.min()) > 2 * TOLERANCE_S
    if early_share >= EARLY_SHARE_IGNORED:
        return _ignored(asked, varies=varies)
    if early_share > EARLY_SHARE_HONOURED:
        return NOT_EXERCISED
    deep = int(asked.nth.max() - asked.nth.min()) >= 1
    exact_share = float(np.mean(np.abs(late) <= slack + TOLERANCE_S))
    # A fixed wait that happens to be what the server asks for looks the same: likelier for 1 s than for other values.
    certainty = 0.99 if varies else 0.97 if deep and not np.allclose(wanted, 1.0) else 0.95 if deep else 0.8
    if exact_share > 0.9:
        return Obedience(honoured=True, confidence=certainty, form="exact", jitter="none")
    if float(np.mean(np.abs(late - 1.0) <= slack + TOLERANCE_S)) > 0.9:
        return Obedience(
            honoured=True, confidence=min(certainty, 0.95 if varies else 0.7), form="plus one second", jitter="none"
        )
    return _spread(asked, exact_share=exact_share, certainty=certainty)


def _ignored(asked: Waits, *, varies: bool) -> Obedience:
    """Earlier than asked: ignored, or cut at a cap, which would make all waits alike."""
    spread = float(np.quantile(asked.wait_s, 0.95) - np.quantile(asked.wait_s, 0.05))
    middle = float(np.median(asked.wait_s))
    alike = spread < 2 * TOLERANCE_S and middle > 0.05 and not varies
    return Obedience(honoured=False, confidence=0.7 if alike else 0.98, form="ignored")


def _spread(asked: Waits, *, exact_share: float, certainty: float) -> Obedience:
    """Not earlier, not exact: with jitter of its own, as a floor, or by coincidence."""
    wanted, late = asked.retry_after_s, asked.wait_s - asked.retry_after_s
    begins = float(np.quantile(late, 0.03)) < 0.08 * float(wanted.mean()) + TOLERANCE_S
    reach = float(np.quantile(late, 0.97))
    if begins and reach <= 0.62 * float(wanted.mean()):
        return Obedience(honoured=True, confidence=min(certainty, 0.93), form="times jitter", jitter="proportional")
    if begins and reach <= 1.1:
        return Obedience(honoured=True, confidence=min(certainty, 0.93), form="plus jitter", jitter="additive")
    if exact_share > 0.25:
        return Obedience(honoured=True, confidence=min(certainty, 0.8), form="floor")
    return NOT_EXERCISED
