"""What moto looks up anew for each request although it never changes, looked up once.

Which services there are (it lists its own folder and asks of each entry whether it is one, under a lock), which of them
a host name belongs to, and which methods a class of answers has: a quarter of what a small call costs, and nearly half
of a larger one, in the process that serves every cart of the shop.
"""

from __future__ import annotations

import functools


def remember() -> None:
    """Before the first request, in the process that serves."""
    from moto import backends
    from moto.core import responses
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

    names = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: names
    methods = functools.cache(responses.method_names_from_class)
    responses.method_names_from_class = lambda clazz: list(methods(clazz))
    service_of = DomainDispatcherApplication.get_backend_for_host
    DomainDispatcherApplication.get_backend_for_host = functools.lru_cache(maxsize=1024)(service_of)
