"""Drawn programs on drawn bundles, in both dispatches and on several schedules, against what the contract says.

The model is an account of deliveries. Each is unique: a message's number and the way it took. What was accepted must be
handled or be a dead letter, and never both; what one sender sent is handled in its order; and where nothing may be
lost, what is handled follows from the wiring alone, which a few lines of recursion work out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import attrs
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from spore import Actor, ActorRef, Directive, Supervision, open_bundle
from spore.errors import ActorError, AskError, MailboxFull
from spore.testing import run


@attrs.frozen
class Message:
    """One delivery."""

    number: int
    way: tuple[int, ...]
    """Where it has been; the last is its receiver."""
    hops: int
    """How often it is passed on from here."""
    poison: int
    """The receiver that fails on it."""
    high: bool = False

    @property
    def edge(self) -> tuple[Any, ...]:
        return (*self.way[-2:], len(self.way) > 1, self.high)

    def to(self, receiver: int) -> Message:
        return attrs.evolve(self, way=(*self.way, receiver), hops=self.hops - 1)


@attrs.frozen
class Plan:
    """One actor of the bundle."""

    outs: tuple[int, ...]
    is_async: bool
    capacity: int
    overflow: str
    directive: Directive


@attrs.define
class Books:
    """What was accepted and what was handled, in order."""

    accepted: list[Message] = attrs.field(factory=list)
    refused: list[Message] = attrs.field(factory=list)
    handled: list[Message] = attrs.field(factory=list)


@attrs.define
class Plain(Actor[Message]):
    me: int
    books: Books
    outs: list[ActorRef[Any]]
    to: tuple[int, ...]

    def handle(self, message: Message) -> int:
        if message.poison == self.me:
            raise ValueError(message.number)
        self.books.handled.append(message)
        if message.hops:
            for receiver, ref in zip(self.to, getattr(self.outs, "refs", ()), strict=True):
                _tell(self.books, ref, message.to(receiver))
        return message.number


@attrs.define
class Async(Plain):
    async def handle(self, message: Message) -> int:  # type: ignore[override]
        if message.poison == self.me:
            await trio.lowlevel.checkpoint()
            raise ValueError(message.number)
        self.books.handled.append(message)
        if message.hops:
            for receiver, ref in zip(self.to, getattr(self.outs, "refs", ()), strict=True):
                await _send(self.books, ref, message.to(receiver))
        await trio.lowlevel.checkpoint()
        return message.number


def _tell(books: Books, ref: ActorRef[Any], message: Message) -> None:
    books.accepted.append(message)  # before, because an inline handler books what it sends before tell returns
    try:
        ref.tell(message, message.high)
    except ActorError as error:
        _refused(books, message, error)


async def _send(books: Books, ref: ActorRef[Any], message: Message) -> None:
    books.accepted.append(message)
    try:
        await ref.send(message, message.high)
    except ActorError as error:
        _refused(books, message, error)
    except trio.Cancelled:
        books.accepted.remove(message)
        raise


def _refused(books: Books, message: Message, error: ActorError) -> None:
    if not isinstance(error, MailboxFull):  # which is counted as lost
        books.accepted.remove(message)
        books.refused.append(message)


POLICIES = ["block", "fail", "drop_oldest", "drop_newest", "conflate"]


@st.composite
def plans(draw: st.DrawFn, lossless: bool) -> list[Plan]:
    size = draw(st.integers(1, 4))
    directives = [Directive.RESUME, Directive.RESTART] if lossless else [*Directive][:3]
    return [
        Plan(
            outs=tuple(draw(st.lists(st.integers(0, size - 1), max_size=2, unique=True))),
            is_async=draw(st.booleans()),
            capacity=draw(st.integers(1, 4)),
            overflow="block" if lossless else draw(st.sampled_from(POLICIES)),
            directive=draw(st.sampled_from(directives)),
        )
        for _ in range(size)
    ]


message_steps = st.tuples(
    st.sampled_from(["tell", "send", "ask", "tell_many", "send_many"]),
    st.integers(0, 3),  # receiver
    st.integers(0, 3),  # hops
    st.integers(-3, 3),  # poison
    st.booleans(),  # high
)
other_steps = st.tuples(
    st.sampled_from(["wait", "stop", "restart"]), st.integers(0, 3), st.just(0), st.just(0), st.just(False)
)


async def perform(plan: list[Plan], program: list[Any], dispatch: str, end: str) -> dict[str, Any]:
    """Run a program to its end and return the books."""
    books = Books()
    with trio.CancelScope() as scope:
        async with open_bundle("b", dispatch=dispatch, keep_letters=100_000, drain_timeout_s=10_000) as bundle:
            for me, actor in enumerate(plan):
                await bundle.start(
                    Async if actor.is_async else Plain,
                    me=me,
                    books=books,
                    outs=[bundle.ref(f"{out}") for out in actor.outs],
                    to=actor.outs,
                    name=f"{me}",
                    capacity=actor.capacity,
                    overflow=actor.overflow,
                    key=(lambda message: message.number % 2) if actor.overflow == "conflate" else None,
                    supervision=Supervision(on_failure=actor.directive, max_restarts=10_000, backoff_s=0.01),
                )
            for number, (step, drawn, hops, poison, high) in enumerate(program):
                receiver = drawn % len(plan)
                if f"{receiver}" not in bundle.statistics().actors:
                    continue  # it has stopped, and left
                ref = bundle.ref(f"{receiver}")
                count = 5 if step.endswith("many") else 1
                messages = [
                    Message(number * 10 + n, (receiver,), hops, poison, high and count == 1) for n in range(count)
                ]
                if step == "tell":
                    _tell(books, ref, messages[0])
                elif step == "send":
                    await _send(books, ref, messages[0])
                elif step == "ask":
                    await ask(books, ref, messages[0])
                elif step == "send_many":
                    for message in messages:
                        await _send(books, ref, message)
                elif step == "tell_many" and plan[receiver].overflow == "block" and end == "leave lossless":
                    books.accepted += messages
                    ref.tell_many(messages)
                elif step == "tell_many":
                    for message in messages:
                        _tell(books, ref, message)
                elif step == "wait":
                    await bundle.wait_idle()
                elif step == "stop":
                    await bundle.stop(ref)
                else:
                    await bundle.restart()
            if end == "cancel":
                scope.cancel()
    letters = [(letter.reason, letter.message) for letter in bundle.dead_letters]
    assert bundle.dead_letters.total == len(letters)
    for actor in bundle.statistics().actors.values():
        assert actor.queued == 0
        assert actor.received == actor.handled + actor.failed + sum(actor.lost.values())
    return {
        "accepted": books.accepted,
        "handled": books.handled,
        "letters": letters,
        "refused": books.refused,
        "edges": sorted((edge.sender, edge.receiver, edge.sent) for edge in bundle.statistics().edges),
    }


async def ask(books: Books, ref: ActorRef[Any], message: Message) -> None:
    books.accepted.append(message)
    try:
        assert await ref.ask(message, 1_000, message.high) == message.number
    except AskError:
        pass
    except ActorError as error:
        _refused(books, message, error)


def expected(plan: list[Plan], message: Message) -> Iterator[tuple[bool, Message]]:
    """What becomes of a message where nothing is lost: each delivery, and whether it is handled."""
    receiver = message.way[-1]
    handled = message.poison != receiver
    yield handled, message
    if handled and message.hops:
        for out in plan[receiver].outs:
            yield from expected(plan, message.to(out))


def by_edge(messages: list[Message]) -> dict[Any, list[Message]]:
    edges: dict[Any, list[Message]] = {}
    for message in messages:
        edges.setdefault(message.edge, []).append(message)
    return edges


@given(plans(lossless=True), st.lists(message_steps, max_size=12), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_and_dispatch_changes_nothing(plan: list[Plan], program: list[Any], seed: int) -> None:
    """Where nothing may be lost, both dispatches handle just what the wiring says, in order, on any schedule."""
    results = {dispatch: run(perform, plan, program, dispatch, "leave lossless", seed=seed) for dispatch in MODES}
    sent = [
        Message(number * 10 + n, (receiver % len(plan),), hops, poison, high and not step.endswith("many"))
        for number, (step, receiver, hops, poison, high) in enumerate(program)
        for n in range(5 if step.endswith("many") else 1)
    ]
    fates = [fate for message in sent for fate in expected(plan, message)]
    for result in results.values():
        assert Counter(result["handled"]) == Counter(message for handled, message in fates if handled)
        assert Counter(message for _, message in result["letters"]) == Counter(m for handled, m in fates if not handled)
        handled = set(result["handled"])
        sent_in_order = by_edge([message for message in result["accepted"] if message in handled])
        assert by_edge(result["handled"]) == sent_in_order
    assert results["inline"]["edges"] == results["queued"]["edges"]


@given(
    plans(lossless=False),
    st.lists(st.one_of(message_steps, message_steps, other_steps), max_size=12),
    st.sampled_from(["leave", "cancel"]),
    st.sampled_from(["inline", "queued"]),
    st.integers(0, 2**32),
)
@settings(max_examples=120, deadline=None)
def test_every_message_is_accounted_for(
    plan: list[Plan], program: list[Any], end: str, dispatch: str, seed: int
) -> None:
    """Through losses, failures, stops, restarts and cancellation, what was accepted is handled or is a dead letter."""
    result = run(perform, plan, program, dispatch, end, seed=seed)
    lost = Counter(message for _, message in result["letters"])
    done = Counter(result["handled"])
    accepted = Counter(result["accepted"])
    assert done | lost == accepted
    both = done & lost  # in hand when it was cancelled, or when a receiver that it told had stopped
    assert done + lost == accepted + both
    assert all(reason in ("failed", "cancelled") for reason, message in result["letters"] if message in both)
    assert run(perform, plan, program, dispatch, end, seed=seed) == result


MODES = ("inline", "queued")
