"""The two ways to make traffic with a locustfile: on a schedule (open), or as users that wait (closed)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import gevent
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser

from stormproof.errors import LoadError
from stormproof.load import connection
from stormproof.load.crew import Crew
from stormproof.load.instrument import Recorder, RunClock
from stormproof.load.schedule import Schedule, make_schedule, share_of
from stormproof.load.wire import WorkerConfig

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.runners import LocalRunner

log = logging.getLogger(__name__)

# Connections a user instance may hold in the open model. Locust's 10 would make arrivals queue in the client, which
# is a closed model again; the limit that remains is the number of open files.
CONCURRENCY = 100_000
# Greenlets that are there before the first arrival.
GATHERED = 16
# How many arrivals in a round of the loop, when the generator is behind its schedule. Few: while it sends it reads no
# answers, and so each of them opens a connection of its own, which costs more than the arrival does.
TAKEN_IN_A_ROW = 2
# Arrivals go before answers this long in one round of the loop, and when they are late by less: an answer may wait this
# much longer than they do. What keeps the loop longer must make arrivals late, for by that it is known (ADR 70); and a
# worker that is behind must read answers, which free the connections that arrivals need.
GO_FIRST_S = 0.002
TRACEBACKS_LOGGED_MAX = 10


class Traffic(Protocol):
    """What a worker needs of either model."""

    tasks_ended: int  # open model: arrivals whose task came to its end

    def start(self, clock: RunClock) -> None:
        """Begin at the clock's start instant; returns at once."""

    def stop(self, drain_s: float) -> float:
        """No new requests, wait *drain_s* for those in flight; the monotonic instant at which it stopped sending."""

    def settled_mono_s(self, now_mono_s: float) -> float | None:
        """The instant before which every arrival that was due has ended, at most now; None where nobody can say."""


@dataclass(frozen=True, slots=True)
class Task:
    """One task function of one user class, with its share of the arrivals."""

    user_class: type
    function: Callable[[Any], None]
    weight: float


class OpenTraffic:
    """Each arrival in a greenlet of the crew, at its instant, whatever became of the arrivals before it.

    All arrivals of a worker run on one instance of each user class, those of a control group on a second one: what a
    task keeps on `self` is shared, and a group's connections and cookies are its own.
    """

    def __init__(
        self,
        environment: Environment,
        tasks: Sequence[Task],
        schedule: Schedule,
        recorder: Recorder,
        *,
        control_header: str | None = None,
    ) -> None:
        self.tasks_ended = 0
        self._environment, self._recorder = environment, recorder
        self._users: list[Any] = []
        self._calls: list[tuple[Any, Callable[[Any], None]]] = []
        for in_control in (False,) if control_header is None else (False, True):
            users = {}
            for user_class in environment.user_classes:
                user_class.concurrency = CONCURRENCY
                user_class.client_pool = None  # a pool of the locustfile's own would be a queue
                users[user_class] = user_class(environment)
                if control_header is not None:
                    recorder.mark(users[user_class], control_header, in_control=in_control)
                users[user_class].on_start()
            self._users += users.values()
            self._calls += [(users[task.user_class], task.function) for task in tasks]
        self._crew = Crew(self._run)
        self._crew.gather(GATHERED)
        self._errors = 0
        self._to_come = iter(zip(schedule.due_s, schedule.choices, strict=True))
        self._start_mono_s = self._next_due_mono_s = self._round_mono_s = 0.0
        self._next_choice = 0
        self._sending = False
        self._timer: Any = None
        self._rounds: Any = None

    def start(self, clock: RunClock) -> None:
        """Begin at the clock's start instant; returns at once."""
        self._environment.events.test_start.fire(environment=self._environment)
        self._start_mono_s = clock.start_mono_s
        self._look_ahead()
        connection.before_each_answer(self._go_first)
        loop = gevent.get_hub().loop
        self._rounds = loop.check(ref=False, priority=loop.MAXPRI)  # before whatever came in is handed on
        self._rounds.start(self._note_round)
        loop.run_callback(self._send_due)

    def stop(self, drain_s: float) -> float:
        """End the schedule now, wait for arrivals in flight, cut off the rest (their samples are not written)."""
        self._sending = False
        connection.before_each_answer(None)
        if self._rounds is not None:
            self._rounds.stop()
        stopped_mono_s = time.monotonic()
        self._crew.end(drain_s)
        for user in self._users:
            user.on_stop()
        self._environment.events.test_stop.fire(environment=self._environment)
        if self._errors:
            log.error("%d tasks ended with an exception", self._errors)
        return stopped_mono_s

    def settled_mono_s(self, now_mono_s: float) -> float | None:
        """The due instant of the oldest arrival that has not ended, the one to be sent next included; at most now."""
        oldest_mono_s = self._crew.oldest_mono_s()
        return min(now_mono_s, self._next_due_mono_s, now_mono_s if oldest_mono_s is None else oldest_mono_s)

    def _send_one(self) -> bool:
        """Send the next arrival if it is due; whether it was. In the hub."""
        due_mono_s = self._next_due_mono_s
        if due_mono_s > time.monotonic() or not self._sending:
            return False
        call = self._calls[self._next_choice]
        self._look_ahead()  # first: an arrival that waits lets others in here
        self._crew.take(due_mono_s, *call)
        return True

    def _go_first(self) -> None:
        """What is asked before each answer: send the next arrival if it is due, unless that would go on for long."""
        at_least_mono_s = time.monotonic() - GO_FIRST_S
        if self._next_due_mono_s > at_least_mono_s and self._round_mono_s > at_least_mono_s:
            self._send_one()

    def _note_round(self) -> None:
        self._round_mono_s = time.monotonic()

    def _send_due(self) -> None:
        """What the timer calls: send what is due by now, and set it for the next."""
        for _ in range(TAKEN_IN_A_ROW):
            if not self._send_one():
                break
        if self._sending:
            self._timer = gevent.get_hub().loop.timer(max(0.0, self._next_due_mono_s - time.monotonic()))
            self._timer.start(self._send_due)

    def _look_ahead(self) -> None:
        due_s, self._next_choice = next(self._to_come, (None, 0))
        self._sending = due_s is not None
        if due_s is not None:
            self._next_due_mono_s = self._start_mono_s + due_s  # the arrivals before it are in flight, or have ended

    def _run(self, user: Any, function: Callable[[Any], None]) -> None:
        try:
            function(user)
        except StopTest as stop:
            self._recorder.failure = f"the locustfile ended the test: {stop}"
        except (StopUser, InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately):
            pass  # Locust's ways to leave a task
        except Exception as error:  # any task may raise anything; as in Locust, the load goes on
            self._errors += 1
            self._environment.events.user_error.fire(user_instance=user, exception=error, tb=error.__traceback__)
            if self._errors <= TRACEBACKS_LOGGED_MAX:
                log.exception("a task ended with an exception")
        self.tasks_ended += 1


