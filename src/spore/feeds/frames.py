"""``FILE.frames``: market data that was recorded in the wire format, one frame after the other.

A frame is used if it holds market data. One of another domain, or of messages that nobody here knows, is counted. Bytes
that are no frame end the feed, with the offset at which they begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self, cast, get_args

from spore.codec import Decoder, Frame
from spore.errors import DecodeError, FeedError, UsageError
from spore.feeds.feed import Account, RecordedFeed
from spore.feeds.options import check_options
from spore.message import Domain
from spore.services.messages import MarketMessage

__all__ = ["SUFFIX", "FramesFeed"]

SUFFIX = ".frames"
CHUNK_SIZE = 1 << 16
MARKET_MESSAGES = frozenset(get_args(MarketMessage))


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
        decoder = Decoder()
        try:
            with self._path.open("rb") as file:
                while chunk := file.read(CHUNK_SIZE):
                    self._bytes_read += len(chunk)
                    decoder.feed(chunk)
                    for frame in decoder:
                        yield from self._sorted_out(frame)
            decoder.end()
        except OSError as error:
            raise FeedError(self.name, f"cannot be read: {error.strerror or error}") from None
        except DecodeError as error:
            raise FeedError(self.name, str(error)) from None

    def _sorted_out(self, frame: Frame) -> list[MarketMessage]:
        found = [cast("MarketMessage", item) for item in frame.items if type(item) in MARKET_MESSAGES]
        if found:
            self._account.use()
        elif frame.domain is Domain.MARKET_DATA:
            self._account.skip("market data of a kind that is not known here" if frame.items else "an empty frame")
        else:
            self._account.skip(f"no market data: {frame.domain.label}")
        return found
