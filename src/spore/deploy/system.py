"""A running system: all bundles and processes of a configuration, from the first that starts to the last that has ended.

Order of an end: nobody waits for room any more → each actor, senders before receivers over all processes, handles what was
sent to it and is stopped → each bundle ends → the processes leave → the relay, which has carried it all, leaves last.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import attrs
import trio

from spore.deploy.config import Mode, SystemConfig
from spore.deploy.ended import Ended
from spore.deploy.ground import RELAY, Ground, Incident, Running
from spore.deploy.hops import Hop
from spore.deploy.links import Links
from spore.deploy.load import load_config
from spore.deploy.neighbours import Neighbour
from spore.deploy.nodes import own_node
from spore.deploy.place import Local
from spore.deploy.plan import Plan, Route, Unit, UnitKind, make_plan
from spore.deploy.shadow_statistics import ShadowStatistics
from spore.deploy.shards import together
from spore.deploy.spec import spec_of, target_of
from spore.deploy.standing import StandingRef
from spore.deploy.strict import among
from spore.deploy.supervise import Child, Died
from spore.deploy.switching import PLAN, Switch, Switched
from spore.deploy.unit import RunningUnit, UnitStatistics
from spore.errors import LinkDenied, SwitchFailed, UsageError
from spore.nursery_bundle import ActorRef
from spore.nursery_bundle.ref import OUTSIDE
from spore.nursery_bundle.wiring import groups_in_order
from spore.relay import RemoteRef
from spore.relay.statistics import ClientStatistics, OutgoingStatistics

__all__ = ["System", "SystemStatistics", "open_system", "run_plan"]

_log = logging.getLogger("spore.deploy")
Settling = Running | Neighbour
"""Whatever can be waited for until it is quiet."""
PART_S = 2.0
"""So long the processes may take to say goodbye to those of other nodes."""


@attrs.frozen
class SystemStatistics:
    """A moment's view of a system. Each process answers when it can, so it is no snapshot of them together."""

    units: Mapping[str, UnitStatistics]
    """By label, such as ``bundle 'trading_core'``."""
    processes: Mapping[str, int]
    """The numbers of all processes: of the calling one, of every unit with one of its own, and of the relay."""
    client: ClientStatistics | None = None
    """What was sent by `System.ref` to other processes; None where there is no way to any."""
    relay_restarts: int = 0
    """How often the relay has died and was started again."""
    silent: tuple[str, ...] = ()
    """The processes that have not answered in time. They are not among the units."""
    incidents: tuple[Incident, ...] = ()
    """What has happened to processes since the system was started, the last hundred."""
    ended: tuple[Ended, ...] = ()
    """What was counted of actors before they were switched to another mode."""

    def links(self) -> list[tuple[OutgoingStatistics, int]]:
        """All links, each with the number of the process that counts."""
        links = [(link, self.processes[OUTSIDE]) for link in (self.client.outgoing if self.client is not None else ())]
        for unit in self.units.values():
            links += [(link, unit.pid) for link in (unit.client.outgoing if unit.client is not None else ())]
        return links

    @property
    def shadows(self) -> Mapping[str, ShadowStatistics]:
        """Of the bundles in shadow mode, by their names."""
        return {unit.shadow.bundle: unit.shadow for unit in self.units.values() if unit.shadow is not None}


