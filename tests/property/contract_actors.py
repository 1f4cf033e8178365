"""Actors of every form that a user may give them. What they do is the drawn program's; see `tests.property.contract_world`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import attrs
from tests.property.contract_books import Life, Message, Place

from spore import Actor, ActorRef, Directive

__all__ = ["FORMS", "Conduct", "refs_of"]


class Conduct:
    """What an actor does at each point of its life, drawn by the program."""

    life: Life

    def plain(self, actor: Actor[Any], message: Message) -> Any:
        raise NotImplementedError

    async def waiting(self, actor: Actor[Any], message: Message) -> Any:
        raise NotImplementedError

    def start(self, actor: Actor[Any]) -> Awaitable[None] | None:
        raise NotImplementedError

    def stop(self, actor: Actor[Any]) -> Awaitable[None] | None:
        raise NotImplementedError

    def error(self, error: Exception) -> Directive | None:
        raise NotImplementedError

    def skipped(self) -> Mapping[str, int]:
        raise NotImplementedError

    def snapshot(self) -> Any:
        raise NotImplementedError

    def restore(self, state: Any) -> None:
        raise NotImplementedError


class Common(Actor[Any]):
    """All but the handler. The conduct is behind a function, in which the bundle looks for no references."""

    __slots__ = ()
    conduct: Callable[[], Conduct]

    def on_start(self) -> Any:
        return self.conduct().start(self)

    def on_stop(self) -> Any:
        return self.conduct().stop(self)

    def on_error(self, error: Exception, message: Any) -> Directive | None:
        return self.conduct().error(error)

    def skipped(self) -> Mapping[str, int]:
        return self.conduct().skipped()

    def snapshot(self) -> Any:
        return self.conduct().snapshot()

    def restore(self, state: Any) -> None:
        self.conduct().restore(state)


@attrs.define(eq=False)
class Attrs(Common):
    conduct: Callable[[], Conduct]
    out: ActorRef[Any] | None = None
    outs: Any = ()
    table: Any = None

    def handle(self, message: Message) -> Any:
        return self.conduct().plain(self, message)


@attrs.frozen(eq=False)
class Frozen(Common):
    conduct: Callable[[], Conduct]
    out: ActorRef[Any] | None = None
    outs: Any = ()
    table: Any = None

    def handle(self, message: Message) -> Any:
        return self.conduct().plain(self, message)


@dataclasses.dataclass(eq=False)
class Data(Common):
    conduct: Callable[[], Conduct]
    out: ActorRef[Any] | None = None
    outs: Any = ()
    table: Any = None

    def handle(self, message: Message) -> Any:
        return self.conduct().plain(self, message)


@dataclasses.dataclass(eq=False, slots=True)
class SlottedData(Common):
    conduct: Callable[[], Conduct]
    out: ActorRef[Any] | None = None
    outs: Any = ()
    table: Any = None

    async def handle(self, message: Message) -> Any:
        return await self.conduct().waiting(self, message)


class Written(Common):
    """A class as it is written by hand."""

    def __init__(
        self, conduct: Callable[[], Conduct], out: ActorRef[Any] | None = None, outs: Any = (), table: Any = None
    ) -> None:
        self.conduct, self.out, self.outs, self.table = conduct, out, outs, table

    def handle(self, message: Message) -> Any:
        return self.conduct().plain(self, message)


class Async(Written):
    async def handle(self, message: Message) -> Any:
        return await self.conduct().waiting(self, message)


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    del call.__wrapped__  # type: ignore[attr-defined]
    return call


class Decorated(Attrs):
    """An async handler that does not look it."""

    @decorated
    async def handle(self, message: Message) -> Any:
        return await self.conduct().waiting(self, message)


class Single(Written):
    @functools.singledispatchmethod
    async def handle(self, message: Any) -> Any:
        raise NotImplementedError

    @handle.register
    async def _(self, message: Message) -> Any:
        return await self.conduct().waiting(self, message)


class SinglePlain(Written):
    @functools.singledispatchmethod
    def handle(self, message: Any) -> Any:
        raise NotImplementedError

    @handle.register
    def _(self, message: Message) -> Any:
        return self.conduct().plain(self, message)


class Sometimes(Written):
    """A plain handler that returns a coroutine now and then."""

    def handle(self, message: Message) -> Any:
        conduct = self.conduct()
        return conduct.waiting(self, message) if message.number % 3 == 0 else conduct.plain(self, message)


class Generating(Written):
    """A plain handler that returns a generator now and then, which nobody would iterate."""

    def handle(self, message: Message) -> Any:
        conduct = self.conduct()
        return conduct.plain(self, message) if message.number % 3 else _numbers(conduct, message)


def _numbers(conduct: Conduct, message: Message) -> Iterator[int]:
    message.begun, message.ended = 1, "raised"
    return (number for number in range(3))


class Handler:
    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def __call__(self, message: Message) -> Any:
        return self.actor.conduct().plain(self.actor, message)


class AsyncHandler(Handler):
    async def __call__(self, message: Message) -> Any:
        return await self.actor.conduct().waiting(self.actor, message)


class Called(Written):
    """A handler that is an object of its own."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.handle = Handler(self)  # type: ignore[method-assign]


class AsyncCalled(Written):
    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.handle = AsyncHandler(self)  # type: ignore[method-assign]


class Partial(Written):
    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.handle = functools.partial(Partial.work, self)  # type: ignore[method-assign]

    async def work(self, message: Message) -> Any:
        return await self.conduct().waiting(self, message)


FORMS: dict[str, Any] = {
    form.__name__: form
    for form in (
        Attrs, Frozen, Data, SlottedData, Written, Async, Decorated, Single, SinglePlain, Sometimes, Generating, Called, AsyncCalled, Partial,
    )
}  # fmt: skip


def refs_of(actor: Any) -> list[tuple[ActorRef[Any], Place]]:
    """An actor's ports, and where each leads."""
    outs = getattr(actor.outs, "refs", actor.outs)
    refs = [*([actor.out] if actor.out is not None else []), *outs, *(actor.table or {}).values()]
    return list(zip(refs, actor.conduct().life.wired, strict=True))
