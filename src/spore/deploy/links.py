"""A process's ends of all its links: to its node's relay, from an inlet of its own, and to each inlet that it sends to.

Each is a client for itself, because each has a switchboard of its own at its other end; the engine carries the latter two from
process to process, all over one connection. Invariant: what came over one client is acknowledged once what it has led to is on its
way over another; see `spore.relay.session.Session.acknowledge`.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable, Collection, Hashable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from operator import attrgetter
from typing import Any

import trio

from spore.deploy.engine import Connect, Engine, open_engine
from spore.deploy.spec import LinkSpec, Target
from spore.errors import UsageError
from spore.message import REGISTRY, Registry, Schema, message_type
from spore.nursery_bundle import ActorRef
from spore.nursery_bundle.ref import OUTSIDE
from spore.relay import Address, Client, RemoteRef
from spore.relay import carrier as carriers
from spore.relay.control import STREAM
from spore.relay.outgoing import Outgoing
from spore.relay.session import Session
from spore.relay.statistics import ClientStatistics, joined

__all__ = ["Links", "key_of", "open_links"]

OTHERS_START = 6
"""So many attempts to reach another process's inlet may fail before it is said: all processes of a system start at once."""


class Links:
    """Made by `open_links`. It may have no client at all, and then there is nothing to wait for."""

    def __init__(
        self,
        name: str,
        spec: LinkSpec | None,
        nursery: trio.Nursery,
        engine: Engine | None,
        registry: Registry = REGISTRY,
    ) -> None:
        self.relay: Client | None = None
        """To the node's relay, if the process needs that."""
        self.inlet: Client | None = None
        """To the process's own inlet, if others reach it through the engine."""
        self.engine = engine
        self._name = name
        self._spec = spec
        self._nursery = nursery
        self._registry = registry
        self._outlets: dict[str, Client] = {}
        """By the names of the inlets at their other ends."""
        self._sessions: list[Session] = []

    @property
    def clients(self) -> Iterator[Client]:
        """All of them."""
        yield from (client for client in (self.relay, self.inlet) if client is not None)
        yield from self._outlets.values()

    @property
    def outgoing(self) -> Iterator[Outgoing]:
        """The links from here."""
        return (link for client in self.clients for link in tuple(client.session.outgoing.values()))

    def join(self, spec: LinkSpec) -> None:
        """Have a link to the relay, too, from now on."""
        assert spec.address is not None  # noqa: S101 - there is a relay
        self._spec = spec
        self.relay = self._client(partial(carriers.connect, Address.parse(spec.address)), "relay")

    def receive(self, connect: Connect) -> None:
        """Be reached through an inlet, to which this leads."""
        self.inlet = self._client(connect, "inlet")

    def _client(self, connect: Connect, there: str, *, said_from: int = 1) -> Client:
        """A new client, which knows of the others."""
        spec = self._spec
        assert spec is not None  # noqa: S101 - whoever needs a client has one
        known = (message_type(_class(path)) for path in spec.messages) if spec.messages else self._registry
        session = Session(self._name, registry=self._registry, heartbeat_s=spec.heartbeat_s, schema=Schema.of(known))
        session.fellows = self._sessions
        self._sessions.append(session)
        client = Client(session, connect, self._nursery, trace=spec.trace, there=there, said_from=said_from)
        self._nursery.start_soon(client.run, name=f"client {self._name}")
        return client

    def ref(self, target: Target, *, sender: str = OUTSIDE) -> RemoteRef[Any]:
        """A reference to an actor of another process."""
        if target.durable:
            if self.inlet is None:
                raise UsageError(f"{self._name} has no inlet, and so no way to the stream of {target.receiver!r}")
            return self.inlet.stream(target.receiver, sender=sender, inside=True)
        return self.to(target.inlet, target.node).ref(
            target.receiver, capacity=target.capacity, key=key_of(target.key), feedback=target.feedback, sender=sender
        )

    def to(self, inlet: str, node: str = "") -> Client:
        """The client that leads to an inlet, or for the empty name to the relay.

        Args:
            inlet: its name.
            node: where it is, for people.

        Raises:
            UsageError: if there is no way.
        """
        if not inlet:
            if self.relay is None:
                raise UsageError(f"{self._name} has no link to the relay")
            return self.relay
        client = self._outlets.get(inlet)
        if client is None:
            if self.engine is None:
                raise UsageError(f"{self._name} has no link to the engine")
            there = (
                f"way to {inlet}, because node {node!r} is not started or cannot be reached"
                if node
                else f"way to {inlet}"
            )
            client = self._client(partial(self.engine.connect, inlet), there, said_from=OTHERS_START)
            self._outlets[inlet] = client
        return client

    async def part(self) -> None:
        """Be done with others' inlets, so that nobody takes it for a loss when they are gone; and acknowledge what was handled.

        Cancellation: always a checkpoint.
        """
        if self.inlet is not None:
            self.inlet.session.acknowledge()
            self.inlet.session.on_send()
        async with trio.open_nursery() as nursery:
            for client in self._outlets.values():
                nursery.start_soon(client.leave)

    async def leave(self) -> None:
        """Say goodbye at the other ends.

        Cancellation: always a checkpoint.
        """
        async with trio.open_nursery() as nursery:
            for client in self.clients:
                nursery.start_soon(client.leave)

    def end(self) -> None:
        """Nothing goes out any more."""
        for client in self.clients:
            client.end()

    # All as one; see `spore.relay.Client`

    def attach(
        self, ref: ActorRef[Any], *, relayed: bool = False, admitted: bool = False, durable: bool = False
    ) -> None:
        """Let an actor of this process have messages from others.

        Args:
            ref: the actor.
            relayed: through the relay.
            admitted: through the engine.
            durable: what the engine keeps for it.
        """
        if relayed and self.relay is not None:
            self.relay.attach(ref)
        if admitted and self.inlet is not None:
            self.inlet.attach(ref, streams=(ref.name,) if durable else ())

    async def wait_connected(self) -> None:
        """Wait until the relay, and the own inlet, have welcomed this process. Others' inlets come when they come."""
        for client in (self.relay, self.inlet):
            if client is not None:
                await client.wait_connected()

    async def wait_open(self) -> None:
        """Wait until every link from here has been accepted, or refused."""
        for client in tuple(self.clients):
            await client.wait_open()

    async def drain(self, *receivers: str) -> None:
        """Wait until all that was sent from here, or to these receivers, has been handled; what is durable, until it is kept.

        What nobody takes is not waited for; see `spore.relay.Client.settle`.
        """
        await trio.lowlevel.checkpoint()
        names = (*receivers, *(STREAM + name for name in receivers))
        for client in tuple(self.clients):
            await client.settle(*names)

    def lift_bounds(self) -> None:
        """No sender here waits for room any more."""
        for client in self.clients:
            client.lift_bounds()

    def statistics(self, receivers: Collection[str] | None = None) -> ClientStatistics | None:
        """Counts of all, with what is to be said of single links as in `spore.relay.Client.statistics`; None where there is no client."""
        return joined(self._name, (client.statistics(receivers) for client in self.clients))


