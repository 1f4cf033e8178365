"""Decoding: any chunks of a byte stream in, frames out.

Invariant: what the decoder holds is at most the chunks that were fed since the last iteration plus one
frame that is allowed to exist. A stream that was damaged once has no trustworthy next frame: after its
first DecodeError a decoder stays closed and raises the same again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import cast
from zlib import crc32

from spore.codec.compile import NOT_PLAIN, Codec, Misfit, codec_of
from spore.codec.frame import Frame, FrameReader, UnknownTlv, WholeReader, misplaced
from spore.codec.header import (
    DOMAINS,
    FLAGS,
    HEADER,
    HEADER_SIZE,
    MAGIC,
    MAX_FRAME_SIZE,
    MAX_PAYLOAD_SIZE,
    SUMMED_SIZE,
    VERSION,
    header_damage,
)
from spore.codec.tlv import EXTENDED, split_tlvs
from spore.codec.varying import whole
from spore.codec.walk import read_message
from spore.errors import Damage, DecodeError, UsageError
from spore.message import REGISTRY, Domain, Registry, open_twin

__all__ = ["Decoder", "decode"]

_OpenFrame = open_twin(Frame)


class _Known:
    """The codecs of a registry's messages by type number."""

    def __init__(self, registry: Registry, without: Collection[int] = ()) -> None:
        self.readers: dict[int, FrameReader] = {EXTENDED: self._read_extended}
        """What reads frames, by the first byte of their payload: of the types that were met before. A plain
        dict: that is the quickest to ask."""
        self.whole_readers: dict[int, WholeReader] = {EXTENDED: whole(self._read_extended)}
        """The same for bytes that are one frame."""
        self.registry = registry
        self._without = frozenset(without)
        self._codecs: dict[int, Codec] = {}
        self._extended_readers: dict[int, FrameReader] = {}

    def codec(self, type_id: int) -> Codec | None:
        """The codec of a message, or None if it is not registered (by now: it may be later)."""
        codec = self._codecs.get(type_id)
        if codec is None:
            entry = self.registry.by_type(type_id)
            if entry is None or type_id in self._without:
                return None
            self.registry.watch(self)
            codec = self._codecs[type_id] = codec_of(entry.cls)
            self.readers[type_id] = codec.read_frame
            self.whole_readers[type_id] = codec.read_whole
            if codec.read_extended is not None:
                self._extended_readers[type_id] = codec.read_extended
        return codec

    def forget(self, type_id: int) -> None:
        """The message was defined again: have its codec anew when it is met next."""
        for known in (self._codecs, self.readers, self.whole_readers, self._extended_readers):
            known.pop(type_id, None)

    def _read_extended(self, data: bytes, at: int) -> tuple[Frame, int]:
        return self._extended_readers[data[at + HEADER_SIZE + 2]](data, at)


_KNOWN = _Known(REGISTRY)


def decode(data: bytes, registry: Registry = REGISTRY) -> Frame:
    """Exactly one whole frame.

    Raises:
        DecodeError: if the data is anything else; its offset is an index into the data.
    """
    known = _KNOWN if registry is REGISTRY else _Known(registry)
    try:
        return known.whole_readers[data[HEADER_SIZE]](data)
    except NOT_PLAIN:
        pass
    frame, end = _frame_at(data, 0, 0, MAX_PAYLOAD_SIZE, known)
    if frame is None:
        raise _truncated(len(data), end, offset=0)
    if end != len(data):
        raise DecodeError(Damage.LENGTH, f"{len(data) - end} bytes follow the frame", offset=end)
    return frame


