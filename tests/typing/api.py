"""Never run: code as a user writes it, which must pass `mypy --strict`.

A change that breaks this file breaks the users' code.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import stormproof
from stormproof.errors import HypothesisError, InputError, StormproofError

version: str = stormproof.__version__

samples: pd.DataFrame = pd.read_parquet("samples")
findings: pd.DataFrame = stormproof.judge(
    samples,
    {"steady": (0.0, 15.0), "fault": (15.0, 35.0), "recovery": (35.0, 50.0)},
    ["availability during fault >= 99.5%", "p99 latency during fault <= 2x steady"],
)

# Any mapping and any sequence will do.
stormproof.judge(samples, windows={"fault": (0.0, 1.0)}, hypotheses=("availability >= 99%",))

tables: dict[str, pd.DataFrame] = stormproof.tables(Path("reports/az-loss/run"))

try:
    stormproof.judge(samples, {}, ["the weather is fine"])
except HypothesisError as error:
    where: str = error.where
    expected: str = error.expected
    hint: str | None = error.hint
    as_input: InputError = error
    code: int = error.exit_code
except StormproofError:
    raise
