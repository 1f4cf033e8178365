"""A byte stream cut into frames by their headers alone."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spore.codec import HEADER_SIZE, Frame, UnknownTlv, encode, encode_frame
from spore.errors import Damage, DecodeError
from spore.message import Domain
from spore.relay.control import Heartbeat, Route, control_frame
from spore.relay.framing import FrameSplitter
from spore.services.messages import GasPrice, OrderCancel

MESSAGES = [encode(GasPrice(1, n, 3, 4), sequence=n, timestamp_ns=0) for n in range(3)]
LONG = encode(OrderCancel(1, 2, "x" * 300), sequence=1, timestamp_ns=0)
EXTENDED = encode_frame(Frame(Domain.SYSTEM, 0, 0, 0, 0, (UnknownTlv(211, bytes(300)),)))
EMPTY = encode_frame(Frame(Domain.SYSTEM, 0, 0, 0, 0, ()))

frames = st.lists(
    st.sampled_from([*MESSAGES, LONG, EXTENDED, EMPTY, control_frame(Route(7)), control_frame(Heartbeat())])
)


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(at % (len(data) + 1) for at in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


def split(chunks: list[bytes], *, each: bool, largest: int = 10_000) -> list[tuple[bytes, int, int]]:
    splitter = FrameSplitter(largest)
    found = []
    for chunk in chunks:
        splitter.feed(chunk)
        found += [(splitter.data[a:b], count, kind) for a, b, count, kind in splitter.runs(each=each)]
    return found


@given(frames, st.lists(st.integers(0, 10_000), max_size=30))
@example([LONG], range(400))
def test_any_chunking_gives_the_same_frames(sent, cuts):
    """However the stream comes, each frame is yielded once, whole, and in order."""
    data = b"".join(sent)
    found = split(cut(data, cuts), each=True)
    assert [frame for frame, _, _ in found] == sent
    assert all(count == 1 for _, count, _ in found)


@given(frames)
def test_runs_are_the_frames_between_control_messages(sent):
    """Frames of messages come in runs as long as they can be; each control message comes by itself with its type."""
    found = split([b"".join(sent)], each=False)
    assert b"".join(run for run, _, _ in found) == b"".join(sent)
    assert sum(count for _, count, _ in found) == len(sent)
    kinds = {EXTENDED: 211, control_frame(Route(7)): 211, control_frame(Heartbeat()): 203}
    assert [kind for _, _, kind in found if kind] == [kinds[frame] for frame in sent if frame in kinds]
    assert not any(a == b == 0 for (_, _, a), (_, _, b) in pairwise(found))


@given(frames.filter(bool), st.integers(1, 10_000))
def test_a_strict_prefix_wants_more(sent, short):
    """What is not whole yet is no error, and held; nothing of it is yielded before its end is there."""
    data = b"".join(sent)
    short = 1 + (short - 1) % len(sent[-1])
    splitter = FrameSplitter()
    splitter.feed(data[:-short])
    assert sum(count for _, _, count, _ in splitter.runs()) == len(sent) - 1
    assert splitter.buffered == len(sent[-1]) - short
    splitter.feed(data[-short:])
    assert [splitter.data[a:b] for a, b, _, _ in splitter.runs()] == [sent[-1]]
    assert splitter.buffered == 0


@pytest.mark.parametrize(
    ("at", "byte", "damage"),
    [(0, 0, Damage.MAGIC), (4, 9, Damage.DOMAIN), (5, 2, Damage.VERSION), (7, 8, Damage.FLAGS), (27, 255, Damage.SIZE)],
)
@pytest.mark.parametrize("step", [1, 7, 1_000])
def test_damage_is_told_with_its_place_in_the_stream(at, byte, damage, step):
    """A header that no frame has is refused where it is wrong, after the good frames before it were yielded."""
    bad = bytearray(MESSAGES[0])
    bad[at] = byte
    data = LONG + MESSAGES[1] + bytes(bad) + LONG
    splitter, good, told = FrameSplitter(), 0, None
    for start in range(0, len(data), step):
        splitter.feed(data[start : start + step])
        try:
            for _, _, count, _ in splitter.runs():
                good += count
        except DecodeError as error:
            told = error
            break
    assert told is not None
    assert told.damage is damage
    first = at if damage is not Damage.SIZE else 24
    assert told.offset == len(LONG + MESSAGES[1]) + (0 if damage is Damage.MAGIC else first)
    assert good == 2


def test_the_good_frames_before_damage_are_yielded():
    """Frames that came in the same chunk as the damage are taken before it is told."""
    splitter = FrameSplitter()
    splitter.feed(LONG + MESSAGES[0] + b"no frame")
    runs = splitter.runs(each=True)
    assert [splitter.data[a:b] for a, b, _, _ in (next(runs), next(runs))] == [LONG, MESSAGES[0]]
    with pytest.raises(DecodeError, match="a frame begins with"):
        next(runs)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_arbitrary_bytes_are_frames_or_wanting_or_damage(data, cuts):
    """Whatever comes is a frame, the beginning of one or a DecodeError, and never more than one frame is held."""
    splitter = FrameSplitter(100)
    for chunk in cut(data, cuts):
        splitter.feed(chunk)
        try:
            for _ in splitter.runs():
                pass
        except DecodeError:
            return
        assert splitter.buffered < 100


@given(st.integers(HEADER_SIZE, 400))
def test_no_more_than_the_largest_frame_is_held(largest):
    """A frame is accepted up to the limit and refused by its header above it."""
    splitter = FrameSplitter(largest)
    if largest >= len(LONG):
        assert split([LONG[n : n + 1] for n in range(len(LONG))], each=True, largest=largest) == [(LONG, 1, 0)]
        return
    for n in range(27):
        splitter.feed(LONG[n : n + 1])
        assert list(splitter.runs()) == []
    splitter.feed(LONG[27:28])
    with pytest.raises(DecodeError) as caught:
        list(splitter.runs())
    assert (caught.value.damage, caught.value.offset) == (Damage.SIZE, 24)
    assert splitter.buffered == 28


def test_a_control_message_that_is_damaged_into_something_else_is_damage_all_the_same() -> None:
    """Taken for a message it would be passed on, and what follows a lost Route would go the wrong way."""
    frame = bytearray(control_frame(Route(7)))
    frame[HEADER_SIZE] ^= 64  # its type is now none of a control message
    splitter = FrameSplitter()
    splitter.feed(bytes(frame))
    with pytest.raises(DecodeError, match="the checksum is wrong") as damaged:
        list(splitter.runs())
    assert (damaged.value.damage, damaged.value.offset) == (Damage.CHECKSUM, 28)
