"""What one process runs: a bundle, with the ports of its actors wired, and its ends of links.

Its life: started → `lift_bounds` → `stop` of each actor, in the order of the whole system → `finish`, which ends the bundle
→ `leave`. Until it leaves it keeps what it has sent, and others have not handled, for them.

In a switch an heir is made ready → `take_over` → `go_on`, while its predecessors `pause` → are `quiet` → `hand_over`, and after
that either `resume`, or `let_go` → `retire`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import attrs
import trio

from spore.codec import encoded_size, wire_difference
from spore.deploy.engine import Engine
from spore.deploy.handover import Handover, hand_over, send_again
from spore.deploy.hops import Hop, HopTimes, Probe
from spore.deploy.kinds import find_kind
from spore.deploy.links import Links, key_of, open_links
from spore.deploy.place import Local
from spore.deploy.shadow import Shadow
from spore.deploy.shadow_statistics import ShadowStatistics
from spore.deploy.shards import together
from spore.deploy.spec import ActorSpec, Target, UnitSpec, load_plain
from spore.deploy.watching import watched
from spore.distribution import missing
from spore.errors import EncodeError, UsageError
from spore.nursery_bundle import Actor, ActorRef, Bundle, BundleStatistics, LetterStatistics, open_bundle
from spore.nursery_bundle.ports import WatchedRef
from spore.nursery_bundle.supervision import AS_IT_IS
from spore.relay.statistics import ClientStatistics

__all__ = ["RunningUnit", "UnitStatistics"]

HELD_S = 0.01
"""How often to look whether messages that are held to be merged have gone on. Nobody tells."""


@attrs.frozen(kw_only=True)
class UnitStatistics:
    """A moment's view of a process, or of a bundle in the calling one."""

    label: str
    pid: int
    restarts: int
    """How often its process has died and was started again."""
    bundle: BundleStatistics | None = None
    """None for a feed."""
    client: ClientStatistics | None = None
    """Of all its links; None where it has none."""
    account: Mapping[str, Any] | None = None
    """Of a feed: what it has read, used and skipped."""
    hops: tuple[HopTimes, ...] = ()
    """What was noted here of hops that are measured."""
    shadow: ShadowStatistics | None = None
    """Of a bundle in shadow mode."""
    letters: tuple[LetterStatistics, ...] = ()
    """The last dead letters, as many as were asked for."""