class System:
    """A running system. Made by `open_system`."""

    def __init__(self, plan: Plan, running: dict[str, Running], ground: Ground) -> None:
        self.plan = plan
        """After a switch the one that it has led to."""
        self.running = running
        """By label, senders before receivers. For Spore's own use."""
        self._ground = ground
        self._refs: dict[str, StandingRef[Any]] = {}
        self._switching = trio.Lock()
        self._ends = False
        self.last: SystemStatistics | None = None
        """Once it has ended: what all actors and links had counted then. What is still outstanding over a link was not handled."""

    def ref(self, name: str) -> ActorRef[Any]:
        """A reference from here to an actor: by reference where it runs in this process, and else through the relay or the engine.

        The name that the file has for the actors of a bundle that is divided gives a reference to all of them, of which each message
        goes to one.

        Raises:
            UsageError: if there is no such actor.
        """
        shards = self.plan.config.shards
        if name in shards:
            return together((self.ref(shard), name, self._key(shard)) for shard in shards[name])[0]
        if name not in self.plan.actors:
            raise UsageError(f"there is no actor {name!r} in this system; {among(name, [*shards, *self.plan.actors])}")
        found = self._refs.get(name)
        if found is None:
            found = self._refs[name] = StandingRef(self.way_to(name))
        return found

    def _key(self, shard: str) -> str:
        bundle = self.plan.actors[shard].bundle
        return bundle.part.by if bundle is not None and bundle.part is not None else ""

    def standing(self, name: str) -> StandingRef[Any]:
        """The same. For Spore's own use."""
        self.ref(name)
        return self._refs[name]

    def take_on(self, plan: Plan, running: dict[str, Running]) -> None:
        """What runs from now on. For Spore's own use."""
        self.plan, self.running = plan, running

    def way_to(self, name: str) -> ActorRef[Any]:
        """The way to an actor where it is now. For Spore's own use."""
        unit = self.plan.unit_of(name)
        running = self.running.get(unit.label)
        if isinstance(running, RunningUnit):
            assert running.bundle is not None  # noqa: S101 - it has started
            return running.bundle.ref(name)
        if running is None and name not in unit.admitted:
            reason = "nobody sends to it from another node, so it cannot be reached from there"
            raise UsageError(f"actor {name!r} runs on node {unit.node!r}, and {reason}")
        distributed = running is None or (unit.bundle is not None and unit.bundle.mode is Mode.DISTRIBUTED)
        if not distributed and self._links.relay is None:
            raise UsageError(f"actor {name!r} runs in a process of its own, and without a relay it cannot be reached")
        return self._links.ref(target_of(self.plan, name, route=Route.DISTRIBUTED if distributed else Route.RELAY))

    @property
    def _links(self) -> Links:
        return self._ground.links

    async def switch(
        self, bundle: str, to: Mode, *, cold: bool = False, watch: Callable[[str], None] | None = None
    ) -> Switched:
        """Run a bundle in the other mode from now on, without losing or repeating a message.

        Its actors stop taking, handle what they have, and hand over to others, which go on where they stood. Senders wait
        meanwhile, as they do for a busy actor. References that were given out before stay valid.

        Args:
            bundle: its name.
            to: ``shared_memory`` or ``relay``.
            cold: an actor that has no `spore.Actor.snapshot` begins anew; without this it is a reason not to switch.
            watch: told the name of each step, of `spore.deploy.STEPS`, when it begins.

        Cancellation: a checkpoint. Until the last step but one has begun, the old mode then goes on; after that it is done before
        cancellation is delivered.

        Raises:
            SwitchFailed: with the step and the reason. The system is as it was.
        """
        await trio.lowlevel.checkpoint()
        if self._ends:
            raise SwitchFailed(bundle, PLAN, "the system is about to end")
        try:
            self._switching.acquire_nowait()
        except trio.WouldBlock:
            raise SwitchFailed(bundle, PLAN, "another switch is under way; wait until it is done") from None
        try:
            return await Switch(self, self._ground, bundle, to, cold=cold, watch=watch).run()
        finally:
            self._switching.release()

    async def statistics(
        self, actors: Collection[str] | None = None, *, letters: int = 0, patience_s: float = math.inf
    ) -> SystemStatistics:
        """Counts of everything, as each process tells them.

        Args:
            actors: the names of those of which to say something, and of what is sent to them; by default all.
            letters: so many of the last dead letters of each actor and reason.
            patience_s: how long to wait for an answer. A process that hangs, or is just being started again, may have none.

        Cancellation: a checkpoint.
        """
        running = tuple(self.running)
        units: dict[str, UnitStatistics] = {}

        async def ask(label: str) -> None:
            with trio.move_on_after(patience_s):
                if (found := await self._statistics_of(label, actors, letters)) is not None:
                    units[label] = found

        async with trio.open_nursery() as nursery:
            for label in running:
                nursery.start_soon(ask, label)
        relay = self._ground.relay
        answered = {label: units[label] for label in running if label in units}
        silent = {label: _pid(each) for label, each in self.running.items() if label in running and label not in units}
        processes = {label: unit.pid for label, unit in answered.items()} | silent | {OUTSIDE: os.getpid()}
        if relay is not None:
            processes[RELAY] = relay.pid
        client = self._links.statistics(actors)
        return SystemStatistics(
            units=answered,
            processes=processes,
            client=client,
            relay_restarts=relay.restarts if relay is not None else 0,
            silent=tuple(silent),
            incidents=tuple(self._ground.incidents),
            ended=tuple(each for each in self._ground.ended if actors is None or each.several or each.name in actors),
        )

    async def _statistics_of(self, label: str, actors: Collection[str] | None, letters: int) -> UnitStatistics | None:
        """Of a unit, whichever incarnation of it answers; None if a switch has ended it."""
        while (running := self.running.get(label)) is not None:
            try:
                return await running.statistics(actors, letters=letters)
            except Died:
                continue
        return None

    async def wait_idle(self) -> None:
        """Wait until everything that was sent has been handled, everywhere.

        That is: there was a moment at which no actor had anything queued, held or in hand, and nothing was under way. Every
        process is asked twice. If all are quiet both times, and none has sent or accepted anything in between, that moment
        was between the two. An actor that merges by event time may hold messages until one of its senders goes on or
        says that it is idle; leaving the block does not depend on that.

        Cancellation: always a checkpoint.

        Raises:
            LinkDenied: if something was sent from this process to an actor that takes nothing from it.
        """
        await self._settled(self._everywhere, self.running.values, ())
        for link in self._links.outgoing:
            if isinstance(link.denied, LinkDenied) and link.unhandled is not None:
                raise link.unhandled

    def _everywhere(self) -> Iterable[Settling]:
        return (*self.running.values(), *self._ground.neighbours.values())

    async def quieten(self, receivers: tuple[str, ...]) -> int:
        """For another node: wait until all that was sent from this one to some actors, or to any if none are named, has been handled,
        and those of them that run here have nothing queued.

        Returns:
            A number that changes whenever a message is sent from here or accepted here.

        Cancellation: always a checkpoint.
        """
        await self._links.drain(*receivers)
        found: list[object] = [self._sent()]
        for unit in self._units():
            idle = not receivers or not set(receivers).isdisjoint(unit.actors)
            found.append(await _persist(partial(self.running[unit.label].settle, receivers, idle=idle)))
        return crc32(repr(found).encode())

    async def wait_feeds(self) -> None:
        """Wait until every feed of the configuration has been read to its end, and all of it was sent.

        Cancellation: a checkpoint.
        """
        await self._ask_feeds("wait_ended")

    async def read_feeds(self) -> None:
        """Have every feed of the configuration begin.

        Cancellation: a checkpoint.
        """
        await self._ask_feeds("read")

    async def _ask_feeds(self, do: str) -> None:
        # Found before anything is waited for: a switch meanwhile has other units, but never another feed.
        feeds = [self.running[unit.label] for unit in self._units() if unit.kind is UnitKind.FEED]
        for running in feeds:
            if isinstance(running, Child):
                await _persist(running.ask, do)

    def _units(self) -> Iterable[Unit]:
        return self.plan.own

    async def _settled(
        self,
        running: Callable[[], Iterable[Settling]],
        idle: Callable[[], Iterable[Settling]],
        receivers: tuple[str, ...],
    ) -> None:
        """Wait until all is quiet that leads to some actors, or to any if none are named, among some processes.

        Args:
            running: the processes, and nodes, that may have sent something. A switch may change them.
            idle: those that have to be idle themselves, too.
            receivers: the actors.
        """
        before: list[object] | None = None
        while True:
            await self._links.drain(*receivers)
            every = tuple(running())
            now: list[object] = [every, self._sent()]
            try:
                for each in every:
                    now.append(await each.settle(receivers, idle=each in idle()))  # noqa: PERF401 - what was asked stays
            except Died:
                before = None  # it is being started again, and its senders send again
                continue
            if now == before and every == tuple(running()):
                return
            before = now

    def _sent(self) -> int:
        return sum(link.counts.sent for link in self._links.outgoing)

    # The end

    async def end(self) -> None:
        """Handle what was sent, stop every actor, and have all processes leave but the relay.

        Cancellation: always a checkpoint; what has not left is still to be stopped.
        """
        self._ends = True
        async with self._switching:
            pass
        config = self.plan.config
        with trio.move_on_after(max(bundle.drain_timeout_s for bundle in config.bundles)) as deadline:
            await self._stop_actors()
        if deadline.cancelled_caught:
            _log.warning("not all was handled in time; the bundles end with what they have")
        async with trio.open_nursery() as nursery:
            for running in self.running.values():
                nursery.start_soon(_persist, running.finish)
        self.last = await self.statistics(patience_s=PART_S)
        if any(link.outstanding for link, _ in self.last.links()):
            with trio.move_on_after(PART_S):  # acknowledgements may be under way
                await self._settled(self.running.values, tuple, ())
            self.last = await self.statistics(patience_s=PART_S)
        if self.plan.engine:
            await self._part(self.last)
        async with trio.open_nursery() as nursery:
            for running in self.running.values():
                if isinstance(running, Child):
                    nursery.start_soon(running.leave)
                else:
                    running.leave()

    async def _part(self, statistics: SystemStatistics) -> None:
        """Say what no other node has acknowledged, and be done with them."""
        if self.plan.others:
            for link, _ in statistics.links():
                if link.outstanding:
                    lost = f"{link.outstanding:,} messages that were not acknowledged"
                    self._ground.say(f"{link.sender} → {link.receiver}: {lost} end with this node")
        with trio.move_on_after(PART_S):
            async with trio.open_nursery() as nursery:
                for running in self.running.values():
                    nursery.start_soon(_persist, running.part)
        await self._ground.part()

    async def _stop_actors(self) -> None:
        """Stop all actors, senders before receivers. Who has stopped says on every port that it is idle."""
        self._links.lift_bounds()
        for running in self.running.values():
            await _persist(running.lift_bounds)
        for unit in self._units():
            if unit.kind is UnitKind.FEED:
                await _persist(self.running[unit.label].finish)
        for ref in self._refs.values():
            if (
                ref.moved
                or not isinstance(ref.behind, RemoteRef)
                or any(link.counts.sent for link in ref.behind.links())
            ):
                ref.idle()
        homes = {name: self.running[unit.label] for unit in self._units() for name in unit.actors}
        feeds = [self.running[unit.label] for unit in self._units() if unit.kind is UnitKind.FEED]
        nodes = {name: unit.node for group in self.plan.units for unit in group for name in unit.senders}
        following: dict[str, list[str]] = {name: [] for name in self.plan.actors}
        leading: dict[str, list[Settling]] = {name: [*feeds] for name in self.plan.actors}
        for edge in self.plan.edges:
            if edge.sender in following:
                following[edge.sender].append(edge.receiver)
                if edge.route is not Route.REFERENCE and edge.sender in homes:
                    leading[edge.receiver].append(homes[edge.sender])
            for node in (nodes[edge.sender], nodes[edge.receiver]):
                if node in self._ground.neighbours:
                    leading[edge.receiver].append(self._ground.neighbours[node])
        for group in groups_in_order(tuple(following), following.__getitem__):
            own = [name for name in group if name in homes]
            senders = dict.fromkeys(each for name in group for each in leading[name])
            members: dict[Settling, None] = dict.fromkeys(homes[name] for name in own) if len(group) > 1 else {}
            await self._settled({**senders, **members}.keys, members.keys, tuple(group))
            for name in own:
                await _persist(homes[name].stop, name)


