"""Messages: immutable classes with a wire layout, and the registry that lists them. No bytes, no trio.

Read in this order: `wire` (what a field can be), `layout` (from annotations to a layout), `frozen` (cheap immutable
classes), `numbers`, `registry`, `defaults`, `define` (the decorators), `schema` (digest and differences), `meaning` (which field
differs, and how), `plain` (JSON), `trace`.
"""

from spore.message.define import MAX_VALUE_SIZE, message, record
from spore.message.frozen import freeze, open_twin
from spore.message.layout import layout_of
from spore.message.meaning import changes, name_in
from spore.message.numbers import APPLICATION
from spore.message.plain import from_plain, to_plain
from spore.message.registry import REGISTRY, Domain, MessageType, Registry, domain_of_type, message_type
from spore.message.schema import Difference, Schema, catalogue
from spore.message.trace import TraceContext, current_trace, set_trace, traced
from spore.message.wire import (
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
    Array,
    Blob,
    Bool,
    Boolean,
    Bytes,
    Bytes32,
    Enumeration,
    FieldSpec,
    FixedBytes,
    Int,
    MoneyE8,
    Option,
    PriceE8,
    Record,
    Str,
    Text,
    TimestampNs,
    WireType,
    parts,
)

__all__ = [
    "APPLICATION",
    "I8",
    "I16",
    "I32",
    "I64",
    "I128",
    "I256",
    "MAX_VALUE_SIZE",
    "REGISTRY",
    "U8",
    "U16",
    "U32",
    "U64",
    "U128",
    "U256",
    "Address",
    "Array",
    "Blob",
    "Bool",
    "Boolean",
    "Bytes",
    "Bytes32",
    "Difference",
    "Domain",
    "Enumeration",
    "FieldSpec",
    "FixedBytes",
    "Int",
    "MessageType",
    "MoneyE8",
    "Option",
    "PriceE8",
    "Record",
    "Registry",
    "Schema",
    "Str",
    "Text",
    "TimestampNs",
    "TraceContext",
    "WireType",
    "catalogue",
    "changes",
    "current_trace",
    "domain_of_type",
    "freeze",
    "from_plain",
    "layout_of",
    "message",
    "message_type",
    "name_in",
    "open_twin",
    "parts",
    "record",
    "set_trace",
    "to_plain",
    "traced",
]
