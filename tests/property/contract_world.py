"""Drawn programs on drawn bundles, each held against the bundle's contract. A seed decides everything: actors, steps, moments, schedule.

The books are simple: what was accepted, which handlers began and ended, and what each life of an actor went through. At the end, each message
that was accepted was handled to its end or is one dead letter, and each `on_start` that finished had its `on_stop`.
"""

from __future__ import annotations

import dataclasses
import functools
import random
from collections import Counter
from contextlib import suppress
from typing import Any

import attrs
import trio

from spore import Actor, ActorRef, Bundle, Directive, Supervision, open_bundle
from spore.errors import ActorStopped, AskError, AskFailed, AskTimeout, MailboxFull, UsageError
from spore.nursery_bundle.whose import hosts
from spore.testing import run

__all__ = ["check"]

ACTS = [
    "",
    "",
    "",
    "fail",
    "slow",
    "fail late",
    "tell",
    "send",
    "ask",
    "stop",
    "stop other",
    "start",
    "every",
    "restart",
    "idle",
]
DIRECTIVES = [Directive.RESUME, Directive.RESTART, Directive.RESTART, Directive.STOP]


class Planned(Exception):
    """A failure that the program has drawn."""


@attrs.frozen
class Message:
    number: int
    act: str
    hops: int
    event_time_ns: int


@attrs.define(eq=False)
class Life:
    """What one actor, from its factory to its end, went through."""

    name: str
    began: bool = False
    stops: int = 0
    in_hand: int = 0


@attrs.define(eq=False)
class Books:
    chances: random.Random
    numbers: int = 0
    accepted: set[int] = attrs.field(factory=set)
    """Messages that must have one outcome."""
    perhaps: set[int] = attrs.field(factory=set)
    """Asks that were given up: they have one outcome, or were never sent."""
    ended: Counter[int] = attrs.field(factory=Counter)
    """Handlers that came to their end, by message."""
    lives: list[Life] = attrs.field(factory=list)
    wrong: list[str] = attrs.field(factory=list)

    def message(self, hops: int = 2) -> Message:
        self.numbers += 1
        return Message(self.numbers, self.chances.choice(ACTS), hops, self.chances.randrange(50))

    def tell(self, ref: ActorRef[Any], message: Message, high: bool = False) -> None:
        self.accepted.add(message.number)
        try:
            ref.tell(message, high)
        except MailboxFull:
            pass  # which is counted, and a dead letter
        except UsageError:  # by a name that nobody has
            self.accepted.discard(message.number)
            raise

    async def send(self, ref: ActorRef[Any], message: Message) -> None:
        self.accepted.add(message.number)
        try:
            await ref.send(message)
        except MailboxFull:
            pass
        except (ActorStopped, trio.Cancelled, UsageError):
            self.accepted.discard(message.number)
            raise

    async def ask(self, ref: ActorRef[Any], message: Message) -> None:
        self.perhaps.add(message.number)
        await ref.ask(message, timeout=self.chances.choice([0.05, 2]))
        self.perhaps.discard(message.number)
        self.accepted.add(message.number)


class Common:
    """What all forms of actors do. ``core`` is the life, ``out`` a port."""

    bundle: Any
    books: Books
    life: Life
    out: Any

    def begin(self, message: Message) -> None:
        life, books = self.life, self.books
        if not life.began or life.stops:
            books.wrong.append(f"{life.name} handles {message} outside of its life: {life}")
        life.in_hand += 1
        if life.in_hand > 1:
            books.wrong.append(f"{life.name} handles two messages at once")

    def end(self, message: Message) -> None:
        self.books.ended[message.number] += 1

    def work(self, message: Message) -> Any:
        self.begin(message)
        try:
            if message.act.startswith("fail"):
                raise Planned(message.number)
            if message.hops and self.out is not None and message.act in {"tell", "send"}:
                self.books.tell(self.out, self.books.message(message.hops - 1))
            if message.act == "every":
                self.bundle.after(0.05, self.bundle.ref(self.life.name), make=self.made)
            self.end(message)
            return message.number
        finally:
            self.life.in_hand -= 1

    def made(self) -> Message:
        message = self.books.message(0)
        self.books.perhaps.add(message.number)
        return message

    async def work_async(self, message: Message) -> Any:
        self.begin(message)
        books = self.books
        try:
            if message.act == "fail":
                raise Planned(message.number)
            if message.act in {"slow", "fail late"}:
                await trio.sleep(0.1)
            if message.act == "fail late":
                raise Planned(message.number)
            with suppress(ActorStopped, AskError, UsageError):
                await self.act(message)
            if message.act == "restart":
                await self.bundle.restart()  # by an actor of the bundle: its failure
            self.end(message)
            return message.number
        finally:
            self.life.in_hand -= 1
            books.chances.random()

    async def act(self, message: Message) -> None:
        books = self.books
        if message.act == "tell" and self.out is not None and message.hops:
            books.tell(self.out, books.message(message.hops - 1))
        elif message.act == "send" and self.out is not None and message.hops:
            await books.send(self.out, books.message(message.hops - 1))
        elif message.act == "ask" and self.out is not None and message.hops:
            await books.ask(self.out, books.message(0))
        elif message.act == "stop":
            await self.bundle.stop(self.life.name, drain=books.chances.random() < 0.5)
        elif message.act == "stop other":
            await self.bundle.stop(f"a{books.chances.randrange(4)}", timeout_s=1)
        elif message.act == "start":
            child = await start(self.bundle, books, f"child {message.number}", None)
            books.tell(child, books.message(0))
        elif message.act == "idle":
            await self.bundle.wait_idle()

    def log_start(self) -> None:
        self.life.began = True

    def log_stop(self) -> None:
        life = self.life
        life.stops += 1
        if life.stops > 1 or not life.began or life.in_hand:
            self.books.wrong.append(f"on_stop of {life}")


