"""What the old units of a switch hand over to the new ones: plain data that travels as JSON, exact because nothing is in hand.

Three things make up where an actor stands: its own state; how far it has come with each sender; and what it has sent that its
receiver has not handled. The first it gives in a snapshot. The second is a number for each link, and for an actor that merges a
time for each sender, so that its successor takes every message once and in the same order. The third is there only where a
receiver merges, and holds messages for others: it is sent again by the successor of the sender.
"""

from __future__ import annotations

import logging
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable
from typing import Any

import attrs

from spore.codec import Flags, UnknownTlv, decode, encode
from spore.deploy.spec import dump_plain
from spore.errors import ActorError, SporeError
from spore.nursery_bundle import ActorRef, ActorState, Bundle
from spore.nursery_bundle.envelope import Envelope, Receipt
from spore.nursery_bundle.local import LocalRef, patient
from spore.nursery_bundle.log import about
from spore.nursery_bundle.merge import FOREVER, Position
from spore.nursery_bundle.moving import Held
from spore.relay import Client
from spore.relay.control import Advance, Idle, control_frame, read_control
from spore.relay.outgoing import Outgoing
from spore.relay.session import LinkPosition

__all__ = ["Handover", "Merging", "UnderWay", "hand_over", "joined", "send_again", "send_frame"]

_log = logging.getLogger("spore.deploy")


@attrs.frozen(kw_only=True)
class Merging:
    """How far the senders of an actor that merges have come."""

    actor: str
    positions: tuple[Position, ...]


@attrs.frozen(kw_only=True)
class UnderWay:
    """What was sent, and not handled, and whose sender moves."""

    sender: str
    port: str
    receiver: str
    frames: tuple[str, ...]
    """Of the messages in order, base64."""
    client: int = 0
    """The link over which it went; 0 where it was passed by reference."""
    link: int = 0
    first: int = 0
    """The first frame's number on that link."""


@attrs.frozen(kw_only=True)
class Handover:
    """Where some actors stand."""

    states: dict[str, str] = attrs.field(factory=dict)
    """What `spore.Actor.snapshot` returned, by name, as JSON. Who is not in here begins anew."""
    links: tuple[LinkPosition, ...] = ()
    merging: tuple[Merging, ...] = ()
    under_way: tuple[UnderWay, ...] = ()
    refusal: str = ""
    """Why nothing can be handed over; empty where everything is."""

    def of(self, actors: Collection[str]) -> Handover:
        """The part that some of the actors take over."""
        return Handover(
            states={name: state for name, state in self.states.items() if name in actors},
            links=tuple(each for each in self.links if each.receiver in actors),
            merging=tuple(each for each in self.merging if each.actor in actors),
            under_way=tuple(each for each in self.under_way if each.sender in actors),
        )


def hand_over(bundle: Bundle, client: Client | None, actors: Iterable[str], *, cold: bool) -> Handover:
    """Where the actors of a unit stand that is quiet and takes nothing more.

    Args:
        bundle: where they are.
        client: their end of the relay.
        actors: those that give a snapshot.
        cold: one that cannot begins anew.
    """
    states = {}
    statistics = bundle.statistics().actors
    for name in actors:
        state = statistics[name].state if name in statistics else ActorState.STOPPED
        if state is not ActorState.RUNNING:
            return Handover(refusal=f"actor {name!r} is {state.value}, so there is no state that it could hand over")
        try:
            states[name] = dump_plain(bundle.snapshot(name))
        except Exception as error:  # noqa: BLE001 - whatever it is, the actor goes on
            if not (cold and isinstance(error, NotImplementedError)):
                return Handover(refusal=f"actor {name!r} gives no snapshot that can travel: {_said(error)}")
    session = client.session if client is not None else None
    sent = (
        (under_way_by_link(session.client, link) for link in session.outgoing.values()) if session is not None else ()
    )
    return Handover(
        states=states,
        links=tuple(each for name in statistics for each in session.positions(name)) if session is not None else (),
        merging=tuple(
            Merging(actor=name, positions=positions)
            for name in statistics
            if (positions := bundle.moving.positions(name))
        ),
        under_way=(
            *(each for each in sent if each is not None),
            *(under_way_by_reference(held) for held in bundle.moving.held()),
        ),
    )


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, SporeError) else f"{type(error).__name__}: {error}"


def joined(parts: Iterable[Handover]) -> Handover:
    """All parts as one. What a receiver in one of them has handled is not under way, though its sender in another did not know."""
    parts = tuple(parts)
    handled = {(each.client, each.link, each.receiver): each.handled for part in parts for each in part.links}
    left = []
    for each in (each for part in parts for each in part.under_way):
        known = handled.get((each.client, each.link, each.receiver), 0)
        if frames := each.frames[max(0, known - each.first + 1) if known else 0 :]:
            left.append(attrs.evolve(each, frames=frames))
    return Handover(
        states={name: state for part in parts for name, state in part.states.items()},
        links=tuple(each for part in parts for each in part.links),
        merging=tuple(each for part in parts for each in part.merging),
        under_way=tuple(left),
    )


def under_way_by_link(client: int, link: Outgoing) -> UnderWay | None:
    """What a receiver has not acknowledged, as far as the sender knows."""
    entries = link.unacknowledged()
    if not entries:
        return None
    return UnderWay(
        sender=link.sender,
        port=link.port,
        receiver=link.name,
        frames=tuple(b64encode(frame).decode() for _, frame, _ in entries),
        client=client,
        link=link.channel,
        first=entries[0][0],
    )


def under_way_by_reference(held: Held) -> UnderWay:
    """What a merge holds of a sender in its own bundle, and how far that sender says that it is."""
    frames = [
        encode(message, sequence=0, timestamp_ns=0, flags=Flags.HIGH_PRIORITY if high else Flags.NONE)
        for message, high in held.messages
    ]
    frames.append(control_frame(Idle() if held.past_ns >= FOREVER else Advance(held.past_ns)))
    return UnderWay(
        sender=held.sender,
        port=held.port,
        receiver=held.receiver,
        frames=tuple(b64encode(frame).decode() for frame in frames),
    )


def send_again(under_way: UnderWay, ref: ActorRef[Any]) -> None:
    """Send what was under way, in order, without waiting for room: it had its room."""
    for text in under_way.frames:
        send_frame(b64decode(text), ref)


def send_frame(frame: bytes, ref: ActorRef[Any], ask: Receipt | None = None) -> None:
    """The same of one frame.

    Args:
        frame: of a message, or of what stands between the messages of a link.
        ref: where it goes.
        ask: where the answer goes, if somebody waits for one. The receiver is in this process then.
    """
    read = decode(frame)
    item = read.items[0]
    if type(item) is UnknownTlv:
        item = read_control(item)
    high = Flags.HIGH_PRIORITY in read.flags
    try:
        with patient(ref):
            match item:
                case Advance():
                    ref.advance(item.event_time_ns)
                case Idle():
                    ref.idle()
                case _ if ask is not None and isinstance(ref, LocalRef):
                    ref.enclosed(Envelope(item, reply=ask), high)
                case _:
                    ref.tell(item, high)
    except ActorError as error:  # whoever sent it has gone on long ago; it is counted at the actor
        fields = about(actor=ref.name, message_type=type(item).__name__)
        _log.warning("%s: what was sent while it moved was not taken: %s", ref.name, error, extra=fields)
