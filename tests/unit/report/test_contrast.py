"""The colours of text on every page: legible where somebody reads them at night, on a phone, or with poor eyes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.command import ROOT

PAGES = sorted((ROOT / "src" / "stormproof").glob("*/templates/*.css"))
AT_LEAST = 4.5  # WCAG 2.2, 1.4.3 (AA), for text below 24 px
VERDICTS = ("held", "refuted", "inconclusive", "invalid", "aborted")
GRADES = ("good", "mid", "low", "bad", "none")
INKS = ("ink", "soft", "faint", "fault-ink", *VERDICTS, *GRADES)


def _luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, 0 … 1, as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """1 … 21."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_knows_its_ends() -> None:
    """Black on white is 21; a colour on itself is 1; the grey that was on our pages is below the bound."""
    assert 21 == pytest.approx(contrast("#000000", "#ffffff"))
    assert 1 == contrast("#8a939c", "#8a939c")
    assert AT_LEAST > contrast("#8a939c", "#fdfdfb")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_text_stands_out_from_what_is_behind_it(page: Path) -> None:
    """In light and in dark: each colour of text on the paper, on the sheet, on the wash and on its own wash."""
    light, _, dark = page.read_text(encoding="utf-8").partition("prefers-color-scheme: dark")
    for name, part in (("light", light), ("dark", dark)):
        tokens = dict(re.findall(r"--([\w-]+): *(#[0-9a-f]{6})", part))
        inks = [ink for ink in INKS if ink not in GRADES or f"{ink}-wash" in tokens]  # a report's `good` is no ink
        pairs = [(ink, back) for ink in inks for back in ("paper", "sheet", "wash", f"{ink}-wash")]
        known = [(ink, back) for ink, back in pairs if {ink, back} <= tokens.keys()]

        assert [] == [
            f"{name}: {ink} on {back}" for ink, back in known if contrast(tokens[ink], tokens[back]) < AT_LEAST
        ]
