"""Hops under measurement: when messages leave a port, and when the receiver's handler begins with them.

Nothing is added to a message. Both ends count, each notes the clock of every Nth message, and because a link keeps the
order, equal numbers are the same message. The clock is monotonic and shared by all processes of one machine. A measured
system pays for it, alike in every mode; one that is not measured runs none of this.
"""

from __future__ import annotations

import inspect
from array import array
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any, TypeVar

import attrs

from spore.nursery_bundle import Actor, ActorRef
from spore.nursery_bundle.cell import Cell
from spore.nursery_bundle.ports import bound_ref
from spore.nursery_bundle.ref import ASK_TIMEOUT_S

__all__ = ["Hop", "HopTimes", "MeasuredRef", "Probe", "measured"]

M = TypeVar("M", contravariant=True)


@attrs.frozen(kw_only=True)
class Hop:
    """A port and the actor behind it. No other port may lead to that actor: its handler does not know who sends."""

    sender: str
    port: str
    receiver: str
    every: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    """One message in so many is timed; all are counted."""


@attrs.frozen(kw_only=True)
class HopTimes:
    """What one end of a hop has noted."""

    hop: Hop
    sent: bool
    """Whether it is the sender's end."""
    count: int
    at_ns: tuple[int, ...]
    """`time.perf_counter_ns` at the messages number ``every``, ``2 · every``, …"""


class Probe:
    """One end of a hop, while it runs. It outlives restarts of its actor."""

    __slots__ = ("_at_ns", "_every", "count", "hop", "sent")

    def __init__(self, hop: Hop, *, sent: bool) -> None:
        self.hop = hop
        self.sent = sent
        self.count = 0
        self._every = hop.every
        self._at_ns = array("q")

    def note(self) -> None:
        """One more message."""
        self.count = count = self.count + 1
        if not count % self._every:
            self._at_ns.append(perf_counter_ns())

    def times(self) -> HopTimes:
        return HopTimes(hop=self.hop, sent=self.sent, count=self.count, at_ns=tuple(self._at_ns))


class MeasuredRef(ActorRef[M]):
    """A reference that notes what is sent through it."""

    __slots__ = ("_probe", "_ref")

    def __init__(self, ref: ActorRef[M], probe: Probe) -> None:
        self._ref = ref
        self._probe = probe

    @property
    def name(self) -> str:
        return self._ref.name

    def __repr__(self) -> str:
        return f"<MeasuredRef {self._ref!r}>"

    def for_port(self, owner: Cell, port: str) -> MeasuredRef[M]:
        return MeasuredRef(bound_ref(self._ref, owner, port), self._probe)

    def tell(self, message: M, high: bool = False) -> None:
        self._probe.note()
        self._ref.tell(message, high)

    async def send(self, message: M, high: bool = False) -> None:
        self._probe.note()
        await self._ref.send(message, high)

    def tell_many(self, messages: Iterable[M]) -> None:
        # One by one: of a batch nobody could say when which message left.
        for message in tuple(messages):
            self.tell(message)

    async def ask(self, message: M, timeout: float = ASK_TIMEOUT_S, high: bool = False) -> Any:  # noqa: ASYNC109
        self._probe.note()
        return await self._ref.ask(message, timeout, high)

    def advance(self, event_time_ns: int) -> None:
        self._ref.advance(event_time_ns)

    def idle(self) -> None:
        self._ref.idle()


def measured(factory: Callable[..., Actor[Any]], probe: Probe) -> Callable[..., Actor[Any]]:
    """A factory of the same actors, whose handlers note what they get."""

    def make(**fields: Any) -> Actor[Any]:
        actor = factory(**fields)
        actor.__class__ = _measured_class(type(actor), probe)
        return actor

    return make


def _measured_class(cls: type[Actor[Any]], probe: Probe) -> type[Actor[Any]]:
    """A subclass without fields of its own, so that an object of the one can become one of the other."""
    handle: Any = cls.handle
    note = probe.note
    wrapped: Any
    if inspect.iscoroutinefunction(handle):

        async def handle_async(self: Actor[Any], message: Any) -> Any:
            note()
            return await handle(self, message)

        wrapped = handle_async
    else:

        def handle_plain(self: Actor[Any], message: Any) -> Any:
            note()
            return handle(self, message)

        wrapped = handle_plain
    return type(cls.__name__, (cls,), {"__slots__": (), "__module__": cls.__module__, "handle": wrapped})
