"""What moto looks up anew for each request although it never changes, looked up once.

Which services there are (it lists its own folder and asks of each entry whether it is one, under a lock), which of them
a host name belongs to, and which methods a class of answers has: a quarter of what a small call costs, and nearly half
of a larger one, in the process that serves every cart of the shop. And which regions EC2 has: moto asks three new
sessions, each of which reads a megabyte, and the lab is not up before.
"""

from __future__ import annotations

import functools


def remember() -> None:
    """Before the first request, and before anything else imports moto, in the process that serves."""
    _import_ec2()
    from moto import backends
    from moto.core import responses
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

    names = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: names
    methods = functools.cache(responses.method_names_from_class)
    responses.method_names_from_class = lambda clazz: list(methods(clazz))
    service_of = DomainDispatcherApplication.get_backend_for_host
    DomainDispatcherApplication.get_backend_for_host = functools.lru_cache(maxsize=1024)(service_of)


def _import_ec2() -> None:
    import boto3

    new, boto3.Session = boto3.Session, functools.cache(boto3.Session)  # type: ignore[assignment,misc]
    try:
        import moto.ec2.models  # noqa: F401 - what is imported is kept by Python
    finally:
        boto3.Session = new  # type: ignore[misc]
