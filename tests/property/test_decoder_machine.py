"""The decoder against a list: every order of feeding, taking, ending and damage.

The model is what was sent, as plain facts: at which byte each frame begins and ends, and at which byte
the stream is damaged, if it is. What the decoder may say follows from how many bytes it was fed.
"""

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.property.rich import RICH
from tests.property.strategies import frames

from spore.codec import Decoder, Frame, encode_frame
from spore.errors import Damage, DecodeError, UsageError


@attrs.frozen
class Sent:
    """A frame on its way, and the place in the stream behind it."""

    frame: Frame
    end: int


@attrs.frozen
class Wound:
    """Damage on its way: how it shows, where it lies, and how much must have arrived for it to show."""

    damage: Damage
    offset: int
    shows_at: int


class DecoderMachine(RuleBasedStateMachine):
    """A stream that is sent, cut, damaged and ended at will."""

    @initialize(largest=st.sampled_from([4_000, 16 * 1024 * 1024]))
    def open(self, largest: int) -> None:
        self.decoder = Decoder(registry=RICH, max_frame_size=largest)
        self.largest = largest
        self.stream = b""
        self.fed = 0
        self.coming: list[Sent] = []
        self.taken = 0
        self.wound: Wound | None = None
        self.ended = False
        self.error: DecodeError | None = None

    # What the other end does

    @precondition(lambda self: self.wound is None)
    @rule(frame=frames(RICH, most=2))
    def send(self, frame: Frame) -> None:
        """Another frame is on its way; one that is too large for this decoder is a wound."""
        start, encoded = len(self.stream), encode_frame(frame)
        self.stream += encoded
        if len(encoded) > self.largest:
            self.wound = Wound(Damage.SIZE, start + 24, start + 28)
        else:
            self.coming.append(Sent(frame, len(self.stream)))

    @precondition(lambda self: self.wound is None)
    @rule(frame=frames(RICH, most=1), how=st.sampled_from(["magic", "domain", "version", "flags", "size", "checksum"]))
    def damage(self, frame: Frame, how: str) -> None:
        """A frame is on its way that is wrong in one byte."""
        start, wrong = len(self.stream), bytearray(encode_frame(frame))
        end = start + len(wrong)
        at, value, damage, shows_at = {
            "magic": (2, 0, Damage.MAGIC, start + 3),
            "domain": (4, 9, Damage.DOMAIN, start + 5),
            "version": (5, 2, Damage.VERSION, start + 6),
            "flags": (7, 128, Damage.FLAGS, start + 8),
            "size": (27, 255, Damage.SIZE, start + 28),
            "checksum": (8, wrong[8] ^ 1, Damage.CHECKSUM, end),
        }[how]
        wrong[at] = value
        if how == "checksum" and len(wrong) > self.largest:
            damage, shows_at = Damage.SIZE, start + 28
        place = {Damage.MAGIC: 0, Damage.CHECKSUM: 28, Damage.SIZE: 24}.get(damage, at)
        self.wound = Wound(damage, start + place, shows_at)
        self.stream += bytes(wrong)

    # What this end does

    @rule(data=st.data())
    def feed(self, data: st.DataObject) -> None:
        """More of the stream arrives: a little, up to the end of a frame or all; an ended or closed decoder refuses."""
        there = len(self.stream) - self.fed
        few = st.sampled_from([0, 1, 2, 4, 5, 28, 31, 32, 33]).map(lambda size: min(size, there))
        size = data.draw(st.one_of(few, st.integers(0, there), st.just(there)))
        chunk = self.stream[self.fed : self.fed + size]
        if self.error is not None:
            self.raises_again(lambda: self.decoder.feed(chunk))
        elif self.ended:
            with pytest.raises(UsageError, match="has ended"):
                self.decoder.feed(chunk)
        else:
            self.decoder.feed(data.draw(st.sampled_from([bytes, bytearray, memoryview]))(chunk))
            self.fed += size

    @rule()
    def next_frame(self) -> None:
        """One frame is asked for."""
        if self.is_whole():
            assert self.decoder.next_frame() == self.coming[self.taken].frame
            self.taken += 1
        elif self.is_wrong():
            self.raises(self.decoder.next_frame)
        else:
            assert self.decoder.next_frame() is None

    @rule()
    def iterate(self) -> None:
        """All frames are asked for that are there; an error comes behind the last of them."""
        found: list[Frame] = []
        expected = [sent.frame for sent in self.coming[self.taken :] if sent.end <= self.fed]
        if self.error is not None:
            expected = []
        self.taken += len(expected)
        if self.is_wrong():
            self.raises(lambda: found.extend(self.decoder))
        else:
            found.extend(self.decoder)
        assert found == expected

    @rule()
    def end(self) -> None:
        """The stream is said to have ended; that is an error only if the next frame is cut or damaged."""
        self.ended = True
        if self.is_wrong():
            self.raises(self.decoder.end)
        else:
            self.decoder.end()

    # What the model knows

    def is_whole(self) -> bool:
        """Whether the next frame can be taken."""
        return self.error is None and self.taken < len(self.coming) and self.coming[self.taken].end <= self.fed

    def is_wrong(self) -> bool:
        """Whether there is an error to raise at this place of the stream."""
        return self.error is not None or (not self.is_whole() and (self.shows() or (self.ended and self.left() > 0)))

    def shows(self) -> bool:
        return self.wound is not None and self.taken == len(self.coming) and self.wound.shows_at <= self.fed

    def place(self) -> int:
        return self.coming[self.taken - 1].end if self.taken else 0

    def left(self) -> int:
        return self.fed - self.place()

    def raises(self, call: object) -> None:
        if self.error is not None:
            self.raises_again(call)
            return
        with pytest.raises(DecodeError) as caught:
            call()  # type: ignore[operator]
        self.error = caught.value
        found = (caught.value.damage, caught.value.offset)
        if self.wound is not None and self.shows():
            assert found == (self.wound.damage, self.wound.offset)
        else:
            assert found == (Damage.TRUNCATED, self.place())

    def raises_again(self, call: object) -> None:
        """A closed decoder raises the error that closed it, not another one that says the same."""
        with pytest.raises(DecodeError) as caught:
            call()  # type: ignore[operator]
        assert caught.value is self.error

    @invariant()
    def counts(self) -> None:
        assert self.decoder.offset == self.place()
        assert self.decoder.buffered == self.left()


TestDecoderMachine = DecoderMachine.TestCase
TestDecoderMachine.settings = settings(stateful_step_count=30)
