"""Every table of a run's report as a data frame; see `stormproof.tables`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stormproof.record import events as names
from stormproof.record.atomic import read_lines
from stormproof.report.facts import mappings, read_facts
from stormproof.verdict.document import to_document

if TYPE_CHECKING:
    import pandas as pd

    from stormproof.record.layout import RunDirectory


def frames(run: RunDirectory) -> dict[str, pd.DataFrame]:
    """Name → table. Raises `RunDirectoryError` without a run.json or a verdict.json."""
    facts = read_facts(run)
    document = to_document(facts.verdict)
    stopped = facts.named(names.LOAD_STOPPED)
    workers = mappings(stopped[-1].get("workers")) if stopped else []
    found = {
        "findings": _flat(document["findings"]),
        "checks": _flat(document["checks"]),
        "faults": _flat(document["confirmations"]),
        "workers": _flat(workers),
        "events": _flat(facts.events),
        "readings": _flat(read_lines(run.readings)),
    }
    if facts.tables is not None:
        found |= {
            "endpoints": facts.tables.endpoints(),
            "zones": facts.tables.zones(),
            "seconds": facts.tables.seconds(),
            "failures": facts.tables.failures(),
            "worst": facts.tables.worst(),
        }
    return found


def _flat(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a mapping; what is no single value stands in its cell as JSON."""
    import pandas as pd

    return pd.DataFrame(
        [{key: json.dumps(one) if isinstance(one, dict | list) else one for key, one in row.items()} for row in rows]
    )
