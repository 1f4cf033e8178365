"""Ports: the fields of an actor that hold references, and references to actors that do not exist yet."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

import attrs

from spore.errors import UsageError
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.cell import Cell
from spore.nursery_bundle.fields import fields_of, hidden_reference, references_in, replaced
from spore.nursery_bundle.log import kind_of
from spore.nursery_bundle.ref import ASK_TIMEOUT_S, ActorRef, FanOut

__all__ = [
    "LaterRef",
    "Note",
    "WatchedRef",
    "Watcher",
    "bind_late_ports",
    "bind_ports",
    "bound_ref",
    "check_ports",
    "found_receivers",
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
    """Refuse to build an actor whose ports are not all wired, or to something that is no reference.

    Raises:
        UsageError: naming the port.
    """
    cls = factory.func if isinstance(factory, partial) else factory
    given = {**factory.keywords, **fields} if isinstance(factory, partial) else fields
    if not isinstance(cls, type):
        return
    for port, required, converted in _declared_ports(cls):
        if port not in given:
            if required and not (isinstance(factory, partial) and factory.args):
                reason = f"its port {port!r} is not wired; give start a reference: {port}=…"
                raise UsageError(f"actor {name!r}: {reason}")
        elif not converted and not _is_wiring(given[port]):
            value = given[port]
            raise UsageError(
                f"actor {name!r}: its port {port!r} is to hold a reference, and {value!r:.60} is a {kind_of(value)}"
            )


def _declared_ports(cls: type) -> list[tuple[str, bool, bool]]:
    """The fields that are annotated as references: the argument's name, whether it must be given, and whether it is converted."""
    known = _DECLARED.get(cls)
    if known is None:
        known = _DECLARED[cls] = list(_look_for_ports(cls))
    return known


_DECLARED: WeakKeyDictionary[type, list[tuple[str, bool, bool]]] = WeakKeyDictionary()


def _look_for_ports(cls: type) -> Iterator[tuple[str, bool, bool]]:
    if attrs.has(cls):
        for field in attrs.fields(cls):
            if field.init and "ActorRef" in str(field.type):
                yield field.alias or field.name, field.default is attrs.NOTHING, field.converter is not None
    elif dataclasses.is_dataclass(cls):
        for each in dataclasses.fields(cls):
            if each.init and "ActorRef" in str(each.type):
                missing = dataclasses.MISSING
                yield each.name, each.default is missing and each.default_factory is missing, False


def _is_wiring(value: Any) -> bool:
    if value is None or isinstance(value, ActorRef):
        return True
    if isinstance(value, (list, tuple, set, frozenset, dict, deque)):
        return not value or any(True for _ in references_in(value))
    return False


def bind_ports(actor: Actor[Any], cell: Cell) -> list[tuple[str, LaterRef[Any]]]:
    """Make the references in a fresh actor's fields its own, so that the bundle knows who sends to whom.

    Returns:
        The ports that lead, themselves or among others, to actors that are not there yet.

    Raises:
        UsageError: for a reference that cannot be made a port.
    """
    later: list[tuple[str, LaterRef[Any]]] = []
    for name, value in fields_of(actor):
        if (where := hidden_reference(value, name)) is not None:
            reason = f"{where} holds a reference that cannot be made a port; give the actor the reference as a field of its own"
            raise UsageError(f"actor {cell.name!r}: {reason}")
        if isinstance(value, (list, tuple)) and value and all(isinstance(item, ActorRef) for item in value):
            value = FanOut(value)  # noqa: PLW2901 - a list of references is one port to all of them

        def bind(ref: ActorRef[Any], port: str = name) -> ActorRef[Any]:
            bound = bound_ref(ref, cell, port)
            later.extend((port, each) for each in _each(bound) if isinstance(each, LaterRef))
            return bound

        bound = replaced(value, bind, in_place=False)
        if bound is not getattr(actor, name):
            rewire(actor, name, bound)
    return later


def bind_late_ports(cell: Cell) -> None:
    """Make references its own that an actor has put into its fields since, in `on_start` for one. One to itself stays as it is."""

    def bind(ref: ActorRef[Any]) -> ActorRef[Any]:
        # LaterRefs were seen when the actor was built, or are looked up at each use.
        if getattr(ref, "owner", _NOBODY) is not None or getattr(ref, "cell", None) is cell:
            return ref
        return bound_ref(ref, cell, name)

    for name, value in fields_of(cell.actor):
        bound = replaced(value, bind, in_place=True)
        if bound is not value:
            rewire(cell.actor, name, bound)


_NOBODY = object()


def found_receivers(cell: Cell) -> Iterator[Cell]:
    """The actors to which references lead that an actor holds now, wherever it has put them."""
    for _, value in fields_of(cell.actor):
        for ref in references_in(value):
            for each in _each(ref):
                found = getattr(each, "cell", None)
                if found is not None and found is not cell:
                    yield found


def unbind_ports(cell: Cell) -> None:
    """Forget the ports of an actor that was not started after all, but for what has been sent there."""
    for ref in (cell.ports or {}).values():
        ref.leave()


def rewire(actor: Actor[Any], port: str, ref: Any) -> None:
    """Set a port, of a frozen actor too."""
    object.__setattr__(actor, port, ref)


def unwired_ports(actor: Actor[Any]) -> list[str]:
    """The optional ports that were left out."""
    cls: type = type(actor)
    if attrs.has(cls):
        names = [field.name for field in attrs.fields(cls) if "ActorRef" in str(field.type)]
    else:
        names = [each for each, *_ in _declared_ports(cls)]
    return [name for name in names if getattr(actor, name, _NOBODY) is None]


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
