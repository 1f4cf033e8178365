"""An existing service that speaks TLV frames, as an actor: it gets the frames that a relay would have brought it.

Strategy: the service is not touched. Each message becomes one frame, numbered as a link numbers them; each frame that the service
returns becomes messages again. This costs what the wire costs: it is a way in, to be left once the service handles messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import attrs

import spore
from spore.errors import UsageError

__all__ = ["HandsOver", "RelayServiceAdapter", "TlvService"]


class TlvService(Protocol):
    """What the adapter needs of a service."""

    def process_tlv(self, frame: bytes) -> bytes | Iterable[bytes] | None:
        """Handle one frame; return the frames that answer it, if any: as one piece of bytes or several."""


@runtime_checkable
class HandsOver(Protocol):
    """What the adapter needs of a service as well, before it can be moved to another process or have a twin that begins later."""

    def snapshot(self) -> Any:
        """Its state, as JSON can say it. Of a service that remembers nothing: None."""

    def restore(self, state: Any) -> None:
        """Take over what `snapshot` has returned."""


@attrs.define
class RelayServiceAdapter(spore.Actor[Any]):
    """Runs a service that has `process_tlv`. Its answers go to ``out``, and the first one also answers an ask.

    TLVs in its answers that are not registered here cannot be told by reference; they are counted in `unknown`.
    """

    service: TlvService
    out: spore.ActorRef[Any] | None = None
    source: int = 0
    """What the frames' header says of who sent them."""
    unknown: int = attrs.field(default=0, init=False)
    _sequence: int = attrs.field(default=0, init=False)

    def handle(self, message: Any) -> Any:
        """Hand over a message, and send on the answers.

        Raises:
            EncodeError: if the message has no wire form.
            DecodeError: if an answer is not made of whole frames. What was answered before it has been sent.
            UsageError: if the service answers with something else than bytes.
        """
        self._sequence += 1
        frame = spore.codec.encode(
            message,
            sequence=self._sequence,
            timestamp_ns=getattr(message, "event_time_ns", 0),
            source=self.source,
        )
        answer = self.service.process_tlv(frame)
        if answer is None:
            return None
        pieces = (answer,) if isinstance(answer, (bytes, bytearray, memoryview)) else answer
        first = None
        for piece in pieces:
            for told in self._messages(piece):
                first = told if first is None else first
                if self.out is not None:
                    self.out.tell(told)
        return first

    def skipped(self) -> Mapping[str, int]:
        return {"TLV of an answer that is not registered here": self.unknown} if self.unknown else {}

    def snapshot(self) -> Any:
        """How far the adapter has counted, and what the service's own `snapshot` says.

        Raises:
            NotImplementedError: if the service has none: a successor in another process would begin without its state.
        """
        if not isinstance(self.service, HandsOver):
            name = type(self.service).__qualname__
            raise NotImplementedError(f"{name} has no snapshot and restore of its own, so its state would be lost")
        return {"sequence": self._sequence, "unknown": self.unknown, "service": self.service.snapshot()}

    def restore(self, state: Any) -> None:
        self._sequence, self.unknown = state["sequence"], state["unknown"]
        if isinstance(self.service, HandsOver):
            self.service.restore(state["service"])

    def _messages(self, piece: object) -> list[Any]:
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            what = f"process_tlv of {type(self.service).__qualname__} answered with {type(piece).__qualname__}"
            raise UsageError(f"{what}; frames are bytes")
        decoder = spore.codec.Decoder()
        decoder.feed(piece)
        items = [item for frame in decoder for item in frame.items]
        decoder.end()
        told = [item for item in items if not isinstance(item, spore.codec.UnknownTlv)]
        self.unknown += len(items) - len(told)
        return told
