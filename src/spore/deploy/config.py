"""What a configuration file can say. Every key is a field here, and every field has its sentence."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import attrs

from spore.deploy.logs import Form, Level
from spore.deploy.strict import Hidden, OneOrSeveral
from spore.nursery_bundle.bundle import DEFAULT_CAPACITY
from spore.nursery_bundle.checks import MAX_CAPACITY
from spore.nursery_bundle.policy import Dispatch, Overflow, Supervision
from spore.relay.token import TOKEN_VARIABLE

__all__ = [
    "ActorConfig",
    "BundleConfig",
    "ControlConfig",
    "FeedConfig",
    "Mode",
    "MonitorConfig",
    "Names",
    "NodeConfig",
    "ObserveConfig",
    "Part",
    "RelayConfig",
    "Secret",
    "ShadowConfig",
    "StreamConfig",
    "SystemConfig",
]

Names: TypeAlias = Annotated[tuple[str, ...], OneOrSeveral()]
"""``["a", "b"]``, or ``"a"`` for a single one."""


class Mode(enum.StrEnum):
    """Where the actors of a bundle run, and so how messages get from one to another."""

    SHARED_MEMORY = "shared_memory"
    """All in one process: messages are passed by reference."""
    RELAY = "relay"
    """Each in a process of its own: messages are encoded and go through the relay."""
    DISTRIBUTED = "distributed"
    """Each in a process of its own: messages are encoded and go through the engine between machines, on one machine, too."""


@attrs.frozen(kw_only=True)
class ActorConfig:
    """One actor: ``[bundles.actors.NAME]``."""

    type: str
    """A registered name, such as ``MarketDataActor``, or ``package.module:Class``."""
    config: dict[str, Any] = attrs.field(factory=dict)
    """Its settings: fields of its class, or of its ``inner`` service."""
    wire: dict[str, Names] = attrs.field(factory=dict)
    """Which actors each port leads to; ``[]`` for none. A port that is left out is wired to the actor of its name, or
    else to the only one that handles what it sends."""
    capacity: int = attrs.field(
        default=DEFAULT_CAPACITY, validator=[attrs.validators.ge(1), attrs.validators.le(MAX_CAPACITY)]
    )
    """How many messages its mailbox holds."""
    overflow: Overflow = Overflow.BLOCK
    """What happens to one more."""
    key: Names = ()
    """For ``overflow = "conflate"``: the fields of a message that tell its kind."""
    dispatch: Dispatch | None = None
    """``inline`` or ``queued``; by default ``inline`` where that makes no difference but speed."""
    merge: Literal["event_time"] | None = None
    """``event_time``, where the answers depend on how the messages of several senders interleave."""
    verify: float = attrs.field(default=0.0, validator=[attrs.validators.ge(0), attrs.validators.le(1)])
    """The share of its messages that are also encoded, decoded and compared where they are passed by reference."""
    supervision: Supervision = attrs.field(factory=Supervision)
    """What is done about failures, and how often."""
    durable: bool = False
    """Whether the servers of the engine keep on their disks what comes to it through the engine, until it has handled it. Whoever has
    sent it need not live so long."""


@attrs.frozen(kw_only=True)
class ShadowConfig:
    """A relayed twin that is compared with the bundle while that runs: ``shadow = { rate = 1.0 }``."""

    rate: float = attrs.field(default=1.0, validator=[attrs.validators.ge(0), attrs.validators.le(1)])
    """The share of its time, counted in messages, in which a bundle has a twin: all of it, or windows; 0: none."""


@attrs.frozen(kw_only=True)
class Part:
    """What a shard is a part of. No file has this: it is made of ``shard_by``."""

    bundle: str
    """The bundle, as the file calls it."""
    number: int
    by: str
    """The key."""


@attrs.frozen(kw_only=True)
class BundleConfig:
    """Actors that belong together: ``[[bundles]]``."""

    name: str
    mode: Mode
    actors: dict[str, ActorConfig]
    node: str | None = None
    """Where it runs: one of ``[nodes]``. To be left out where there is none, or only one."""
    shard_by: str | None = None
    """A field of messages, such as ``"pool"``: there are several of the bundle, each with actors of its own, and what comes from outside
    goes to the one that the field's value belongs to. A message without that field goes to all."""
    shards: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(2)))
    """How many there are; by default one on each of ``nodes``."""
    nodes: Names = ()
    """Where they run, in turn."""
    drain_timeout_s: float = attrs.field(default=10.0, validator=attrs.validators.ge(0))
    """How long its end may take to handle what is queued, in seconds."""
    supervision: Supervision | None = None
    """What an escalation does: ``on_failure = "restart"`` restarts the bundle whole; by default it ends the process."""
    shadow: ShadowConfig | None = None
    """For a bundle in ``shared_memory``: have a relayed twin handle the same messages, and compare what comes out."""
    part: Part | None = None
    """Of a shard: what it is a part of. It is not for files."""

    @property
    def shadowed(self) -> bool:
        """Whether there is to be a twin. What is relayed has none that is relayed; it keeps the key for when it is switched back."""
        return self.mode is Mode.SHARED_MEMORY and self.shadow is not None and self.shadow.rate > 0

    @property
    def table(self) -> str:
        """What the file calls it: ``trading`` for the shard ``trading_0``."""
        return self.part.bundle if self.part is not None else self.name

    def in_file(self, actor: str) -> str:
        """What the file calls one of its actors: ``market_data`` for ``market_data_0`` of a shard 0."""
        return actor.removesuffix(f"_{self.part.number}") if self.part is not None else actor


