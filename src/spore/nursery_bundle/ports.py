"""Ports: the fields of an actor that hold references, and references to actors that do not exist yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import attrs

from spore.errors import UsageError
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.cell import Cell
from spore.nursery_bundle.ref import ASK_TIMEOUT_S, ActorRef, FanOut

__all__ = [
    "LaterRef",
    "Note",
    "WatchedRef",
    "Watcher",
    "bind_ports",
    "bound_ref",
    "check_ports",
    "rewire",
    "unbind_ports",
    "unwired_ports",
]

M = TypeVar("M", contravariant=True)


class LaterRef(ActorRef[M]):
    """A reference by name to an actor that may be started later: how cycles are wired.

    As a port it turns into an ordinary reference as soon as the actor is there.
    """

    __slots__ = ("_found", "_look_up", "_name")

    def __init__(self, name: str, look_up: Callable[[str], ActorRef[M] | None]) -> None:
        self._name = name
        self._look_up = look_up
        self._found: ActorRef[M] | None = None

    @property
    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"<LaterRef {self._name}>"

    def found(self) -> ActorRef[M]:
        """The reference behind this one.

        Raises:
            UsageError: if no actor of that name has been started.
        """
        if self._found is None:
            self._found = self._look_up(self._name)
        if self._found is None:
            raise UsageError(f"no actor {self._name!r} has been started; what was wired to it leads nowhere")
        return self._found

    def tell(self, message: M, high: bool = False) -> None:
        self.found().tell(message, high)

    def tell_many(self, messages: Iterable[M]) -> None:
        self.found().tell_many(messages)

    async def send(self, message: M, high: bool = False) -> None:
        await self.found().send(message, high)

    async def ask(self, message: M, timeout: float = ASK_TIMEOUT_S, high: bool = False) -> Any:  # noqa: ASYNC109
        return await self.found().ask(message, timeout, high)

    def advance(self, event_time_ns: int) -> None:
        self.found().advance(event_time_ns)

    def idle(self) -> None:
        self.found().idle()


class Note(Protocol):
    """What takes a message. It is fast, and does not raise."""

    def __call__(self, message: Any, /) -> object:
        """Take it."""


class Watcher(Protocol):
    """Somebody who wants to know of every message on its way."""

    @property
    def note(self) -> Note:
        """Told of each, before it gets there; looked up each time, so that it can change."""
        ...


class WatchedRef(ActorRef[M]):
    """A reference whose watcher knows of each message before the receiver does."""

    __slots__ = ("behind", "watcher")

    def __init__(self, behind: ActorRef[M], watcher: Watcher) -> None:
        self.behind = behind
        self.watcher = watcher

    @property
    def name(self) -> str:
        return self.behind.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.behind!r}>"

    def for_port(self, owner: Cell, port: str) -> WatchedRef[M]:
        return type(self)(bound_ref(self.behind, owner, port), self.watcher)

    def tell(self, message: M, high: bool = False) -> None:
        self.watcher.note(message)
        self.behind.tell(message, high)

    async def send(self, message: M, high: bool = False) -> None:
        self.watcher.note(message)
        await self.behind.send(message, high)

    async def ask(self, message: M, timeout: float = ASK_TIMEOUT_S, high: bool = False) -> Any:  # noqa: ASYNC109
        self.watcher.note(message)
        return await self.behind.ask(message, timeout, high)

    def advance(self, event_time_ns: int) -> None:
        self.behind.advance(event_time_ns)

    def idle(self) -> None:
        self.behind.idle()


def check_ports(factory: Callable[..., Actor[Any]], fields: dict[str, Any], *, name: str) -> None:
    """Refuse to build an actor whose ports are not all wired.

    Raises:
        UsageError: naming the port.
    """
    if not (isinstance(factory, type) and attrs.has(factory)):
        return
    for field in attrs.fields(factory):
        if (
            field.init
            and field.default is attrs.NOTHING
            and field.alias not in fields
            and "ActorRef" in str(field.type)
        ):
            reason = f"its port {field.alias!r} is not wired; give start a reference: {field.alias}=…"
            raise UsageError(f"actor {name!r}: {reason}")


def bind_ports(actor: Actor[Any], cell: Cell) -> list[tuple[str, LaterRef[Any]]]:
    """Make the references in an actor's fields its own, so that the bundle knows who sends to whom.

    Returns:
        The ports that lead, themselves or among others, to actors that are not there yet.
    """
    later: list[tuple[str, LaterRef[Any]]] = []
    for name in _field_names(actor):
        value = getattr(actor, name, None)
        if isinstance(value, (list, tuple)) and value and all(isinstance(item, ActorRef) for item in value):
            value = FanOut(value)
        if isinstance(value, ActorRef):
            bound = bound_ref(value, cell, name)
            rewire(actor, name, bound)
            later += [(name, ref) for ref in _each(bound) if isinstance(ref, LaterRef)]
    return later


def unbind_ports(cell: Cell) -> None:
    """Forget the ports of an actor that was not started after all, but for what has been sent there."""
    for ref in (cell.ports or {}).values():
        ref.leave()


def rewire(actor: Actor[Any], port: str, ref: ActorRef[Any]) -> None:
    """Set a port, of a frozen actor too."""
    object.__setattr__(actor, port, ref)


def unwired_ports(actor: Actor[Any]) -> list[str]:
    """The optional ports that were left out."""
    cls: type = type(actor)
    fields = attrs.fields(cls) if attrs.has(cls) else ()
    return [field.name for field in fields if "ActorRef" in str(field.type) and getattr(actor, field.name) is None]


def bound_ref(ref: ActorRef[Any], cell: Cell, port: str) -> ActorRef[Any]:
    """The same receivers through references that belong to a port."""
    if isinstance(ref, FanOut):
        return ref.over(bound_ref(item, cell, port) for item in ref.refs)
    if isinstance(ref, LaterRef):
        try:
            ref = ref.found()
        except UsageError:
            return ref
    return ref.for_port(cell, port)


def _each(ref: ActorRef[Any]) -> Iterator[ActorRef[Any]]:
    """The references to single actors behind one: behind those that watch, and those that divide."""
    while isinstance(ref, WatchedRef):
        ref = ref.behind
    if isinstance(ref, FanOut):
        for one in ref.refs:
            yield from _each(one)
    else:
        yield ref


def _field_names(actor: Actor[Any]) -> list[str]:
    cls: type = type(actor)
    if attrs.has(cls):
        return [field.name for field in attrs.fields(cls)]
    return list(vars(actor)) if hasattr(actor, "__dict__") else []
