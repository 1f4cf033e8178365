"""Would a message survive the wire? What a bundle's ``verify`` asks about messages that never leave the process.

The encoder is liberal where the value is plain: it takes ``True`` for the number 1, and a `bytearray` for bytes. What is
decoded is always of the field's own type, so that a receiver would get another value relayed than bundled, though both
are equal. Here types count as values do.
"""

from __future__ import annotations

from spore.codec.decode import decode
from spore.codec.encode import encode
from spore.errors import CodecError
from spore.message import REGISTRY, Array, Option, Record, Registry, WireType, message_type

__all__ = ["wire_difference"]


def wire_difference(message: object, *, registry: Registry = REGISTRY) -> str | None:
    """Encode a message, decode the frame and compare, field by field, values and their types.

    It is a `spore.nursery_bundle.Verifier`: give it to `spore.open_bundle`.

    Returns:
        None if the same message comes back, else a sentence that says what does not.
    """
    try:
        (back,) = decode(encode(message, sequence=0, timestamp_ns=0), registry=registry).items
    except CodecError as error:
        return f"does not survive the wire: {error}"
    if type(back) is not type(message):
        return f"comes back from the wire as {back!r}"
    difference = _difference(message_type(type(message)).layout, message, back, "")
    return f"comes back from the wire as {back!r}: {difference}" if difference is not None else None


def _difference(wire: WireType, sent: object, back: object, path: str) -> str | None:
    """What differs first between a value and what it has become, which is of the wire type."""
    if type(sent) is not type(back):
        return (
            f"{path} was {sent!r}, of type {type(sent).__name__}, and becomes {back!r}, of type {type(back).__name__}"
        )
    parts: list[tuple[WireType, object, object, str]] = []
    if isinstance(wire, Record):
        for field in wire.fields:
            values = getattr(sent, field.name), getattr(back, field.name)
            parts.append((field.wire, *values, f"{path}.{field.name}" if path else field.name))
    elif isinstance(wire, Array) and isinstance(sent, tuple) and isinstance(back, tuple):
        parts += [(wire.item, *values, f"{path}[{index}]") for index, values in enumerate(zip(sent, back, strict=True))]
    elif isinstance(wire, Option):
        return _difference(wire.item, sent, back, path) if sent is not None else None
    elif sent != back:
        return f"{path} was {sent!r}, and becomes {back!r}"
    return next((found for part in parts if (found := _difference(*part)) is not None), None)
