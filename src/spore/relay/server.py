"""The relay with trio: sockets around a `Switchboard`."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from time import perf_counter_ns

import trio

from spore.errors import UsageError
from spore.relay.address import Address
from spore.relay.carrier import READ_SIZE, Carrier, SocketCarrier, StreamCarrier
from spore.relay.control import Reason
from spore.relay.deaths import DEFAULT_DEATHS
from spore.relay.journal import Journal
from spore.relay.keeper import Keeper
from spore.relay.peer import HIGH_WATER, Peer
from spore.relay.quiet import Quiet
from spore.relay.switchboard import Switchboard
from spore.relay.unix import BACKLOG, listen_at, remove

__all__ = ["Relay", "open_relay"]

_log = logging.getLogger("spore.relay")
GREETING_S = 10.0
"""So long a connection may take for the handshake of TLS."""
PARTING_S = 1.0
"""So long the last words to a connection that takes nothing may take."""
SLICE_NS = 500_000
LEAST_PART = 2_048
"""What has come is taken in parts that each need about a time slice, but not in smaller ones than this, in bytes."""
MAX_CONNECTIONS = 4_096
"""With those that are still shaking hands."""
ALL_WAITING = 128 * 1024 * 1024
"""Bytes queued for all connections together beyond which whoever sends to one that has more than `SHARE` is not read."""
SHARE = 1024 * 1024
PIECE = 256 * 1024
STUCK_S = 120.0
"""So long a connection may take to take as much as a piece of what waits for it."""
LOOK_EVERY_S = 1.0
"""So often the clock is looked at, at least."""
_CREDENTIALS = struct.Struct("3i")


class Relay:
    """A relay that runs. Made by `open_relay`."""

    def __init__(self, board: Switchboard, nursery: trio.Nursery, addresses: tuple[Address, ...] = ()) -> None:
        self.board = board
        self.addresses = addresses
        """Where it listens; with the port that the system chose, where it was to choose."""
        self._nursery = nursery
        self._carriers: dict[Peer, Carrier] = {}
        self._blocked: set[Peer] = set()
        """Those whose sockets take nothing more for now; a task of their own writes."""
        self._parting: set[Peer] = set()
        """Those whose sockets take nothing more, and that are to be closed all the same."""
        self._drained = trio.lowlevel.ParkingLot()
        """Woken when somebody has less queued."""
        self._until = 0
        self._open = 0
        """Connections, with those of which there is no peer yet."""
        self._quiet = Quiet(_log)
        board.notice = self._notice
        self._now = trio.lowlevel.current_clock().current_time  # what `trio.current_time` finds out anew each time

    def admit(self, origin: str) -> bool:
        """Count a new connection, if there is room for one. Whoever has called this calls `release` in the end."""
        if self._open >= MAX_CONNECTIONS:
            self.warn(origin, "connections", f"refused a connection from {origin}: there are {self._open} already")
            return False
        self._open += 1
        return True

    def release(self) -> None:
        """A connection that was admitted has ended."""
        self._open -= 1

    def warn(self, origin: str, reason: str, text: str) -> None:
        """Log something that others have caused: at most one line for each of them a minute."""
        self._quiet.warn(self._now(), origin, reason, text)

    async def serve(self, carrier: Carrier, origin: str = "a process's own client") -> None:
        """Serve one connection to its end.

        Args:
            carrier: the connection.
            origin: where it comes from, for the log.

        Cancellation: between chunks of what comes; the connection is closed.
        """
        if not self.admit(origin):
            carrier.close()
            return
        try:
            await self.serve_admitted(carrier, origin)
        finally:
            self.release()

    async def serve_admitted(self, carrier: Carrier, origin: str) -> None:
        """As `serve`, for a connection that is counted already."""
        board = self.board
        peer = board.connect(trio.current_time(), origin)
        self._carriers[peer] = carrier
        carrier.eager = partial(self._take_at_once, peer)
        most = LEAST_PART
        try:
            while not peer.closing:
                data = await carrier.receive()
                if not data:
                    break
                if carrier.waited:
                    self._until = perf_counter_ns() + SLICE_NS
                while data and not peer.closing:
                    part, data = data[:most], data[most:]
                    if self._blocked and self._congested(peer):  # others have filled it since this one was read last
                        await self._hold(peer)
                    began = perf_counter_ns()
                    board.receive(peer, part, self._now())
                    ended = perf_counter_ns()
                    overrun = self._overrun() if self._blocked else ()
                    self.flush()
                    if overrun or self._congested(peer):
                        await self._hold(peer, overrun)
                    if ended - began > SLICE_NS:  # control messages cost far more than frames that are passed on
                        most = max(LEAST_PART, most // 2)
                    elif most < READ_SIZE:
                        most *= 2
                    if perf_counter_ns() > self._until:
                        await trio.lowlevel.checkpoint()
                        self._until = perf_counter_ns() + SLICE_NS
            if peer in self._blocked or peer.out:
                with trio.move_on_after(GREETING_S):
                    await self._write_rest(peer, carrier)
        except trio.BrokenResourceError:
            pass
        finally:
            carrier.eager = None
            self._carriers.pop(peer, None)
            board.disconnect(peer)
            carrier.close()
            self._report(peer)
            self.flush()
            self._drained.unpark_all()

    def _take_at_once(self, peer: Peer, data: bytes) -> bool:
        if peer.held or peer.closing or self._congested(peer):
            return False
        self.board.receive(peer, data, self._now())
        self.flush()
        return True

    def _congested(self, peer: Peer) -> bool:
        """Whether somebody to whom a peer sends has too much queued."""
        most = HIGH_WATER
        if self._blocked and sum(other.out_bytes for other in self._blocked) > ALL_WAITING:
            most = SHARE
        return any(peer.congested_at(most))

    def _overrun(self) -> tuple[Peer, ...]:
        """Those for whom something was queued just now, whatever it was, and who have much too much queued."""
        return tuple(peer for peer in self.board.touched if peer.out_bytes > 2 * HIGH_WATER)

    async def _hold(self, peer: Peer, overrun: tuple[Peer, ...] = ()) -> None:
        """Do not read what would only be queued. The silence that comes of it is not the client's."""
        peer.held = True
        while not peer.closing and (
            self._congested(peer) or any(other.out_bytes > HIGH_WATER and not other.closing for other in overrun)
        ):
            await self._drained.park()
        peer.held = False
        peer.heard_at = trio.current_time()
        if peer.begun_at is not None:
            peer.begun_at = peer.heard_at

    async def watch(self) -> None:
        """Look at the clock, for the heartbeats, and for those who take too long.

        Cancellation: always a checkpoint.
        """
        while True:
            await trio.sleep(min(self.board.heartbeat_s / 2, LOOK_EVERY_S))
            self.board.on_time(trio.current_time())
            self._quiet.on_time(trio.current_time())
            self.flush()

    def _notice(self, peer: Peer, reason: str, text: str) -> None:
        self.warn(peer.origin, reason, text)

    def _report(self, peer: Peer) -> None:
        if peer.refused is not None:
            at = "" if peer.name else f" from {peer.origin}"
            self.warn(
                peer.origin,
                peer.refused.reason,
                f"refused {peer.title}{at}: {peer.refused.text} ({peer.refused.reason})",
            )

    def flush(self) -> None:
        """Write to everybody for whom something was queued, as far as that needs no waiting."""
        touched = self.board.touched
        while touched:
            peer, _ = touched.popitem()
            if peer.deliver is not None:
                data = b"".join(peer.take())
                peer.out_bytes -= len(data)
                peer.deliver(data)
                continue
            carrier = self._carriers.get(peer)
            if carrier is None:
                continue
            if peer in self._blocked:
                if peer.closing and peer not in self._parting:
                    self._parting.add(peer)
                    self._nursery.start_soon(self._part, peer, carrier)
                continue
            try:
                data = b"".join(peer.take())
                done = carrier.send_nowait(data) if data else 0
            except trio.BrokenResourceError:
                peer.closing = True
                carrier.close()
                continue
            peer.out_bytes -= done
            if done < len(data):
                self._blocked.add(peer)
                self._nursery.start_soon(self._write_later, peer, carrier, data[done:])
            elif peer.closing:
                carrier.close()
        if self._drained:
            self._drained.unpark_all()

    async def _write_later(self, peer: Peer, carrier: Carrier, data: bytes) -> None:
        try:
            while data:
                left = memoryview(data)
                while left:
                    piece = left[:PIECE]
                    with trio.fail_after(STUCK_S):
                        await carrier.send_all(piece)
                    left = left[PIECE:]
                    peer.out_bytes -= len(piece)
                    if peer.out_bytes < HIGH_WATER // 2:
                        self._drained.unpark_all()
                data = b"".join(peer.take())
        except trio.TooSlowError:
            if not peer.closing:
                text = f"it has taken nothing for {STUCK_S:g} s, and {peer.out_bytes:,} bytes wait to be written to it"
                self.board.refuse(peer, Reason.SILENCE, text)
        except trio.BrokenResourceError:
            peer.closing = True
        finally:
            self._blocked.discard(peer)
            self._drained.unpark_all()
            if peer.closing:
                carrier.close()

    async def _part(self, peer: Peer, carrier: Carrier) -> None:
        """Close a connection that may never take what is still to be written to it: whoever is there has vanished."""
        with trio.move_on_after(PARTING_S):
            while peer in self._blocked:
                await self._drained.park()
        self._parting.discard(peer)
        carrier.close()

    async def _write_rest(self, peer: Peer, carrier: Carrier) -> None:
        while peer in self._blocked:
            await self._drained.park()
        data = b"".join(peer.take())
        if data:
            await carrier.send_all(data)


