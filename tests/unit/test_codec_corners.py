"""Places where the quick way through the codec hands over to the exact one."""

import pytest

import spore
from spore.codec import Decoder, decode, encode
from spore.errors import Damage
from spore.services.messages import GasPrice, OrderCancel

MESSAGES = spore.Registry()
Deep = spore.U8
for _ in range(17):
    Deep = tuple[Deep, ...]


@spore.message(type_id=1, domain=spore.Domain.MARKET_DATA, registry=MESSAGES)
class Fixed:
    number: spore.U64


@spore.message(type_id=2, domain=spore.Domain.MARKET_DATA, registry=MESSAGES)
class Varying:
    note: spore.Str


@spore.message(type_id=3, domain=spore.Domain.MARKET_DATA, registry=MESSAGES)
class Nested:
    lists: Deep


@pytest.mark.parametrize("message", [Fixed(7), Varying("a note")], ids=["fixed", "varying"])
def test_a_lowered_limit_holds_for_types_that_were_met_before(message):
    """Frames of a known type do not slip past the largest size that this decoder accepts."""
    frame = encode(message, sequence=1, timestamp_ns=2)
    met = Decoder(registry=MESSAGES)
    met.feed(frame * 2)
    assert [found.message for found in met] == [message, message]
    strict = Decoder(registry=MESSAGES, max_frame_size=len(frame) - 1)
    strict._known = met._known  # the types that another decoder has met
    strict.feed(frame)
    with pytest.raises(spore.DecodeError) as caught:
        list(strict)
    assert caught.value.damage is Damage.SIZE


def test_what_follows_a_frame_of_any_size_is_refused_by_decode():
    """`decode` takes exactly one frame, of fixed size or not, the first time and the second."""
    for message in (GasPrice(1, 2, 3, 4), OrderCancel(1, 2, "a note"), OrderCancel(1, 2, "a longer note" * 30)):
        frame = encode(message, sequence=1, timestamp_ns=2)
        for _ in range(2):
            assert decode(frame).message == message
            with pytest.raises(spore.DecodeError, match="follow the frame"):
                decode(frame + b"\0")


def test_lists_nested_deeper_than_compiled_code_goes_still_travel():
    """Python bounds the blocks of a function, the format does not bound the lists in lists."""
    lists = 9
    for _ in range(17):
        lists = (lists, lists) if isinstance(lists, int) else (lists,)
    message = Nested(lists)
    assert decode(encode(message, sequence=0, timestamp_ns=0), registry=MESSAGES).message == message
