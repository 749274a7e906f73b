"""The conductor: owns the clock, the signals, the limits and the undo of one run.

It decides nothing about the hypotheses: it makes things happen, in order, and writes down what did. Whatever ends a
run (its plan, a person, a stop condition, a limit, a failure), the same `_finish` undoes, drains and records.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stormproof.errors import StormproofError
from stormproof.faults import activity, outstanding
from stormproof.faults.ledger import Ledger
from stormproof.load.driver import READY_DEADLINE_S, LoadDriver, LoadPlan
from stormproof.load.live import LiveSli
from stormproof.model.environment import Environment
from stormproof.model.experiment import Experiment
from stormproof.model.guardrails import Guardrails
from stormproof.model.load_listener import LoadListener
from stormproof.model.plan import RunPlan
from stormproof.plan.closing import closing_probes
from stormproof.record import events
from stormproof.record.arrivals import collect_arrivals
from stormproof.record.layout import RunDirectory
from stormproof.run.children import Child
from stormproof.run.closing import ask_closing_probes
from stormproof.run.deciding import Decisions
from stormproof.run.follow import Follower
from stormproof.run.guard import LEASE_S, Guard
from stormproof.run.interrupt import Interrupts
from stormproof.run.killswitch import KillSwitchWatch
from stormproof.run.patience import undo_s_max
from stormproof.run.people import People
from stormproof.run.prober import start_prober
from stormproof.run.progress import Live, Progress
from stormproof.run.stopping import StopConditions, alarm_names

TICK_S = 0.05
LIVE_WINDOW_S = 2.0  # what the progress line averages over
# The player starts this long before the steady window opens: imports take most of it.
PLAYER_LEAD_S = 1.5
PLAYER_ROLLBACK_S = 20.0  # on interruption: then the conductor undoes by itself
WATCHDOG_TRIES_S = 90.0  # five of them, each as long as an undo may take to be seen, and the pauses between
START_LEASE_S = READY_DEADLINE_S + LEASE_S  # what it grants the load's start: nothing is broken yet
FINISH_LEASE_S = 120.0  # what the watchdog grants the undo before it takes over
DRAIN_ON_ABORT_S = 1.0


@dataclass(slots=True)
class _State:
    """What the events have told so far."""

    phase: str = "warmup"
    phase_until: float | None = None  # Unix s, as planned
    felt: dict[str, float] = field(default_factory=dict)  # fault_id → last good look
    gone: dict[str, float] = field(default_factory=dict)
    end: str | None = None  # why the run is to end before its time, once something says so
    is_undoing: bool = False  # the fault phase is as good as over
    is_decided: bool = False  # every claim that depends on the fault; the player has been told
    blind: bool = False  # nobody looks at the claims any more


@dataclass(slots=True, kw_only=True)
class Conductor:
    """One run of *experiment* in *environment*, written to *run* (created, `plan.json` in it) as it happens."""

    experiment: Experiment
    environment: Environment
    plan: RunPlan
    run: RunDirectory
    progress: Progress
    process_environment: Mapping[str, str]
    environment_key: str  # what is locked and may hold outstanding faults: the environment, in the lab that lab
    guardrails: Guardrails = field(default_factory=Guardrails)
    load_workers: LoadListener | None = None  # where they join, if they come from other machines
    people: People = field(default_factory=People)  # who is told
    lease_lost: Callable[[], str | None] = lambda: None  # why the environment may be somebody else's by now
    _state: _State = field(default_factory=_State)
    _player: Child | None = None
    _prober: Child | None = None
    _load: LoadDriver | None = None
    _guard: Guard | None = None
    _live: LiveSli = field(init=False)
    _decisions: Decisions = field(init=False)
    _follower: Follower = field(init=False)
    _log_offsets: dict[str, int] = field(default_factory=dict)
    _started_s: float = 0.0  # monotonic
    _undo_s_max: float = field(init=False)  # what an undo may take beyond the usual: machines that start
    _aborted: bool = False

    def __post_init__(self) -> None:
        self._live = LiveSli(self.experiment.load.workers)
        self._follower = Follower(self.run.events)
        self._undo_s_max = undo_s_max(self.plan.faults)
        self._decisions = Decisions(experiment=self.experiment, run=self.run, live=self._live)

    def conduct(self) -> bool:
        """Play the run to whatever end it comes to; whether everything that was broken has been undone."""
        with Interrupts() as interrupts:
            self._started_s = time.monotonic()
            self._event(events.RUN_STARTED, experiment=self.experiment.slug, environment=self.environment.name)
            self.people.begins()
            try:
                self._start(interrupts)
                self._watch(interrupts)
            except StormproofError as error:
                self._abort(str(error), by="person" if interrupts.reason else "failure")
            except BaseException as error:  # a defect of ours: what was measured until then is not the run asked for
                self._abort(f"a defect in stormproof: {type(error).__name__}: {error}", by="failure")
                raise
            finally:
                undone = self._finish()
            return undone

    def _start(self, interrupts: Interrupts) -> None:
        """Probes, watchdog and load first: the world is watched, and guarded, before it is touched."""
        outstanding.register(self.run.ledger, environment=self.environment_key)
        for dependency in self.environment.dependencies.values():
            if dependency.access_log and (path := Path(dependency.access_log)).exists():
                self._log_offsets[dependency.name] = path.stat().st_size
        self._prober = start_prober(
            self.run,
            self.environment,
            process_environment=self.process_environment,
            alarms=alarm_names(self.experiment.stop_when),
        )
        self._decisions.start()
        load, timeline = self.experiment.load, self.experiment.timeline
        self._load = LoadDriver(
            LoadPlan(
                load=load,
                base_url=self.environment.base_url,
                # the schedule must outlast anything the faults may take to be felt and undone
                duration_s_max=load.warmup_s + timeline.total_s + self.experiment.limits.duration_s,
                seed=self.plan.seed,
                control=self.experiment.control_header,
                listener=self.load_workers,
            ),
            self.run,
            env=dict(self.process_environment),
            on_aggregate=self._live.add,
            say=self.progress.say,
        )
        limit_s = self.experiment.limits.duration_s + 2 * self._undo_s_max
        self._guard = Guard.start(
            self.run,
            duration_s_max=limit_s,
            environment=self.process_environment,
            people=self.people.document,
        )
        self._guard.beat(START_LEASE_S + (self.load_workers.join_within_s if self.load_workers else 0.0))
        at = self._load.start(interrupted=lambda: interrupts.reason)
        self._guard.beat()
        self._event("watchdog.alive", pid=self._guard.pid)
        self._event(
            events.LOAD_STARTED,
            at=at,
            model="open" if load.arrivals_per_s is not None else "closed",
            offered_per_s=load.arrivals_per_s,
            users=load.users,
            workers=load.workers,
            timeout_s=load.timeout_s,
            delivered_share_min=load.delivered_share_min,
            warmup_s=load.warmup_s,
            **self._control(),
        )
        self._enter("warmup", at=at, planned_s=load.warmup_s)

    def _control(self) -> dict[str, Any]:
        """What the event of the load's start says of a control group by header."""
        control, route = self.experiment.control_header, self.environment.control_route
        if control is None or route is None:
            return {}
        return {"control": {"header": control.header, "share": control.share, "zone": route.zone}}

    def _watch(self, interrupts: Interrupts) -> None:
        """Let the run happen until it is over or something ends it."""
        stops = StopConditions(self.experiment.stop_when, self._live, self.run.readings)
        deadline_s = self._started_s + self.experiment.limits.duration_s
        with KillSwitchWatch(self.guardrails) as switch:
            while True:
                self._catch_up()
                if self._over(interrupts, stops, switch, deadline_s):
                    return
                self._draw()
                time.sleep(TICK_S)

    def _over(self, interrupts: Interrupts, stops: StopConditions, switch: KillSwitchWatch, deadline_s: float) -> bool:
        now = time.time()
        if failure := self._unguarded():
            return self._abort(failure, by="failure")
        if interrupts.reason:
            return self._abort(interrupts.reason, by="person")
        if time.monotonic() > deadline_s:
            return self._abort(f"limits.duration of {self.experiment.limits.duration_s:g} s reached", by="limit")
        if reason := switch.thrown():
            return self._abort(reason, by="person")
        if reason := stops.breached(now) or self._decide():
            return self._abort(reason, by="stop_when")
        if self._load is not None and (failure := self._load.failure()):
            return self._abort(f"the load generator died: {failure}", by="failure")
        if self._state.end is not None:  # not felt, or the inject failed: the rest would prove nothing
            self.progress.say(self._state.end)
            return True
        return self._advance(now)

    def _unguarded(self) -> str | None:
        """Say that we are alive; why nothing may stay broken, if there is a reason."""
        if self._guard is not None:
            self._guard.beat()
            if not self._guard.alive():
                return "the watchdog died; without it nothing may stay broken"
        return self.lease_lost()

    def _advance(self, now: float) -> bool:
        """Move to the next phase when it is time; whether the run is over."""
        state, timeline = self._state, self.experiment.timeline
        if state.phase == "warmup":
            until = state.phase_until or now
            if self._player is None and now >= until - PLAYER_LEAD_S:
                self._start_player()
            if now >= until:
                self._enter("steady", at=until, planned_s=timeline.steady_s)
        elif state.phase == "recovery":
            return now >= (state.phase_until or now)
        elif self._player is not None and not self._player.running and not self._faults_gone():
            state.end = f"the player ended without completing the faults (see {self._player.log.name})"
        return False

    def _decide(self) -> str | None:
        """Say so once nothing is left to learn from the fault, which the player hears; why the run is to stop."""
        state, decisions = self._state, self._decisions
        began_s = min(state.felt.values()) if state.phase == "fault" and not state.is_undoing else None
        decisions.fault_began_s = began_s
        if decisions.failure and not state.blind:
            state.blind = True
            self.progress.say(f"BLIND    the fault lasts as long as it may: {decisions.failure}")
        if began_s is None:
            return None
        if decisions.decided is not None and not state.is_decided:
            state.is_decided = True
            at, at_most_s = time.time(), self.experiment.timeline.fault_s
            claims = [{"claim": one.claim, "verdict": one.outcome, "said": one.said} for one in decisions.decided]
            reason = f"every claim is decided {at - began_s:.1f} s after the onset, of at most {at_most_s:g} s"
            self._event(events.DECIDED, at=at, reason=reason, claims=claims)
            self.progress.say(f"decided  {reason}")
        return decisions.stop

    def _wanted(self) -> set[str]:
        """The ids that events must tell of: every fault, or every part of one that is made of others."""
        return {atom.fault_id for fault in self.plan.faults for atom in fault.atoms}

    def _faults_gone(self) -> bool:
        """Whether the player completed the faults before it ended; its last words may not have been learnt yet."""
        wanted = self._wanted()
        told = {
            str(row["fault_id"]) for row in events.read_events(self.run.events) if row["event"] == events.FAULT_GONE
        }
        return wanted <= told

    def _start_player(self) -> None:
        self._player = Child.spawn(
            "player",
            ["-m", "stormproof.run.player", str(self.run.plan), str(self.run.journal)],
            log=self.run.logs / "player.log",
            environment={
                **self.process_environment,
                "STORMPROOF_LEDGER": str(self.run.ledger),
                "STORMPROOF_EVENTS": str(self.run.events),
            },
            orphan_signal=signal.SIGKILL,  # a half-played inject must not go on beside the watchdog's undo
        )
        if self._guard is not None:
            self._guard.watch_player(self._player.process.pid)

    def _catch_up(self) -> None:
        for row in self._follower.new_rows():
            self._learn(row)

    def _learn(self, row: dict[str, Any]) -> None:
        """Take in one event, written by the player."""
        name, wanted, state = row["event"], self._wanted(), self._state
        if name == events.FAULT_INJECTING:
            self.progress.say(f"inject   {row['what']}")
        elif name == events.FAULT_FELT:
            state.felt[row["fault_id"]] = float(row["last_ok_at"])
            self.progress.say(
                f"felt     {row['fault_id']}, {row['at'] - row['last_ok_at']:.2f} s after it was last whole"
            )
            # With steps, faults come one after the other: the phase opens with the first step.
            first = set(next(iter(self.experiment.step_fault_ids.values()), wanted))
            if state.phase in {"warmup", "steady"} and set(state.felt) >= first:
                # It began with the first; the player holds it from when the last was felt.
                begun_s, last_s = min(state.felt.values()), max(state.felt.values())
                self._enter("fault", at=begun_s, planned_s=last_s - begun_s + self.experiment.timeline.fault_s)
        elif name in (events.FAULT_NOT_FELT, events.FAULT_FAILED):
            state.end = f"{row['fault_id']} was not felt: {row['reason']}"
        elif name == events.FAULT_ENDED and state.end is None:
            self._abort(f"{row['fault_id']} is not in force any more: {row['reason']}", by="stop_when")
        elif name == events.FAULT_UNDOING:
            state.is_undoing = True
            self.progress.say(f"undo     {row['fault_id']}")
        elif name == events.FAULT_GONE:
            state.gone[row["fault_id"]] = float(row["at"])
            self.progress.say(f"gone     {row['fault_id']}: whole again, seen from outside")
            if set(state.gone) == wanted and state.phase == "fault":
                self._enter("recovery", at=max(state.gone.values()), planned_s=self.experiment.timeline.recovery_s)
        elif name == events.FAULT_NOT_GONE:
            self.progress.say(f"NOT GONE {row['fault_id']}: {row['reason']}")

    def _enter(self, phase: str, *, at: float, planned_s: float) -> None:
        self._state.phase, self._state.phase_until = phase, at + planned_s
        self._event(events.PHASE, phase=phase, at=at, planned_s=planned_s)
        if phase != "ended":
            self.progress.say(f"{phase:<8} {planned_s:g} s")

    def _abort(self, reason: str, *, by: str) -> bool:
        self._event(events.ABORT, reason=reason, by=by)
        self._state.end, self._aborted = reason, True
        self.people.aborted(reason)
        self.progress.say(f"abort    {reason}")
        return True

    def _finish(self) -> bool:
        """Undo, stop the load, stop the probes, gather what was measured; whether all is undone.

        Runs with signals remembered, not raised: nothing interrupts the undo.
        """
        if self._guard is not None:
            self._guard.beat(FINISH_LEASE_S + 2 * self._undo_s_max)  # the player's rollbacks, then ours
        self._decisions.close()
        undone = self._undo()
        if self._guard is not None:
            if undone:
                self._guard.clean()
            else:  # it tries again while the load and the probes end
                self._guard.hand_over()
        self._stop_load()
        if self._prober is not None:
            code = self._prober.end(signal.SIGTERM, within_s=5)
            self._event("prober.ended", exit_code=code)
        self._gather_arrivals()
        if not undone and self._guard is not None:
            self.progress.say("undo     the watchdog tries again")
            self._guard.wait(WATCHDOG_TRIES_S + self._undo_s_max)
            undone = self._settled()
        self._ask_closing_probes()
        self.people.settle()
        self._event(events.RUN_ENDED, at=time.time(), undone=undone)
        self.progress.close()
        return undone

    def _undo(self) -> bool:
        """End the player, whose rollbacks undo, and undo what it has left; whether nothing is."""
        if self._player is not None:
            interrupted = self._player.running
            code = (
                self._player.end(signal.SIGINT, within_s=PLAYER_ROLLBACK_S + self._undo_s_max)
                if interrupted
                else self._player.collect(within_s=1)
            )
            self._event("player.ended", exit_code=code, interrupted=interrupted)
        try:
            activity.undo_outstanding(Ledger(self.run.ledger), events_path=self.run.events, who="conductor")
        except StormproofError as error:  # another process holds the ledger: the load and the probes still have to end
            self.progress.say(f"NOT UNDONE by this run: {error}")
        return self._settled()

    def _settled(self) -> bool:
        """Take in what was undone; whether nothing is left."""
        self._catch_up()
        outstanding.settle(self.run.ledger)
        return not Ledger(self.run.ledger).outstanding()

    def _stop_load(self) -> None:
        if self._load is None:
            return
        at = time.time()
        drain_s = DRAIN_ON_ABORT_S if self._state.end else self.experiment.load.timeout_s + 1
        try:
            summary = self._load.stop(drain_s)
        except StormproofError as error:  # what was measured so far is kept; the verdict says what is missing
            self._load.kill()
            self._event(events.ABORT, reason=f"the load did not stop cleanly: {error}", by="failure")
            return
        self._event(events.PHASE, phase="ended", at=at, planned_s=0.0)
        self._event(events.LOAD_STOPPED, at=at, workers=summary.as_event())

    def _gather_arrivals(self) -> None:
        for name, offset in self._log_offsets.items():
            log = self.environment.dependencies[name].access_log
            if log is not None:
                collect_arrivals(self.run, name, Path(log), offset)

    def _ask_closing_probes(self) -> None:
        """What can only be read from the whole record; an aborted run is not kept waiting for it."""
        probes = closing_probes(self.experiment)
        if not probes or self._aborted:
            return
        self.progress.say(f"reading  {', '.join(probes)}")
        try:
            blind = ask_closing_probes(self.run, probes, process_environment=self.process_environment)
        except OSError as error:  # a full disk: the verdict will miss what is missing
            blind = [str(error)]
        for reason in blind:
            self.progress.say(f"BLIND    {reason}")

    def _draw(self) -> None:
        until = self._state.phase_until
        reading = self._live.reading(LIVE_WINDOW_S)
        self.progress.draw(
            Live(
                phase=self._state.phase,
                left_s=None if until is None else until - time.time(),
                availability=reading.availability if reading else None,
                latency_ms_p99=reading.latency_ms(0.99) if reading else None,
                rate_per_s=reading.throughput_per_s if reading else None,
            )
        )

    def _event(self, name: str, **fields: Any) -> None:
        try:
            events.record_event(self.run.events, name, who="conductor", **fields)
        except OSError as error:  # a full disk must not keep anything broken; the verdict will miss what is missing
            self.progress.say(f"event {name} could not be written: {error}")
