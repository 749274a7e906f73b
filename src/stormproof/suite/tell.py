"""Tells people what became of a suite, once, and writes down whom it told."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from stormproof.errors import StormproofError
from stormproof.run.message import Message
from stormproof.run.topic import publisher
from stormproof.suite.message import is_worth_telling, message_of, summary_link
from stormproof.suite.page import assemble
from stormproof.suite.settings import NotifyFields
from stormproof.suite.since import recovered
from stormproof.suite.state import SuiteDirectory, SuiteState, suites, write_state
from stormproof.suite.webhook import post


def tell(folder: SuiteDirectory, state: SuiteState, notify: NotifyFields, *, reports: Path) -> dict[str, str]:
    """Whom *notify* names and who has not been told → "" or what went wrong; {} when there was nothing to tell.

    That nobody could be told changes nothing about what the suite came to: it is said, and stands in `suite.json`.
    """
    channels: dict[str, Callable[[Message], None]] = {}
    if (topic := notify.topic) is not None:
        channels[topic] = partial(_publish, topic)
    if (variable := notify.webhook) is not None:
        channels[f"the webhook in {variable}"] = lambda message: post(message, variable=variable)
    channels = {who: send for who, send in channels.items() if state.told.get(who) != ""}
    if not channels:
        return {}
    earlier = [one for one in suites(reports, state.environment) if one.started_at < state.started_at]
    again = recovered(state, earlier)
    page = assemble(folder, state, earlier)
    if not is_worth_telling(page, when=notify.when, recovered=again):
        return {}
    message = message_of(page, recovered=again, link=summary_link(state.link, page))
    told = {}
    for who, send in channels.items():
        try:
            send(message)
            told[who] = ""
        except StormproofError as error:
            told[who] = error.message
    state.told |= told
    write_state(folder, state)
    return told


def _publish(topic: str, message: Message) -> None:
    publisher(topic)(message)
