"""Several receivers that divide the messages among themselves, by a key that messages carry.

Rule: equal keys go to the same receiver, in every process, mode and run; a message without the key concerns all, and goes to all.
So each receiver has every message of its keys, and every one that concerns all, in the order in which they were sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar
from zlib import crc32

from spore.errors import UsageError
from spore.nursery_bundle.ref import ASK_TIMEOUT_S, ActorRef, FanOut

__all__ = ["ShardedRef", "shard_of"]

M = TypeVar("M", contravariant=True)


def shard_of(key: bytes | str | int, shards: int) -> int:
    """The number of the shard that a key belongs to: CRC-32 modulo their number.

    Args:
        key: text counts as UTF-8, and a number as its decimal digits.
        shards: how many there are.

    Raises:
        UsageError: for a key of another type, which could be another one in each process.
    """
    match key:
        case bytes():
            return crc32(key) % shards
        case str():
            return crc32(key.encode()) % shards
        case int():
            return crc32(b"%d" % key) % shards
    raise UsageError(f"a message is divided by bytes, text or a whole number, and {key!r} is a {type(key).__name__}")


class ShardedRef(FanOut[M]):
    """Receivers behind one port, of which each gets the messages of its keys.

    Args:
        refs: the receivers, in the order of their numbers.
        by: the field that is the key.
    """

    __slots__ = ("_by",)

    def __init__(self, refs: Iterable[ActorRef[M]], by: str) -> None:
        super().__init__(refs)
        self._by = by

    def over(self, refs: Iterable[ActorRef[Any]]) -> ShardedRef[Any]:
        return ShardedRef(refs, self._by)

    def __repr__(self) -> str:
        return f"<ShardedRef {self.name} by {self._by}>"

    def one(self, message: Any) -> ActorRef[M] | None:
        """Who gets a message; None if it goes to all."""
        key = getattr(message, self._by, None)
        return None if key is None else self._refs[shard_of(key, len(self._refs))]

    def tell(self, message: M, high: bool = False) -> None:
        """`tell` the one whose key it is; all, as a fan-out does, if it has none."""
        one = self.one(message)
        if one is None:
            super().tell(message, high)
        else:
            one.tell(message, high)

    async def send(self, message: M, high: bool = False) -> None:
        """`send` to the one whose key it is; to all, as a fan-out does, if it has none.

        Cancellation: as `FanOut.send`.
        """
        one = self.one(message)
        if one is None:
            await super().send(message, high)
        else:
            await one.send(message, high)

    async def ask(self, message: M, timeout: float = ASK_TIMEOUT_S, high: bool = False) -> Any:  # noqa: ASYNC109
        """Ask the one whose key it is.

        Raises:
            UsageError: if the message has no key: there is no one answer from several receivers.
        """
        one = self.one(message)
        if one is None:
            return await super().ask(message, timeout, high)
        return await one.ask(message, timeout, high)

    def tell_many(self, messages: Iterable[M]) -> None:
        """`tell` each its part, in order."""
        for ref, part in self._parts(messages):
            ref.tell_many(part)

    async def send_many(self, messages: Iterable[M]) -> None:
        """`send` each its part, in order.

        Cancellation: always a checkpoint. When it is cancelled, one of the receivers has got its part up to the message that it
        waited with; those before it have got theirs, and those after it have not.
        """
        for ref, part in self._parts(messages):
            await ref.send_many(part)

    def _parts(self, messages: Iterable[M]) -> list[tuple[ActorRef[M], list[M]]]:
        parts: list[list[M]] = [[] for _ in self._refs]
        for message in messages:
            key = getattr(message, self._by, None)
            for part in parts if key is None else (parts[shard_of(key, len(parts))],):
                part.append(message)
        return list(zip(self._refs, parts, strict=True))
