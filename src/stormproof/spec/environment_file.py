"""`experiments/environments/<name>.yaml`: which environment, and how to bring it up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stormproof.errors import UsageError
from stormproof.model.cloud import CloudFile
from stormproof.model.guardrails import Guardrails
from stormproof.model.load_listener import LoadListener
from stormproof.spec.aws_fields import AwsEnvironmentFields
from stormproof.spec.aws_file import cloud_file_from
from stormproof.spec.document import Document, read_document
from stormproof.spec.fields import EnvironmentFields
from stormproof.spec.guardrails import guardrails_from
from stormproof.spec.load_workers import listener_from
from stormproof.spec.override import apply_overrides
from stormproof.spec.translate import nearest, validate

if TYPE_CHECKING:
    from collections.abc import Mapping

LAB = "lab"
AWS = "aws"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentFile:
    """What an environment file says; the lab, or `staging`, turns it into an `Environment`."""

    name: str
    kind: str
    variant: str
    path: str
    guardrails: Guardrails = field(default_factory=Guardrails)
    cloud: CloudFile | None = None  # of kind `aws`
    load_workers: LoadListener | None = None  # where those of other machines join; None: they are started here


def load_environment(folder: Path, name: str, *, lab_overrides: Mapping[str, str] | None = None) -> EnvironmentFile:
    """The environment called *name* among the files of *folder*, with `--set lab.…` put in.

    Raises `UsageError` for an environment that is not there, or of a kind that is not in this version; `SpecError` for
    a file that is wrong.
    """
    path = folder / f"{name}.yaml"
    if Path(name).name != name or not path.is_file():
        known = sorted(entry.stem for entry in folder.glob("*.yaml")) if folder.is_dir() else []
        raise UsageError(f"there is no environment {name!r} in {folder}", hint=nearest(name, known))
    document = read_document(path)
    if document.value.get("kind") == AWS:
        return _in_aws(document, lab_overrides or {})
    if document.value.get("kind") not in (None, LAB):
        raise UsageError(
            f"environment {name!r} is of kind {document.value['kind']!r}: there are `{LAB}` and `{AWS}`",
            hint="--env local",
        )
    if lab_overrides:
        paths = {f"lab.{key}": text for key, text in lab_overrides.items()}
        document = apply_overrides(document, paths, sections=EnvironmentFields.model_fields.keys())
    fields = validate(EnvironmentFields, document.value, document)
    return EnvironmentFile(
        name=fields.name,
        kind=fields.kind,
        variant=fields.lab.variant,
        path=str(path),
        guardrails=guardrails_from(fields.guardrails, document),
        load_workers=listener_from(fields.load_workers, document),
    )


def _in_aws(document: Document, lab_overrides: Mapping[str, str]) -> EnvironmentFile:
    if lab_overrides:
        raise UsageError(f"--set lab.{min(lab_overrides)}: {document.file} is no lab", hint="--env local")
    fields = validate(AwsEnvironmentFields, document.value, document)
    return EnvironmentFile(
        name=fields.name,
        kind=AWS,
        variant="",
        path=document.file,
        guardrails=guardrails_from(fields.guardrails, document),
        load_workers=listener_from(fields.load_workers, document),
        cloud=cloud_file_from(fields, document),
    )
