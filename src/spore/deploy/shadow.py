"""Shadow mode: a relayed twin handles what the bundle handles, and what both send is compared, while the bundle runs.

Invariant: the bundle never waits for its twin, and no failure of the twin is one of the bundle. What the twin is to have is
appended to bounded queues, which tasks of their own empty. When a queue overflows, or the twin dies, the two are *out of step*:
nothing more is compared, what is missed is counted, and a twin begins afresh where the bundle's actors stand.

A life of a twin: at a moment when the bundle is quiet its actors' snapshots are taken, and the queues begin → the twin starts
from these → it is fed and compared → it ends, and what it has left over is compared, too. The first one begins with the bundle,
and needs no snapshots.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import trio

from spore.deploy.comparing import Stream, Tally, Tap
from spore.deploy.place import Local
from spore.deploy.plan import Plan, make_plan
from spore.deploy.shadow_statistics import ShadowState, ShadowStatistics
from spore.deploy.tapping import tapped_port
from spore.deploy.twin import Twin, collectors, name_of_twin
from spore.deploy.watching import watched
from spore.errors import UnitFailed, first_cause
from spore.nursery_bundle import Actor, ActorRef, ActorState, Bundle, Supervision
from spore.nursery_bundle.chance import chances

if TYPE_CHECKING:
    from spore.deploy.system import System

__all__ = ["KEPT_MESSAGES", "WINDOW", "OpenTwin", "Shadow"]

KEPT_MESSAGES = 65_536
"""So many messages of an actor or a port are kept for the twin, by reference: what comes while its processes start."""
WINDOW = 10_000
"""With a rate below 1: how many messages a twin is fed with before it ends."""
BATCH = 64
PAUSE_S = 0.002
"""After a batch the one who copies rests for so long, so that a busy bundle keeps most of its process for itself."""
IDLE_S = 0.02
"""How often to look whether there is something to copy."""
WATCH_S = 0.1
"""How often to look whether the twin has fallen behind."""
AGAIN = Supervision(backoff_s=0.5, backoff_max_s=30.0, jitter=0.2)
"""How long to wait before a twin begins afresh: twice as long each time, unless the last one has lived for a while."""
LIVED_S = 60.0


class OpenTwin(Protocol):
    """`spore.deploy.run_plan`, which runs bundles, and so cannot be imported by what a bundle is made of."""

    def __call__(
        self, plan: Plan, *, local: Local, say: Callable[[str], None], states: Mapping[str, Any], restarts: bool
    ) -> AbstractAsyncContextManager[System]:
        """Run a plan for the length of a block."""
        ...


class Paused(Exception):
    """No twin can take over from this bundle."""


class Shadow:
    """The twin of one bundle, and what was compared.

    Args:
        twin: what runs.
        open_twin: runs it.
        say: told in one line whatever a person may want to know.
    """

    def __init__(self, twin: Twin, open_twin: OpenTwin, say: Callable[[str], None]) -> None:
        self._twin = twin
        self._open_twin = open_twin
        self._say_line = say
        self._inputs = {name: Tap(KEPT_MESSAGES) for name in twin.fed}
        self._streams = {port: Stream(*port, KEPT_MESSAGES) for port in twin.compared}
        self._bundle: Bundle | None = None
        self._state = ShadowState.STARTING
        self._reason = ""
        self._tally = Tally()
        self._twins = 0
        self._copied = 0
        self._processes: Mapping[str, int] = {}
        self._astray = 0
        """What actors that are not fed had got from outside when the twin began."""
        self._lost = ""
        """Why the twin is out of step; empty while it is not."""
        self._settled = False
        """Whether all that the twin was to have was handled there, and compared."""
        self._feeding = True
        """Whether the bundle may still handle something that this twin is to have."""
        self._life = trio.CancelScope()
        """Of one twin."""
        self._between = trio.CancelScope()
        """Between one twin and the next."""
        self._ended = trio.Event()
        """Set when the bundle has ended."""
        self._over = trio.Event()
        self._begin()

    # Where it is built into the bundle

    def fed(self, actor: str, factory: Callable[..., Actor[Any]]) -> Callable[..., Actor[Any]]:
        """A factory of the same actors, whose messages are copied if this is one that is fed."""
        tap = self._inputs.get(actor)
        return factory if tap is None else watched(factory, tap)

    def compared(self, actor: str, ports: Mapping[str, list[ActorRef[Any]]]) -> dict[str, list[ActorRef[Any]]]:
        """The ports of an actor, with those tapped that are compared."""
        tapped = dict(ports)
        for (name, port), stream in self._streams.items():
            if name == actor:
                tapped[port] = tapped_port(ports.get(port, ()), port, stream.ours)
        return tapped

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """A block in which a twin may run; it is gone at its end.

        Cancellation: leaving is a checkpoint.
        """
        async with trio.open_nursery() as self._nursery:
            yield
            self._nursery.cancel_scope.cancel()

    def start(self, bundle: Bundle) -> None:
        """The bundle's actors have started, with this built in."""
        self._bundle = bundle
        self._nursery.start_soon(self._run, bundle)

    async def finish(self) -> None:
        """The bundle has ended: let the twin handle what it was to have, but for no longer than the bundle's own end may take.

        Cancellation: a checkpoint; what is left is not compared.
        """
        self._ended.set()
        self._between.cancel()
        self._life.deadline = trio.current_time() + self._twin.drain_timeout_s
        if self._bundle is not None:
            await self._over.wait()
        self._state = ShadowState.ENDED
        self._say(self.statistics().summary)

    def statistics(self) -> ShadowStatistics:
        """Counts as of now."""
        noted = sum(len(tap.queue) for tap in self._inputs.values())
        inputs = self._handled()
        return ShadowStatistics(
            bundle=self._twin.bundle,
            state=self._state,
            reason=self._reason,
            twins=self._twins,
            inputs=inputs,
            copied=self._copied,
            waiting=noted,
            skipped=max(0, inputs - self._copied - noted),
            equal=self._tally.equal,
            different=self._tally.different,
            first=self._tally.first,
            last=tuple(self._tally.last),
            processes=self._processes,
        )

    # From one twin to the next

    async def _run(self, bundle: Bundle) -> None:
        try:
            await self._run_twins(bundle)
        except Paused as paused:
            self._enter(ShadowState.PAUSED, str(paused))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not the bundle's
            self._enter(ShadowState.PAUSED, f"{type(error).__name__}: {error}")
        finally:
            self._forget()
            self._over.set()

    async def _run_twins(self, bundle: Bundle) -> None:
        states: Mapping[str, Any] = {}
        attempt, chance = 0, chances(None)
        while True:
            began = trio.current_time()
            await self._live(bundle, states)
            if self._ended.is_set():
                return
            with trio.CancelScope() as self._between:
                if self._lost:
                    attempt = 1 if trio.current_time() - began > LIVED_S else attempt + 1
                    await trio.sleep(AGAIN.backoff(attempt, chance.random()))
                else:
                    await self._rest()
                states = await self._take_over(bundle)
            if self._ended.is_set():
                return

    async def _live(self, bundle: Bundle, states: Mapping[str, Any]) -> None:
        """Run one twin to its end, whatever that is."""
        self._lost, self._settled, self._feeding = "", False, True
        self._enter(ShadowState.STARTING)
        local = collectors(self._twin, self._meet)
        plan = make_plan(self._twin.config, local=local, source="the twin")
        try:
            with trio.CancelScope() as self._life:
                async with self._open_twin(plan, local=local, say=self._say, states=states, restarts=False) as system:
                    self._twins += 1
                    known = (await system.statistics()).processes
                    self._processes = {name: known[name] for name in self._twin.processes if name in known}
                    self._enter(ShadowState.FOLLOWING)
                    await self._keep_up(bundle, system)
                self._settle()
        except* Exception as group:  # noqa: BLE001 - whatever it is, it is the twin's
            error = first_cause(group)
            self._lose(f"{error.unit}: {error.reason}" if isinstance(error, UnitFailed) else f"{error}")
        finally:
            self._processes = {}
        if not self._settled:
            self._lose(f"the twin had not handled everything {self._twin.drain_timeout_s:g} s after the bundle's end")

    async def _keep_up(self, bundle: Bundle, system: System) -> None:
        """Feed a twin until its time is over."""
        async with trio.open_nursery() as watching:
            watching.start_soon(self._watch)
            async with trio.open_nursery() as copying:
                for name, tap in self._inputs.items():
                    copying.start_soon(self._copy, tap, system.ref(name_of_twin(name)))
                await self._until_over(bundle)
            if not self._ended.is_set():
                await system.wait_idle()
                self._settle()
                self._life.cancel()  # the bundle goes on, and what the twin would say at its end it does not say
            watching.cancel_scope.cancel()

    async def _copy(self, tap: Tap, ref: ActorRef[Any]) -> None:
        queue = tap.queue
        while queue or self._feeding:
            batch = min(len(queue), BATCH)
            for _ in range(batch):
                if tap.full:
                    self._lose_behind()
                    return
                await ref.send(queue.popleft())
                self._copied += 1
            await trio.sleep(PAUSE_S if batch else IDLE_S)

    async def _until_over(self, bundle: Bundle) -> None:
        """Wait until the bundle has ended, or the twin's window."""
        rest = WINDOW if self._twin.rate < 1 else math.inf
        until = self._copied + rest
        while not self._ended.is_set() and self._copied < until:
            with trio.move_on_after(WATCH_S):
                await self._ended.wait()
        if not self._ended.is_set():
            await bundle.wait_idle()  # what it handles now is the twin's, too, with all that it sends then
        for tap in self._taps():
            tap.rest()
        self._feeding = False

    async def _watch(self) -> None:
        while True:
            await trio.sleep(WATCH_S)
            if any(tap.full for tap in self._inputs.values()) or any(each.full for each in self._streams.values()):
                self._lose_behind()

    async def _rest(self) -> None:
        """Between two windows: let as many messages pass as makes the share."""
        self._enter(ShadowState.RESTING)
        until = self._handled() + WINDOW * (1 / self._twin.rate - 1)
        while self._handled() < until:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(WATCH_S)

    async def _take_over(self, bundle: Bundle) -> Mapping[str, Any]:
        """Wait until the bundle is quiet, and have the queues begin at the moment when its actors' states are taken.

        Raises:
            Paused: if an actor has no snapshot.
        """
        while True:
            await bundle.wait_idle()
            actors = bundle.statistics().actors
            if all(actors[name].state is ActorState.RUNNING for name in self._twin.actors):
                break
            await trio.sleep(WATCH_S)
        states = {}
        for name in self._twin.actors:
            try:
                states[name_of_twin(name)] = bundle.snapshot(name)
            except NotImplementedError:
                reason = f"actor {name!r} has no snapshot, so that no twin can take over where it stands"
                raise Paused(f"{self._lost}; {reason}") from None
        self._begin()
        return states

    # What is compared

    def _meet(self, port: tuple[str, str], message: Any) -> None:
        """The twin has sent something."""
        if self._lost or self._settled:
            return
        stream = self._streams[port]
        stream.theirs.append(message)
        if stream.full:
            self._lose_behind()
            return
        for one, other in stream.pairs():
            self._compare(stream, one, other)

    def _settle(self) -> None:
        """Both have sent everything: what is left has no counterpart."""
        if self._lost:
            return
        for stream in self._streams.values():
            for one, other in stream.rest():
                self._compare(stream, one, other)
        self._settled = True

    def _compare(self, stream: Stream, one: Any, other: Any) -> None:
        if one != other and (excuse := self._excuse()):
            self._lose(excuse)
        if not self._lost:
            found = self._tally.count(stream, one, other)
            if found is not None and found is self._tally.first:
                self._say(f"the first difference: {found}")

    def _excuse(self) -> str:
        """Why a difference would be none; empty if it would be one."""
        for stream in self._streams.values():
            if stream.ours.asked:
                asks = f"actor {stream.actor!r} asks somebody outside of the bundle through {stream.port!r}"
                return f"{asks}, and the twin cannot have the answer"
        if self._from_outside() > self._astray:
            return "an actor that is not fed got messages from outside, of which the twin has no copy"
        return ""

    def _from_outside(self) -> int:
        """Messages from outside of the bundle that no one could copy, because they went to an actor in the middle."""
        edges = self._bundle.statistics().edges if self._bundle is not None else ()
        inside, fed = self._twin.actors, self._twin.fed
        return sum(
            edge.sent
            for edge in edges
            if edge.receiver in inside and edge.receiver not in fed and edge.sender not in inside
        )

    # The queues

    def _taps(self) -> Iterable[Tap]:
        yield from self._inputs.values()
        for stream in self._streams.values():
            yield stream.ours

    def _begin(self) -> None:
        """What is handled and sent from now on is the next twin's."""
        for tap in self._inputs.values():
            tap.begin()
        for stream in self._streams.values():
            stream.begin()
        self._astray = self._from_outside()

    def _forget(self) -> None:
        for tap in self._taps():
            tap.rest()
            tap.queue.clear()

    def _lose(self, reason: str) -> None:
        """Out of step: the twin is of no use any more."""
        if self._lost or self._settled:
            return
        self._lost = reason
        self._life.cancel()
        self._forget()
        self._enter(ShadowState.OUT_OF_STEP, reason)

    def _lose_behind(self) -> None:
        self._lose(f"the twin is behind: {KEPT_MESSAGES:,} messages of an actor or a port wait for it")

    def _handled(self) -> int:
        """Messages that the actors have handled that are fed in the twin."""
        if self._bundle is None:
            return 0
        actors = self._bundle.statistics().actors
        return sum(actors[name].handled + actors[name].failed for name in self._twin.fed)

    def _say(self, line: str) -> None:
        self._say_line(f"shadow of {self._twin.bundle!r}: {line}")

    def _enter(self, state: ShadowState, reason: str = "") -> None:
        self._state, self._reason = state, reason
        if reason:
            self._say(f"{state}: {reason}")
