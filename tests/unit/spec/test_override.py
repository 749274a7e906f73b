"""`--set` changes one value that exists, says where it came from, and cannot touch what guards a run."""

from pathlib import Path

import pytest

from stormproof.errors import SpecError, UsageError
from stormproof.spec.document import Document, read_document
from stormproof.spec.override import Overrides, apply_overrides, split_overrides
from stormproof.spec.variable import resolve_variables, variables_from

TEXT = "title: a\nload: {users: 4}\nfaults:\n  - az-loss: {zone: a}\nhypotheses: [x, y]\n"
SECTIONS = ("title", "load", "faults", "hypotheses", "limits", "why")


@pytest.fixture
def document(tmp_path: Path) -> Document:
    """A small document."""
    path = tmp_path / "e.yaml"
    path.write_text(TEXT)
    return read_document(path)


def test_arguments_are_sorted_by_what_they_change() -> None:
    """Spec, lab and the negative control."""
    split = split_overrides(["timeline.fault=8s", "lab.variant=naive", "fault.noop=true", "title=a=b"])

    assert split == Overrides(spec={"timeline.fault": "8s", "title": "a=b"}, lab={"variant": "naive"}, noop=True)
    assert split.as_mapping() == {
        "timeline.fault": "8s", "title": "a=b", "lab.variant": "naive", "fault.noop": "true",
    }  # fmt: skip


@pytest.mark.parametrize(
    "argument",
    [
        "timeline.fault", "=8s", ".a=1", "a..b=1", "a b=1", "fault.noop=maybe", "fault.other=1", "lab=1", "fault=x",
        "guardrails.max=1", "account=1", "aws.region=eu", "tags.0=x", "lab.role=admin", "load.Account=1",
    ],
)  # fmt: skip
def test_what_cannot_be_set_is_a_usage_error(argument: str) -> None:
    """Bad syntax, unknown settings, and everything that says where and as whom a run may act."""
    with pytest.raises(UsageError, match="--set"):
        split_overrides([argument])


def test_a_path_is_set_once() -> None:
    """The second of two values would win silently."""
    with pytest.raises(UsageError, match="twice"):
        split_overrides(["title=a", "title=b"])


def test_values_are_put_in_and_say_where_they_came_from(document: Document) -> None:
    """Mappings, lists, and keys that a section may have; the file's own document stays as it was."""
    changes = {"load.users": "9", "faults.0.az-loss.zone": "b", "hypotheses.1": "z", "limits.targets": "3", "why": "w"}

    changed = apply_overrides(document, changes, sections=SECTIONS)

    assert changed.value == {
        "title": "a", "load": {"users": 9}, "faults": [{"az-loss": {"zone": "b"}}], "hypotheses": ["x", "z"],
        "limits": {"targets": 3}, "why": "w",
    }  # fmt: skip
    assert changed.where(("faults", 0, "az-loss", "zone")) == "--set faults.0.az-loss.zone=b"
    assert changed.where(("title",)) == document.where(("title",))
    assert document.value["load"] == {"users": 4}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("faults.1.az-loss.zone", "there is 0"),
        ("faults.0.az-los.zone", "did you mean `az-loss`"),
        ("fautls.0.az-loss.zone", "did you mean `faults`"),
        ("titel", "did you mean `title`"),
        ("load", "one value"),
        ("title.x", "the path of a value"),
        ("faults.-1", "the path of a value"),
    ],
)
def test_an_unknown_path_is_an_error_that_names_the_nearest(document: Document, path: str, says: str) -> None:
    """A slip of the pen must not become a new key."""
    with pytest.raises(SpecError) as caught:
        apply_overrides(document, {path: "1"}, sections=SECTIONS)

    assert str(caught.value).startswith(f"--set {path}=1: ")
    assert says in str(caught.value)


def test_variables_come_from_the_environment_by_their_prefix() -> None:
    """Nothing else of the environment is a variable."""
    environ = {"STORMPROOF_VAR_ZONE": "b", "HOME": "x", "STORMPROOF_LEDGER": "y"}

    assert variables_from(environ) == {"zone": "b"}


def test_a_variable_is_put_in_once_and_keeps_its_type(tmp_path: Path) -> None:
    """A whole unquoted value has the type it would have had in the file; text around it makes text."""
    path = tmp_path / "e.yaml"
    path.write_text("a: ${n}\nb: '${n}'\nc: x-${n}-y\nd:\n- ${n}\n")

    assert resolve_variables(read_document(path), {"n": "5"}).value == {"a": 5, "b": "5", "c": "x-5-y", "d": [5]}


@pytest.mark.parametrize("text", ["a: ${m}", "a: x${", "a: ${}", "a: ${a b}", "a: ['${n}${m}']", "a: ${indirect}"])
def test_whatever_is_left_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    """Unknown names, broken references, and values that are references themselves."""
    path = tmp_path / "e.yaml"
    path.write_text(text)

    with pytest.raises(SpecError, match=r"e\.yaml:1: a.*\$\{"):
        resolve_variables(read_document(path), {"n": "5", "indirect": "${n}"})
