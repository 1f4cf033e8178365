"""The two decorators: `message` for what travels by itself, `record` for what is nested in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, dataclass_transform

import attrs

from spore.errors import DefinitionError
from spore.message.defaults import check_defaults
from spore.message.frozen import freeze
from spore.message.layout import LAYOUT, resolve_fields
from spore.message.registry import MESSAGE_TYPE, REGISTRY, Domain, MessageType, Registry
from spore.message.wire import Record

__all__ = ["MAX_VALUE_SIZE", "message", "record"]

T = TypeVar("T")

MAX_VALUE_SIZE = 65_535
"""The most bytes that the fields of one message may take: the length of an extended TLV is a u16."""


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def message(*, type_id: int, domain: Domain, registry: Registry = REGISTRY) -> Callable[[type[T]], type[T]]:
    """Make a message out of a class with annotated fields.

    The class becomes a frozen, slotted, final attrs class. Its fields take the types of `spore` (`U64`,
    `PriceE8`, `Address`, …), enums, `T | None`, ``tuple[T, ...]`` and records. Constructing one checks
    nothing, because that is the hot path; encoding does.

    Args:
        type_id: the number of its TLV: 120–199, or one in the range of its domain that is not reserved.
        domain: which relay domain carries it.
        registry: where it is listed.

    Raises:
        DefinitionError: while the module is imported, if it could not travel: a field type without a wire
            form, a number outside its domain, reserved or taken, a mutable field, a default that no field of its
            type can hold. A class that is defined again with the same content is none; see `Registry.add`.
    """

    def decorate(cls: type[T]) -> type[T]:
        if type(type_id) is not int:
            raise DefinitionError(cls.__name__, f"type_id must be an int, not {type_id!r}")
        if not isinstance(domain, Domain):
            raise DefinitionError(cls.__name__, f"domain must be a member of spore.Domain, not {domain!r}")
        made, layout = _with_layout(cls)
        entry = MessageType(type_id, domain, made, layout)
        registry.add(entry)
        setattr(made, MESSAGE_TYPE, entry)
        return made

    return decorate


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def record(cls: type[T]) -> type[T]:
    """Make a record, to be nested in messages, out of a class with annotated fields.

    Raises:
        DefinitionError: as `message` does.
    """
    return _with_layout(cls)[0]


def _with_layout(cls: type[T]) -> tuple[type[T], Record]:
    made = freeze(cls)
    layout = Record(made, resolve_fields(made))
    if layout.size is not None and layout.size > MAX_VALUE_SIZE:
        raise DefinitionError(cls.__name__, f"its fields take {layout.size:,} bytes and {MAX_VALUE_SIZE:,} is the most")
    check_defaults(layout, LAYOUT)
    setattr(made, LAYOUT, layout)
    return made, layout
