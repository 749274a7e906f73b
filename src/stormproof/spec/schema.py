"""The JSON Schema of a spec, made from the models, for editors; `load_experiment` stays the judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stormproof.model.experiment import COMPOSITE, STEPS
from stormproof.spec.fields import ExperimentFields
from stormproof.spec.hypothesis_forms import FORMS
from stormproof.spec.reading_forms import READING_FORMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def experiment_schema(catalogue: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The schema of `experiment.yaml`; *catalogue* maps each kind of fault to the model of its arguments."""
    schema = ExperimentFields.model_json_schema()
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    kinds = []
    for kind, model in catalogue.items():
        name = f"fault:{kind}"
        arguments = model.model_json_schema(ref_template=f"#/$defs/{name}/$defs/{{model}}")
        definitions[name] = arguments
        # a fault whose arguments all have defaults may be written without any
        allowed = {"$ref": f"#/$defs/{name}"}
        value = allowed if arguments.get("required") else {"anyOf": [allowed, {"type": "null"}]}
        kinds.append({"type": "object", "required": [kind], "properties": {kind: value}, "additionalProperties": False})
    definitions["StepFields"]["properties"]["faults"]["items"] = {"oneOf": kinds}
    for optional in ("faults", "steps", "control"):  # the first two one or the other; none ever null
        field = schema["properties"][optional]
        present = next(option for option in field.pop("anyOf") if option.get("type") != "null")
        schema["properties"][optional] = {**present, **{key: value for key, value in field.items() if key != "default"}}
    schema["properties"]["faults"]["items"] = {"oneOf": kinds}
    schema["oneOf"] = [
        {
            "required": ["faults"],
            "not": {"required": ["steps"]},
            "properties": {"timeline": {"required": ["fault"]}},
        },
        {
            "required": ["steps"],
            "not": {"required": ["faults"]},
            "properties": {"timeline": {"not": {"required": ["fault"]}}},
        },
    ]
    if COMPOSITE in catalogue:
        _say_steps(definitions[f"fault:{COMPOSITE}"], [one for one in kinds if one["required"] != [COMPOSITE]])
    schema["properties"]["hypotheses"]["items"]["examples"] = [
        *(form.example for form in FORMS),
        *(form.example for form in READING_FORMS),
    ]
    _either(definitions["LoadFields"], ["arrivals"], ["users"])
    _either(definitions["ControlFields"], ["zone"], ["header", "share"])
    _drop_defaults(definitions)
    return {"$schema": DIALECT, **schema, "title": "Stormproof experiment"}


def _either(section: dict[str, Any], *ways: list[str]) -> None:
    """One of *ways* to fill a section, none of another's keys with it."""
    section["oneOf"] = [
        {
            "required": way,
            "not": {"anyOf": [{"required": [key]} for other in ways if other is not way for key in other]},
        }
        for way in ways
    ]
    for optional in (key for way in ways for key in way):
        # absent, not null: YAML's `users:` with nothing after it is a slip
        field = section["properties"][optional]
        present = next(option for option in field.pop("anyOf") if option.get("type") != "null")
        section["properties"][optional] = {**present, **field}


def _say_steps(arguments: dict[str, Any], kinds: list[dict[str, Any]]) -> None:
    """A step is `at` and one fault: the model says so only in code."""
    ((_, step),) = arguments["$defs"].items()
    at = step["properties"]
    arguments["properties"][STEPS]["items"] = {
        "oneOf": [{**kind, "properties": {**kind["properties"], **at}} for kind in kinds]
    }
    del arguments["$defs"]
    _drop_defaults({"step": step})


def _drop_defaults(definitions: dict[str, Any]) -> None:
    """Take out the defaults of quantities: they are numbers in the model's unit, not text with a unit."""
    for definition in definitions.values():
        for field in definition.get("properties", {}).values():
            if (field.get("type") == "string" and not isinstance(field.get("default", ""), str)) or field.get(
                "default", ""
            ) is None:
                del field["default"]