class RunningUnit:
    """A bundle that runs, in this process.

    Args:
        spec: what it runs.
        local: the factories and fields of actors that the caller has brought.
        shadow: what runs and compares the twin, where there is one.
        engine: this process's connection to the engine, if it has one already.
    """

    def __init__(
        self,
        spec: UnitSpec,
        local: Local | None = None,
        shadow: Shadow | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.spec = spec
        self.label = spec.label
        self.started = trio.Event()
        """Set when its actors have started, and others can reach them; of an heir, when it is ready to take over."""
        self.finished = trio.Event()
        """Set when its bundle has ended."""
        self.bundle: Bundle | None = None
        self._links: Links | None = None
        self._engine = engine
        self._local = local or {}
        self._shadow = shadow
        self._gone_on = trio.Event()
        """Set when it has taken over and runs; of no use to one that is no heir."""
        self._handover = Handover()
        """What it has taken over."""
        self._to_finish = trio.Event()
        self._to_leave = trio.Event()
        self._last: BundleStatistics | None = None
        self._probes: list[Probe] = []
        self._tracing: Any = None

    async def run(self) -> None:
        """Run it to its end.

        Cancellation: always a checkpoint; the bundle stops at once.

        Raises:
            ExceptionGroup: with what escalated, or kept an actor from starting.
        """
        spec = self.spec
        for module in spec.modules:
            importlib.import_module(module)
        beside: AbstractAsyncContextManager[None] = nullcontext() if self._shadow is None else self._shadow.beside()
        tracing, links = _open_tracing(spec), open_links(spec.link, spec.label, self._engine)
        async with tracing as self._tracing, links as self._links, beside:
            async with open_bundle(
                spec.bundle,
                drain_timeout_s=spec.drain_timeout_s,
                supervision=spec.supervision,
                verifier=wire_difference,
                size_of=_frame_bytes,
                trace=spec.traces is not None,
            ) as bundle:
                self.bundle = bundle
                await (self._wait_to_go_on() if spec.heir else self._begin(bundle))
                if self._shadow is not None:
                    self._shadow.start(bundle, afresh=not spec.heir)
                await self._to_finish.wait()
            self._last = bundle.statistics()
            if self._shadow is not None:
                await self._shadow.finish()
            self.finished.set()
            await self._to_leave.wait()

    async def _begin(self, bundle: Bundle) -> None:
        for actor in self.spec.actors:
            await self._start(bundle, actor, actor.state)
        self._attach(bundle)
        await self.links.wait_connected()
        # A receiver that merges waits for those whom it knows: it is to know of all before anything is sent.
        await self.links.wait_open()
        self.started.set()

    async def _wait_to_go_on(self) -> None:
        for actor in self.spec.actors:
            if actor.type:
                find_kind(actor.type)  # which imports what it needs
        await self.links.wait_connected()
        self.started.set()
        await self._gone_on.wait()

    @property
    def links(self) -> Links:
        """Its ends of links, while it runs."""
        assert self._links is not None  # noqa: S101 - nobody asks before it does
        return self._links

    def _attach(self, bundle: Bundle) -> None:
        attached, admitted, durable = self.spec.attached, self.spec.admitted, self.spec.durable
        for name in dict.fromkeys((*attached, *admitted)):
            self.links.attach(
                bundle.ref(name), relayed=name in attached, admitted=name in admitted, durable=name in durable
            )

    async def _start(self, bundle: Bundle, spec: ActorSpec, state: Any, moved: Actor[Any] | None = None) -> None:
        options = spec.options
        fields: dict[str, Any]
        factory: Callable[..., Actor[Any]]
        if spec.type:
            factory = find_kind(spec.type).factory(options.config)
            ports = {
                port: together(
                    (self._measured(spec.name, port, self._ref(bundle, one)), one.shards, one.by) for one in targets
                )
                for port, targets in spec.ports.items()
            }
            if self._shadow is not None:
                factory = self._shadow.taps.factory(spec.name, factory)
                ports = self._shadow.taps.ports(spec.name, ports)
            fields = {port: refs if len(refs) > 1 else refs[0] for port, refs in ports.items()}
        else:
            factory, given = self._local[spec.name]
            fields = dict(given)
            if moved is not None:
                factory = _first(moved, factory)
        if self._tracing is not None:
            factory = self._tracing.factory(
                factory, actor=spec.name, bundle=self.spec.bundle, begins=spec.begins_traces
            )
        for hop in self.spec.hops:
            if hop.receiver == spec.name:
                factory = watched(factory, self._probe(hop, sent=False))
        await bundle.start(
            factory,
            name=spec.name,
            capacity=options.capacity,
            overflow=options.overflow,
            key=key_of(options.key),
            dispatch=options.dispatch,
            merge=options.merge,
            verify=options.verify,
            supervision=options.supervision,
            state=state,
            **fields,
        )

    def _ref(self, bundle: Bundle, target: Target) -> ActorRef[Any]:
        return self.links.ref(target) if target.remote else bundle.ref(target.receiver)

    def _measured(self, sender: str, port: str, ref: ActorRef[Any]) -> ActorRef[Any]:
        """The same reference; of a hop that is measured, one that notes what is sent."""
        for hop in self.spec.hops:
            if (hop.sender, hop.port, hop.receiver) == (sender, port, ref.name):
                return WatchedRef(ref, self._probe(hop, sent=True))
        return ref

    def _probe(self, hop: Hop, *, sent: bool) -> Probe:
        self._probes.append(Probe(hop, sent=sent))
        return self._probes[-1]

    # What the system asks of it

    async def settle(self, receivers: tuple[str, ...], *, idle: bool) -> int:
        """Wait until all that was sent from here to some actors, or to any if none are named, has been handled.

        Args:
            receivers: their names.
            idle: wait also until nothing here is queued, held or in hand.

        Returns:
            A number that changes whenever a message is sent from here or accepted here.

        Cancellation: always a checkpoint.
        """
        while True:
            await self.links.drain(*receivers)
            if not idle or self.finished.is_set() or self.bundle is None:
                return self._activity()
            before = self._activity()
            await self.bundle.wait_idle()
            if any(actor.queued or actor.held for actor in self.bundle.statistics().actors.values()):
                await trio.sleep(HELD_S)
            elif self._activity() == before:
                return before

    def _activity(self) -> int:
        bundle = self._last or (self.bundle.statistics() if self.bundle is not None else None)
        received = sum(actor.received for actor in bundle.actors.values()) if bundle is not None else 0
        return received + sum(link.counts.sent for link in self.links.outgoing)

    async def statistics(self, actors: Collection[str] | None = None, *, letters: int = 0) -> UnitStatistics:
        """Counts of everything in it.

        Args:
            actors: the names of those of which to say something, and of what is sent to them; by default all. Others may be among them.
            letters: so many of the last dead letters of each actor and reason.

        Cancellation: a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        wanted = frozenset(actors) if actors is not None else None
        bundle = self._last and _only(self._last, wanted)
        if bundle is None and self.bundle is not None:
            own = None if wanted is None else [actor.name for actor in self.spec.actors if actor.name in wanted]
            bundle = self.bundle.statistics(own)
        client = self._links.statistics(wanted) if self._links is not None else None
        return UnitStatistics(
            label=self.label,
            pid=os.getpid(),
            restarts=0,
            bundle=bundle,
            client=client,
            hops=tuple(probe.times() for probe in self._probes),
            shadow=self._shadow.statistics() if self._shadow is not None else None,
            letters=self.bundle.last_letters(letters) if self.bundle is not None else (),
        )

    async def lift_bounds(self) -> None:
        """Everything is about to end: no sender waits for room any more.

        Cancellation: a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        self.links.lift_bounds()
        if self.bundle is not None and not self.finished.is_set():
            self.bundle.lift_bounds()

    async def stop(self, actor: str) -> None:
        """Handle what is queued for an actor, and stop it. What comes for it after this stays with those who send it, on other nodes.

        Cancellation: as `spore.Bundle.stop`.
        """
        if self.bundle is not None and not self.finished.is_set():
            self._hold(actor)
            await self.bundle.end_actor(actor)  # the system has a limit of its own

    def _hold(self, *actors: str) -> None:
        if self.links.inlet is not None:
            for actor in actors:
                self.links.inlet.hold(actor)

    async def finish(self) -> None:
        """End the bundle, which handles what is queued, and wait until it has ended, and its twin after it.

        Cancellation: a checkpoint; the bundle goes on ending.
        """
        self._hold(*self.spec.admitted)
        self._to_finish.set()
        await self.finished.wait()

    async def part(self) -> None:
        """See `spore.deploy.links.Links.part`.

        Cancellation: always a checkpoint.
        """
        await self.links.part()

    def leave(self) -> None:
        """Be gone. What others have not handled of what was sent from here is given up."""
        self._to_finish.set()
        self._to_leave.set()

    # In a switch: what is asked of those from which others take over

    async def pause(self, inside: tuple[str, ...], merging: tuple[str, ...] = ()) -> None:
        """Take nothing more, but from these senders. What comes from others stays with them, as if the actors here were busy.

        Args:
            inside: the senders.
            merging: receivers that may hold what is sent to them until somebody goes on who is paused. Nobody waits for room there.

        Cancellation: a checkpoint; it is paused all the same.
        """
        await trio.lowlevel.checkpoint()
        if self.bundle is not None:
            self.bundle.moving.lift_bounds()
        for link in self.links.outgoing:
            if link.members.keys() <= set(merging):
                link.lift_bound()
        if (relay := self.links.relay) is not None:
            relay.pause(inside)
            while relay.busy:  # noqa: ASYNC110 - what has been stopped has gone after a pass or two
                await trio.lowlevel.checkpoint()

    async def resume(self) -> None:
        """Nobody takes over: go on.

        Cancellation: a checkpoint; it goes on all the same.
        """
        await trio.lowlevel.checkpoint()
        if self.bundle is not None:
            self.bundle.moving.restore_bounds()
            for name in self._local.keys() & {actor.name for actor in self.spec.actors}:
                self.bundle.moving.rewire(name)
        for link in self.links.outgoing:
            link.restore_bound()
        if self.links.relay is not None:
            self.links.relay.resume()

    async def quiet(self, receivers: tuple[str, ...]) -> int:
        """Wait until nothing here is queued or in hand, and these receivers have handled all that was sent to them from here.

        Returns:
            As `settle`.

        Cancellation: always a checkpoint.
        """
        while True:
            await trio.lowlevel.checkpoint()
            before = self._activity()
            if receivers:
                await self.links.drain(*receivers)
            if self.bundle is not None:
                await self.bundle.wait_idle()
            if self._activity() == before:
                return before

    async def hand_over(self, *, cold: bool) -> Handover:
        """Where the actors stand, once they are quiet and nothing more is taken; see `spore.deploy.handover`.

        Args:
            cold: an actor without a snapshot does not matter.

        Cancellation: a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        assert self.bundle is not None  # noqa: S101 - it has started
        actors = [actor.name for actor in self.spec.actors if actor.type]
        return hand_over(self.bundle, self.links.relay, actors, cold=cold)

    def moved(self) -> dict[str, Actor[Any]]:
        """The caller's own actors, which move as they are: they do not leave the process."""
        assert self.bundle is not None  # noqa: S101 - it has started
        return {actor.name: self.bundle.moving.actor(actor.name) for actor in self.spec.actors if not actor.type}

    async def let_go(self) -> None:
        """Others have taken over, and are to be reached under the names of the actors here.

        Cancellation: a checkpoint if it waits.
        """
        assert self.bundle is not None  # noqa: S101 - it has started
        self.bundle.moving.halt()
        if (relay := self.links.relay) is not None:
            for name in self.spec.attached:
                relay.detach(name)
            await relay.wait_detached()

    async def retire(self) -> None:
        """Others have taken over: have each actor say goodbye, and leave.

        Cancellation: as the actors' `spore.Actor.on_stop`.
        """
        assert self.bundle is not None  # noqa: S101 - it has started
        if self._shadow is not None:
            await self._shadow.retire()
        if (relay := self.links.relay) is not None:
            for link in tuple(relay.session.outgoing.values()):
                relay.session.close(link)
                link.end("its sender runs elsewhere now")
        await self.bundle.moving.leave(kept=self.moved().values())
        self.leave()

    # … and of those that take over

    async def take_over(self, handover: Handover, moved: Mapping[str, Actor[Any]] | None = None) -> str:
        """Start the actors from where their predecessors stand. They are not reached yet.

        Returns:
            What has kept one from starting; empty if nothing has.

        Cancellation: as the actors' `spore.Actor.on_start`.
        """
        assert self.bundle is not None  # noqa: S101 - it has started
        self._handover, moved = handover, moved or {}
        if self.links.relay is not None:
            self.links.relay.session.take_over(handover.links)
        positions = {each.actor: each.positions for each in handover.merging}
        for actor in self.spec.actors:
            text = handover.states.get(actor.name)
            try:
                state = AS_IT_IS if actor.name in moved else text and load_plain(text)
                await self._start(self.bundle, actor, state, moved.get(actor.name))
            except Exception as error:  # noqa: BLE001 - whatever it is, the predecessor goes on
                return f"actor {actor.name!r} cannot take over: {type(error).__name__}: {error}"
            self.bundle.moving.resume(actor.name, positions.get(actor.name, ()))
        return ""

    async def go_on(self) -> None:
        """Be reached from now on, and send again what the predecessors had under way.

        Cancellation: a checkpoint before anything is done.
        """
        await trio.lowlevel.checkpoint()
        assert self.bundle is not None  # noqa: S101 - it has started
        for each in self._handover.under_way:
            ref = self.bundle.moving.port(each.sender, each.port, each.receiver)
            if ref is not None:
                send_again(each, ref)
        self._attach(self.bundle)
        self._gone_on.set()


def _open_tracing(spec: UnitSpec) -> AbstractAsyncContextManager[Any]:
    """What makes spans, by name: it needs packages that nobody else does, and knows more of a system than this layer."""
    if spec.traces is None:
        return nullcontext()
    try:
        tracing = importlib.import_module("spore.observe.tracing")
    except ModuleNotFoundError as error:
        raise UsageError(missing("tracing", error.name, "traces")) from None
    opened: AbstractAsyncContextManager[Any] = tracing.open_tracing(spec.traces, spec.label, every=spec.trace_every)
    return opened


def _first(actor: Actor[Any], factory: Callable[..., Actor[Any]]) -> Callable[..., Actor[Any]]:
    """A factory that returns this actor first, and then those of another one."""
    first = [actor]

    def make(**fields: Any) -> Actor[Any]:
        return first.pop() if first else factory(**fields)

    return make


def _only(bundle: BundleStatistics, actors: Collection[str] | None) -> BundleStatistics:
    """What is known of some actors of a bundle that has ended."""
    if actors is None:
        return bundle
    return attrs.evolve(
        bundle,
        actors={name: actor for name, actor in bundle.actors.items() if name in actors},
        edges=tuple(edge for edge in bundle.edges if edge.receiver in actors),
    )


def _frame_bytes(message: Any) -> int:
    """What a message takes as a frame; nothing if it cannot travel, because then it would not have been sent."""
    try:
        return encoded_size(message)
    except EncodeError:
        return 0
