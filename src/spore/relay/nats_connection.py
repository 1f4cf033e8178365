"""One connection with one NATS server, from the greeting until it is lost. It never comes back: `spore.relay.nats` makes a new one.

nats-py's own way to reconnect is switched off, because it breaks the order of what was published meanwhile. So is its
silence: whatever it reports ends the connection, with a reason.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import trio

from spore.distribution import needs
from spore.errors import NatsRefused
from spore.relay.guest import Guest
from spore.relay.nats_client import Take, ThinClient
from spore.relay.nats_options import NatsOptions
from spore.relay.nats_refusals import check_greeting, refusal_of

with needs("nats"):
    from nats.aio.subscription import Subscription
    from nats.errors import Error, SlowConsumerError
    from nats.js import JetStreamContext
    from nats.js.errors import APIError, ServiceUnavailableError

__all__ = ["NatsConnection"]

T = TypeVar("T")
NO_JETSTREAM = (10_039, 10_076)
"""Source: the server's errors.json; not enabled for the account, not enabled."""
CONNECT_S = 5.0
CLOSE_S = 2.0
FAILED_S = 0.1
"""What was never open has nothing to write, and after a handshake of TLS that has failed asyncio never says that it is closed."""
ANSWER_S = 5.0
"""So long JetStream may take to answer."""
BEAT_S = 2.0
SILENT_S = 4.0
"""A server that does not answer for so long counts as lost; a link's own heartbeats notice it a little later."""


