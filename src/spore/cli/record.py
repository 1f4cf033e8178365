"""``spore record``: what feeds tell, written down in the wire format, to be read as a feed again.

Follow one message: a feed's batch → one frame each, numbered from 0 and stamped with the event's time → a file beside the
one that was asked for, which takes its name once everything is in it and on the disk.

What a live feed has told cannot be had again: where it breaks off, the batches that came are kept, and each of them is whole.
"""

from __future__ import annotations

import json as jsonlib
import signal
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, BinaryIO

import attrs
import trio
from cyclopts import Parameter

from spore.cli.files import open_recording
from spore.cli.modules import Modules, load_messages
from spore.cli.progress import LateProgress
from spore.codec import encode
from spore.errors import FeedError, UsageError
from spore.feeds import Account, Feed, RecordedFeed, open_feed
from spore.feeds.frames import SUFFIX, recording_head
from spore.services.messages import MarketMessage

__all__ = ["record", "recorded"]

COLLECTOR = 1
"""The source number in the frames' headers: the first of those for collectors."""
PARTS = 1_000
"""In which the progress bar moves."""


@attrs.define
class _Written:
    """What is in the file so far."""

    messages: int = 0
    bytes: int = 0


def record(
    *feeds: Annotated[str, Parameter(name="FEED")],
    to: Path,
    module: Modules | None = None,
    force: bool = False,
    json: bool = False,
) -> None:
    """Write what feeds tell to a file of frames, which is a feed itself. It begins with the schema of its messages.

    The file appears when everything is in it; at an error or Ctrl-C there is none, and one that was there is as it was.
    Only a live feed, which has no end, is recorded until Ctrl-C or SIGTERM, and what came by then is kept; so are the whole blocks
    that came before an error of a live feed.

    Exit codes: 0 recorded · 2 bad input, or the feed has failed, also where what came before is kept · 130 interrupted.

    Parameters
    ----------
    feeds
        What to record: sample, evm-logs:FILE, binance:FILE,FILE, jsonrpc:ws://HOST:PORT, sim:seed=1,events=1000 or
        FILE.frames. Several recorded ones are merged by event time.
    to
        The file to write. Its name ends in .frames.
    force
        Replace the file if it is there.
    json
        Print the summary as JSON.
    """
    if to.suffix != SUFFIX:
        raise UsageError(f"--to {to}: the name must end in {SUFFIX}, by which a recording is known as a feed")
    load_messages(module or [])
    account, written, failure = trio.run(_record, feeds, to, force)
    facts = {
        "file": str(to),
        "messages": written.messages,
        "bytes": written.bytes,
        "read": account.read,
        "used": account.used,
        "skipped": account.skipped,
    }
    print(jsonlib.dumps(facts) if json else _summary(to, account, written))
    if failure is not None:
        raise failure


async def _record(specs: tuple[str, ...], to: Path, force: bool) -> tuple[Account, _Written, FeedError | None]:
    written = _Written()
    failure: FeedError | None = None
    reading = trio.CancelScope()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:

        async def stop_at_a_signal() -> None:
            async for _ in signals:
                reading.cancel()

        async with open_feed(*specs) as feed, trio.open_nursery() as nursery:
            nursery.start_soon(stop_at_a_signal)
            with open_recording(to, overwrite=force) as file:
                head = recording_head()
                file.write(head)
                written.bytes += len(head)
                with reading:
                    try:
                        await _write(feed, file, written)
                    except FeedError as error:
                        if isinstance(feed, RecordedFeed) or not written.messages:
                            raise
                        failure = error
                if reading.cancelled_caught and isinstance(feed, RecordedFeed):
                    raise KeyboardInterrupt  # a part of a recording is not what was asked for
            nursery.cancel_scope.cancel()
    return feed.account, written, failure


async def _write(feed: Feed, file: BinaryIO, written: _Written) -> None:
    whole = None if feed.progress is None else PARTS
    shown = 0
    with LateProgress("recording", whole, in_bytes=False) as progress:
        async with aclosing(feed.batches()) as batches:  # type: ignore[type-var]
            async for batch in batches:
                frames = recorded(batch, first=written.messages)
                file.write(frames)
                written.messages += len(batch)
                written.bytes += len(frames)
                done = int((feed.progress or 0) * PARTS) if whole else written.messages
                progress.advance(done - shown)
                shown = done


def recorded(messages: Iterable[MarketMessage], *, first: int = 0) -> bytes:
    """Market data as a recording has it behind its head.

    Args:
        messages: in order.
        first: the number of the first one in the recording.
    """
    return b"".join(
        [
            encode(message, sequence=number, timestamp_ns=getattr(message, "event_time_ns", 0), source=COLLECTOR)
            for number, message in enumerate(messages, start=first)
        ]
    )


def _summary(to: Path, account: Account, written: _Written) -> str:
    lines = [f"{to}: {written.messages:,} messages in {written.bytes:,} bytes, of {account.read:,} that were read"]
    lines += [f"  not used, {reason}: {count:,}" for reason, count in account.skipped.items()]
    return "\n".join(lines)
