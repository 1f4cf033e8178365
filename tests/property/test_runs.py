"""Runs take what `decode` would take, in the same order, and leave everything else to it."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.property.damage import damaged
from tests.property.rich import RICH
from tests.property.strategies import MESSAGE_CLASSES, SERVICES, exactly, frames, messages

from spore.codec import Decoder, Flags, Frame, UnknownTlv, encode, encode_frame
from spore.codec.runs import LARGEST, RunReader
from spore.errors import DecodeError
from spore.message import MAX_VALUE_SIZE, Domain, Registry
from spore.services.messages import GasPrice, OrderCancel

READER = RunReader()
PRICES = [GasPrice(1, number, 3, 4) for number in range(5)]

VALUE = encode(PRICES[3], sequence=0, timestamp_ns=0)[34:]
"""The bytes of its fields."""


def run_of(sent: list[Any], *, first: int = 1, **header: Any) -> bytes:
    """These messages as frames with numbers that count up."""
    numbered = zip(count(first), sent)
    return b"".join(encode(each, sequence=number, timestamp_ns=number, **header) for number, each in numbered)


def decoded(data: bytes, registry: Registry) -> list[Frame]:
    """The frames of a stream up to the first that is damaged or cut."""
    decoder = Decoder(registry=registry)
    found = []
    try:
        decoder.feed(data)
        found += decoder
    except DecodeError:
        pass
    return found


@pytest.mark.parametrize("cls", MESSAGE_CLASSES, ids=lambda cls: cls.__name__)
@given(st.data(), st.integers(0, 2**63))
def test_messages_of_a_class_come_back_as_they_were(cls: type, data: st.DataObject, first: int) -> None:
    """A stream of one class is taken whole, in one run for each form of the TLV's head."""
    sent = data.draw(st.lists(messages(cls), min_size=1, max_size=4))
    reader, stream = RunReader(RICH if cls in RICH else SERVICES), run_of(sent, first=first)
    found: list[Any] = []
    at = 0
    while at < len(stream):
        some, behind = reader.read(stream, at, first + len(found), 10)
        # A frame of a single TLV without a field is too short for the look at its type, if nothing follows.
        assert some or len(stream) - at < 35
        if not some:
            break
        found, at = found + some, behind
    assert exactly(tuple(found)) == exactly(tuple(sent[: len(found)]))
    assert len(found) >= len(sent) - 1


@given(st.data(), st.sampled_from([RICH, SERVICES]))
def test_nothing_is_taken_that_decode_would_not_take(data: st.DataObject, registry: Registry) -> None:
    """Of any stream, damaged or not, a run is what the decoder finds there, as long as it is plain and numbered without a gap."""
    sent = data.draw(st.lists(st.one_of(frames(registry), st.sampled_from(list(registry)).flatmap(_plain)), max_size=4))
    stream = b"".join(map(encode_frame, sent))
    if stream and data.draw(st.booleans()):
        stream = data.draw(damaged(stream))
    whole = decoded(stream, registry)
    at = 0
    for index, frame in enumerate(whole):
        taken, behind = RunReader(registry).read(stream, at, frame.sequence, 10)
        for offset, message in enumerate(taken):
            other = whole[index + offset]
            assert exactly(other.items) == exactly((message,))
            assert (other.sequence, other.flags, other.source) == (frame.sequence + offset, Flags.NONE, frame.source)
        assert behind == at + sum(len(encode_frame(each)) for each in whole[index : index + len(taken)])
        at += len(encode_frame(frame))


def _plain(entry: Any) -> st.SearchStrategy[Frame]:
    return st.builds(
        lambda message, sequence: Frame(entry.domain, 1, Flags.NONE, sequence, 7, (message,)),
        messages(entry.cls),
        st.integers(1, 3),
    )


@pytest.mark.parametrize(
    "behind",
    [
        run_of(PRICES[3:], first=3),
        run_of(PRICES[3:], first=5),
        run_of(PRICES[3:], first=4, flags=Flags.REDELIVERED),
        run_of(PRICES[3:], first=4, source=9),
        run_of([OrderCancel(1, 2, "")], first=4),
        encode_frame(Frame(Domain.MARKET_DATA, 0, Flags.NONE, 4, 7, (PRICES[3], UnknownTlv(9, b"")))),
        encode_frame(Frame(Domain.MARKET_DATA, 0, Flags.NONE, 4, 7, ())),
        run_of(PRICES[3:], first=4)[:-1][:50],
        run_of(PRICES[3:], first=4)[:40] + b"\xff" + run_of(PRICES[3:], first=4)[41:],
        encode_frame(Frame(Domain.MARKET_DATA, 0, Flags.NONE, 4, 7, (UnknownTlv(18, VALUE[:-1]),)))
        + run_of(PRICES, first=5),
        encode_frame(Frame(Domain.MARKET_DATA, 0, Flags.NONE, 4, 7, (UnknownTlv(18, VALUE + b"x"),)))
        + run_of(PRICES, first=5),
        b"no frame",
        b"",
    ],
    ids=[
        "again",
        "gap",
        "flag",
        "source",
        "kind",
        "accompanied",
        "empty",
        "cut",
        "damaged",
        "short",
        "long",
        "noise",
        "end",
    ],
)
def test_a_run_ends_where_something_else_comes(behind: bytes) -> None:
    """What is not plainly the next message is left, and the index says where it begins."""
    stream = run_of(PRICES[:3])
    assert READER.read(stream + behind, 0, 1, 10) == (PRICES[:3], len(stream))


def test_a_run_is_no_longer_than_it_may_be_and_begins_with_the_number_that_is_due() -> None:
    """The caller says how many, and which comes first."""
    stream = run_of(PRICES)
    assert READER.read(stream, 0, 1, 2) == (PRICES[:2], len(run_of(PRICES[:2])))
    assert READER.read(stream, 0, 2, 2) == ([], 0)
    assert READER.read(run_of(PRICES, flags=Flags.REDELIVERED), 0, 1, 2) == ([], 0)
    assert READER.read(stream, len(stream), 1, 2) == ([], len(stream))
    assert RunReader(Registry()).read(stream, 0, 1, 2) == ([], 0)


def test_no_frame_of_a_run_is_larger_than_is_said() -> None:
    """Whoever allows less has each frame looked at."""
    assert len(encode_frame(Frame(Domain.SIGNAL, 0, 0, 1, 0, (UnknownTlv(61, bytes(MAX_VALUE_SIZE)),)))) == LARGEST  # type: ignore[arg-type]