@attrs.frozen(kw_only=True)
class Secret(Hidden):
    """What is not to stand in a file that people show each other: ``{ env = "NAME" }`` or ``{ file = "PATH" }``."""

    WANTED: ClassVar[str] = 'where to find it, { env = "NAME" } or { file = "PATH" }: others may read this file'
    env: str | None = None
    """The environment variable that holds it, in every process of the node."""
    file: str | None = None
    """The file that holds it, seen from the folder of this file; one line end is left out."""

    def __attrs_post_init__(self) -> None:
        if (self.env is None) is (self.file is None):
            raise ValueError(f"must be {self.WANTED}")
        if self.env == TOKEN_VARIABLE:
            raise ValueError(f"must have another name than {TOKEN_VARIABLE}: processes of a system do not get that one")


@attrs.frozen(kw_only=True)
class NodeConfig:
    """A machine, or a part of one, that runs some of the bundles: ``[nodes.NAME]``."""

    carrier: str
    """The engine that carries messages from and to it: ``nats://HOST:PORT``, several of one cluster separated by commas; ``tls://``
    has the connection encrypted."""
    user: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    """In place of a user and a password."""
    credentials: str | None = None
    """A file of credentials, as ``nsc`` makes them. Like the following it is seen from the folder of this file."""
    ca: str | None = None
    """For TLS: who has signed the server's certificate, in PEM; by default whom the system trusts."""
    certificate: str | None = None
    """For TLS: this end's certificate, in PEM, where the server asks for one."""
    key: str | None = None
    """For TLS: the certificate's key, in PEM."""


@attrs.frozen(kw_only=True)
class StreamConfig:
    """The streams in which the engine keeps what is durable, one for each such actor: ``[streams]``. It counts when one is made."""

    max_bytes: int = attrs.field(default=1 << 30, validator=attrs.validators.gt(0))
    """When one is full. Its senders then wait."""
    replicas: Literal[1, 3, 5] = 1
    """On how many servers of a cluster a message is before it counts as sent."""
    deaths: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    """A message is set aside when so many processes died while they had it in hand."""


@attrs.frozen(kw_only=True)
class RelayConfig:
    """The relay of this system: ``[relay]``."""

    socket: str | None = None
    """Where it listens: the path of a Unix socket. By default one in a directory that is made for the run."""
    heartbeat_s: float = attrs.field(default=2.0, validator=attrs.validators.gt(0))
    """Everybody says something at least so often."""


@attrs.frozen(kw_only=True)
class ControlConfig:
    """How `spore switch`, `spore rollback`, `spore monitor`, `spore top` and `spore metrics` reach a running system: ``[control]``."""

    socket: str | None = None
    """Where `spore run` listens for them: the path of a Unix socket, seen from the folder of this file. By default one in a
    private directory of the user, named after the file."""


@attrs.frozen(kw_only=True)
class MonitorConfig:
    """What `spore monitor` calls healthy: ``[monitor]``. Counts are those since the system was started."""

    max_queue_share: float = attrs.field(default=0.9, validator=[attrs.validators.gt(0), attrs.validators.le(1)])
    """The share of its capacity that an actor may have queued in three looks running; for a moment it may have more."""
    max_latency_us: float = attrs.field(default=100_000.0, validator=attrs.validators.gt(0))
    """How long a message may take at one actor, waiting and being handled, in µs: the mean of a sample between two looks."""
    max_lost: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    """How many messages an actor may lose, or fail at. What its overflow policy gives up is meant, and does not count."""
    max_restarts: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    """How often an actor, or a process, may be restarted."""
    max_dead_letters: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    """How many messages of one process may be undeliverable."""
    max_shadow_differences: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    """How many messages of a bundle and its twin may differ."""


