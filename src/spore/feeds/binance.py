"""``binance:FILE[,FILE…]``: recorded frames of Binance's market streams, a file for each venue.

A line is the local receive time in nanoseconds, a space, and the frame as JSON. The receive time is the event time: it is
one clock for all venues of a recording, while the exchange's own times come from several, and not every frame has one.
The files are merged by it, then by their position, then by line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from spore.errors import FeedError, UsageError
from spore.feeds.binance_frames import FrameDecoder
from spore.feeds.feed import Account, RecordedFeed
from spore.feeds.lines import LineFile
from spore.feeds.merge import MergedFeed
from spore.feeds.options import check_options, whole_number
from spore.services.messages import InstrumentListed, MarketMessage

__all__ = ["BinanceFeed", "BinanceFile", "venue_name_of"]

_TIME_LIMIT = 1 << 64
_LAST_VENUE = (1 << 16) - 1


def venue_name_of(path: Path) -> str:
    """The name of a file up to the first ``_`` or ``.``: ``spot_20240808.gz`` is of ``spot``."""
    return path.name.partition("_")[0].partition(".")[0]


class BinanceFile(RecordedFeed):
    """One file: a venue, or a part of its recording."""

    def __init__(self, path: Path, *, venue: int, venue_name: str) -> None:
        """
        Raises:
            FeedError: if the file is not there.
        """
        self.name = f"binance:{path}"
        self._file = LineFile(path)
        self._account = Account()
        self._decode = FrameDecoder(venue=venue, venue_name=venue_name).decode

    @property
    def account(self) -> Account:
        return self._account

    @property
    def progress(self) -> float | None:
        return self._file.progress

    def messages(self) -> Iterator[MarketMessage]:
        file, decode, account = self._file, self._decode, self._account
        last_ns = 0
        for line in file:
            stamp, _, text = line.partition(b" ")
            try:
                time_ns = _receive_time(stamp)
                messages = decode(json.loads(text.decode()), time_ns)
            except (ValueError, RecursionError) as error:
                raise FeedError(str(file.path), _sentence(error), line=file.line) from None
            if time_ns < last_ns:
                reason = f"received at {time_ns}, which is before the line above it ({last_ns}): out of order"
                raise FeedError(str(file.path), reason, line=file.line)
            last_ns = time_ns
            if isinstance(messages, str):
                account.skip(messages)
            else:
                account.use()
                yield from messages


class BinanceFeed(RecordedFeed):
    """Several venues' files as one feed."""

    def __init__(self, files: Sequence[BinanceFile]) -> None:
        self._merged = MergedFeed(files)
        self.name = f"binance:{','.join(file.name.partition(':')[2] for file in files)}"

    @classmethod
    def from_spec(cls, rest: str, options: Mapping[str, str]) -> Self:
        """What ``binance:FILE,FILE?venues=NAME,NAME&first_venue=1`` means.

        Venues are numbered from ``first_venue`` on in the order in which they are named; files of one name are of one
        venue.

        Raises:
            UsageError: for an option that there is not, or not as many names as files.
            FeedError: if a file is not there.
        """
        check_options("binance", options, ["venues", "first_venue"])
        paths = [Path(part) for part in rest.split(",")]
        if "" in rest.split(","):
            raise UsageError("binance: names no file; write binance:FILE, or binance:FILE,FILE")
        names = options["venues"].split(",") if "venues" in options else [venue_name_of(path) for path in paths]
        if len(names) != len(paths) or not all(names):
            raise UsageError(f"binance: venues={','.join(names)!r} must be a name for each of the {len(paths)} files")
        first = whole_number("binance", options, "first_venue", least=1) or 1
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names), start=first)}
        if max(numbers.values()) > _LAST_VENUE:
            raise UsageError(f"binance: first_venue={first} leaves no room: venues are 1 to {_LAST_VENUE}")
        files = zip(paths, names, strict=True)
        return cls([BinanceFile(path, venue=numbers[name], venue_name=name) for path, name in files])

    @property
    def account(self) -> Account:
        return self._merged.account

    @property
    def progress(self) -> float | None:
        return self._merged.progress

    def messages(self) -> Iterator[MarketMessage]:
        listed: set[tuple[int, int]] = set()
        for message in self._merged.messages():
            if isinstance(message, InstrumentListed):
                # Each file lists what it tells about; where two are of one venue, the one that comes first counts.
                key = (message.instrument_id, message.venue)
                if key in listed:
                    continue
                listed.add(key)
            yield message


def _receive_time(stamp: bytes) -> int:
    # int takes underscores, signs and spaces, too.
    if stamp.isdigit() and len(stamp) <= 20 and (time_ns := int(stamp)) < _TIME_LIMIT:
        return time_ns
    raise ValueError(
        "a line is the receive time in nanoseconds, a space, and a frame as JSON; this begins with no time"
    )


def _sentence(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1} of the frame"
    if isinstance(error, UnicodeDecodeError):
        return f"no UTF-8: {error.reason} at byte {error.start} of the frame"
    if isinstance(error, RecursionError):
        return "JSON that is nested too deeply; a line holds one frame"
    return str(error)