@asynccontextmanager
async def open_relay(
    addresses: list[Address],
    *,
    board: Switchboard | None = None,
    tls: ssl.SSLContext | None = None,
    plain_tcp: bool = False,
    journal: Journal | None = None,
    deaths: int = DEFAULT_DEATHS,
) -> AsyncIterator[Relay]:
    """A relay for the length of a block.

    Args:
        addresses: where to listen. Unix sockets get mode 0600; port 0 lets the system choose.
        board: with which token, limits and heartbeat.
        tls: for TCP; clients must show certificates. Without it TCP is for the loopback.
        journal: what keeps the streams that clients send to and subscribe; without it there are none. It stays open.
        deaths: a message of a stream is set aside when so many processes of a subscriber died while they had it in hand.
        plain_tcp: allow TCP without TLS off the loopback. Everybody on the way can read and change what passes.

    Cancellation: a checkpoint; sockets are closed, and socket files removed, in any case.

    Raises:
        UsageError: for an address that would be open to the world, or is taken.
        JournalError: if the journal cannot be read.
        OSError: if the system does not let it listen.
    """
    board = board or Switchboard()
    for address in addresses:
        if tls is None and not address.is_loopback and not plain_tcp:
            reason = "can be reached from other machines, and has neither TLS nor your word that this is meant"
            raise UsageError(f"{address} {reason}; give certificates, or allow plain TCP")
    listening: list[tuple[socket.socket, Address]] = []
    try:
        for address in addresses:
            listening.append(await _listen(address))  # noqa: PERF401 - what listens already is to be closed in any case
        async with trio.open_nursery() as nursery:
            relay = Relay(board, nursery, tuple(bound for _, bound in listening))
            for sock, bound in listening:
                nursery.start_soon(_accept, relay, sock, tls if bound.path is None else None, nursery)
            nursery.start_soon(relay.watch)
            keeper = Keeper(journal, board, relay.flush, deaths=deaths) if journal is not None else None
            if keeper is not None:
                nursery.start_soon(keeper.run)
            try:
                yield relay
            finally:
                nursery.cancel_scope.cancel()
                if keeper is not None:
                    keeper.finish()
    finally:
        for sock, bound in listening:
            sock.close()
            if bound.path is not None:
                remove(bound.path)


