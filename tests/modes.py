"""One system in both modes within one process, and what tells whether they agree.

Bundled is `spore.open_system` itself. Relayed runs the very units that it would start as processes, each with a client and
a bundle of its own, on carriers in memory that may fail, and on the virtual clock: hundreds of runs cost seconds.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from itertools import chain, count, zip_longest
from typing import Any
from unittest.mock import patch

import attrs
import trio
from tests.relays import run

from spore import ActorRef, ActorStopped, MailboxFull
from spore.deploy import Mode, Plan, Route, System, SystemConfig, Unit, UnitKind, open_system, run_plan
from spore.deploy.config import NodeConfig
from spore.deploy.engine import EngineSpec
from spore.deploy.ground import Ground, Running
from spore.deploy.links import Links, open_links
from spore.deploy.place import Local
from spore.deploy.plan import make_plan
from spore.deploy.spec import FeedSpec, LinkSpec, UnitSpec, spec_of, target_of
from spore.deploy.system import SystemStatistics
from spore.deploy.unit import RunningUnit
from spore.errors import LinkDenied, UnitFailed
from spore.migration import Recorder, Recording, digest, entries, tapped
from spore.migration.tap import RECORDER
from spore.nursery_bundle.ref import OUTSIDE
from spore.relay import Relay, Switchboard
from spore.relay import carrier as carriers
from spore.relay import client as clients
from spore.relay import server as servers
from spore.relay.statistics import OutgoingStatistics
from spore.testing import Faults, FaultyCarrier

__all__ = ["Outcome", "Seen", "difference", "distributed", "opened", "outcome", "recorded", "relayed", "send_all"]

Seen = Mapping[str, Sequence[object]]
"""What came out, in order, by where it came out."""
NOTHING = "nothing"


@attrs.frozen(kw_only=True)
class Outcome:
    """What one run has shown."""

    seen: Seen
    counts: Mapping[tuple[str, str], int]
    """By actor, and by what became of its messages: handled, failed, or the reason of their loss."""


def difference(bundled: Seen, relayed: Seen) -> str | None:
    """The first message that is not the same in both; None if all have the same digests."""
    for name in sorted(bundled.keys() | relayed.keys()):
        one, other = bundled.get(name, ()), relayed.get(name, ())
        if digest(one) != digest(other):
            pairs = enumerate(zip_longest(one, other, fillvalue=NOTHING))
            return next(
                (f"{name}[{number}]: bundled {a!r}, relayed {b!r}" for number, (a, b) in pairs if a != b),
                f"{name}: equal messages that are encoded differently",
            )
    return None


def outcome(
    config: SystemConfig,
    batches: Sequence[Sequence[Any]],
    mode: Mode,
    *,
    to: Sequence[str] = (),
    local: Local | None = None,
    seen: Seen,
    faults: Faults | None = None,
    seed: int = 0,
    between: Callable[[System], Awaitable[None]] | None = None,
    address: str = "",
) -> Outcome:
    """Run a system on some messages to its end.

    Args:
        config: the system.
        batches: what it is sent. What is not accepted, because the actor has stopped or its mailbox is full, is not sent again.
        mode: of every bundle.
        to: who gets all of it.
        local: as for `spore.open_system`.
        seen: what the local actors write down.
        faults: of the carriers.
        seed: of the schedule, and of the faults.
        between: awaited after each batch.
        address: of the server for the mode ``distributed``, which runs in real time, as the server does.
    """

    async def main() -> Mapping[tuple[str, str], int]:
        async with opened(config, mode, local=local, faults=faults, seed=seed, address=address) as system:
            refs = [system.ref(name) for name in to]
            for batch in batches:
                for ref in refs:
                    await send_all(ref, batch)
                if between is not None:
                    await between(system)
        ours = system._links.statistics()
        return _counts(await system.statistics(), ours.outgoing if ours is not None else ())

    counts = trio.run(main) if address else run(main, seed=seed)
    return Outcome(seen=seen, counts=counts)


async def send_all(ref: ActorRef[Any], batch: Sequence[Any]) -> None:
    for message in batch:
        with suppress(ActorStopped, LinkDenied, MailboxFull):
            await ref.send(message)


def recorded(config: SystemConfig, batches: Sequence[Sequence[Any]], mode: Mode, **options: Any) -> Outcome:
    """The same for a trading pipeline, recorded where `spore.migration.play` records it."""
    recording = Recording()
    local = {RECORDER: (Recorder, {"recording": recording})}
    seen: Seen = {"signals": recording.signals, "orders": recording.orders, "reports": recording.reports}
    return outcome(tapped(config), batches, mode, to=entries(config), local=local, seen=seen, **options)


def _counts(statistics: SystemStatistics, outside: Sequence[OutgoingStatistics]) -> Mapping[tuple[str, str], int]:
    counts: Counter[tuple[str, str]] = Counter()
    for unit in statistics.units.values():
        for name, actor in unit.bundle.actors.items() if unit.bundle is not None else ():
            counts[name, "handled"] += actor.handled
            counts[name, "failed"] += actor.failed
            for reason, number in actor.lost.items():
                counts[name, str(reason)] += number
    clients = [unit.client.outgoing for unit in statistics.units.values() if unit.client is not None]
    for link in chain(outside, *clients):  # what waits for a connection is lost where it waits
        for reason, number in link.lost.items():
            counts[link.receiver, str(reason)] += number
    return +counts


# Relayed or distributed, in one process


def opened(
    config: SystemConfig,
    mode: Mode,
    *,
    local: Local | None = None,
    faults: Faults | None = None,
    seed: int = 0,
    address: str = "",
) -> AbstractAsyncContextManager[System]:
    """A running system in any mode."""
    if mode is Mode.DISTRIBUTED:
        return distributed(config, address, local=local)
    if mode is Mode.RELAY:
        return relayed(config.in_mode(mode), local=local, faults=faults or Faults(), seed=seed)
    return open_system(config.in_mode(mode), local=local)


class Inside(Ground):
    """What a system stands on whose processes all are this one, and whose relay or engine, and links, are there already."""

    def __init__(self, nursery: trio.Nursery, link: LinkSpec, links: Links, local: Local | None) -> None:
        super().__init__(
            nursery,
            ExitStack(),
            local=local,
            say=lambda _: None,
            hops=(),
            restarts=False,
            open_twin=run_plan,
        )
        self.link, self._links = link, links

    async def need_relay(self, plan: Plan) -> None:
        await trio.lowlevel.checkpoint()

    def unit(self, unit: Unit, spec: UnitSpec | FeedSpec, *, restarts: bool | None = None) -> Running:
        assert isinstance(spec, UnitSpec)
        return RunningUnit(spec, self.local, engine=self.links.engine)

    def kill_heir(self) -> None:
        """Have a unit die that is to take over, if there is one, as a process does."""
        for running, life in self._lives.items():
            if life.failed is not None:
                life.failed(UnitFailed(running.label, "its process was killed"))
                life.scope.cancel()
                return


class _Inside(System):
    """A system that reaches every actor as if that were in another process, although all run in this one."""

    def way_to(self, name: str) -> ActorRef[Any]:
        if self.plan.unit_of(name).kind is UnitKind.BUNDLE:
            return super().way_to(name)
        distributed = name in self.plan.unit_of(name).admitted
        return self._links.ref(target_of(self.plan, name, route=Route.DISTRIBUTED if distributed else Route.RELAY))


@asynccontextmanager
async def relayed(
    config: SystemConfig,
    *,
    local: Local | None,
    faults: Faults,
    seed: int,
    states: Mapping[str, Any] | None = None,
) -> AsyncIterator[System]:
    """A running system, the processes of which all are this one. What is relayed goes over carriers in memory."""
    plan = make_plan(config, local=local)
    heartbeat_s, trace = config.relay.heartbeat_s, config.observe.traces is not None
    link = LinkSpec(address="unix:memory", heartbeat_s=heartbeat_s, messages=plan.messages, trace=trace)
    made = 0
    async with trio.open_nursery() as nursery:
        relay = Relay(Switchboard(heartbeat_s=config.relay.heartbeat_s), nursery)
        nursery.start_soon(relay.watch)

        async def connect(*_: Any) -> FaultyCarrier:
            nonlocal made
            made += 1
            here, there = FaultyCarrier.pair(faults, seed=seed * 1_000 + made)
            nursery.start_soon(relay.serve, there)
            await trio.lowlevel.checkpoint()
            return here

        # How soon something was written after something else decides what goes out together, so that has to come again, too.
        clock = count(0, 15_000 * (seed % 5)).__next__
        with (
            patch.object(carriers, "connect", connect),
            patch.object(clients, "perf_counter_ns", clock),
            patch.object(servers, "perf_counter_ns", clock),
        ):
            async with _inside(plan, link, local, states) as system:
                yield system
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def distributed(config: SystemConfig, address: str, *, local: Local | None) -> AsyncIterator[System]:
    """The same through a real NATS server: each actor has its inlet, all over one connection."""
    node = NodeConfig(carrier=address)
    config = attrs.evolve(config, nodes={"here": node}, system=secrets.token_hex(8))
    plan = make_plan(config.in_mode(Mode.DISTRIBUTED), local=local)
    link = LinkSpec(
        address=None,
        heartbeat_s=config.relay.heartbeat_s,
        messages=plan.messages,
        engine=EngineSpec(system=config.system, node=node),
    )
    async with _inside(plan, link, local) as system:
        yield system


@asynccontextmanager
async def _inside(
    plan: Plan, link: LinkSpec, local: Local | None, states: Mapping[str, Any] | None = None
) -> AsyncIterator[System]:
    async with trio.open_nursery() as units, open_links(link, OUTSIDE) as links:
        ground = Inside(units, link, links, local)
        running = {unit.label: ground.unit(unit, spec_of(plan, unit, link, states=states)) for unit in plan.own}
        for unit in running.values():
            ground.start(unit)
        for unit in running.values():
            await unit.started.wait()
        system = _Inside(plan, running, ground)
        yield system
        await system.end()
