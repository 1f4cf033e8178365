"""A reference to an actor in another process, or to several, or to the subscribers of a topic.

It keeps the words of `spore.ActorRef`: what a mailbox does here, a link does there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from spore.errors import ActorStopped, AskTimeout, LinkDenied, UsageError
from spore.nursery_bundle.cell import Cell
from spore.nursery_bundle.envelope import Reply
from spore.nursery_bundle.policy import Loss
from spore.nursery_bundle.ref import ASK_TIMEOUT_S, OUTSIDE, ActorRef
from spore.relay.control import STREAM, Advance, Idle
from spore.relay.outgoing import LinkOptions, Outgoing

if TYPE_CHECKING:
    from spore.relay.client import Client

__all__ = ["RemoteRef"]

M = TypeVar("M", contravariant=True)


class RemoteRef(ActorRef[M]):
    """A reference whose receiver is elsewhere. Made by `spore.relay.Client.ref`."""

    __slots__ = (
        "_bound",
        "_client",
        "_high",
        "_link",
        "_options",
        "_port",
        "_receivers",
        "_room",
        "_sender",
        "_topic",
        "owner",
    )

    def __init__(
        self,
        client: Client,
        *,
        receivers: tuple[str, ...] = (),
        topic: str = "",
        options: LinkOptions,
        sender: str = OUTSIDE,
        port: str = "",
        owner: Cell | None = None,
    ) -> None:
        self._client = client
        self._receivers = receivers
        self._topic = topic
        self._options = options
        self._sender = sender
        self._port = port
        self.owner = owner
        """The actor of this process whose port it is, if it is one's."""
        self._bound: dict[tuple[str, str], RemoteRef[M]] = {}
        self._room = trio.lowlevel.ParkingLot()
        self._link: Outgoing | None = None
        self._high: Outgoing | None = None
        """The link for messages of high priority, once there was one."""

    @property
    def name(self) -> str:
        return self._topic or ", ".join(self._receivers)

    def __repr__(self) -> str:
        sender = f"{self._sender}.{self._port} → " if self._sender != OUTSIDE else ""
        return f"<RemoteRef {sender}{self.name}>"

    def for_port(self, owner: Cell, port: str) -> RemoteRef[M]:
        key = (owner.name, port)
        bound = self._bound.get(key)
        if bound is None or bound.owner is not owner:
            if bound is not None:
                bound.close()
            bound = self._bound[key] = RemoteRef(
                self._client,
                receivers=self._receivers,
                topic=self._topic,
                options=self._options,
                sender=owner.name,
                port=port,
                owner=owner,
            )
            bound.links()
            if owner.outlets is None:
                owner.outlets = {}
            owner.outlets[port, self.name] = bound
        return bound

    def links(self) -> tuple[Outgoing, ...]:
        """The links behind the reference; the first is opened if there is none yet."""
        first = self._link or self._open(False)
        return (first,) if self._high is None else (first, self._high)

    @property
    def opened(self) -> tuple[Outgoing, ...]:
        """The links that there are already."""
        return tuple(link for link in (self._link, self._high) if link is not None)

    def close(self) -> None:
        """Be done with it. What was not delivered is given up; see `Client.drain`."""
        for link in (self._link, self._high):
            if link is not None:
                self._client.session.close(link)
                link.end("the reference to it was closed")
        self._link = self._high = None
        for bound in self._bound.values():
            bound.close()

    def tell(self, message: M, high: bool = False) -> None:
        link = (self._high if high else self._link) or self._open(high)
        try:
            link.queue(message)
        except ActorStopped:
            link.give_up(Loss.STOPPED)  # as in a bundle: a tell to an actor that has ended is no error of the sender's
            return
        if link.waiting and link.overfull:
            self._press()

    async def send(self, message: M, high: bool = False) -> None:
        link = (self._high if high else self._link) or self._open(high)
        turns = self._client.turns
        if not turns.spent(1):
            if not link.queue_at_once(message):
                if not link.has_room(message):
                    await self._wait_for_room(link, message)
                link.queue(message)
            return
        # The checkpoint comes after the message, so that it does not wait for others; nothing may be cancelled then.
        await trio.lowlevel.checkpoint_if_cancelled()
        if not link.has_room(message):
            await self._wait_for_room(link, message)
        link.queue(message)
        await trio.lowlevel.cancel_shielded_checkpoint()
        turns.new_slice()

    async def _wait_for_room(self, link: Outgoing, message: M, *, awaited: bool = False) -> None:
        while not link.has_room(message, awaited=awaited) and link.denied is None:
            await self._room.park()

    async def send_many(self, messages: Iterable[M]) -> None:
        await trio.lowlevel.checkpoint()
        for message in messages:
            await self.send(message)

    async def ask(self, message: M, timeout: float = ASK_TIMEOUT_S, high: bool = False) -> Any:  # noqa: ASYNC109
        if self._topic or len(self._receivers) != 1 or self._receivers[0].startswith(STREAM):
            raise UsageError(f"ask needs one receiver, and {self.name!r} is not one")
        link = (self._high if high else self._link) or self._open(high)
        reply = Reply()
        try:
            with trio.move_on_after(timeout):
                await trio.lowlevel.checkpoint()
                await self._wait_for_room(link, message, awaited=True)
                link.queue(message, ask=reply)
                await reply.wait()
        finally:
            if not reply.done:
                link.forget_ask(reply)
        if reply.error is not None:
            raise reply.error
        if not reply.done:
            raise AskTimeout(self.name, f"no answer in {timeout:g} s to {type(message).__name__}")
        return reply.value

    def advance(self, event_time_ns: int) -> None:
        for link in self.links():
            link.queue(Advance(event_time_ns))

    def idle(self) -> None:
        for link in self.links():
            if link.denied is None:
                link.queue(Idle())

    async def wait_open(self, at_least: int = 1) -> None:
        """Wait until every receiver has accepted the link, and, of a topic, so many subscribers.

        Cancellation: a checkpoint if it waits.

        Raises:
            LinkDenied: if one has refused it.
        """
        link = self._link or self._open(False)
        while not link.accepted or len(link.members) < at_least:
            if link.denied is not None:
                raise link.denied
            await self._room.park()

    def _open(self, high: bool) -> Outgoing:
        if self._client.closed:
            raise LinkDenied(self.name, self._client.closed)
        link = self._client.session.open(
            sender=self._sender,
            port=self._port,
            high=high,
            receivers=self._receivers,
            topic=self._topic,
            options=self._options,
        )
        link.on_change = lambda: self._changed(link)
        link.outlet = self if self.owner is not None else None
        if high:
            self._high = link
        else:
            self._link = link
        return link

    def _changed(self, link: Outgoing) -> None:
        if link.to_send:
            self._client.session.queued(link)
        if self._room:
            if link.roomy:
                self._room.unpark_all()
            else:
                self._client.unpark_soon(self._room)
        owner = self.owner
        if owner is not None and self in owner.dispatcher.overfull and not link.overfull:
            owner.dispatcher.relieved(self)

    def _press(self) -> None:
        """The link was run over: whoever leads messages here from outside is to wait."""
        if self.owner is not None:
            self.owner.dispatcher.overfull.add(self)
