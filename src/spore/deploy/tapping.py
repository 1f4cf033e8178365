"""How a bundle in shadow mode is tapped: at the handlers of the actors that are fed, and at the ports that are compared.

A bundle without a twin has none of this. One with a twin pays for an append a message at each of these places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from spore.deploy.comparing import Tap
from spore.errors import UsageError
from spore.nursery_bundle.ports import WatchedRef
from spore.nursery_bundle.ref import ASK_TIMEOUT_S, ActorRef

__all__ = ["Nowhere", "TappedRef", "tapped_port"]


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