@attrs.frozen(kw_only=True)
class ObserveConfig:
    """What `spore run` lets others know of the system: ``[observe]``. Files are seen from the folder of this one."""

    metrics: str | None = None
    """Where it serves metrics for Prometheus, such as ``"127.0.0.1:9464"``; by default nowhere."""
    dashboard: str | None = None
    """Where it serves the dashboard, such as ``"127.0.0.1:8466"``; by default nowhere."""
    certificate: Path | None = None
    """For what can be reached from other machines, which needs this, its key and a token: the certificate, in PEM."""
    key: Path | None = None
    token_file: Path | None = None
    """The file with the token that a client has to know; or with two, a line each, while one replaces the other. By default it is in the variable ``SPORE_TOKEN``, if anywhere."""
    logs: Form = "text"
    """How logs are written to stderr: ``text`` or ``json``, a line a record."""
    log_level: Level = "warning"
    """What is written: ``debug``, which has tracebacks, ``info``, ``warning`` or ``error``."""
    traces: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.matches_re(r"console|https?://\S+"))
    )
    """Where traces go: ``"console"``, which is stderr, or the URL of an OTLP endpoint; by default there are none."""
    trace_every: int = attrs.field(default=1_000, validator=attrs.validators.ge(1))
    """One in so many events of a feed begins a trace, at each actor that the feed leads to."""


@attrs.frozen(kw_only=True)
class FeedConfig:
    """Where events come from: ``[[feeds]]``."""

    source: Names
    """One or several sources, such as ``"evm-logs:FILE"``. Several are merged by event time."""
    to: Names
    """The actors that get every event."""
    node: str | None = None
    """Where it is read; by default where the first of these actors runs."""
    rate: float | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.gt(0)))
    """Of a recorded feed: events a second; by default as fast as they are handled."""


@attrs.frozen(kw_only=True)
class SystemConfig:
    """A whole file."""

    bundles: tuple[BundleConfig, ...]
    system: str = "main"
    """Tells this system from others that share an engine. It is a part of the names there."""
    nodes: dict[str, NodeConfig] = attrs.field(factory=dict)
    streams: StreamConfig = attrs.field(factory=StreamConfig)
    relay: RelayConfig = attrs.field(factory=RelayConfig)
    control: ControlConfig = attrs.field(factory=ControlConfig)
    monitor: MonitorConfig = attrs.field(factory=MonitorConfig)
    observe: ObserveConfig = attrs.field(factory=ObserveConfig)
    feeds: tuple[FeedConfig, ...] = ()
    modules: Names = ()
    """Modules to import in every process, for the messages that they declare."""

    def node_of(self, placed: BundleConfig | FeedConfig) -> str:
        """Where a bundle or a feed runs; empty in a system without nodes."""
        if placed.node is None and isinstance(placed, FeedConfig):
            return (
                next((self.node_of(each) for each in self.bundles if _has(each, placed.to[0])), "") if placed.to else ""
            )
        return placed.node if placed.node is not None else next(iter(self.nodes), "")

    @property
    def places(self) -> Iterator[tuple[str, BundleConfig]]:
        """Each bundle with the path of its table in the file. That of a shard is that of the bundle of which it is a part."""
        tables: dict[str, int] = {}
        for bundle in self.bundles:
            yield f"bundles[{tables.setdefault(bundle.table, len(tables))}]", bundle

    @property
    def shards(self) -> dict[str, tuple[str, ...]]:
        """The actors of shards, by what the file calls them, in the order of their numbers."""
        found: dict[str, tuple[str, ...]] = {}
        for bundle in self.bundles:
            if bundle.part is not None:
                for name in bundle.actors:
                    found[bundle.in_file(name)] = (*found.get(bundle.in_file(name), ()), name)
        return found

    def in_mode(self, mode: Mode) -> SystemConfig:
        """The same with every bundle in one mode, and all of it on one node."""
        return attrs.evolve(
            self,
            bundles=tuple(attrs.evolve(bundle, mode=mode, node=None) for bundle in self.bundles),
            feeds=tuple(attrs.evolve(feed, node=None) for feed in self.feeds),
            nodes=dict(list(self.nodes.items())[:1]) if mode is Mode.DISTRIBUTED else {},
        )


def _has(bundle: BundleConfig, actor: str) -> bool:
    return actor in bundle.actors or any(bundle.in_file(name) == actor for name in bundle.actors)
