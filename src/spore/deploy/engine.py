"""The engine between nodes, as a process uses it: one connection with a NATS server, over which all of its links run.

What it needs is in the extra ``nats``, which only a system with nodes has to have installed.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

from spore.deploy.config import NodeConfig, Secret, StreamConfig
from spore.distribution import missing
from spore.errors import UsageError
from spore.relay.carrier import Carrier
from spore.relay.switchboard import Switchboard

if TYPE_CHECKING:
    from spore.relay.nats import Nats, NatsOptions

__all__ = ["Connect", "Engine", "EngineSpec", "open_engine", "options_of"]

Connect = Callable[[], Awaitable[Carrier]]


@attrs.frozen(kw_only=True)
class EngineSpec:
    """Which engine, and what this system is called there. It travels to processes, and so holds no secret."""

    system: str
    node: NodeConfig
    streams: StreamConfig = attrs.field(factory=StreamConfig)


class Engine(Protocol):
    """A process's connection with the engine."""

    async def connect(self, inlet: str) -> Carrier:
        """A connection to another process's inlet."""
        ...

    def open_inlet(self, inlet: str, *, heartbeat_s: float, durable: bool) -> AbstractAsyncContextManager[Connect]:
        """Be reached by others under a name, for the length of a block; by this process itself through what is given."""
        ...


class NatsEngine:
    """NATS as the engine; see `spore.relay.nats`."""

    def __init__(self, nats: Nats, streams: StreamConfig) -> None:
        self._nats = nats
        self._streams = streams

    async def connect(self, inlet: str) -> Carrier:
        """As `spore.relay.nats.Nats.connect`, with its cancellation and errors."""
        return await self._nats.connect(inlet)

    @asynccontextmanager
    async def open_inlet(self, inlet: str, *, heartbeat_s: float, durable: bool) -> AsyncIterator[Connect]:
        """As `spore.relay.nats.open_inlet`, with its cancellation and errors."""
        from spore.relay.nats import StreamOptions, open_inlet  # noqa: PLC0415 - see above

        config = self._streams
        streams = (
            StreamOptions(max_bytes=config.max_bytes, replicas=config.replicas, deaths=config.deaths)
            if durable
            else None
        )
        board = Switchboard(heartbeat_s=heartbeat_s)
        async with open_inlet(self._nats, inlet, board=board, streams=streams) as opened:
            yield opened.connect


@asynccontextmanager
async def open_engine(spec: EngineSpec, name: str, *, durable: bool) -> AsyncIterator[Engine]:
    """This process's connection with the engine, for the length of a block.

    Args:
        spec: which engine.
        name: the process's, for people.
        durable: whether something is to be kept there, so that a server that keeps nothing is refused.

    Cancellation: as `spore.relay.nats.open_nats`.

    Raises:
        UsageError: if the node's settings, or a secret, cannot be used, or the extra is missing.
        ExceptionGroup: with `spore.errors.NatsRefused`, if no server will ever have this process.
    """
    options = options_of(spec.node)
    from spore.relay.nats import open_nats  # noqa: PLC0415 - see above

    async with open_nats(options, name=name, system=spec.system, durable=durable) as nats:
        yield NatsEngine(nats, spec.streams)


def options_of(node: NodeConfig, *, secrets: bool = True) -> NatsOptions:
    """How to connect with a node's servers.

    Args:
        node: the node.
        secrets: look up what stands elsewhere. Without it the result is only good for telling whether the rest can work.

    Raises:
        UsageError: if it cannot be done, with what would be right, and without any secret.
    """
    try:
        from spore.relay.nats import NatsOptions  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        raise UsageError(missing("the engine", error.name, "nats")) from None
    if "@" in node.carrier:
        raise UsageError(
            'a user, a password or a token does not belong here: name them with user = "…", password and token'
        )
    options = NatsOptions.parse(node.carrier)
    read = _read if secrets else _stand_in
    return attrs.evolve(
        options,
        user=node.user,
        password=read("password", node.password),
        token=read("token", node.token),
        credentials=_path(node.credentials),
        tls_ca=_path(node.ca),
        tls_cert=_path(node.certificate),
        tls_key=_path(node.key),
    )


def _stand_in(_: str, secret: Secret | None) -> str | None:
    return None if secret is None else "…"


def _read(what: str, secret: Secret | None) -> str | None:
    """A secret, from where it is said to be."""
    if secret is None:
        return None
    if secret.file is not None:
        try:
            return Path(secret.file).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is no text"
            raise UsageError(f"the node's {what} cannot be read from {secret.file}: {reason}") from None
    found = os.environ.get(secret.env or "")
    if not found:
        raise UsageError(f"the node's {what} is to be in the environment variable {secret.env}, which is not set")
    return found


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
