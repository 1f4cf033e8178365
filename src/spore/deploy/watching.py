"""Handlers that are watched: somebody knows of each message that an actor handles, before the actor does.

What is sent is watched with `spore.nursery_bundle.ports.WatchedRef`. An actor that nobody watches runs none of this.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from spore.nursery_bundle import Actor
from spore.nursery_bundle.ports import Watcher

__all__ = ["watched"]


def watched(factory: Callable[..., Actor[Any]], watcher: Watcher) -> Callable[..., Actor[Any]]:
    """A factory of the same actors, whose messages somebody notes."""

    def make(**fields: Any) -> Actor[Any]:
        actor = factory(**fields)
        object.__setattr__(actor, "__class__", _watched_class(type(actor), watcher))  # of a frozen one, too
        return actor

    return make


def _watched_class(cls: type[Actor[Any]], watcher: Watcher) -> type[Actor[Any]]:
    """A subclass without fields of its own, so that an object of the one can become one of the other."""
    handle: Any = cls.handle
    wrapped: Any
    if inspect.iscoroutinefunction(handle):

        async def handle_async(self: Actor[Any], message: Any) -> Any:
            watcher.note(message)
            return await handle(self, message)

        wrapped = handle_async
    else:

        def handle_plain(self: Actor[Any], message: Any) -> Any:
            watcher.note(message)
            return handle(self, message)

        wrapped = handle_plain
    return type(cls.__name__, (cls,), {"__slots__": (), "__module__": cls.__module__, "handle": wrapped})
