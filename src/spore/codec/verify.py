"""Would a message survive the wire? What a bundle's ``verify`` asks about messages that never leave the process."""

from __future__ import annotations

from spore.codec.decode import decode
from spore.codec.encode import encode
from spore.errors import CodecError
from spore.message import REGISTRY, Registry

__all__ = ["wire_difference"]


def wire_difference(message: object, *, registry: Registry = REGISTRY) -> str | None:
    """Encode a message, decode the frame and compare.

    It is a `spore.nursery_bundle.Verifier`: give it to `spore.open_bundle`.

    Returns:
        None if the same message comes back, else a sentence that says what does not.
    """
    try:
        (back,) = decode(encode(message, sequence=0, timestamp_ns=0), registry=registry).items
    except CodecError as error:
        return f"does not survive the wire: {error}"
    if type(back) is not type(message) or back != message:
        return f"comes back from the wire as {back!r}"
    return None