class NatsConnection:
    """Made by `open`."""

    def __init__(self, guest: Guest, server: str, client: ThinClient) -> None:
        self.server = server
        self.lost = trio.Event()
        self.error: BaseException | None = None
        """Why it was lost."""
        self.on_lost: set[Callable[[], None]] = set()
        """Called when it is."""
        self._guest = guest
        self._client = client

    @classmethod
    async def open(
        cls,
        guest: Guest,
        options: NatsOptions,
        server: str,
        *,
        name: str,
        tls: ssl.SSLContext | None,
        durable: bool = False,
    ) -> NatsConnection:
        """Connect to one server.

        Args:
            guest: where nats-py runs.
            options: who to say one is.
            server: which of the servers.
            name: shown by the server's own monitoring.
            tls: as the options give it.
            durable: whether it has to have JetStream.

        Cancellation: a checkpoint; nothing is left open.

        Raises:
            OSError: if nobody answers, or not in time.
            NatsRefused: if coming again would not help.
        """
        client = ThinClient(lambda greeting: check_greeting(greeting, server, tls=tls is not None, durable=durable))
        connection = cls(guest, server, client)
        client.on_broken = connection._lose
        opened = False
        try:
            with trio.fail_after(CONNECT_S):
                await guest.call(
                    client.connect(
                        f"nats://{server}",
                        name=name,
                        allow_reconnect=False,
                        max_reconnect_attempts=1,
                        reconnect_time_wait=0,
                        connect_timeout=round(CONNECT_S),
                        error_cb=connection._on_error,
                        closed_cb=connection._on_closed,
                        tls=tls,
                        user=options.user,
                        password=options.password,
                        token=options.token,
                        user_credentials=options.credentials,
                    )
                )
            if not client.is_connected:
                raise ConnectionResetError("it has closed the connection during the greeting")
            if durable:
                await connection._check_jetstream()
            opened = True
        except (OSError, Error, trio.TooSlowError) as error:
            cause = connection.error or error  # what nats-py reports before it gives up is the closer one
            if (refusal := refusal_of(cause, server, options)) is not None:
                raise refusal from None
            raise ConnectionError(f"{server}: {str(cause) or type(cause).__name__}") from None
        finally:
            if not opened:
                await connection.aclose(FAILED_S)  # noqa: ASYNC102 - it is shielded, and bounded
        return connection

    @property
    def max_payload(self) -> int:
        """Bytes that one message may have."""
        return self._client.max_payload

    @property
    def version(self) -> str:
        """The server's."""
        return str(self._client.greeting.get("version", "unknown"))

    async def ask(self, wish: Callable[[JetStreamContext], Coroutine[Any, Any, T]]) -> T:
        """Something of JetStream's.

        Args:
            wish: what to call, such as ``lambda jetstream: jetstream.stream_info(name)``.

        Cancellation: always a checkpoint.

        Raises:
            nats.js.errors.APIError: if JetStream says no, or nothing in time: its servers may just be choosing a leader, and
                the connection may be lost.
        """
        try:
            return await self._guest.call(wish(self._client.jetstream(timeout=ANSWER_S)))
        except APIError:
            raise
        except Error as error:
            raise ServiceUnavailableError(description=f"JetStream does not answer: {error}") from error

    def publish(self, subject: str, payload: bytes, reply: str = "", headers: bytes = b"") -> None:
        """Publish a message: at once if the server takes it, and in this order. Over a lost connection nothing happens.

        Args:
            subject: where.
            payload: no more than `max_payload` bytes, together with the headers.
            reply: where an answer is to go, or the server's word that nobody listens.
            headers: as they are written, from ``NATS/1.0`` to the empty line; or none.
        """
        if self.lost.is_set():
            return
        if headers:
            sizes = f"{len(headers)} {len(headers) + len(payload)}"
            written = self._client.write(f"HPUB {subject} {reply} {sizes}\r\n".encode(), headers, payload, b"\r\n")
        else:
            written = self._client.write(f"PUB {subject} {reply} {len(payload)}\r\n".encode(), payload, b"\r\n")
        if not written:
            self._lose(ConnectionResetError("the server has closed it"))

    async def subscribe(self, subject: str, take: Take) -> Subscription:
        """Have a function called with each message, in order.

        Args:
            subject: of which messages; may have wildcards.
            take: runs within the loop, so it only stores and wakes. What the server says of nobody listening comes as an
                empty message.

        Cancellation: always a checkpoint.

        Raises:
            trio.BrokenResourceError: if the connection is lost.
        """
        try:
            return await self._guest.call(self._client.take_from(subject, take))
        except Error as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def flush(self) -> None:
        """Wait until the server has read all that was written: what was subscribed is known to it then.

        Cancellation: always a checkpoint.

        Raises:
            trio.BrokenResourceError: if the connection is lost.
        """
        try:
            await self._guest.call(self._client.flush(timeout=round(SILENT_S * 2)))
        except Error as error:
            raise trio.BrokenResourceError(str(error)) from error

    def unsubscribe(self, subscription: Subscription) -> None:
        """Have it called no more."""

        async def leave() -> None:
            with suppress(Error):  # lost meanwhile, which is as good
                await subscription.unsubscribe()

        if not self.lost.is_set():
            self._guest.loop.create_task(leave())
            self._guest.turn()

    async def watch(self) -> None:
        """Ask the server now and then whether it is there, until the connection is lost.

        Cancellation: always a checkpoint.
        """
        while not self.lost.is_set():
            with trio.move_on_after(BEAT_S):
                await self.lost.wait()
                return
            with trio.move_on_after(SILENT_S) as patience:
                try:
                    await self.flush()
                except trio.BrokenResourceError as error:
                    self._lose(error.__cause__ or error)
            if patience.cancelled_caught:
                self._lose(TimeoutError(f"nothing from the server for {SILENT_S:g} s"))

    async def aclose(self, patience_s: float = CLOSE_S) -> None:
        """Write what was published, and close.

        Args:
            patience_s: so long the server may take to read it.

        Cancellation: none, but it takes a few seconds at most.
        """
        self._lose(ConnectionError("closed"))
        with trio.move_on_after(patience_s, shield=True), suppress(OSError):
            await self._guest.call(self._client.close())
        self._client.abort()  # for it may have given up on the way

    async def _check_jetstream(self) -> None:
        try:
            await self._guest.call(self._client.jsm().account_info())
        except APIError as error:
            # Without a code nobody has answered at all. Others are about what will pass: no leader is elected yet, say.
            if error.err_code in {None, *NO_JETSTREAM}:
                text = f"it is version {self.version} and has no JetStream, which durable edges need; start it with -js"
                raise NatsRefused(self.server, "jetstream", text) from None

    # What nats-py reports

    async def _on_error(self, error: Exception) -> None:  # noqa: ASYNC124
        if isinstance(error, SlowConsumerError):
            error = ConnectionError(f"more has come for {error.subject} than there is room for")
        self._lose(error)

    async def _on_closed(self) -> None:  # noqa: ASYNC124
        self._lose(self._client.last_error or ConnectionResetError("the server has closed it"))

    def _lose(self, error: BaseException) -> None:
        if not self.lost.is_set():
            self.error = error
            self.lost.set()
            for tell in tuple(self.on_lost):
                tell()

    def refusal(self, options: NatsOptions) -> NatsRefused | None:
        """What makes it useless to come again, if that is why the connection was lost."""
        return refusal_of(self.error, self.server, options)
