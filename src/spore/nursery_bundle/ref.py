"""References: how messages get to an actor. `ActorRef` is what users see and name in annotations.

Each kind of reference is a subclass, so that the commonest, `spore.nursery_bundle.local.LocalRef`, pays for nothing
that others do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Generic, NoReturn, SupportsIndex, TypeVar

import trio

from spore.errors import UsageError

__all__ = ["ASK_TIMEOUT_S", "OUTSIDE", "ActorRef", "FanOut"]

M = TypeVar("M", contravariant=True)

ASK_TIMEOUT_S = 5.0
"""How long an ask waits unless it is told otherwise."""
OUTSIDE = "outside"
"""The sender, in statistics and reports, of what no actor of the bundle sent."""


class ActorRef(ABC, Generic[M]):
    """Where to send an actor's messages. Which actor that is, and in which process, the sender does not know."""

    __slots__ = ()

    def __copy__(self) -> NoReturn:
        """A reference is passed on as it is.

        Raises:
            UsageError: always; so do ``copy.deepcopy`` and ``pickle``.
        """
        raise UsageError(f"a reference cannot be copied or pickled, and {self!r} is one; pass it on as it is")

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        self.__copy__()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        self.__copy__()

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the actor, or of the group of actors, behind the reference."""

    @abstractmethod
    def tell(self, message: M, high: bool = False) -> None:
        """Hand over a message and do not wait. It never blocks, and does not raise what the handler raises.

        Under ``block`` it may run the mailbox over; the next `send` from outside then waits until that has gone.
        A plain handler of an idle actor may have run when this returns.

        Args:
            message: immutable, because it is passed by reference.
            high: handle it before all of normal priority that waits.

        To an actor that has ended, the message becomes a dead letter with the reason ``stopped``.

        Raises:
            MailboxFull: under the policy ``fail``.
            UsageError: in another thread than the bundle's; see `spore.ThreadPort`. An inline call is looked at for
                the first message of a reference and one in some hundred, because each look would cost a third of a message.
        """

    @abstractmethod
    async def send(self, message: M, high: bool = False) -> None:
        """Hand over a message; wait for room first where the policy is to wait.

        Cancellation: if it is cancelled, the message was not sent. It is a checkpoint whenever it waits, and else at
        least once in a time slice of half a millisecond: a checkpoint each time would cost many times the message.

        Raises:
            ActorStopped: if the actor takes no more messages.
            MailboxFull: under the policy ``fail``.
        """

    @abstractmethod
    async def ask(self, message: M, timeout: float = ASK_TIMEOUT_S, high: bool = False) -> Any:  # noqa: ASYNC109
        """Hand over a message and wait for what the handler returns.

        Args:
            message: as for `tell`.
            timeout: seconds to wait, for room and for the answer together.
            high: as for `tell`.

        Cancellation: always a checkpoint. When it is cancelled, or has timed out, the message may still be handled.

        Raises:
            AskTimeout: if there was no answer in time.
            AskFailed: if the handler raised, or the message was lost; the cause says what.
            UsageError: if the asking actor would wait for itself.
            ActorStopped, MailboxFull: as `send`.
        """

    def advance(self, event_time_ns: int) -> None:
        """Say that nothing earlier than this will be sent here, so that a receiver that merges by event time goes on."""

    def idle(self) -> None:
        """Say that nothing is sent here for now, so that a receiver that merges by event time waits for others only."""

    def for_port(self, owner: Any, port: str) -> ActorRef[M]:
        """The reference to the same receiver that belongs to a field of an actor. For Spore's own use."""
        return self

    def tell_many(self, messages: Iterable[M]) -> None:
        """`tell` each message, in order, at a lower price for each. What they come from is read to its end first."""
        for message in tuple(messages):
            self.tell(message)

    async def send_many(self, messages: Iterable[M]) -> None:
        """`send` each message, in order.

        Cancellation: always a checkpoint, and at least one in a time slice. When it is cancelled, the messages before
        the one that it waited with were sent, and no others.
        """
        await trio.lowlevel.checkpoint()
        for message in messages:
            await self.send(message)


class FanOut(ActorRef[M]):
    """Several receivers behind one port: each gets every message, in the order in which they were wired."""

    __slots__ = ("_refs",)

    def __init__(self, refs: Iterable[ActorRef[M]]) -> None:
        self._refs = tuple(refs)
        if not self._refs:
            raise UsageError("a fan-out needs at least one receiver")

    @property
    def name(self) -> str:
        return ", ".join(ref.name for ref in self._refs)

    @property
    def refs(self) -> tuple[ActorRef[M], ...]:
        return self._refs

    def over(self, refs: Iterable[ActorRef[Any]]) -> FanOut[Any]:
        """The same for other receivers in the same order."""
        return FanOut(refs)

    def __repr__(self) -> str:
        return f"<FanOut {self.name}>"

    def tell(self, message: M, high: bool = False) -> None:
        """`tell` each receiver. One that cannot take it does not keep it from the others; its error comes last."""
        errors = []
        for ref in self._refs:
            try:
                ref.tell(message, high)
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
        if errors:
            raise errors[0]

    async def send(self, message: M, high: bool = False) -> None:
        """`send` to each receiver in turn, as `tell` does.

        Cancellation: as `ActorRef.send`. When it is cancelled, those before the one it waited for have got it.
        """
        errors = []
        for ref in self._refs:
            try:
                await ref.send(message, high)
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
        if errors:
            raise errors[0]

    def advance(self, event_time_ns: int) -> None:
        for ref in self._refs:
            ref.advance(event_time_ns)

    def idle(self) -> None:
        for ref in self._refs:
            ref.idle()

    async def ask(self, message: M, timeout: float = ASK_TIMEOUT_S, high: bool = False) -> Any:  # noqa: ASYNC109
        """There is no one answer from several receivers.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"ask needs one receiver, and here are {len(self._refs)}: {self.name}")
