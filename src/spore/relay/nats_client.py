"""nats-py with short cuts for what carries the link, and without its way to keep silent. Its inside is used here and nowhere else.

nats-py passes what comes through a queue to a task, and what goes to another: for one message at a time that is half of all
that it costs. What carries the link goes past both.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from spore.distribution import needs

with needs("nats"):
    from nats.aio.client import Client
    from nats.aio.subscription import Subscription


__all__ = ["Take", "ThinClient"]

Take: TypeAlias = Callable[[bytes, bytes, bytes, bytes], None]
"""Called with a message, the subject for an answer, its own subject, and its headers as they came."""


class ThinClient(Client):
    """nats-py's client.

    Args:
        check: looks at the server's greeting, before anything secret is said; may raise.
    """

    def __init__(self, check: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self.greeting: dict[str, Any] = {}
        """As the server has said it."""
        self.on_broken: Callable[[BaseException], None] = _nothing
        """Called as soon as the connection is known to be lost, which nats-py would tell after closing it, if that goes well."""
        self._check = check
        self._takers: dict[int, Take] = {}

    async def take_from(self, subject: str, take: Take) -> Subscription:
        """Subscribe, without a queue."""
        subscription = await self.subscribe(subject)
        self._takers[subscription._id] = take
        return subscription

    def write(self, *parts: bytes) -> bool:
        """Write a command, behind those that nats-py has not written yet; return whether there was still somewhere to write it."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is None or writer.is_closing():
            return False
        pending, self._pending, self._pending_data_size = self._pending, [], 0
        writer.writelines([*pending, *parts])
        return True

    def abort(self) -> None:
        """Close the socket, whatever is still to be written to it."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection:
            self._check(info)
            self.greeting = info
        await super()._process_info(info, initial_connection)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        take = self._takers.get(sid)
        if take is not None:
            take(data, reply, subject, headers or b"")
        else:
            await super()._process_msg(sid, subject, reply, data, headers)

    async def _process_op_err(self, e: Exception) -> None:
        self.on_broken(e)
        with suppress(OSError):  # it tries to write what was left
            await super()._process_op_err(e)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._takers.pop(sid, None)
        super()._remove_sub(sid, max_msgs)


def _nothing(_: BaseException) -> None:
    pass