def _pid(running: Running) -> int:
    return running.pid if isinstance(running, Child) else os.getpid()


async def _persist(call: Callable[..., Any], *args: Any) -> Any:
    """Ask a process until it has answered, whichever of its incarnations that is."""
    while True:
        try:
            return await call(*args)
        except Died:
            continue


@asynccontextmanager
async def open_system(
    config: str | Path | SystemConfig,
    *,
    local: Local | None = None,
    hops: tuple[Hop, ...] = (),
    node: str | None = None,
) -> AsyncIterator[System]:
    """Everything that a configuration describes, for the length of a block.

    Bundles in ``shared_memory`` run in the calling process; each actor of a bundle in ``relay`` has a process of its own, as
    has the relay, which is started if somebody needs it, and each feed. Leaving the block handles everything that was sent,
    senders before receivers, and stops them.

    Args:
        config: a file, or what `spore.deploy.load_config` has made of one. Modules are found in the folder of a file, too.
        local: actors of the caller's own, which run in the calling process: for each name a factory and its fields. Ports of
            configured actors lead to them by name: of the port, or in ``wire``. They are in the bundle of the first actor
            that sends to them, if that runs in this process, and are else reached through the relay.
        hops: those that are measured; what was noted is in `System.statistics`.
        node: which of the configuration's nodes runs here, if it has several. Entering waits until all of them are there.

    Cancellation: entering and leaving are checkpoints. Cancelled, or left with an exception, everything stops at once.

    Raises:
        ConfigError: with every problem of the configuration. Nothing was started.
        UsageError: if there is no such node, or several, and none was named.
        ExceptionGroup: what escalated in this process, what the body raised, and `spore.errors.UnitFailed` for a process
            that has failed or died too often.
    """
    source = "configuration" if isinstance(config, SystemConfig) else str(config)
    loaded = config if isinstance(config, SystemConfig) else load_config(config)
    if not isinstance(config, SystemConfig) and (beside := str(Path(config).absolute().parent)) not in sys.path:
        sys.path.append(beside)  # behind the program's own modules
    plan = make_plan(loaded, local=local, node=own_node(loaded, node), source=source)
    async with run_plan(plan, local=local, hops=hops) as system:
        yield system


