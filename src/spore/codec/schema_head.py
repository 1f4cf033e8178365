"""The schema at the head of a recording: a frame of its own, so that whatever passes frames on passes it on, too.

Its first TLV says what it is, in which version, and how many lines follow; then a TLV for each line of the schema. TLVs of
other types behind those are passed over, so that later versions can say more to whoever understands it.
"""

from __future__ import annotations

from typing import Annotated

from spore.codec.encode import encode_frame
from spore.codec.frame import Frame, UnknownTlv
from spore.codec.header import Flags
from spore.codec.walk import read_message
from spore.errors import Damage, DecodeError
from spore.message import U16, U32, Bytes32, Domain, FixedBytes, Registry, Schema, Str, message

__all__ = ["HEADS", "SchemaHead", "SchemaLine", "is_schema_head", "read_schema_head", "schema_head", "with_names"]

HEADS = Registry()
"""Apart from users' messages: the head is no part of the schema."""
MARK = b"spore schema"
VERSION = 1
LINE_LENGTH = 16_000
"""Characters of a text in one TLV, which has room for four bytes each. The rest goes into the next ones."""


@message(type_id=118, domain=Domain.SYSTEM, registry=HEADS)
class SchemaHead:
    """What follows are frames whose messages have these layouts."""

    mark: Annotated[bytes, FixedBytes(12)]
    """`MARK`, by which the frame is told from another program's."""
    version: U16
    digest: Bytes32
    """Of the lines, as `spore.Schema.digest`."""
    lines: U32
    """How many TLVs follow that are lines."""


@message(type_id=119, domain=Domain.SYSTEM, registry=HEADS)
class SchemaLine:
    """The canonical text of one message, or its continuation where the line before is of the same number."""

    type_id: U16
    text: Str


def schema_head(schema: Schema) -> bytes:
    """A schema as the frame with which a recording of such messages begins.

    Raises:
        EncodeError: if it takes more than a frame holds.
    """
    lines = [
        SchemaLine(number, text[at : at + LINE_LENGTH])
        for number, text in sorted(schema.texts.items())
        for at in range(0, len(text), LINE_LENGTH)
    ]
    head = SchemaHead(MARK, VERSION, bytes.fromhex(schema.digest), len(lines))
    return encode_frame(Frame(Domain.SYSTEM, 0, Flags.NONE, 0, 0, (head, *lines)))


def is_schema_head(frame: Frame) -> bool:
    """Whether a frame is the head of a recording, of whichever version."""
    if frame.domain is not Domain.SYSTEM or not frame.items:
        return False
    first = frame.items[0]
    return type(first) is SchemaHead or (
        type(first) is UnknownTlv and first.type_id == 118 and first.value.startswith(MARK)
    )


def read_schema_head(frame: Frame, *, offset: int) -> Schema:
    """The schema in the head of a recording.

    Args:
        frame: one of which `is_schema_head` is true.
        offset: where it begins, for the error.

    Raises:
        DecodeError: if it is damaged, or of a version that cannot be read here.
    """
    first = frame.items[0]
    if isinstance(first, UnknownTlv):
        version = int.from_bytes(first.value[len(MARK) : len(MARK) + 2], "little")
        if version != VERSION:
            reason = f"the schema head is version {version}, and this program reads version {VERSION}"
            raise DecodeError(Damage.VERSION, reason, offset=offset)
    items = with_names(frame, offset=offset).items
    head, lines = items[0], [item for item in items if isinstance(item, SchemaLine)]
    assert isinstance(head, SchemaHead)  # noqa: S101 - that is what `is_schema_head` says
    texts: dict[int, str] = {}
    last = None
    for line in lines:
        if line.type_id in texts and line.type_id != last:
            raise DecodeError(
                Damage.VALUE, f"the schema head has two lines of type number {line.type_id}", offset=offset
            )
        last = line.type_id
        texts[last] = texts.get(last, "") + line.text
    schema = Schema(texts)
    if len(lines) != head.lines:
        reason = f"the schema head says {head.lines:,} lines, and has {len(lines):,}"
        raise DecodeError(Damage.LENGTH, reason, offset=offset)
    if schema.digest != head.digest.hex():
        raise DecodeError(
            Damage.VALUE, "the lines of the schema head do not have the digest that it says", offset=offset
        )
    return schema


def with_names(frame: Frame, *, offset: int = 0) -> Frame:
    """The head of a recording with its items read; any other frame as it is.

    Raises:
        DecodeError: if it is a head that is damaged.
    """
    if not is_schema_head(frame):
        return frame
    items = tuple([_named(item, offset) for item in frame.items])
    return Frame(frame.domain, frame.source, frame.flags, frame.sequence, frame.timestamp_ns, items)


def _named(item: object, offset: int) -> object:
    entry = HEADS.by_type(item.type_id) if isinstance(item, UnknownTlv) else None
    if entry is None or not isinstance(item, UnknownTlv):
        return item
    return read_message(entry.layout, item.value, 0, len(item.value), offset=offset)
