"""How a bundle in shadow mode is tapped: at the handlers of the actors that are fed, and at the ports that are compared.

A bundle without a twin has none of this. One with a twin pays for an append a message at each of these places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import trio

from spore.deploy.comparing import Stream, Tap
from spore.deploy.watching import watched
from spore.errors import UsageError
from spore.nursery_bundle import Actor
from spore.nursery_bundle.ports import WatchedRef
from spore.nursery_bundle.ref import ASK_TIMEOUT_S, ActorRef

__all__ = ["Nowhere", "TappedRef", "Taps", "tapped_port"]


class Taps:
    """All that is noted of one bundle.

    Args:
        fed: the actors whose messages are copied.
        compared: the ports, each as actor and port, whose messages are compared.
        most: how many messages each of them keeps.
    """

    def __init__(self, fed: Iterable[str], compared: Iterable[tuple[str, str]], *, most: int) -> None:
        self.most = most
        self.inputs = {name: Tap(most) for name in fed}
        self.streams = {port: Stream(*port, most) for port in compared}

    def factory(self, actor: str, factory: Callable[..., Actor[Any]]) -> Callable[..., Actor[Any]]:
        """A factory of the same actors, whose messages are noted if this is one that is fed."""
        tap = self.inputs.get(actor)
        return factory if tap is None else watched(factory, tap)

    def ports(self, actor: str, ports: Mapping[str, list[ActorRef[Any]]]) -> dict[str, list[ActorRef[Any]]]:
        """The ports of an actor, with those tapped that are compared."""
        tapped = dict(ports)
        for (name, port), stream in self.streams.items():
            if name == actor:
                tapped[port] = tapped_port(ports.get(port, ()), port, stream.ours)
        return tapped

    @property
    def full(self) -> bool:
        """Whether something was lost, perhaps."""
        return any(tap.full for tap in self.inputs.values()) or any(each.full for each in self.streams.values())

    @property
    def waiting(self) -> int:
        """How many messages wait to be copied."""
        return sum(len(tap.queue) for tap in self.inputs.values())

    def begin(self) -> None:
        """Note what comes from now on, and forget what came before."""
        for tap in self.inputs.values():
            tap.begin()
        for stream in self.streams.values():
            stream.begin()

    def rest(self) -> None:
        """Note nothing more. What was noted stays."""
        for tap in self._all():
            tap.rest()

    def forget(self) -> None:
        """Note nothing more, and forget everything."""
        for tap in self._all():
            tap.rest()
            tap.queue.clear()

    def _all(self) -> Iterable[Tap]:
        yield from self.inputs.values()
        for stream in self.streams.values():
            yield stream.ours


class TappedRef(WatchedRef[Any]):
    """A reference whose messages are compared with the twin's."""

    __slots__ = ()

    watcher: Tap

    async def ask(self, message: Any, timeout: float = ASK_TIMEOUT_S, high: bool = False) -> Any:  # noqa: ASYNC109
        self.watcher.asked = True
        return await super().ask(message, timeout, high)


def tapped_port(refs: Sequence[ActorRef[Any]], port: str, tap: Tap) -> list[ActorRef[Any]]:
    """The references of a port, with one tapped, because each gets every message."""
    first, *others = refs or (Nowhere(port),)
    return [TappedRef(first, tap), *others]


class Nowhere(ActorRef[Any]):
    """Where an output port leads to that was left out, so that it can be compared. It takes everything."""

    __slots__ = ("_port",)

    def __init__(self, port: str) -> None:
        self._port = port

    @property
    def name(self) -> str:
        return f"nowhere, from {self._port}"

    def __repr__(self) -> str:
        return f"<Nowhere {self._port}>"

    def tell(self, message: Any, high: bool = False) -> None:
        pass

    async def send(self, message: Any, high: bool = False) -> None:
        await trio.lowlevel.checkpoint()

    async def ask(self, message: Any, timeout: float = ASK_TIMEOUT_S, high: bool = False) -> Any:  # noqa: ASYNC109
        await trio.lowlevel.checkpoint()
        raise UsageError(f"the port {self._port!r} leads nowhere, so nobody answers")
