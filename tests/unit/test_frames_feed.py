"""A recording in the wire format is read as a feed: market data is used, the rest is counted, damage is an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import spore
from spore.codec import Flags, Frame, UnknownTlv, encode_frame
from spore.errors import FeedError, UsageError
from spore.feeds.frames import FramesFeed
from spore.services.messages import GasPrice, OrderCancel, QuoteUpdate

GAS = GasPrice(5, 6, 7, 8)
QUOTE = QuoteUpdate(1, 2, 3, 4, 5, 6, 7, 8)


def frame(message, sequence=0):
    return spore.codec.encode(message, sequence=sequence, timestamp_ns=1)


def recording(tmp_path, *parts):
    path = tmp_path / "a.frames"
    path.write_bytes(b"".join(parts))
    return FramesFeed.from_spec(str(path), {})


def test_frames_become_messages_in_the_files_order(tmp_path):
    """Whatever their times: a recording is one feed and has its order."""
    feed = recording(tmp_path, frame(QUOTE), frame(GAS))
    assert (feed.progress, list(feed.messages()), feed.progress) == (0, [QUOTE, GAS], 1.0)
    assert (feed.account.read, feed.account.used) == (2, 2)


def test_what_is_no_market_data_is_counted(tmp_path):
    """Messages of other domains, and of kinds that nobody here knows."""
    domain = spore.Domain.MARKET_DATA
    unknown = encode_frame(Frame(domain, 1, Flags.NONE, 0, 0, (UnknownTlv(7, b"?"),)))
    empty = encode_frame(Frame(domain, 1, Flags.NONE, 0, 0, ()))
    feed = recording(tmp_path, frame(OrderCancel(1, 2, "")), unknown, empty, frame(GAS))
    assert list(feed.messages()) == [GAS]
    assert (feed.account.read, feed.account.used) == (4, 1)
    assert feed.account.skipped == {
        "no market data: execution": 1,
        "market data of a kind that is not known here": 1,
        "an empty frame": 1,
    }


def test_a_frame_of_several_messages_is_used_whole(tmp_path):
    """The format allows it, so the reader does."""
    several = encode_frame(Frame(spore.Domain.MARKET_DATA, 1, Flags.NONE, 0, 0, (GAS, QUOTE)))
    feed = recording(tmp_path, several)
    assert (list(feed.messages()), feed.account.used) == ([GAS, QUOTE], 1)


@given(cut=st.integers(1, len(frame(QUOTE)) - 1))
def test_a_file_that_ends_inside_a_frame(tmp_path_factory, cut):
    """The frames before are handed on, and the error says where the cut one begins."""
    feed = recording(tmp_path_factory.mktemp("cut"), frame(GAS), frame(QUOTE)[:-cut])
    messages = feed.messages()
    assert next(messages) == GAS
    with pytest.raises(FeedError, match=rf"a\.frames: at byte {len(frame(GAS))}: the data ends inside a "):
        next(messages)
    assert feed.account.used == 1


def test_damage_is_named_by_its_offset(tmp_path):
    """What came before it was handed on."""
    damaged = bytearray(frame(QUOTE))
    damaged[-1] ^= 1
    messages = recording(tmp_path, frame(GAS), bytes(damaged)).messages()
    assert next(messages) == GAS
    with pytest.raises(FeedError, match=rf"a\.frames: at byte {len(frame(GAS)) + 28}: the checksum is"):
        next(messages)


def test_an_empty_file_is_a_recording_of_nothing(tmp_path):
    """It has been read as soon as it is there."""
    feed = recording(tmp_path)
    assert (list(feed.messages()), feed.progress, feed.account.read) == ([], 1.0, 0)


def test_a_file_that_is_not_there(tmp_path):
    """Found when the feed is made."""
    with pytest.raises(FeedError, match=r"nowhere\.frames: cannot be read: No such file"):
        FramesFeed.from_spec(str(tmp_path / "nowhere.frames"), {})
    (tmp_path / "folder.frames").mkdir()
    with pytest.raises(FeedError, match=r"folder\.frames: is no file"):
        FramesFeed.from_spec(str(tmp_path / "folder.frames"), {})
    with pytest.raises(UsageError, match="there is no option 'x'; it has none"):
        FramesFeed.from_spec("a.frames", {"x": "1"})
