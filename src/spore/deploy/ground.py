"""What a running system stands on: the nursery that owns all of it, the relay, and this process's own ends of links.

The relay and the link to it are there from the beginning if the plan needs them, or from the first switch that does; then they stay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING

import attrs
import trio

from spore.deploy.ended import Ended, joined_by_name, of_unit
from spore.deploy.engine import EngineSpec
from spore.deploy.hops import Hop
from spore.deploy.links import Links, open_links
from spore.deploy.neighbours import Neighbour, Neighbours, Quieten, open_neighbours
from spore.deploy.place import Local
from spore.deploy.plan import Plan, Unit
from spore.deploy.run_folder import open_run_folder
from spore.deploy.shadow import Shadow
from spore.deploy.spec import LinkSpec, RelaySpec, UnitSpec
from spore.deploy.supervise import Child
from spore.deploy.unit import RunningUnit, UnitStatistics
from spore.nursery_bundle.ref import OUTSIDE

if TYPE_CHECKING:
    from spore.deploy.follower import OpenTwin
    from spore.deploy.spec import FeedSpec

__all__ = ["RELAY", "Ground", "Incident", "Running"]

RELAY = "relay"
MAX_INCIDENTS = 100
Running = RunningUnit | Child


@attrs.frozen(kw_only=True)
class Incident:
    """Something that has happened to a process."""

    where: str
    """Its name, as `SystemStatistics.processes` has it."""
    text: str
    at_ns: int
    """Since the Unix epoch."""


@attrs.define(eq=False)
class Life:
    """A unit that runs."""

    failed: Callable[[Exception], None] | None
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)


class Ground:
    """See above.

    Args:
        nursery: owns all tasks of the system.
        folder: is closed when all has ended.
        local: the factories and fields of actors that the caller has brought.
        say: told in one line whatever a person may want to know.
        hops: those that are measured.
        restarts: whether a process that dies is started again.
        open_twin: runs what is beside a bundle in shadow mode.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        folder: ExitStack,
        *,
        local: Local | None,
        say: Callable[[str], None],
        hops: tuple[Hop, ...],
        restarts: bool,
        open_twin: OpenTwin,
    ) -> None:
        self._nursery = nursery
        self.local = local
        self.say = say
        self.hops = hops
        self.restarts = restarts
        self.link: LinkSpec | None = None
        """How this node's processes talk to each other; None while nobody has to."""
        self.relay: Child | None = None
        self._links: Links | None = None
        self._met: Neighbours | None = None
        """None where there is one node at the most."""
        self._folder = folder
        self._open_twin = open_twin
        self.incidents: deque[Incident] = deque(maxlen=MAX_INCIDENTS)
        """What has happened to processes since the beginning, the last of it."""
        self.ended: tuple[Ended, ...] = ()
        """What was counted of actors by processes from which others have taken over."""
        self._children: set[Child] = set()
        self._lives: dict[Running, Life] = {}
        self._linked = trio.Event()
        self._to_part = trio.Event()
        self._to_unlink = trio.Event()
        self._unlinked = trio.Event()

    @property
    def links(self) -> Links:
        """This process's own."""
        assert self._links is not None  # noqa: S101 - nothing runs before there are
        return self._links

    async def begin(self, plan: Plan) -> None:
        """Have what a plan stands on.

        Cancellation: a checkpoint; what has begun is ended with the nursery.

        Raises:
            UnitFailed: if the relay cannot start.
        """
        if plan.engine:
            self.link = self._link(plan, None)
        own = self.link
        if own is not None and plan.keeps:
            own = attrs.evolve(own, durable=True, inlet=f"{OUTSIDE} of {plan.node}")
        self._nursery.start_soon(self._keep_links, plan, own)
        await self._linked.wait()
        if plan.relay:
            await self.need_relay(plan)

    async def attend(self, quieten: Quieten) -> None:
        """Everything of this node runs: let the other nodes know, and wait until they are there, too.

        Args:
            quieten: as `spore.deploy.system.System.quieten`.

        Cancellation: a checkpoint if it waits.
        """
        if self._met is not None:
            self._nursery.start_soon(self._met.attend, quieten)
            await self._met.wait_there()

    @property
    def neighbours(self) -> Mapping[str, Neighbour]:
        """The other nodes, by name."""
        return self._met.every if self._met is not None else {}

    async def part(self) -> None:
        """Nothing more goes to, or comes from, any other process through the engine.

        Cancellation: always a checkpoint.
        """
        await self.links.part()
        self._to_part.set()

    async def need_relay(self, plan: Plan) -> None:
        """Have a relay, unless there is one.

        Cancellation: a checkpoint if there is none; it is ended if it has not started yet.

        Raises:
            UnitFailed: if it cannot start. Then there is none.
        """
        if self.relay is None:
            spec = self._relay(plan)
            note = partial(self._note, RELAY)
            relay = Child(spec, self.say, outlives=self._children, restarts=self.restarts, note=note)
            await self._start_relay(relay)
            self.link, self.relay = self._link(plan, spec.address), relay
            self.links.join(self.link)

    async def _start_relay(self, relay: Child) -> None:
        failures: list[Exception] = []
        over = trio.CancelScope()

        def failed(error: Exception) -> None:
            failures.append(error)
            over.cancel()

        self.start(relay, failed=failed)
        try:
            with over:
                await relay.started.wait()
            if failures:
                raise failures[0]
            self.adopt(relay)
        finally:
            if not relay.started.is_set():
                self.kill(relay)

    def unit(self, unit: Unit, spec: UnitSpec | FeedSpec, *, restarts: bool | None = None) -> Running:
        """What is to run a unit; see `start`."""
        if unit.here and isinstance(spec, UnitSpec):
            shadow = Shadow(spec.twin, self._open_twin, self.say) if spec.twin is not None else None
            return RunningUnit(spec, self.local, shadow, self.links.engine)
        note = partial(self._note, spec.label)
        child = Child(spec, self.say, restarts=self.restarts if restarts is None else restarts, note=note)
        self._children.add(child)
        return child

    def _note(self, where: str, text: str) -> None:
        self.incidents.append(Incident(where=where, text=text, at_ns=time_ns()))

    def remember(self, unit: UnitStatistics) -> None:
        """A unit leaves, from which others have taken over: keep what it has counted that is to be known at the end."""
        self.ended = joined_by_name((*self.ended, *of_unit(unit)))

    def start(self, running: Running, *, failed: Callable[[Exception], None] | None = None) -> None:
        """Run a unit, as one of the system's, to its end.

        Args:
            running: the unit.
            failed: told if it fails; by default it ends the system, with everything that its failure says.
        """
        life = self._lives[running] = Life(failed)
        self._nursery.start_soon(self._live, running, life)

    def adopt(self, running: Running) -> None:
        """From now on it ends the system if it fails."""
        if running in self._lives:
            self._lives[running].failed = None

    async def end(self, running: Running) -> None:
        """End a unit at once, if it has not ended yet.

        Cancellation: a checkpoint if it waits; it ends all the same.
        """
        life = self._lives.get(running)
        if life is not None:
            self.kill(running)
            await life.ended.wait()

    def kill(self, running: Running) -> None:
        """The same, without waiting until it has ended."""
        life = self._lives.get(running)
        if life is not None:
            life.failed = life.failed or _ignore
            life.scope.cancel()

    async def _live(self, running: Running, life: Life) -> None:
        try:
            with life.scope:
                await (running.keep() if isinstance(running, Child) else running.run())
        except Exception as error:
            if life.failed is None:
                raise
            life.failed(error)
        finally:
            del self._lives[running]
            if isinstance(running, Child):
                self._children.discard(running)
            life.ended.set()

    async def leave(self) -> None:
        """All units have left: leave the relay, and have it leave.

        Cancellation: a checkpoint; the relay is killed with the nursery then.
        """
        self._to_part.set()
        self._to_unlink.set()
        await self._unlinked.wait()
        if self.relay is not None:
            await self.relay.leave()

    async def _keep_links(self, plan: Plan, link: LinkSpec | None) -> None:
        async with open_links(link, OUTSIDE) as self._links:
            if link is not None and plan.others:
                async with open_neighbours(plan, link, self._links, self.say) as self._met:
                    self._linked.set()
                    await self._to_part.wait()
            self._linked.set()
            await self._to_unlink.wait()
        self._unlinked.set()

    def _link(self, plan: Plan, address: str | None) -> LinkSpec:
        config = plan.config
        engine = None
        if plan.engine:
            engine = EngineSpec(system=config.system, node=config.nodes[plan.node], streams=config.streams)
        trace = config.observe.traces is not None
        return LinkSpec(
            address=address, heartbeat_s=config.relay.heartbeat_s, messages=plan.messages, trace=trace, engine=engine
        )

    def _relay(self, plan: Plan) -> RelaySpec:
        """Where the relay listens: where the configuration says, or in a directory for this user and this run alone."""
        config = plan.config.relay
        socket = config.socket
        if socket is None:
            socket = str(self._folder.enter_context(open_run_folder("run", sockets=True)) / "relay")
        return RelaySpec(label=RELAY, address=f"unix:{socket}", heartbeat_s=config.heartbeat_s)


def _ignore(_: Exception) -> None:
    """It is being ended anyway."""