class Decoder:
    """Frames out of a byte stream that arrives in chunks of any size. It does no I/O.

    Use::

        decoder = Decoder()
        for chunk in chunks:
            decoder.feed(chunk)
            for frame in decoder:      # all that are whole by now
                ...
        decoder.end()                  # no more chunks: raises if a frame was cut

    Args:
        registry: which messages are known; the TLVs of others come as `UnknownTlv`.
        max_frame_size: the largest frame to accept, in bytes, header included; at most the format's 16 MiB.
            The objects of a decoded frame take more memory than its bytes (at worst, for a payload of nothing
            but empty TLVs, some fifty times as much): lower it where senders are not trusted.
    """

    def __init__(self, *, registry: Registry = REGISTRY, max_frame_size: int = MAX_FRAME_SIZE) -> None:
        if not HEADER_SIZE <= max_frame_size <= MAX_FRAME_SIZE:
            raise UsageError(f"max_frame_size is {HEADER_SIZE} to {MAX_FRAME_SIZE}, not {max_frame_size}")
        self._known = _KNOWN if registry is REGISTRY else _Known(registry)
        self._max_payload_size = max_frame_size - HEADER_SIZE
        self._data = b""
        self._at = 0
        self._later = bytearray()
        """What was fed behind `_data`; joined to it once that makes the next frame whole, so that no byte
        is copied more than twice, however small the chunks are."""
        self._base = 0
        self._error: DecodeError | None = None
        self._ended = False

    @property
    def offset(self) -> int:
        """Bytes of the stream that were consumed as whole frames: where the next frame begins."""
        return self._base + self._at

    @property
    def buffered(self) -> int:
        """Bytes that were fed and are not consumed yet."""
        return len(self._data) - self._at + len(self._later)

    def leave_unknown(self, type_ids: Collection[int]) -> None:
        """From now on have the TLVs of these types as `UnknownTlv`, as if they were not registered, and those of all others as
        they are. It counts for iterations that begin after it."""
        registry = self._known.registry
        plain = _KNOWN if registry is REGISTRY else _Known(registry)
        self._known = _Known(registry, type_ids) if type_ids else plain

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take in the next bytes of the stream. Iterate before feeding more: what is fed is kept.

        Raises:
            DecodeError: the one that closed the decoder, if it is closed.
            UsageError: if the stream was said to have ended.
        """
        if self._error is not None:
            raise self._error
        if self._ended:
            raise UsageError("the stream has ended; a new stream needs a new Decoder")
        if self._at == len(self._data) and not self._later:
            self._base += self._at
            self._data, self._at = chunk if type(chunk) is bytes else bytes(memoryview(chunk)), 0
        else:
            self._later += chunk

    def end(self) -> None:
        """Say that the stream has ended. Whole frames that were not taken yet can still be iterated.

        Raises:
            DecodeError: if what is left to take begins with no whole frame.
        """
        self._ended = True
        self._look()

    def __iter__(self) -> Iterator[Frame]:
        """The frames that are whole by now.

        Raises:
            DecodeError: when the frames before the damage were taken; the decoder is then closed.
        """
        readers, longest = self._known.readers, HEADER_SIZE + self._max_payload_size
        while True:
            # The short way, without `next_frame`. A closed decoder needs no test here: what it was closed for
            # is at this place, and no compiled reader takes it. Whatever the body of the loop does to the
            # decoder shows in `_data` and `_at`, so nothing of those is kept over a yield.
            data, at = self._data, self._at
            try:
                frame, end = readers[data[at + HEADER_SIZE]](data, at)
                if end - at > longest:
                    raise Misfit
                self._at = end
            except NOT_PLAIN:
                found = self.next_frame()
                if found is None:
                    return
                frame = found
            yield frame

    def next_frame(self) -> Frame | None:
        """The next frame, or None if it is not whole yet.

        Raises:
            DecodeError: if the stream is damaged at this place, now or earlier.
        """
        frame, end = self._look()
        if frame is not None:
            self._at = end
        return frame

    def _look(self) -> tuple[Frame | None, int]:
        if self._error is not None:
            raise self._error
        try:
            while True:
                frame, end = _frame_at(self._data, self._at, self._base, self._max_payload_size, self._known)
                if frame is not None:
                    return frame, end
                if not self._later or HEADER_SIZE <= self.buffered < end - self._at:
                    break
                self._data = self._data[self._at :] + self._later
                self._base += self._at
                self._at = 0
                self._later = bytearray()
            if self._ended and self.buffered:
                raise _truncated(self.buffered, end - self._at, offset=self.offset)
        except DecodeError as error:
            self._error = error
            raise
        return None, end


def _frame_at(data: bytes, at: int, base: int, max_payload_size: int, known: _Known) -> tuple[Frame | None, int]:
    """The frame at an index, and the index behind it; None, and an index that must be there first, if it is cut."""
    body = at + HEADER_SIZE
    try:
        found = known.readers[data[body]](data, at)
        if found[1] <= body + max_payload_size:
            return found
    except NOT_PLAIN:
        pass
    if len(data) < body:
        _check_header(data, at, base, max_payload_size)
        return None, body
    magic, domain_number, version, source, flags, sequence, timestamp_ns, size, checksum = HEADER.unpack_from(data, at)
    domain = DOMAINS[domain_number]
    if magic != MAGIC or domain is None or version != VERSION or flags > 7 or size > max_payload_size:
        # One of these is what `header_damage` finds; it also knows the offset and the words.
        raise cast(
            "DecodeError", header_damage(data, at, offset=base + at, max_frame_size=HEADER_SIZE + max_payload_size)
        )
    end = body + size
    if len(data) < end:
        return None, end
    payload = data[body:end]
    if crc32(payload, crc32(data[at : at + SUMMED_SIZE])) != checksum:
        reason = f"the checksum is {checksum:#010x}, and the bytes do not add up to it"
        raise DecodeError(Damage.CHECKSUM, reason, offset=base + at + SUMMED_SIZE)
    frame = _OpenFrame()
    frame.domain = domain
    frame.source = source
    frame.flags = FLAGS[flags]
    frame.sequence = sequence
    frame.timestamp_ns = timestamp_ns
    frame.items = _items(payload, domain, base + body, known)
    frame.__class__ = Frame
    return frame, end


def _items(payload: bytes, domain: Domain, offset: int, known: _Known) -> tuple[object, ...]:
    items: list[object] = []
    for type_id, head, start, stop in split_tlvs(payload, offset=offset):
        codec = known.codec(type_id)
        if codec is None:
            items.append(UnknownTlv(type_id, payload[start:stop]))
            continue
        if (reason := misplaced(codec.entry, domain, len(items))) is not None:
            raise DecodeError(Damage.TYPE, reason, offset=offset + head)
        items.append(_read(codec, payload, start, stop, offset))
    return tuple(items)


def _read(codec: Codec, payload: bytes, start: int, stop: int, offset: int) -> object:
    try:
        return codec.read_value(payload, start, stop)
    except NOT_PLAIN:
        return read_message(codec.entry.layout, payload, start, stop, offset=offset + start)


def _check_header(data: bytes, at: int, base: int, max_payload_size: int) -> None:
    damage = header_damage(data, at, offset=base + at, max_frame_size=HEADER_SIZE + max_payload_size)
    if damage is not None:
        raise damage


def _truncated(there: int, wanted: int, *, offset: int) -> DecodeError:
    what = "header" if there < HEADER_SIZE else "frame"
    reason = f"the data ends inside a {what}: {wanted} bytes are needed and {there} are there"
    return DecodeError(Damage.TRUNCATED, reason, offset=offset)
