"""A double of the AWS Well-Architected Tool, served over HTTP on 127.0.0.1 for the real client.

Every request and every response is held against botocore's model of the service: members, types, lengths, ranges,
enums, patterns. Beside the model stand the limits that the documentation gives: a milestone's name is unique in its
workload, `SelectedChoices` replaces the list, "none of these" stands alone, a client request token makes a call one.
"""

from __future__ import annotations

import datetime as dt
import http.server
import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.session
from botocore.validate import ParamValidator

from stormproof.spec.loader import reliability_choices

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

WORKLOAD = "a" * 32
ARN = f"arn:aws:wellarchitected:eu-central-1:123456789012:workload/{WORKLOAD}"
MILESTONES_MAX, TAGS_MAX = 100, 50
MODEL = botocore.session.get_session().get_service_model("wellarchitected")
SERVED = ("GetWorkload", "ListAnswers", "GetAnswer", "UpdateAnswer", "ListMilestones", "CreateMilestone", "TagResource")
WRITES = frozenset({"UpdateAnswer", "CreateMilestone", "TagResource"})


class RefusedError(Exception):
    """An answer of the service that is an error of its model."""

    def __init__(self, code: str, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.code, self.fields = code, {"Message": message, **fields}


class Double:
    """One workload, in memory. Tests set what is to go wrong, and read what was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.throttled = 0  # so many of the next calls are throttled
        self.conflicts = 0  # so many of the next updates conflict
        self.before_update: Callable[[str], None] = lambda question_id: None
        self.page = 5  # answers a page, whatever is asked for
        self.tags: dict[str, str] = {}
        self.milestones: list[str] = []
        self.tokens: dict[str, int] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        for choice_id, about in reliability_choices().items():
            question = about["question"]
            none = f"rel_{question.replace('-', '_')}_no"
            answer = self.answers.setdefault(
                question,
                {"QuestionId": question, "PillarId": "reliability", "QuestionTitle": question.capitalize(),
                 "Choices": [{"ChoiceId": none, "Title": "None of these"}], "SelectedChoices": [], "ChoiceAnswers": {},
                 "IsApplicable": True, "Risk": "UNANSWERED", "Notes": ""},
            )  # fmt: skip
            answer["Choices"].insert(-1, {"ChoiceId": choice_id, "Title": about["title"]})

    @property
    def writes(self) -> list[str]:
        """The operations that wrote, in order."""
        return [name for name, _ in self.calls if name in WRITES]

    def call(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((name, asked))
        if self.throttled > 0:
            self.throttled -= 1
            raise RefusedError("ThrottlingException", "Rate exceeded")
        if asked.get("WorkloadId", WORKLOAD) != WORKLOAD or asked.get("WorkloadArn", ARN) != ARN:
            raise RefusedError("ResourceNotFoundException", "no such workload", ResourceId="?", ResourceType="WORKLOAD")
        return getattr(self, f"_{re.sub(r'(?<!^)(?=[A-Z])', '_', name).lower()}")(asked)

    def _get_workload(self, _asked: Mapping[str, Any]) -> dict[str, Any]:
        tags = {"Tags": self.tags} if self.tags else {}  # the model has no empty map
        return {"Workload": {"WorkloadId": WORKLOAD, "WorkloadArn": ARN, "WorkloadName": "the shop", **tags}}

    def _list_answers(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        start, names = int(asked.get("NextToken", 0)), list(self.answers)
        end = start + min(self.page, asked.get("MaxResults", 50))
        kept = ("QuestionId", "PillarId", "QuestionTitle", "Choices", "SelectedChoices", "IsApplicable", "Risk")
        rows = [{key: self.answers[name][key] for key in kept} for name in names[start:end]]
        more = {"NextToken": str(end)} if end < len(names) else {}
        return {"WorkloadId": WORKLOAD, "LensAlias": asked["LensAlias"], "AnswerSummaries": rows, **more}

    def _get_answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return {"WorkloadId": WORKLOAD, "LensAlias": asked["LensAlias"], "Answer": self._shown(asked["QuestionId"])}

    def _update_answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self.before_update(asked["QuestionId"])
        if self.conflicts > 0:
            self.conflicts -= 1
            raise RefusedError("ConflictException", "the answer is being changed", ResourceId=asked["QuestionId"],
                               ResourceType="ANSWER")  # fmt: skip
        answer = self._found(asked["QuestionId"])
        known = {one["ChoiceId"] for one in answer["Choices"]}
        selected = set(asked.get("SelectedChoices", answer["SelectedChoices"]))
        told = {name: dict(about) for name, about in answer["ChoiceAnswers"].items()}
        for name, update in asked.get("ChoiceUpdates", {}).items():
            told[name] = {"Reason": "NONE", "Notes": "", **update}
            selected = selected | {name} if update["Status"] == "SELECTED" else selected - {name}
        if not selected | set(told) <= known:
            raise RefusedError("ValidationException", "there is no such choice", Reason="FIELD_VALIDATION_FAILED")
        if len(selected) > 1 and any(name.endswith("_no") for name in selected):
            raise RefusedError("ValidationException", "none of these stands alone", Reason="FIELD_VALIDATION_FAILED")
        answer |= {"SelectedChoices": sorted(selected), "ChoiceAnswers": told, "Risk": "MEDIUM"}
        answer["Notes"] = asked.get("Notes", answer["Notes"])
        return {"WorkloadId": WORKLOAD, "LensAlias": asked["LensAlias"], "Answer": self._shown(asked["QuestionId"])}

    def _list_milestones(self, _asked: Mapping[str, Any]) -> dict[str, Any]:
        rows = [{"MilestoneNumber": number, "MilestoneName": name, "RecordedAt": dt.datetime.now(dt.UTC)}
                for number, name in enumerate(self.milestones, start=1)]  # fmt: skip
        return {"WorkloadId": WORKLOAD, "MilestoneSummaries": rows}

    def _create_milestone(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        name, token = asked["MilestoneName"], asked["ClientRequestToken"]
        if token not in self.tokens:
            if name in self.milestones:
                raise RefusedError("ConflictException", "the name is taken", ResourceId=name, ResourceType="MILESTONE")
            if len(self.milestones) >= MILESTONES_MAX:
                raise RefusedError("ServiceQuotaExceededException", "too many milestones")
            self.milestones.append(name)
            self.tokens[token] = len(self.milestones)
        return {"WorkloadId": WORKLOAD, "MilestoneNumber": self.tokens[token]}

    def _tag_resource(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        if len(self.tags | asked["Tags"]) > TAGS_MAX:
            raise RefusedError("ValidationException", "too many tags", Reason="FIELD_VALIDATION_FAILED")
        self.tags |= asked["Tags"]
        return {}

    def _found(self, question_id: str) -> dict[str, Any]:
        if question_id not in self.answers:
            raise RefusedError(
                "ResourceNotFoundException", "no such question", ResourceId=question_id, ResourceType="ANSWER"
            )
        return self.answers[question_id]

    def _shown(self, question_id: str) -> dict[str, Any]:
        answer = self._found(question_id)
        told = [{"ChoiceId": name, **about} for name, about in answer["ChoiceAnswers"].items()]
        return answer | {"ChoiceAnswers": told, "SelectedChoices": list(answer["SelectedChoices"])}


class Served:
    """The double behind an address; `problems` is what did not fit the model, of either side."""

    def __init__(self, double: Double) -> None:
        self.double, self.problems = double, list[str]()
        served = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, document = served.answer(self.command, self.path, body, dict(self.headers))
                data = json.dumps(document, default=lambda at: at.timestamp()).encode()
                self.send_response(status)
                for name, value in (
                    *headers.items(),
                    ("Content-Type", "application/json"),
                    ("Content-Length", len(data)),
                ):
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = _serve  # noqa: N815 - the names that http.server looks for

            def log_message(self, *args: object) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Served:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    def answer(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], Any]:
        """Route, validate, call, validate: (status, headers, document)."""
        try:
            return 200, {}, self._answered(method, path, body, headers)
        except RefusedError as refused:
            shape = MODEL.shape_for(refused.code)
            self._check(refused.code, shape, refused.fields)
            return shape.metadata["error"]["httpStatusCode"], {"x-amzn-ErrorType": refused.code}, refused.fields

    def _answered(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Any:
        operation, asked = _routed(method, path, body)
        if "Credential=" not in headers.get("Authorization", ""):
            raise RefusedError("AccessDeniedException", "the request is not signed")
        if wrong := self._check(operation.name, operation.input_shape, asked):
            raise RefusedError("ValidationException", "; ".join(wrong), Reason="FIELD_VALIDATION_FAILED")
        told = self.double.call(operation.name, asked)
        if operation.output_shape is not None:
            self._check(f"{operation.name} answered", operation.output_shape, told)
        return told

    def _check(self, what: str, shape: Shape, value: Any) -> list[str]:
        wrong = broken_limits(shape, value)
        self.problems += [f"{what}: {one}" for one in wrong]
        return wrong


def _routed(method: str, path: str, body: bytes) -> tuple[OperationModel, dict[str, Any]]:
    parts = urlsplit(path)
    for name in SERVED:
        operation = MODEL.operation_model(name)
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(operation.http["requestUri"]))
        if operation.http["method"] == method and (found := re.fullmatch(pattern, parts.path)):
            asked: dict[str, Any] = {key: unquote(value) for key, value in found.groupdict().items()}
            for key, values in parse_qs(parts.query).items():
                is_number = operation.input_shape.members[key].type_name == "integer"
                asked[key] = int(values[0]) if is_number else values[0]
            return operation, asked | (json.loads(body) if body else {})
    raise RefusedError("ValidationException", f"{method} {parts.path} is not served", Reason="UNKNOWN_OPERATION")


def broken_limits(shape: Shape, value: Any, where: str = "") -> list[str]:
    """What of *value* is not as *shape* says: botocore's own validation, and the limits that it does not look at."""
    report = ParamValidator().validate(value, shape)
    return ([report.generate_report()] if report.has_errors() else []) + _limits(shape, value, where)


def _limits(shape: Shape, value: Any, where: str) -> list[str]:
    wrong = []
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    size = value if isinstance(value, int | float) else len(value) if isinstance(value, str | list | dict) else None
    if size is not None and ((high is not None and size > high) or (low is not None and size < low)):
        wrong.append(f"{where or shape.name}: {size} is not within {low} and {high}")
    if isinstance(value, str):
        if shape.metadata.get("enum") and value not in shape.metadata["enum"]:
            wrong.append(f"{where}: {value!r} is none of {shape.metadata['enum']}")
        if (pattern := shape.metadata.get("pattern")) and not re.search(_python(pattern), value):
            wrong.append(f"{where}: {value!r} does not match {pattern}")
    if shape.type_name == "structure" and isinstance(value, dict):
        wrong += [f"{where}.{key}: the model has no such member" for key in value.keys() - shape.members.keys()]
        for key in value.keys() & shape.members.keys():
            wrong += _limits(shape.members[key], value[key], f"{where}.{key}")
    if shape.type_name == "list" and isinstance(value, list):
        wrong += [one for item in value for one in _limits(shape.member, item, f"{where}[]")]
    if shape.type_name == "map" and isinstance(value, dict):
        for key, item in value.items():
            wrong += _limits(shape.key, key, f"{where} key") + _limits(shape.value, item, f"{where}.{key}")
    return wrong


def _python(pattern: str) -> str:
    """A pattern of the model, whose Unicode classes Python's `re` does not know."""
    for name, ours in ((r"\p{L}", r"\w"), (r"\p{Z}", r"\s"), (r"\p{N}", r"\d")):
        pattern = pattern.replace(name, ours)
    return pattern