async def _accept(relay: Relay, listener: socket.socket, tls: ssl.SSLContext | None, nursery: trio.Nursery) -> None:
    while True:
        await trio.lowlevel.wait_readable(listener)
        try:
            sock, _ = listener.accept()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                relay.warn("this relay", "descriptors", f"cannot take a connection: {error.strerror}")
                await trio.sleep(0.1)
            continue
        origin = _origin(sock)
        if relay.admit(origin):
            nursery.start_soon(_serve, relay, sock, origin, tls)
        else:
            sock.close()


def _origin(sock: socket.socket) -> str:
    """Where a connection comes from: the host, or the process, which it cannot choose."""
    try:
        if sock.family == socket.AF_UNIX:
            size = _CREDENTIALS.size
            process, user, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
            return f"process {process} of user {user}"
        return str(sock.getpeername()[0])
    except (AttributeError, OSError):  # another system, or it is gone already
        return "somebody"


async def _serve(relay: Relay, sock: socket.socket, origin: str, tls: ssl.SSLContext | None) -> None:
    try:
        if tls is None:
            await relay.serve_admitted(SocketCarrier(sock), origin)
            return
        stream = trio.SSLStream(
            trio.SocketStream(trio.socket.from_stdlib_socket(sock)), tls, server_side=True, https_compatible=True
        )
        try:
            with trio.fail_after(GREETING_S):
                await stream.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError) as error:
            text = f"refused a connection from {origin}: no handshake of TLS: {error.__cause__ or error}"
            relay.warn(origin, "tls", text)
            await _say_why(stream)
            await trio.aclose_forcefully(stream)
            return
        await relay.serve_admitted(StreamCarrier(stream), origin)
    finally:
        relay.release()


async def _say_why(stream: trio.SSLStream[trio.SocketStream]) -> None:
    """Write the alert with which TLS tells the other end why there is no handshake, and hear it out, or it may not get it."""
    alert = stream._outgoing.read()  # trio writes it only if all goes well
    transport = stream.transport_stream
    with trio.move_on_after(PARTING_S), suppress(trio.BrokenResourceError):
        if alert:
            await transport.send_all(alert)
            await transport.send_eof()
            while await transport.receive_some(READ_SIZE):
                pass


async def _listen(address: Address) -> tuple[socket.socket, Address]:
    if address.path is None:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            host = "127.0.0.1" if address.host == "localhost" else address.host
            sock.bind((host, address.port))
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            raise UsageError(f"cannot listen at {address}: {error.strerror}") from None
        sock.setblocking(False)
        return sock, Address(host=address.host, port=sock.getsockname()[1])
    return await listen_at(address.path, who="a relay"), address