@asynccontextmanager
async def run_plan(
    plan: Plan,
    *,
    local: Local | None = None,
    say: Callable[[str], None] = _log.info,
    hops: tuple[Hop, ...] = (),
    states: Mapping[str, Any] | None = None,
    restarts: bool = True,
) -> AsyncIterator[System]:
    """The same for a plan that has no problems.

    Args:
        plan: what to run.
        local: as it was planned with.
        say: told in one line whatever a person may want to know.
        hops: as for `open_system`.
        states: what `spore.Actor.snapshot` of predecessors has returned, by the names of the actors that take over.
        restarts: whether a process that dies is started again; else the system ends with it.

    Cancellation: as `open_system`.
    """
    with ExitStack() as folder:
        async with trio.open_nursery() as nursery:
            ground = Ground(nursery, folder, local=local, say=say, hops=hops, restarts=restarts, open_twin=run_plan)
            await ground.begin(plan)
            running: dict[str, Running] = {}
            for unit in plan.own:
                running[unit.label] = ground.unit(unit, spec_of(plan, unit, ground.link, hops, states))
            for each in running.values():
                ground.start(each)
            for each in running.values():
                await each.started.wait()
            system = System(plan, running, ground)
            await ground.attend(system.quieten)
            await system.read_feeds()
            yield system
            await system.end()
            await ground.leave()
