"""What a user writes: an actor is a class with a `handle`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NoReturn, TypeVar

from spore.errors import UsageError
from spore.nursery_bundle.policy import Directive

__all__ = ["Actor"]

M = TypeVar("M")


class Actor(Generic[M]):
    """The base of all actors; ``M`` is the message, or the union of messages, that it handles.

    Subclass it, usually with ``@attrs.define``. Fields that hold an `ActorRef` are its ports. An actor handles one
    message at a time and shares nothing with others but immutable messages, so it needs no locks.

    Every method may be plain or async, except `on_error`, `skipped`, `snapshot` and `restore`, which are plain.
    """

    __slots__ = ()

    def __copy__(self) -> NoReturn:
        """An actor is made by its factory.

        Raises:
            UsageError: always; so does ``copy.deepcopy``.
        """
        raise UsageError(
            f"an actor cannot be copied, because a {type(self).__qualname__} has a place in its bundle; "
            f"have a factory make another one, and hand its state over with snapshot and restore"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        self.__copy__()

    def handle(self, message: M) -> Any:
        """Handle one message; the value returned answers an `ActorRef.ask`.

        A plain handler may be called from within `ActorRef.tell` and must not take long: while it runs, nothing
        else in the process does. An async one may wait.

        A handler leaves context variables, and the settings of ``decimal``, as it found them: a plain one may run in its sender's
        context, and one that is queued or async runs in its actor's own.
        """
        raise NotImplementedError(f"{type(self).__qualname__} has no handle")

    def on_start(self) -> Any:
        """Called before the first message, again on the fresh actor after a restart, and on a successor after `restore`."""

    def on_stop(self) -> Any:
        """Called after the last message, and on the failed actor before a restart. It may still tell and send.

        When the bundle is cancelled it is called in a cancelled scope, as a ``finally`` block would be. When a successor has
        taken over, it is called once that runs, to let go of what the actor holds; it may not tell and send then.
        """

    def on_error(self, error: Exception, message: M) -> Directive | None:
        """Decide what becomes of this actor after its handler raised; None leaves it to the supervision."""
        return None

    def skipped(self) -> Mapping[str, int]:
        """How much of what it has handled it did not use, by reason: for the statistics, which may be asked for at any time."""
        return {}

    def snapshot(self) -> Any:
        """The state to hand over to a successor, between two messages. The successor may be in another process: so it is plain data,
        as JSON can say it, such as `spore.to_plain` makes of attrs classes.

        Raises:
            NotImplementedError: unless a subclass knows how.
        """
        raise NotImplementedError(f"{type(self).__qualname__} has no snapshot")

    def restore(self, state: Any) -> None:
        """Take over what `snapshot` of a predecessor returned; called before `on_start`."""
        raise NotImplementedError(f"{type(self).__qualname__} has no restore")
