"""A plain Chaos Toolkit experiment is recognised and read, and what chaoslib lets pass is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import SpecError
from stormproof.spec.chaos import is_chaostoolkit_file, load_chaos_experiment

PROBE = {"type": "probe", "name": "up", "tolerance": 200, "provider": {"type": "http", "url": "${url}/healthz"}}
EXPERIMENT: dict[str, Any] = {
    "title": "Plain",
    "description": "As Chaos Toolkit has it.",
    "configuration": {"url": "http://127.0.0.1:1"},
    "secrets": {"group": {"key": "value"}},
    "steady-state-hypothesis": {"title": "up", "probes": [PROBE]},
    "method": [{"type": "action", "name": "${key}", "provider": {"type": "process", "path": "true"}}],
    "rollbacks": [],
}


def _write(folder: Path, **changes: Any) -> Path:
    path = folder / "experiment.json"
    path.write_text(json.dumps({key: value for key, value in {**EXPERIMENT, **changes}.items() if value is not None}))
    return path


def test_json_is_read_as_it_is(tmp_path: Path) -> None:
    """The player gets the document unchanged."""
    path = _write(tmp_path)

    experiment = load_chaos_experiment(path)

    assert is_chaostoolkit_file(path)
    assert experiment.document == EXPERIMENT
    assert (experiment.title, experiment.description) == ("Plain", "As Chaos Toolkit has it.")


def test_yaml_means_what_chaos_run_makes_of_it(tmp_path: Path) -> None:
    """PyYAML's booleans; dates stay text, because the journal is JSON."""
    path = tmp_path / "plain.yaml"
    path.write_text(
        "title: t\ndescription: 2026-01-01\nsteady-state-hypothesis:\n  title: s\n  probes:\n"
        "  - {type: probe, name: p, tolerance: yes, provider: {type: process, path: 'true'}}\nmethod: []\n"
    )

    document = load_chaos_experiment(path).document

    assert document["steady-state-hypothesis"]["probes"][0]["tolerance"] is True
    assert document["description"] == "2026-01-01"


def test_a_spec_of_ours_is_none(tmp_path: Path) -> None:
    """What has hypotheses is a spec."""
    path = tmp_path / "ours.yaml"
    path.write_text("title: t\nhypotheses: []\nfaults: []\n")

    assert not is_chaostoolkit_file(path)
    with pytest.raises(SpecError, match="a Chaos Toolkit experiment"):
        load_chaos_experiment(path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"title": ""}, "title: expected some text"),
        ({"description": None}, "description: expected some text"),
        ({"steady-state-hypothesis": {"title": "t", "probes": "up"}}, "a list of probes"),
        ({"steady-state-hypothesis": "up"}, "a list of probes"),
        ({"configuration": {}}, "`${url}`"),
        ({"configuration": {"uri": "x"}}, "did you mean `uri`"),
        ({"method": ["do it"]}, "method.0: expected an activity"),
        ({"rollbacks": {"a": 1}}, "rollbacks: expected a list"),
    ],
)
def test_what_chaoslib_lets_pass_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    """An unresolved name would reach a filter as its literal text."""
    with pytest.raises(SpecError) as caught:
        load_chaos_experiment(_write(tmp_path, **changes))

    assert says in str(caught.value)


def test_an_experiment_without_a_hypothesis_is_read(tmp_path: Path) -> None:
    """Chaos Toolkit allows it; what its verdict can be is not the reader's business."""
    assert (
        "steady-state-hypothesis"
        not in load_chaos_experiment(_write(tmp_path, **{"steady-state-hypothesis": None})).document
    )


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    """Chaos Toolkit reads .json, .yaml and .yml."""
    path = tmp_path / "experiment.txt"
    path.write_text("title: t\nmethod: []\n")

    with pytest.raises(SpecError, match=r"one of \.json"):
        load_chaos_experiment(path)
