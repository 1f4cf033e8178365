"""Spore: event-driven services as trio actors, bundled in one nursery or relayed as processes of their own.

Which of the two is configuration, never code. Read `spore.message` first: everything stands on it.
"""

from typing import TYPE_CHECKING

from spore import codec
from spore.distribution import VERSION
from spore.errors import (
    ActorStopped,
    AskError,
    DecodeError,
    DefinitionError,
    EncodeError,
    MailboxFull,
    SporeError,
)
from spore.message import (
    I8,
    I16,
    I32,
    I64,
    I128,
    I256,
    U8,
    U16,
    U32,
    U64,
    U128,
    U256,
    Address,
    Bool,
    Bytes,
    Bytes32,
    Domain,
    FixedBytes,
    MoneyE8,
    PriceE8,
    Registry,
    Schema,
    Str,
    TimestampNs,
    from_plain,
    message,
    record,
    to_plain,
)
from spore.nursery_bundle import (
    Actor,
    ActorRef,
    Bundle,
    Directive,
    Mailbox,
    Supervision,
    ThreadPort,
    open_bundle,
    open_thread_port,
)

if TYPE_CHECKING:
    from spore.deploy import open_system

__all__ = [
    "I8",
    "I16",
    "I32",
    "I64",
    "I128",
    "I256",
    "U8",
    "U16",
    "U32",
    "U64",
    "U128",
    "U256",
    "Actor",
    "ActorRef",
    "ActorStopped",
    "Address",
    "AskError",
    "Bool",
    "Bundle",
    "Bytes",
    "Bytes32",
    "DecodeError",
    "DefinitionError",
    "Directive",
    "Domain",
    "EncodeError",
    "FixedBytes",
    "Mailbox",
    "MailboxFull",
    "MoneyE8",
    "PriceE8",
    "Registry",
    "Schema",
    "SporeError",
    "Str",
    "Supervision",
    "ThreadPort",
    "TimestampNs",
    "__version__",
    "codec",
    "from_plain",
    "message",
    "open_bundle",
    "open_system",
    "open_thread_port",
    "record",
    "to_plain",
]

__version__ = VERSION


def __getattr__(name: str) -> object:
    """`open_system` is imported when it is first asked for: it needs all layers, and most programs need few."""
    if name == "open_system":
        from spore.deploy import open_system  # noqa: PLC0415

        return open_system
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
