"""What moto is let remember is what it would have looked up."""

from __future__ import annotations

import pytest
from moto import backends
from moto.core import responses
from moto.dynamodb.responses import DynamoHandler
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sts.responses import TokenResponse

from stormproof.lab import moto_memory

HOSTS = ("ec2.us-east-1.amazonaws.com", "dynamodb", "sts.us-east-1.amazonaws.com", "moto_api", None, "nowhere.test")


def test_it_answers_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same services for the same hosts, of unknown ones too, and the same methods; no folder is read again."""
    for where, name in (
        (backends, "list_of_moto_modules"),
        (responses, "method_names_from_class"),
        (DomainDispatcherApplication, "get_backend_for_host"),
    ):
        monkeypatch.setattr(where, name, getattr(where, name))  # as it was, after the test
    application = DomainDispatcherApplication(create_backend_app)

    def answers() -> list[object]:
        hosts = [application.get_backend_for_host(host) for host in HOSTS]
        methods = [responses.method_names_from_class(one) for one in (DynamoHandler, TokenResponse)]
        return [hosts, methods, list(backends.list_of_moto_modules())]

    before = answers()
    moto_memory.remember()
    monkeypatch.setattr("os.listdir", lambda _: pytest.fail("looked up again"))

    assert answers() == answers() == before
    assert before[0][:4] == ["ec2", "dynamodb", "sts", "moto_api"]  # type: ignore[index]