@asynccontextmanager
async def open_links(
    spec: LinkSpec | None, name: str, engine: Engine | None = None, *, registry: Registry = REGISTRY
) -> AsyncIterator[Links]:
    """This process's ends of its links, for the length of a block.

    Args:
        spec: what they lead to; None where there is nobody.
        name: the process's, for people.
        engine: its connection to the engine, if it has one already.
        registry: the messages that are known here.

    Cancellation: as `spore.relay.open_client`.
    """
    async with AsyncExitStack() as stack:
        if spec is not None and spec.engine is not None and engine is None:
            engine = await stack.enter_async_context(open_engine(spec.engine, name, durable=spec.durable))
        nursery = await stack.enter_async_context(trio.open_nursery())
        links = Links(name, spec, nursery, engine, registry)
        try:
            if spec is not None and spec.address is not None:
                links.join(spec)
            if spec is not None and spec.inlet and engine is not None:
                inlet = engine.open_inlet(spec.inlet, heartbeat_s=spec.heartbeat_s, durable=spec.durable)
                links.receive(await stack.enter_async_context(inlet))
            yield links
            await links.leave()
        finally:
            links.end()
            nursery.cancel_scope.cancel()


def key_of(fields: tuple[str, ...]) -> Callable[[Any], Hashable] | None:
    """What tells a message's kind: its class, and its values of some fields."""
    if not fields:
        return None
    values = attrgetter(*fields)

    def of(message: Any) -> Hashable:
        return message.__class__, values(message)

    return of


def _class(path: str) -> type:
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        raise UsageError(f"there is no message {path}")
    return found
