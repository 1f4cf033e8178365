"""``FILE.frames``: market data that was recorded in the wire format, one frame after the other.

A frame is used if it holds market data, the reference application's or anybody's whose messages are registered. One of
another domain, or of messages that nobody here knows, is counted; if nothing in the file can be used, that is an error. Bytes that
are no frame end the feed, with the offset at which they begin, and so does a message that was recorded with another meaning.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self, cast

from spore.codec import Frame, RecordingDecoder, UnknownTlv, is_schema_head, schema_head
from spore.codec.recording import SUFFIX, some
from spore.errors import DecodeError, FeedError, SchemaMismatch, UsageError
from spore.feeds.feed import Account, RecordedFeed
from spore.feeds.options import check_options
from spore.message import REGISTRY, Domain, Schema, message_type
from spore.services.messages import MarketMessage

__all__ = ["SUFFIX", "FramesFeed", "recording_head"]

CHUNK_SIZE = 1 << 16
_log = logging.getLogger("spore.feeds")
_WARNED: set[Path] = set()
"""Files of which this process has warned. Some commands read a file many times."""


def recording_head() -> bytes:
    """With what a recording of market data begins: the schema of all that is registered by now."""
    return schema_head(Schema.of(entry for entry in REGISTRY if entry.domain is Domain.MARKET_DATA))


class FramesFeed(RecordedFeed):
    """A file of frames, such as ``spore record`` writes."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            FeedError: if the file is not there, or is none.
        """
        self.name = str(path)
        self._account = Account()
        self._bytes_read = 0
        self._market_data: set[type] = set()
        self._unknown: Counter[str] = Counter()
        """Frames by the type number that is not registered, with the recorded name where the file says it."""
        try:
            self._size = path.stat().st_size
        except OSError as error:
            raise FeedError(str(path), f"cannot be read: {error.strerror}") from None
        if not path.is_file():
            raise FeedError(str(path), "is no file")
        self._path = path

    @classmethod
    def from_spec(cls, rest: str, options: Mapping[str, str]) -> Self:
        """What ``FILE.frames`` means.

        Raises:
            UsageError: if it has options, or names no file.
            FeedError: if the file is not there.
        """
        check_options(rest, options, [])
        if not rest:
            raise UsageError("frames: names no file")
        return cls(Path(rest))

    @property
    def account(self) -> Account:
        return self._account

    @property
    def progress(self) -> float | None:
        return min(1.0, self._bytes_read / self._size) if self._size else 1.0

    def messages(self) -> Iterator[MarketMessage]:
        decoder = RecordingDecoder()
        try:
            with self._path.open("rb") as file:
                while chunk := file.read(CHUNK_SIZE):
                    self._bytes_read += len(chunk)
                    decoder.feed(chunk)
                    for frame in decoder:
                        yield from self._sorted_out(frame, decoder)
            decoder.end()
        except OSError as error:
            raise FeedError(self.name, f"cannot be read: {error.strerror or error}") from None
        except (DecodeError, SchemaMismatch) as error:
            raise FeedError(self.name, str(error)) from None
        finally:
            warning, path = decoder.warning(self.name), self._path.resolve()
            if warning is not None and path not in _WARNED:
                _WARNED.add(path)
                _log.warning("%s", warning)
        if self._account.read and not self._account.used:
            raise FeedError(self.name, self._why_nothing())

    def _sorted_out(self, frame: Frame, decoder: RecordingDecoder) -> list[MarketMessage]:
        if is_schema_head(frame):
            return []
        found = [
            cast("MarketMessage", item) for item in frame.items if type(item) in self._market_data or self._is_new(item)
        ]
        if found:
            self._account.use()
            return found
        for item in frame.items[:1]:
            if isinstance(item, UnknownTlv):
                name = decoder.recorded_name(item.type_id)
                self._unknown[f"{item.type_id} ({name})" if name else str(item.type_id)] += 1
        if frame.domain is Domain.MARKET_DATA:
            self._account.skip("market data of a kind that is not known here" if frame.items else "an empty frame")
        else:
            self._account.skip(f"no market data: {frame.domain.label}")
        return found

    def _is_new(self, item: object) -> bool:
        """Whether an item is market data of a class that was not met before."""
        if isinstance(item, UnknownTlv) or message_type(item).domain is not Domain.MARKET_DATA:
            return False
        self._market_data.add(type(item))
        return True

    def _why_nothing(self) -> str:
        """In a file of which nothing was used: what is in it, and what to do."""
        if self._unknown:
            frames = sum(self._unknown.values())
            which = some(list(self._unknown))
            return (
                f"none of its {self._account.read:,} frames holds market data that is known here; the messages of {frames:,} are of "
                f"type number {which}, which no imported module declares: name the module that does, with --module"
            )
        skipped = ", ".join(f"{count:,} {reason}" for reason, count in self._account.skipped.items())
        return f"none of its {self._account.read:,} frames can be used: {skipped}"
