"""From what a user writes to a feed: ``scheme:rest?option=value&option=value``, or the name of a recording.

The table below is all that there is. A feed's module is imported when the feed is asked for, so that what only one of
them needs may be missing.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import cast

from spore.errors import UsageError
from spore.feeds.feed import Feed, RecordedFeed
from spore.feeds.frames import SUFFIX, FramesFeed
from spore.feeds.merge import MergedFeed
from spore.samples import UNISWAP_V2_SESSION

__all__ = ["FORMS", "feed_of", "open_feed"]

_SCHEMES = {
    "evm-logs": "spore.feeds.evm_logs:EvmLogsFeed",
    "binance": "spore.feeds.binance:BinanceFeed",
    "jsonrpc": "spore.feeds.jsonrpc:NodeFeed",
    "sim": "spore.feeds.simulator:SimFeed",
}
SAMPLE = "sample"
"""The recorded session that is part of Spore."""
FORMS = (
    SAMPLE,
    "evm-logs:FILE",
    "binance:FILE,FILE",
    "jsonrpc:ws://HOST:PORT?pools=PATH",
    "sim:seed=N,events=N",
    f"FILE{SUFFIX}",
)
"""What can be asked for, for messages to people."""


@asynccontextmanager
async def open_feed(*specs: str) -> AsyncIterator[Feed]:
    """The feed that one or more specs describe. Recorded ones are merged: event time, then their order here, then their own.

    Use::

        async with open_feed("evm-logs:logs.jsonl.gz") as feed, aclosing(feed.batches()) as batches:
            async for batch in batches:
                ...

    Leaving the block ends what a live feed does.

    Cancellation: a recorded feed has no checkpoint here; a live one's tasks are ended.

    Raises:
        UsageError: if a spec is none, naming the candidates, or if a live feed is to be merged.
        FeedError: if a file is not there.
    """
    feed = feed_of(*specs)
    async with AsyncExitStack() as stack:
        if isinstance(feed, AbstractAsyncContextManager):
            await stack.enter_async_context(feed)
        yield feed


def feed_of(*specs: str) -> Feed:
    """What `open_feed` opens.

    Raises:
        UsageError: as `open_feed`.
        FeedError: as `open_feed`.
    """
    if not specs:
        raise UsageError(f"no feed was named; name one or more of {', '.join(FORMS)}")
    feeds = [_one(spec) for spec in specs]
    if len(feeds) == 1:
        return feeds[0]
    live = [spec for spec, feed in zip(specs, feeds, strict=True) if not isinstance(feed, RecordedFeed)]
    if live:
        raise UsageError(f"feed {live[0]!r} is live, and only what was recorded can be merged; name it alone")
    return MergedFeed(cast("list[RecordedFeed]", feeds))


def _one(spec: str) -> Feed:
    place, mark, query = spec.partition("?")
    options = _options(spec, query) if mark else {}
    scheme, colon, rest = place.partition(":")
    if colon and scheme in _SCHEMES:
        return _feed_class(scheme).from_spec(rest, options)  # type: ignore[attr-defined, no-any-return]
    if place == SAMPLE:
        return _one(f"evm-logs:{UNISWAP_V2_SESSION / 'logs.jsonl.gz'}{mark}{query}")
    if place.endswith(SUFFIX):
        return FramesFeed.from_spec(place, options)
    raise UsageError(f"feed {spec!r} is none; {_meant(place)}a feed is one of {', '.join(FORMS)}")


def _meant(place: str) -> str:
    """What could have been meant by a feed that there is not: another scheme, or a file whose name lacks its end."""
    scheme, colon, rest = place.partition(":")
    known = [f"{name}:" for name in _SCHEMES] if colon else [SAMPLE, *_SCHEMES]
    close = difflib.get_close_matches(scheme + colon, known, n=1)
    if close:
        return f"did you mean {close[0] + rest!r}? Otherwise "
    if not colon and Path(f"{place}{SUFFIX}").is_file():
        return f"did you mean {place + SUFFIX!r}? Otherwise "
    return ""


def _options(spec: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        if not (name and equals and value):
            raise UsageError(f"feed {spec!r}: {part!r} is no option; write name=value, and & between two")
        if name in options:
            raise UsageError(f"feed {spec!r}: {name} is given twice")
        options[name] = value
    return options


def _feed_class(scheme: str) -> type[Feed]:
    module, _, name = _SCHEMES[scheme].partition(":")
    found: type[Feed] = getattr(importlib.import_module(module), name)
    return found
