"""The other nodes of a system, as the one that runs here knows them: whether they are there, and whether they are quiet.

Each node has an inlet for the others. Behind it is an attendant, who is attached once everything of the node runs: a link to it that is
open is all that has to be known before a feed may begin. When a node ends, its attendants elsewhere are asked whether something is
still on its way here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from spore.deploy.links import Links, open_links
from spore.deploy.plan import Plan
from spore.deploy.spec import LinkSpec
from spore.errors import AskError, LinkDenied
from spore.message import U64, Bool, Domain, Registry, Str, message
from spore.nursery_bundle import Actor, open_bundle
from spore.relay import RemoteRef

__all__ = ["Neighbour", "Neighbours", "open_neighbours"]

SAID_AFTER_S = 1.0
"""A node that is not there so long after this one began is said to be waited for."""
PATIENCE_S = 2.0
"""A node that is not quiet after so long has work of its own, which nobody waits for."""
ANSWER_S = 1.0
"""So much longer its answer may be on the way."""
ATTENDANT = "attendant"
NODES = Registry()
"""What nodes say to each other. It is no user's, and apart from users' messages."""


@message(type_id=80, domain=Domain.SYSTEM, registry=NODES)
class Settle:
    """Wait until all that was sent from your node to some actors, or to any if none are named, has been handled, and those of them that
    run there have nothing queued."""

    receivers: tuple[Str, ...]


@message(type_id=81, domain=Domain.SYSTEM, registry=NODES)
class Settled:
    """The answer."""

    quiet: Bool
    """False where it was not to be had in time."""
    activity: U64
    """Changes whenever a message is sent from there or accepted there."""


Quieten = Callable[[tuple[str, ...]], Awaitable[int]]
"""Wait until a node is quiet, and return its activity."""


@attrs.define
class Attendant(Actor[Settle]):
    """Answers for a node."""

    quieten: Quieten

    async def handle(self, message: Settle) -> Settled:
        with trio.move_on_after(PATIENCE_S):
            return Settled(True, await self.quieten(message.receivers))
        return Settled(False, 0)


class Neighbour:
    """Another node."""

    def __init__(self, name: str, ref: RemoteRef[Settle]) -> None:
        self.name = name
        self.busy = False
        """Whether it was asked, and has work of its own."""
        self._ref = ref

    @property
    def there(self) -> bool:
        """Whether it runs, and can be reached."""
        return all(link.accepted for link in self._ref.links())

    async def wait_there(self) -> None:
        """Wait until everything of it runs.

        Cancellation: a checkpoint if it waits.
        """
        await self._ref.wait_open()

    async def settle(self, receivers: tuple[str, ...], *, idle: bool) -> object:
        """As `spore.deploy.unit.RunningUnit.settle`. A node that is not there, or goes on with work of its own, is not waited for.

        Cancellation: always a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        if self.busy or not self.there:
            return None
        try:
            found: Any = await self._ref.ask(Settle(receivers), timeout=PATIENCE_S + ANSWER_S)
        except (AskError, LinkDenied):
            found = Settled(False, 0)
        self.busy = not found.quiet
        return found.activity if found.quiet else None


class Neighbours:
    """All of them. Made by `open_neighbours`."""

    def __init__(
        self, links: Links, others: tuple[str, ...], awaited: tuple[str, ...], say: Callable[[str], None]
    ) -> None:
        self.every = {name: Neighbour(name, links.to(_inlet(name), name).ref(ATTENDANT)) for name in others}
        self.awaited = [self.every[name] for name in awaited]
        self._links = links
        self._say = say
        self._attending = trio.CancelScope()

    async def watch(self, neighbour: Neighbour) -> None:
        """Say when a node is there, and that it is waited for if it takes long.

        Cancellation: a checkpoint if it waits.
        """
        with trio.move_on_after(SAID_AFTER_S) as patience:
            await neighbour.wait_there()
        if patience.cancelled_caught:
            self._say(f"node {neighbour.name!r}: is not there yet")
            await neighbour.wait_there()
        self._say(f"node {neighbour.name!r}: is there")

    async def attend(self, quieten: Quieten) -> None:
        """Everything of this node runs: let the others know, and answer them, until the block ends.

        Cancellation: always a checkpoint.
        """
        with self._attending:
            async with open_bundle("node", drain_timeout_s=0) as bundle:
                ref = await bundle.start(Attendant, quieten=quieten, name=ATTENDANT)
                self._links.attach(ref, admitted=True)
                await trio.sleep_forever()

    def end(self) -> None:
        """Answer nobody any more."""
        self._attending.cancel()

    async def wait_there(self) -> None:
        """Wait until all are there that have to be before anything is sent.

        Cancellation: a checkpoint if it waits.
        """
        for neighbour in self.awaited:
            await neighbour.wait_there()


@asynccontextmanager
async def open_neighbours(
    plan: Plan, link: LinkSpec, links: Links, say: Callable[[str], None]
) -> AsyncIterator[Neighbours]:
    """The other nodes of a system, for the length of a block.

    Args:
        plan: the system.
        link: how this node's processes talk to others.
        links: this process's own ends.
        say: told in one line whether they are there.

    Cancellation: entering and leaving are checkpoints.
    """
    own = LinkSpec(address=None, heartbeat_s=link.heartbeat_s, messages=(), engine=link.engine, inlet=_inlet(plan.node))
    async with open_links(own, _inlet(plan.node), links.engine, registry=NODES) as ends, trio.open_nursery() as nursery:
        neighbours = Neighbours(ends, plan.others, plan.awaited, say)
        for neighbour in neighbours.awaited:
            nursery.start_soon(neighbours.watch, neighbour)
        yield neighbours
        neighbours.end()
        await ends.part()
        nursery.cancel_scope.cancel()


def _inlet(node: str) -> str:
    return f"node {node!r}"
