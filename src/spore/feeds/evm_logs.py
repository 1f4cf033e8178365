"""``evm-logs:FILE``: a recording of `eth_getLogs` objects, one a line, in the order of the chain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from spore.errors import FeedError, UsageError
from spore.feeds.evm import LogDecoder
from spore.feeds.feed import Account, RecordedFeed
from spore.feeds.lines import LineFile
from spore.feeds.options import check_options
from spore.feeds.pools import Pools
from spore.services.messages import MarketMessage

__all__ = ["EvmLogsFeed"]


class EvmLogsFeed(RecordedFeed):
    """A file of logs, ``.gz`` too, and the pools that are told about."""

    def __init__(self, file: LineFile, pools: Pools) -> None:
        self.name = f"evm-logs:{file.path}"
        self._file = file
        self._account = Account()
        self._decoder = LogDecoder(pools, self._account)

    @classmethod
    def from_spec(cls, rest: str, options: Mapping[str, str]) -> Self:
        """What ``evm-logs:FILE?pools=PATH`` means. The pools are in ``pools.json`` beside the file unless it says where.

        Raises:
            UsageError: for an option that there is not.
            FeedError: if a file is not there, or the list of pools is wrong.
        """
        check_options("evm-logs", options, ["pools"])
        if not rest:
            raise UsageError("evm-logs: names no file; write evm-logs:FILE")
        path = Path(rest)
        if not path.exists():
            raise FeedError(rest, "there is no such file")
        file = LineFile(path)  # before the pools, of which there are none beside a folder
        return cls(file, Pools.load(Path(options["pools"]) if "pools" in options else path.parent / "pools.json"))

    @property
    def account(self) -> Account:
        return self._account

    @property
    def progress(self) -> float | None:
        return self._file.progress

    def messages(self) -> Iterator[MarketMessage]:
        file, decode = self._file, self._decoder.decode
        for line in file:
            try:
                messages = decode(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise FeedError(str(file.path), _sentence(error), line=file.line) from None
            yield from messages
        yield from self._decoder.end()


def _sentence(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}; a line is one log as eth_getLogs gives it"
    if isinstance(error, UnicodeDecodeError):
        return f"no UTF-8: {error.reason} at byte {error.start}"
    if isinstance(error, RecursionError):
        return "JSON that is nested too deeply; a line is one log as eth_getLogs gives it"
    return str(error)