@attrs.define(eq=False)
class Plain(Common, Actor[Any]):
    bundle: Any
    books: Books
    life: Life
    out: ActorRef[Any] | None

    def on_start(self) -> None:
        self.log_start()

    def handle(self, message: Message, /) -> Any:
        return self.work(message)

    def on_stop(self) -> None:
        self.log_stop()


@attrs.define(eq=False)
class Async(Plain):
    async def on_start(self) -> None:  # type: ignore[override]
        await trio.sleep(0.02)
        if self.books.chances.random() < 0.1:
            raise Planned("on_start")
        self.log_start()

    async def handle(self, message: Message, /) -> Any:
        return await self.work_async(message)

    async def on_stop(self) -> None:  # type: ignore[override]
        self.log_stop()
        await trio.sleep(0.05)
        if self.books.chances.random() < 0.2:
            raise Planned("on_stop")
        if self.out is not None:
            with suppress(ActorStopped):
                await self.books.send(self.out, self.books.message(0))


@dataclasses.dataclass(slots=True, eq=False)
class Slotted(Common, Actor[Any]):
    bundle: Any
    books: Books
    life: Life
    out: ActorRef[Any] | None

    def on_start(self) -> None:
        self.log_start()

    def handle(self, message: Message, /) -> Any:
        return self.work(message)

    def on_stop(self) -> None:
        self.log_stop()


