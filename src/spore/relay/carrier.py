"""Carriers: what moves the bytes of a connection. A socket, plain or with TLS.

Strategy: a pass of trio's scheduler costs as much as writing, so a write is tried at once, and a read that finds something
costs no pass. Only what has to wait goes through trio.
"""

from __future__ import annotations

import os
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable

import trio

from spore.errors import RelayRefused
from spore.relay.address import Address

__all__ = ["CERTIFICATE", "READ_SIZE", "Carrier", "SocketCarrier", "StreamCarrier", "connect", "distrust"]

READ_SIZE = 64 * 1024
"""More would have every read map and unmap memory: the buffer is made before it is known how much has come."""
CERTIFICATE = "certificate"
"""The reason of a `spore.errors.RelayRefused` where the two ends do not trust each other's certificates."""
SOCKET_BUFFER = 1024 * 1024
"""What the kernel is asked to hold for a socket: the fewer passes for a burst."""


class Carrier(ABC):
    """One connection."""

    waited = True
    """Whether the last `receive` had to wait, so that everything else has had its turn."""
    eager: Callable[[bytes], bool] | None = None
    """Set by whoever reads: takes bytes the moment that they come, if it can, and returns whether it has. A carrier that has
    them in hand then need not wake anybody; others do not ask."""

    @abstractmethod
    def send_nowait(self, data: bytes) -> int:
        """Write what can be written at once, and return how many bytes that was.

        Raises:
            trio.BrokenResourceError: if the connection is lost.
        """

    @abstractmethod
    async def send_all(self, data: bytes | memoryview) -> None:
        """Write everything.

        Cancellation: a checkpoint; if it is cancelled, some of it may have been written.

        Raises:
            trio.BrokenResourceError: if the connection is lost.
        """

    @abstractmethod
    async def receive(self) -> bytes:
        """Bytes that have come; empty at the end of the stream.

        Cancellation: a checkpoint only if it waits.

        Raises:
            trio.BrokenResourceError: if the connection is lost.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connection at once."""


VANISHED_S = 60
"""A host that says nothing for so long is asked whether it is there, for those who have no heartbeat of their own."""
ASK_AGAIN_S, ASKED = 15, 4
"""And again so often, so many times; then the connection is lost."""


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", VANISHED_S), ("TCP_KEEPINTVL", ASK_AGAIN_S), ("TCP_KEEPCNT", ASKED)):
        if (number := getattr(socket, option, None)) is not None:  # not every system has it
            sock.setsockopt(socket.IPPROTO_TCP, number, value)


class SocketCarrier(Carrier):
    """A plain socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        self._sock = sock

    def send_nowait(self, data: bytes) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def send_all(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left:
            if self._sock.fileno() < 0:
                raise trio.BrokenResourceError("closed")
            try:
                await trio.lowlevel.wait_writable(self._sock)
                left = left[self._sock.send(left) :]
            except (BlockingIOError, InterruptedError):
                continue
            except (OSError, trio.ClosedResourceError) as error:
                raise trio.BrokenResourceError(str(error)) from error

    async def receive(self) -> bytes:
        self.waited = False
        while True:
            try:
                return self._sock.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                self.waited = True
                try:
                    await trio.lowlevel.wait_readable(self._sock)
                except (OSError, trio.ClosedResourceError) as error:
                    raise trio.BrokenResourceError(str(error)) from error
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


class StreamCarrier(Carrier):
    """A connection with TLS. Nothing can be written without waiting."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream

    def send_nowait(self, data: bytes) -> int:
        return 0

    async def send_all(self, data: bytes | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except trio.ClosedResourceError as error:
            raise trio.BrokenResourceError("closed") from error

    async def receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(READ_SIZE))
        except trio.ClosedResourceError as error:
            raise trio.BrokenResourceError("closed") from error

    def close(self) -> None:
        self._stream.transport_stream.socket.close()


async def connect(address: Address, tls: ssl.SSLContext | None = None) -> Carrier:
    """A new connection to a relay.

    Cancellation: a checkpoint; nothing is left open.

    Raises:
        OSError: if nobody answers there.
        trio.BrokenResourceError: if the connection is lost again, or the two ends do not trust each other's
            certificates; `distrust` tells.
    """
    if address.path is not None:
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            await sock.connect(os.fspath(address.path))
        except BaseException:
            sock.close()
            raise
        return SocketCarrier(_released(sock))
    stream = await trio.open_tcp_stream(address.host, address.port)
    if tls is None:
        return SocketCarrier(_released(stream.socket))
    secure = trio.SSLStream(stream, tls, server_hostname=address.host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(secure)
        raise
    return StreamCarrier(secure)


def distrust(error: BaseException) -> RelayRefused | None:
    """What to tell of a lost connection, if the reason is that one end does not trust the other's certificate."""
    cause = error.__cause__
    reason = str(cause.reason) if isinstance(cause, ssl.SSLError) else ""
    if "CERT" not in reason and "UNKNOWN_CA" not in reason:
        return None
    return RelayRefused(CERTIFICATE, f"the two ends do not trust each other's certificates: {cause}")


def _released(sock: trio.socket.SocketType) -> socket.socket:
    """The standard library's socket in place of trio's."""
    return socket.socket(sock.family, sock.type, sock.proto, sock.detach())
