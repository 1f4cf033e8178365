"""The relay bench's load: what is sent, what a sink notices, what a percentile is."""

from itertools import pairwise

import attrs
import pytest
from bench.relay_load import RING, Load, Sink, Source, percentile, quote
from bench.relay_trio import frame_ends

from spore.codec import decode, encode

PACED = Load(frame_size=256, rate_hz=1_000, warm_s=0.001, run_s=0.003)
FLOOD = Load(frame_size=256, warm_s=0, run_s=0)


@pytest.mark.parametrize("frame_size", [256, 2_400])
def test_a_message_is_a_frame_of_the_size_that_was_asked_for(frame_size: int) -> None:
    """The header and the TLV's head are counted in."""
    message = quote(frame_size, 7, due_ns=8)
    frame = encode(message, sequence=0, timestamp_ns=0)
    assert len(frame) == frame_size
    assert decode(frame).message == message


def test_a_paced_source_says_when_each_message_was_due() -> None:
    """One an interval, from one moment on; behind them the last, which is counted nowhere."""
    source, sink = Source(PACED), Sink(PACED, 0)
    source.start()
    found = []
    while not source.finished:
        found += source.due()
    gaps = {later.due_ns - earlier.due_ns for earlier, later in pairwise(found[:-1])}
    assert gaps == {1_000_000}
    for message in found:
        sink.take(message)
    assert (sink.done, sink.count, source.sent, len(sink.measured_ns)) == (True, 4, 4, 3)


def test_a_flood_ends_with_a_last_message() -> None:
    """What is sent in no time at all is the last message."""
    source, sink = Source(FLOOD), Sink(FLOOD, 0)
    source.start()
    for message in source.flood():
        sink.take(message)
    assert sink.done
    assert sink.count == source.sent


def test_a_sink_notices_a_gap() -> None:
    """A message that does not come, comes twice or comes behind the last ends the run."""
    sink = Sink(FLOOD, 0)
    sink.take(quote(256, 0))
    with pytest.raises(ValueError, match="message 2 came after 1 messages, and 1 is the next"):
        sink.take(quote(256, 2))
    with pytest.raises(ValueError, match="message 0 came"):
        sink.take(quote(256, 0))
    sink.take(quote(256, 1, last=True))
    with pytest.raises(ValueError, match="message 1 came"):
        sink.take(quote(256, 1))


def test_the_rate_is_that_behind_the_warm_up() -> None:
    """Each round of the ring is timed; those of the warm-up are left out; a run that is all warm-up has no rate."""
    sink = Sink(attrs.evolve(FLOOD, warm_s=1), 0)
    sink.turns_ns = [0, 900_000_000, 1_000_000_000, 3_000_000_000, 5_000_000_000]
    assert sink.rate_hz == RING * 2 / 4
    sink.turns_ns = [0, 900_000_000]
    assert sink.rate_hz == 0


@pytest.mark.parametrize(("percent", "expected"), [(50, 500), (99, 990), (99.9, 999), (100, 1_000), (0, 1)])
def test_a_percentile_is_a_sample(percent: float, expected: int) -> None:
    """No interpolation: the smallest that so many do not exceed."""
    assert percentile(range(1_000, 0, -1), percent) == expected


def test_whole_frames_are_found_in_a_chunk() -> None:
    """The ends of those that are whole; a frame that is cut, or a header, is none."""
    frames = [encode(quote(size, 0), sequence=0, timestamp_ns=0) for size in (256, 2_400)]
    data = b"".join(frames)
    assert frame_ends(data) == [256, 2_656]
    assert frame_ends(data[:-1]) == [256]
    assert frame_ends(data + frames[0][:31]) == [256, 2_656]
    assert frame_ends(b"") == []
