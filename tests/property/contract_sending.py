"""How a drawn program sends: in every way, cut short at drawn moments, and with what its sender knows afterwards written down."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio
from tests.property.contract_books import Books, Message, Place, Sender

from spore import ActorRef
from spore.errors import ActorStopped, AskError, AskTimeout, MailboxFull, UsageError

__all__ = ["MESSAGES", "STUCK_S", "TIMES", "Sending"]

MESSAGES = 120
"""A program sends so many and no more."""
TIMES = (0.0, 0.0, 0.01, 0.1, 0.5, 1.0)
STUCK_S = 1_000.0
"""Nothing takes so long that is not stuck."""


class Sending:
    """The part of a program that draws and sends."""

    def __init__(self, seed: int) -> None:
        self.chances = random.Random(seed)
        self.books = Books(_now)
        self.waits_for_ever = False
        """Whether something may wait as long as it likes: for a merge that waits for a sender."""
        self.nursery: trio.Nursery
        self.numbers = 0
        # How wild this program is.
        self.trouble = self.chances.choice((0.0, 0.05, 0.2))
        self.cuts = self.chances.choice((0.0, 0.05, 0.2))

    def chance(self, share: float) -> bool:
        return self.chances.random() < share

    def pick(self, items: Any) -> Any:
        return self.chances.choice(items)

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    # Moments

    def cut_later(self, scope: trio.CancelScope) -> None:
        """Cancel a scope after some time and some passes of the scheduler."""
        time_s, passes = self.pick(TIMES), self.chances.randrange(12)

        async def cut() -> None:
            await trio.sleep(time_s)
            for _ in range(passes):
                await trio.lowlevel.checkpoint()
            scope.cancel()

        self.nursery.start_soon(cut)

    @contextmanager
    def cutting(self) -> Iterator[None]:
        """A block that may be cancelled at a drawn moment."""
        if not self.chance(self.cuts):
            yield
            return
        with trio.CancelScope() as scope:
            self.cut_later(scope)
            yield

    async def within(self, limit_s: float, run: Callable[[], Awaitable[Any]], what: str, *about: Any) -> None:
        """Do something that has to end in a time. Where something in it may wait for ever, it is cancelled then."""
        with trio.move_on_after(limit_s) as scope, self.cutting():
            await run()
        self.books.hold(not scope.cancelled_caught or self.waits_for_ever, f"{what} is stuck", *about)

    # Messages

    def tell(self, sender: Sender, ref: ActorRef[Any], place: Place, hops: int) -> None:
        """`tell` one message, or several."""
        if self.books.count >= MESSAGES:
            return
        high = self.chance(0.2)
        many = 1 if high or self.chance(0.7) else self.chances.randrange(2, 6)
        messages = [self.books.message(sender, place, ref, high=high, asked=False, hops=hops) for _ in range(many)]
        self.books.say("{} tells {}", sender.name, messages)
        fate = "accepted"
        try:
            if many == 1:
                ref.tell(messages[0], high)
            else:
                ref.tell_many(self.pick((messages, iter(messages))))
        except MailboxFull:  # those up to the one that was refused are the receiver's, and that one is counted
            fate = "accepted" if many == 1 else "unknown"
        except UsageError:  # nobody is there yet
            fate = "refused"
        for message in messages:
            message.fate = fate

    async def send(self, sender: Sender, ref: ActorRef[Any], place: Place, hops: int) -> None:
        """Send something in a drawn way."""
        way = self.pick(("tell", "tell", "send", "send", "ask", "send_many"))
        if way == "tell" or self.books.count >= MESSAGES:
            self.tell(sender, ref, place, hops)
            return
        many = self.chances.randrange(2, 6) if way == "send_many" else 1
        high = many == 1 and self.chance(0.2)
        messages = [
            self.books.message(sender, place, ref, high=high, asked=way == "ask", hops=hops) for _ in range(many)
        ]
        self.books.say("{} {}s {}", sender.name, way, messages)
        run = {"send": self._send, "ask": self._ask, "send_many": self._send_many}[way]
        try:
            await self.within(STUCK_S, lambda: run(ref, messages), "{} of {}", way, messages)
        finally:
            for message in messages:
                if message.fate == "open":  # it was cancelled
                    message.fate = "refused" if way == "send" else "unknown"

    async def _send(self, ref: ActorRef[Any], messages: list[Message]) -> None:
        (message,) = messages
        try:
            await ref.send(message, message.high)
            message.fate = "accepted"
        except MailboxFull:
            message.fate = "accepted"  # it is counted, and a dead letter
        except (ActorStopped, UsageError):
            message.fate = "refused"

    async def _send_many(self, ref: ActorRef[Any], messages: list[Message]) -> None:
        try:
            await ref.send_many(self.pick((messages, iter(messages))))
            for message in messages:
                message.fate = "accepted"
        except (MailboxFull, ActorStopped, UsageError):
            pass

    async def _ask(self, ref: ActorRef[Any], messages: list[Message]) -> None:
        (message,) = messages
        timeout, began = self.pick((0.0, 0.1, 5.0, 30.0)), trio.current_time()
        try:
            answer = await ref.ask(message, timeout, message.high)
            message.fate = "accepted"
            right = answer == message.number and message.ended == "done"
            self.books.hold(right, "{!r} was answered with {!r}", message, answer)
        except AskTimeout:
            message.fate = "unknown"
        except AskError:
            message.fate = "accepted"
            self.books.hold(message.ended != "done", "{!r} was handled, and its ask has failed", message)
        except (ActorStopped, UsageError):
            message.fate = "refused"
        except MailboxFull:
            message.fate = "accepted"
        took = trio.current_time() - began
        self.books.hold(took <= timeout + 1e-6, "{!r} took {} s of {}", message, took, timeout)


def _now() -> float:
    try:
        return trio.current_time()
    except RuntimeError:  # the run is over
        return float("inf")