def plainly(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(self: Any, message: Any, /) -> Any:
        return function(self, message)

    return wrapper


class Decorated(Async):
    @plainly
    async def handle(self, message: Message, /) -> Any:
        return await self.work_async(message)


class Dispatched(Async):
    @functools.singledispatchmethod
    async def handle(self, message: Message, /) -> Any:  # type: ignore[override]
        return await self.work_async(message)


class Sometimes(Plain):
    def handle(self, message: Message, /) -> Any:
        return self.work_async(message) if message.number % 2 else self.work(message)


class Decides(Plain):
    def on_error(self, error: Exception, message: Any) -> Directive | None:
        return self.books.chances.choice([None, *DIRECTIVES])

    def skipped(self) -> Any:
        raise Planned("skipped")


FORMS = [Plain, Plain, Async, Async, Slotted, Decorated, Dispatched, Sometimes, Decides]


async def start(bundle: Bundle, books: Books, name: str, out: ActorRef[Any] | None) -> ActorRef[Any]:
    chances = books.chances
    form: Any = chances.choice(FORMS)
    fails_to_build = chances.random() < 0.05

    def make(out: ActorRef[Any] | None) -> Actor[Any]:
        if fails_to_build and chances.random() < 0.5:
            raise Planned("factory")
        life = Life(name)
        books.lives.append(life)
        actor: Actor[Any] = form(bundle, books, life, out)
        return actor

    overflow = chances.choice(["block"] * 4 + ["fail", "drop_oldest", "drop_newest", "conflate"])
    return await bundle.start(
        make,
        out=out,
        name=name,
        capacity=chances.randint(1, 4),
        overflow=overflow,
        key=(lambda message: message.number % 2) if overflow == "conflate" else None,
        merge="event_time" if overflow == "block" and chances.random() < 0.1 else None,
        dispatch=chances.choice([None, None, "queued"]),
        supervision=Supervision(
            on_failure=chances.choice(DIRECTIVES),
            backoff_s=chances.choice([0.0, 0.05]),
            max_restarts=1_000,
            stop_timeout_s=chances.choice([0.03, 5]),
            start_timeout_s=5,
        ),
    )


async def steps(bundle: Bundle, books: Books, refs: list[ActorRef[Any]]) -> None:
    """What one task outside of the actors does."""
    chances = books.chances
    for _ in range(chances.randint(1, 12)):
        ref = chances.choice(refs)
        with suppress(ActorStopped, AskFailed, AskTimeout, MailboxFull, UsageError, Planned):
            match chances.randrange(11):
                case 0 | 1:
                    books.tell(ref, books.message(), high=chances.random() < 0.3)
                case 2 | 3:
                    await books.send(ref, books.message())
                case 4:
                    await books.ask(ref, books.message())
                case 5:
                    some = [books.message() for _ in range(3)]
                    books.perhaps.update(
                        each.number for each in some
                    )  # the first that is refused keeps the others back
                    ref.tell_many(some)
                case 6:
                    some = [books.message() for _ in range(3)]
                    books.perhaps.update(each.number for each in some)
                    await ref.send_many(some)
                case 7:
                    await trio.sleep(chances.choice([0, 0.03, 0.2]))
                case 8:
                    with trio.move_on_after(chances.choice([0.02, 1])):
                        await bundle.stop(ref, drain=chances.random() < 0.7, timeout_s=chances.choice([0.05, 3]))
                case 9:
                    with trio.move_on_after(chances.choice([0.02, 1])):
                        await bundle.restart()
                case _:
                    name = f"a{chances.randrange(4)}"
                    with trio.move_on_after(chances.choice([0.01, 1])):
                        refs.append(await start(bundle, books, name, chances.choice([None, *refs])))


async def inside(bundle: Bundle, books: Books, refs: list[ActorRef[Any]]) -> None:
    chances = books.chances
    async with trio.open_nursery() as nursery:
        for _ in range(chances.randint(1, 4)):
            nursery.start_soon(cancelled_sometime, chances.choice([0.01, 0.1, 1, 100]), bundle, books, refs)


async def cancelled_sometime(after_s: float, bundle: Bundle, books: Books, refs: list[ActorRef[Any]]) -> None:
    with trio.move_on_after(after_s):
        await steps(bundle, books, refs)


def check(seed: int) -> None:
    """Run the program of a seed, and hold what it did against the contract.

    Raises:
        AssertionError: naming what was not kept.
    """
    chances = random.Random(seed)
    books = Books(chances)
    dispatch = chances.choice(["inline", "queued"])
    bundles: list[Bundle] = []

    async def main() -> None:
        whole = Supervision(on_failure=Directive.RESTART, backoff_s=0.0, max_restarts=1_000)
        with trio.fail_after(500), suppress(Planned), trio.move_on_after(chances.choice([0.05, 0.3, 400, 400, 400])):
            async with open_bundle(
                "b",
                dispatch=dispatch,
                supervision=whole,
                keep_letters=10**6,
                drain_timeout_s=chances.choice([0.05, 60, 60]),
            ) as bundle:
                bundles.append(bundle)
                refs: list[ActorRef[Any]] = []
                for number in range(chances.randint(1, 4)):
                    with suppress(Planned):
                        refs.append(
                            await start(bundle, books, f"a{number}", chances.choice([None, *refs, bundle.ref("a0")]))
                        )
                if not refs:
                    return
                if chances.random() < 0.3:
                    async with open_bundle("inner", dispatch=dispatch, keep_letters=10**6, supervision=whole) as inner:
                        bundles.append(inner)
                        with suppress(Planned):
                            refs.append(await start(inner, books, "i0", refs[0]))
                        await inside(bundle, books, refs)
                else:
                    await inside(bundle, books, refs)
                if chances.random() < 0.1:
                    raise Planned("body")
        assert not trio.lowlevel.current_task().child_nurseries, "a task is left"
        assert not hosts(), "a task still runs an actor"

    try:
        run(main, seed=seed)
    except* (Planned, ActorStopped, UsageError):
        pass
    _hold(books, bundles)


def _hold(books: Books, bundles: list[Bundle]) -> None:
    letters: Counter[int] = Counter()
    for bundle in bundles:
        statistics = bundle.statistics()
        lost = 0
        for actor in statistics.actors.values():
            rest = actor.queued + actor.held
            assert actor.received == actor.handled + actor.failed + sum(actor.lost.values()) + rest, actor
            assert rest == 0, f"left behind: {actor}"
            assert actor.handled >= 0, actor
            lost += actor.failed + sum(actor.lost.values())
        ended = statistics.ended
        assert ended.received == ended.handled + ended.failed + sum(ended.lost.values()), ended
        assert ended.handled >= 0, ended
        lost += ended.failed + sum(ended.lost.values())
        ticks = 0
        for letter in bundle.dead_letters:
            if isinstance(letter.message, Message):
                letters[letter.message.number] += 1
            else:
                ticks += 1
        assert bundle.dead_letters.total == lost + ticks, (bundle.dead_letters.total, lost, ticks, statistics)
    assert not books.wrong, books.wrong
    for number in books.accepted:
        outcomes = books.ended[number] + letters[number]
        assert outcomes == 1, f"message {number}: handled {books.ended[number]} times, {letters[number]} dead letters"
    for number in books.perhaps:
        assert books.ended[number] + letters[number] <= 1, f"message {number} has two outcomes"
    for life in books.lives:
        assert life.stops == life.began, f"one on_stop for each on_start that finished: {life}"
