"""NATS as a carrier of the link: between nodes a message goes from its sender by a server to its receiver, and through no relay.

An *inlet* is a switchboard in the receiving process that listens on NATS instead of a socket; that process's own client is
attached to it in memory. Everything that the link promises it promises here: NATS carries its bytes and no more.

Read in this order: `nats_options`, `guest` (asyncio within trio), `nats_connection` (one connection with a server),
`nats_carrier` (one of the link's), and this, which comes again when a server is lost.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from secrets import randbits, token_hex

import trio

from spore.errors import NatsRefused
from spore.nursery_bundle.chance import chances
from spore.relay.carrier import Carrier
from spore.relay.client import BACKOFF, is_stop
from spore.relay.guest import Guest, open_guest
from spore.relay.memory import MemoryCarrier
from spore.relay.nats_carrier import NatsCarrier
from spore.relay.nats_connection import NatsConnection
from spore.relay.nats_keeper import NatsKeeper
from spore.relay.nats_options import NatsOptions, token_of
from spore.relay.nats_store import Store, StreamOptions
from spore.relay.server import Relay
from spore.relay.switchboard import Switchboard

__all__ = ["Inlet", "Nats", "NatsOptions", "StreamOptions", "open_inlet", "open_nats"]

_log = logging.getLogger("spore.relay")

ANSWER_S = 2.0
"""So long an inlet may take to answer."""
CONNECT, PROBE = b"connect 1", b"probe 1"
"""What a subject of an inlet is told; the number is the version of what follows."""


class Nats:
    """One process's way to the servers: a connection that is made again when it is lost. Made by `open_nats`."""

    def __init__(self, guest: Guest, options: NatsOptions, name: str, system: str, *, durable: bool) -> None:
        self.name = name
        self.system = system
        self.durable = durable
        self.options = options
        self.reconnects = 0
        self.prefix = f"spore.{token_of(system)}"
        """Of all subjects."""
        self._guest = guest
        self._tls = options.tls_context()
        self._servers = cycle(options.servers)
        self._connection: NatsConnection | None = None
        self._refusal: NatsRefused | None = None
        self._changed = trio.lowlevel.ParkingLot()

    def inbox(self) -> str:
        """A subject that nobody has ever had, for what comes to this process."""
        return f"{self.prefix}.back.{token_of(self.name)}.{token_hex(8)}"

    @staticmethod
    def client_number() -> int:
        """A number for one end of links, which nobody else has."""
        return randbits(63) | 1

    async def connection(self) -> NatsConnection:
        """The connection with a server, as soon as there is one.

        Cancellation: a checkpoint if it waits.

        Raises:
            NatsRefused: if there never will be.
        """
        while self._connection is None:
            if self._refusal is not None:
                raise self._refusal
            await self._changed.park()
        return self._connection

    async def connect(self, inlet: str) -> Carrier:
        """A new connection to an inlet, for `spore.relay.open_client`.

        Cancellation: a checkpoint; nothing is left open.

        Raises:
            OSError: if nobody listens there now.
            trio.BrokenResourceError: if the connection with the server is lost.
            NatsRefused: if no server will ever have this process.
        """
        carrier = NatsCarrier(await self.connection(), self.inbox())
        try:
            carrier.to = (await self._ask(carrier, inlet, CONNECT)).decode()
        except BaseException:
            carrier.close()
            raise
        return carrier

    async def is_taken(self, inlet: str) -> bool:
        """Whether some process listens at an inlet already. One that does not answer, though its host may live, does not count.

        Cancellation: always a checkpoint.

        Raises:
            trio.BrokenResourceError: if the connection with the server is lost.
        """
        carrier = NatsCarrier(await self.connection(), self.inbox())
        try:
            await self._ask(carrier, inlet, PROBE)
        except OSError:
            return False
        finally:
            carrier.close()
        return True

    async def _ask(self, carrier: NatsCarrier, inlet: str, wish: bytes) -> bytes:
        await carrier.listen()
        carrier.wish(f"{self.prefix}.in.{token_of(inlet)}", wish)
        try:
            with trio.fail_after(ANSWER_S):
                return await carrier.answer()
        except trio.TooSlowError:
            raise TimeoutError(f"inlet {inlet!r} does not answer") from None
        except ConnectionRefusedError:
            raise ConnectionRefusedError(f"nobody listens at inlet {inlet!r}") from None

    async def run(self) -> None:
        """Keep a connection, until cancelled.

        Cancellation: always a checkpoint; the connection is closed.

        Raises:
            NatsRefused: if no server will ever have this process.
        """
        attempt, draw = 0, chances(None)
        while True:
            try:
                connection = await NatsConnection.open(
                    self._guest,
                    self.options,
                    next(self._servers),
                    name=self.name,
                    tls=self._tls,
                    durable=self.durable,
                )
            except OSError as error:
                attempt += 1
                if attempt in {1, 10} or attempt % 100 == 0:
                    _log.warning("%s: no NATS server (attempt %d): %s", self.name, attempt, error)
            except NatsRefused as refusal:
                self._give_up(refusal)
                raise
            else:
                attempt = 1
                await self._keep(connection)
                self.reconnects += 1
            await trio.sleep(BACKOFF.backoff(attempt, draw.random()))

    async def _keep(self, connection: NatsConnection) -> None:
        """Use a connection until it is lost."""
        self._connection = connection
        self._changed.unpark_all()
        try:
            await connection.watch()
        finally:
            self._connection = None
            await connection.aclose()
        if (refusal := connection.refusal(self.options)) is not None:
            self._give_up(refusal)
            raise refusal
        _log.warning("%s: the connection to NATS server %s is lost: %s", self.name, connection.server, connection.error)

    def _give_up(self, refusal: NatsRefused) -> None:
        self._refusal = refusal
        self._changed.unpark_all()


