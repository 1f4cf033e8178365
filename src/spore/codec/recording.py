"""Recordings: frames one after the other, with the schema at their head that says what they mean.

Invariant: no message is handed on that was recorded with another meaning than it has here. Recordings can be appended to
each other, so a head counts for what follows it, up to the next one. What stands behind no head, or is not in it, is taken
for what it is called here, and noted in `unverified`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spore.codec.decode import Decoder
from spore.codec.encode import encode_frame
from spore.codec.frame import Frame, UnknownTlv
from spore.codec.schema_head import is_schema_head, read_schema_head
from spore.errors import DecodeError, SchemaMismatch
from spore.message import REGISTRY, Registry, Schema, changes, message_type, name_in

__all__ = ["SUFFIX", "RecordingDecoder", "some"]

SUFFIX = ".frames"
"""With this ends the name of a recording."""
NAMED = 5
"""So many an error or a warning names at the most."""


class RecordingDecoder:
    """A `Decoder` for recordings: it is fed and iterated as that is. The frames with schemas are among those that come.

    Args:
        registry: which messages are known.
        schema: what the messages meant when they were recorded, where that is known from elsewhere.
    """

    def __init__(self, *, registry: Registry = REGISTRY, schema: Schema | None = None) -> None:
        self.unverified: dict[int, str] = {}
        """Messages that came and whose recorded meaning is not known: type numbers and names here."""
        self._registry = registry
        self._decoder = Decoder(registry=registry)
        self._texts: dict[int, str] = {}
        self._seen: set[type] = set()
        """Classes that need no further look."""
        self._strange: dict[int, str] = {}
        """By type number: what is known here, and was recorded as this."""
        self._error: SchemaMismatch | DecodeError | None = None
        if schema is not None:
            self._take(schema)

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take in the next bytes.

        Raises:
            DecodeError, SchemaMismatch: the one that ended the reading, if that is over.
            UsageError: as `Decoder.feed`.
        """
        if self._error is not None:
            raise self._error
        self._decoder.feed(chunk)

    def end(self) -> None:
        """Say that the recording has ended, as `Decoder.end`.

        Raises:
            DecodeError: if it ends inside a frame, or is damaged.
            SchemaMismatch: the one that ended the reading.
        """
        if self._error is not None:
            raise self._error
        self._decoder.end()

    def recorded_name(self, type_id: int) -> str | None:
        """The name that a message had when it was recorded, where the head says it."""
        return name_in(self._texts[type_id]) if type_id in self._texts else None

    def warning(self, name: str) -> str | None:
        """What is to be said of a recording, once, where it does not say what its messages meant; None where it does.

        Args:
            name: the recording's.
        """
        if not self.unverified:
            return None
        which = some([f"{known} ({number})" for number, known in sorted(self.unverified.items())])
        reason = "so the layout that is declared here is taken for the recorded one"
        return f"{name}: no schema says what {which} meant when it was recorded, {reason}"

    def __iter__(self) -> Iterator[Frame]:
        """The frames that are whole by now.

        Raises:
            DecodeError: where the bytes are damaged, or the head of a recording is.
            SchemaMismatch: at the first message that was recorded with another meaning.
        """
        if self._error is not None:
            raise self._error
        again = True
        while again:
            again = False
            for frame in self._decoder:
                try:
                    if is_schema_head(frame):
                        self._take(read_schema_head(frame, offset=self._start_of(frame)))
                        again = True
                    else:
                        for item in frame.items:
                            if type(item) not in self._seen:
                                self._look(item, frame)
                except (DecodeError, SchemaMismatch) as error:
                    self._error = error
                    raise
                yield frame
                if again:  # with other messages left unknown
                    break

    def _take(self, schema: Schema) -> None:
        self._texts = dict(schema.texts)
        self._seen.clear()
        self._strange = {
            number: text
            for number, text in self._texts.items()
            if (entry := self._registry.by_type(number)) is not None and entry.text != text
        }
        # So that they are never read by a layout that is not theirs, which might fit or fail with other words.
        self._decoder.leave_unknown(self._strange)

    def _look(self, item: object, frame: Frame) -> None:
        if isinstance(item, UnknownTlv):
            if item.type_id in self._strange:
                self._refuse(item.type_id, frame)
            return
        entry = message_type(item)
        recorded = self._texts.get(entry.type_id)
        if recorded is None:
            self.unverified[entry.type_id] = entry.name
        elif recorded != entry.text:
            self._refuse(entry.type_id, frame)
        self._seen.add(type(item))

    def _refuse(self, type_id: int, frame: Frame) -> None:
        entry = self._registry.by_type(type_id)
        recorded = self._texts[type_id]
        assert entry is not None  # noqa: S101 - what is not known here is passed through
        raise SchemaMismatch(entry.name, type_id, changes(recorded, entry.text), offset=self._start_of(frame))

    def _start_of(self, frame: Frame) -> int:
        """Where a frame has begun that was taken just now: each has exactly one encoding."""
        return self._decoder.offset - len(encode_frame(frame))


def some(names: Sequence[str]) -> str:
    """A list for people, which is short however many there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