def runner_without_statistics(environment: Environment) -> LocalRunner:
    """Locust's local runner, without its own count of every request.

    Nobody reads those statistics in a run (rounded to buckets, they may not be judged by), and they cost each request
    several times what our row costs. So the recorder stands in their place, not beside them.
    """
    request = environment.events.request
    before = list(request._handlers)  # noqa: SLF001 - there is no public way to tell the runner's listener
    runner = environment.create_local_runner()
    for listener in [one for one in request._handlers if one not in before]:  # noqa: SLF001
        request.remove_listener(listener)
    return runner


class ClosedTraffic:
    """Locust's own runner: each user waits for its answer, and for its `wait_time`, before the next request."""

    tasks_ended = 0

    def __init__(self, environment: Environment, config: WorkerConfig) -> None:
        assert config.users is not None
        self._users = share_of(config.users, config.worker, config.workers)
        self._duration_s_max = config.duration_s_max
        self._environment = environment
        self._runner = runner_without_statistics(environment)
        self._starting: gevent.Greenlet | None = None

    def start(self, clock: RunClock) -> None:
        """Begin at the clock's start instant; returns at once."""
        self._starting = gevent.spawn(self._run, clock)

    def stop(self, drain_s: float) -> float:
        """Let each user end its task, wait for that, then stop the rest."""
        stopped_mono_s = time.monotonic()
        if self._starting is not None:
            self._starting.kill()
        self._environment.stop_timeout = drain_s
        self._runner.quit()
        return stopped_mono_s

    def settled_mono_s(self, now_mono_s: float) -> float | None:  # noqa: ARG002  # as in `Traffic`
        """Nobody knows: there is no schedule that says which requests are missing."""
        return None

    def _run(self, clock: RunClock) -> None:
        gevent.sleep(max(0.0, clock.start_mono_s - time.monotonic()))
        if self._users:
            self._runner.start(self._users, spawn_rate=100)  # more a second is too fast for Locust's dispatcher
            gevent.sleep(max(0.0, clock.start_mono_s + self._duration_s_max - time.monotonic()))
            self._environment.stop_timeout = 0.0
            self._runner.stop()


def schedule_for(config: WorkerConfig, tasks: Sequence[Task]) -> Schedule:
    """This worker's share of the open model's arrivals."""
    assert config.arrivals_per_s is not None
    return make_schedule(
        process=config.process,
        rate_per_s=config.arrivals_per_s,
        duration_s=config.duration_s_max,
        weights=[task.weight for task in tasks],
        seed=config.seed,
        worker=config.worker,
        workers=config.workers,
        control_share=config.control_share,
    )


def tasks_of(user_classes: Sequence[Any]) -> list[Task]:
    """Every task function of *user_classes* with the share of arrivals that its weights give it.

    A class has its `weight` of all arrivals, a function its `@task` weight of its class. Raises `LoadError` for what
    is not one task an arrival (task sets) and for a class without tasks.
    """
    total = sum(user_class.weight for user_class in user_classes)
    tasks: list[Task] = []
    for user_class in user_classes:
        if not user_class.tasks:
            raise LoadError(f"user class {user_class.__name__}: expected at least one @task, got none")
        functions: dict[Any, int] = {}
        for function in user_class.tasks:
            if isinstance(function, type):
                raise LoadError(
                    f"user class {user_class.__name__}: expected task functions, got the task set {function.__name__}",
                    hint="an arrival of the open model runs one function; `users:` (the closed model) runs task sets",
                )
            functions[function] = functions.get(function, 0) + 1
        for function, count in functions.items():
            share = user_class.weight / total * count / len(user_class.tasks)
            tasks.append(Task(user_class, function, share))
    return tasks