@asynccontextmanager
async def open_nats(
    options: NatsOptions | str, *, name: str, system: str = "system", durable: bool = False
) -> AsyncIterator[Nats]:
    """This process's way to NATS for the length of a block. No server need be there yet: it comes until one is.

    Args:
        options: where the servers are, and who to say one is; or as `NatsOptions.parse` reads it.
        name: the process's, as others know it.
        system: what keeps apart systems that share servers. It is in every subject.
        durable: whether streams are needed, so that a server without JetStream is refused.

    Cancellation: entering is no checkpoint; leaving is one, closes the connection, and takes a few seconds at most.

    Raises:
        UsageError: if the options cannot be used.
        ExceptionGroup: with `NatsRefused`, if no server will ever have this process.
    """
    options = NatsOptions.parse(options) if isinstance(options, str) else options
    async with open_guest() as guest, trio.open_nursery() as nursery:
        nats = Nats(guest, options, name, system, durable=durable)
        scope = trio.CancelScope(shield=True)  # else those who end with it could not write down how far they are

        async def keep() -> None:
            with scope:
                await nats.run()

        nursery.start_soon(keep, name=f"NATS for {name}")
        try:
            yield nats
        finally:
            scope.cancel()
            nursery.cancel_scope.cancel()


class Inlet:
    """A switchboard that listens on NATS. Made by `open_inlet`."""

    def __init__(self, nats: Nats, name: str, board: Switchboard, nursery: trio.Nursery) -> None:
        self.name = name
        self.relay = Relay(board, nursery)
        self._nats = nats
        self._nursery = nursery
        self._subject = f"{nats.prefix}.in.{token_of(name)}"
        self._listening = trio.Event()

    async def connect(self) -> Carrier:
        """A new connection from within this process, for `spore.relay.open_client`.

        Cancellation: always a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        here, there = MemoryCarrier.pair()
        self._nursery.start_soon(self.relay.serve, there)
        return here

    async def wait_listening(self) -> None:
        """Wait until others can connect.

        Cancellation: a checkpoint if it waits.
        """
        await self._listening.wait()

    async def listen(self) -> None:
        """Take new connections, over each connection with a server, until cancelled.

        Cancellation: always a checkpoint.

        Raises:
            NatsRefused: if another process has an inlet of this name.
        """
        while True:
            connection = await self._nats.connection()
            try:
                if await self._nats.is_taken(self.name):
                    text = f"another process listens at inlet {self.name!r} of {self._nats.prefix!r}; stop that, or rename one"
                    raise NatsRefused(connection.server, "name", text)

                def take(wish: bytes, reply: bytes, *_: bytes, connection: NatsConnection = connection) -> None:
                    self._nursery.start_soon(self._accept, connection, wish, reply.decode())

                subscription = await connection.subscribe(self._subject, take)
                try:
                    await connection.flush()  # before that, others might be told that nobody listens
                    self._listening.set()
                    await connection.lost.wait()
                finally:  # the nursery takes nobody any more
                    connection.unsubscribe(subscription)
            except trio.BrokenResourceError:
                await connection.lost.wait()
            self._listening = trio.Event()

    async def _accept(self, connection: NatsConnection, wish: bytes, answer_to: str) -> None:
        origin = answer_to.rpartition(".")[0] or "somebody"  # what is behind the last dot is drawn anew each time
        if wish == PROBE and answer_to:
            connection.publish(answer_to, b"taken")
        elif wish != CONNECT or not answer_to:
            text = f"inlet {self.name}: {wish[:80]!r} with an answer to {answer_to!r} is no wish to connect that is known here"
            self.relay.warn(origin, "wish", text)
        elif self.relay.admit(origin):
            back = f"{self._subject}.{token_hex(8)}"
            carrier = NatsCarrier(connection, back, answer_to)
            try:
                await carrier.listen()
                connection.publish(answer_to, back.encode())
                await self.relay.serve_admitted(carrier, origin)
            except trio.BrokenResourceError:
                pass
            finally:
                carrier.close()
                self.relay.release()


@asynccontextmanager
async def open_inlet(
    nats: Nats, inlet: str, *, board: Switchboard | None = None, streams: StreamOptions | None = None
) -> AsyncIterator[Inlet]:
    """An inlet for the length of a block. What waits for one is served as soon as a server is there.

    Args:
        nats: the way to the servers.
        inlet: its name, which no other process of the system may have.
        board: with which token, limits and heartbeat.
        streams: have clients send to streams and subscribe them (`Client.stream`, `Client.attach`), and how to make those that
            are not there; without it there are none.

    Cancellation: entering is no checkpoint; leaving is one, and closes all its connections.

    Raises:
        ExceptionGroup: with `NatsRefused`, if another process has an inlet of this name.
    """
    async with trio.open_nursery() as nursery:
        board = board or Switchboard()
        keeper = None
        opened = Inlet(nats, inlet, board, nursery)
        if streams is not None:
            store = Store(nats.prefix, nats.system, streams)
            keeper = NatsKeeper(nats, store, board, opened.relay.flush, nursery)
            nursery.start_soon(keeper.run)
        nursery.start_soon(opened.relay.watch)
        nursery.start_soon(opened.listen)
        try:
            yield opened
        except BaseException as error:
            if keeper is not None:
                keeper.caution.orderly = is_stop(error)
            raise
        finally:
            nursery.cancel_scope.cancel()
