"""Handlers with something around them: a watcher who knows of each message before the actor does, for one.

What is sent is watched with `spore.nursery_bundle.ports.WatchedRef`. An actor that nobody watches runs none of this.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from spore.nursery_bundle import Actor
from spore.nursery_bundle.ports import Watcher

__all__ = ["around", "watched"]

Handle = Callable[[Actor[Any], Any], Any]
"""As it stands in a class: a plain function, or one that returns an awaitable."""


def around(factory: Callable[..., Actor[Any]], wrap: Callable[[Handle, bool], Handle]) -> Callable[..., Actor[Any]]:
    """A factory of the same actors, with something around their handlers.

    Args:
        factory: of the actors.
        wrap: makes one handler of another, as async as that is, which it is told.
    """

    def make(**fields: Any) -> Actor[Any]:
        actor = factory(**fields)
        cls = type(actor)
        handle: Any = cls.handle
        wrapped = wrap(handle, inspect.iscoroutinefunction(handle))
        # A subclass without fields of its own, so that an object of the one can become one of the other.
        members = {"__slots__": (), "__module__": cls.__module__, "handle": wrapped}
        object.__setattr__(actor, "__class__", type(cls.__name__, (cls,), members))  # of a frozen one, too
        return actor

    return make


def watched(factory: Callable[..., Actor[Any]], watcher: Watcher) -> Callable[..., Actor[Any]]:
    """A factory of the same actors, whose messages somebody notes."""

    def wrap(handle: Handle, is_async: bool) -> Handle:
        if is_async:

            async def handle_async(self: Actor[Any], message: Any) -> Any:
                watcher.note(message)
                return await handle(self, message)

            return handle_async

        def handle_plain(self: Actor[Any], message: Any) -> Any:
            watcher.note(message)
            return handle(self, message)

        return handle_plain

    return around(factory, wrap)
