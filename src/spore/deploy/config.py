"""What a configuration file can say. Every key is a field here, and every field has its sentence."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import attrs

from spore.deploy.logs import Form, Level
from spore.deploy.strict import OneOrSeveral
from spore.nursery_bundle.bundle import DEFAULT_CAPACITY
from spore.nursery_bundle.policy import Dispatch, Overflow, Supervision

__all__ = [
    "ActorConfig",
    "BundleConfig",
    "ControlConfig",
    "FeedConfig",
    "Mode",
    "MonitorConfig",
    "Names",
    "ObserveConfig",
    "RelayConfig",
    "ShadowConfig",
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
    """On other machines."""


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
    capacity: int = attrs.field(default=DEFAULT_CAPACITY, validator=attrs.validators.ge(1))
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


@attrs.frozen(kw_only=True)
class ShadowConfig:
    """A relayed twin that is compared with the bundle while that runs: ``shadow = { rate = 1.0 }``."""

    rate: float = attrs.field(default=1.0, validator=[attrs.validators.ge(0), attrs.validators.le(1)])
    """The share of its time, counted in messages, in which a bundle has a twin: all of it, or windows; 0: none."""


@attrs.frozen(kw_only=True)
class BundleConfig:
    """Actors that belong together: ``[[bundles]]``."""

    name: str
    mode: Mode
    actors: dict[str, ActorConfig]
    drain_timeout_s: float = attrs.field(default=10.0, validator=attrs.validators.ge(0))
    """How long its end may take to handle what is queued, in seconds."""
    supervision: Supervision | None = None
    """What an escalation does: ``on_failure = "restart"`` restarts the bundle whole; by default it ends the process."""
    shadow: ShadowConfig | None = None
    """For a bundle in ``shared_memory``: have a relayed twin handle the same messages, and compare what comes out."""

    @property
    def shadowed(self) -> bool:
        """Whether there is to be a twin. What is relayed has none that is relayed; it keeps the key for when it is switched back."""
        return self.mode is Mode.SHARED_MEMORY and self.shadow is not None and self.shadow.rate > 0


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
    """What `spore monitor` calls healthy: ``[monitor]``. Counts are those of the time in which it watches."""

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
    """The file with the token that a client has to know. By default it is in the variable ``SPORE_TOKEN``, if anywhere."""
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
    rate: float | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.gt(0)))
    """Of a recorded feed: events a second; by default as fast as they are handled."""


@attrs.frozen(kw_only=True)
class SystemConfig:
    """A whole file."""

    bundles: tuple[BundleConfig, ...]
    relay: RelayConfig = attrs.field(factory=RelayConfig)
    control: ControlConfig = attrs.field(factory=ControlConfig)
    monitor: MonitorConfig = attrs.field(factory=MonitorConfig)
    observe: ObserveConfig = attrs.field(factory=ObserveConfig)
    feeds: tuple[FeedConfig, ...] = ()
    modules: Names = ()
    """Modules to import in every process, for the messages that they declare."""

    def in_mode(self, mode: Mode) -> SystemConfig:
        """The same with every bundle in one mode."""
        return attrs.evolve(self, bundles=tuple(attrs.evolve(bundle, mode=mode) for bundle in self.bundles))
