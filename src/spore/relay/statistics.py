"""What can be known of a client of the relay: exact counts of both ends of its links, lost connections included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import attrs

from spore.errors import LinkDenied
from spore.nursery_bundle.policy import Loss
from spore.relay.incoming import Incoming, IncomingCounts
from spore.relay.outgoing import Outgoing

__all__ = [
    "ClientStatistics",
    "IncomingStatistics",
    "OutgoingStatistics",
    "joined",
    "of_incoming",
    "of_outgoing",
    "refusals",
]


@attrs.frozen
class OutgoingStatistics:
    """What one sender of this client sent to one actor, to several, or to a topic."""

    sender: str
    """The sender's name, or ``outside``."""
    port: str
    """The field of the sender that holds the reference; empty for ``outside``."""
    receiver: str
    """Names of actors, or the topic."""
    high: bool
    """Whether it is the link for messages of high priority."""
    sent: int
    """Messages accepted, or given up by the receiver's overflow policy."""
    outstanding: int
    """Accepted, and not acknowledged yet: they wait here, or are under way, or in the receiver's mailbox."""
    window: int
    """So many of them may be under way."""
    frames: int
    """Frames written, those written again included."""
    bytes: int
    resent: int
    """Written again after a lost connection or a gap."""
    redelivered: int
    """Written again, with the mark, to the successor of a receiver that has died."""
    unheard: int
    """Published to a topic that nobody had subscribed."""
    lost: Mapping[Loss, int]
    """Given up here by the receiver's overflow policy, by reason."""
    denied: str
    """Why the link takes nothing more; empty while it does."""


@attrs.frozen
class IncomingStatistics:
    """What came from one sender of another client to one actor of this one. ``received = handled + waiting``."""

    client: str
    """The sender's client."""
    sender: str
    port: str
    receiver: str
    high: bool
    received: int
    """Messages taken, each once."""
    waiting: int
    """Of these not yet handled, nor counted as lost at the actor."""
    redelivered: int
    """Came with the mark: a predecessor of this process had got them, died, and may have handled them."""
    duplicates: int
    """Came again, and were dropped."""
    gaps: int
    """How often something was missing and was asked for again."""


@attrs.frozen
class ClientStatistics:
    """A moment's view of a client."""

    name: str
    connected: bool
    reconnects: int
    """Connections that were lost."""
    damaged: int
    """Frames that could not be read."""
    denied: tuple[str, ...]
    """Why links to this client were refused, by it or because the two ends' messages differ; the last hundred, each once. With them why
    it does not have the names of some of its receivers now."""
    outgoing: tuple[OutgoingStatistics, ...]
    incoming: tuple[IncomingStatistics, ...]
    """The links whose senders have not left."""
    received: int
    """Over all links that there ever were, like those that follow."""
    redelivered: int
    duplicates: int
    gaps: int
    unread: Mapping[str, int] = attrs.field(factory=dict)
    """Frames of plain senders that could not be read, by reason: each was left out, and has given back its place."""
    token: int = 0
    """Which of its tokens the relay has taken: 1 for the first; 0 for none."""
    refused: tuple[str, ...] = ()
    """The links from this client of which the other end takes nothing, each with why, and with how much it has not handled."""


def joined(name: str, clients: Iterable[ClientStatistics]) -> ClientStatistics | None:
    """The clients of one process as one; None where it has none."""
    every = tuple(clients)
    if len(every) < 2:
        return every[0] if every else None
    return ClientStatistics(
        name=name,
        connected=all(each.connected for each in every),
        reconnects=sum(each.reconnects for each in every),
        damaged=sum(each.damaged for each in every),
        denied=tuple(denial for each in every for denial in each.denied),
        refused=tuple(refusal for each in every for refusal in each.refused),
        outgoing=tuple(link for each in every for link in each.outgoing),
        incoming=tuple(link for each in every for link in each.incoming),
        received=sum(each.received for each in every),
        redelivered=sum(each.redelivered for each in every),
        duplicates=sum(each.duplicates for each in every),
        gaps=sum(each.gaps for each in every),
        unread=dict(sum((Counter(each.unread) for each in every), Counter())),
        token=max(each.token for each in every),
    )


def of_outgoing(link: Outgoing) -> OutgoingStatistics:
    """The sender's view of a link."""
    counts = link.counts
    return OutgoingStatistics(
        sender=link.sender,
        port=link.port,
        receiver=link.name,
        high=link.high,
        sent=counts.sent,
        outstanding=link.owed,
        window=link.window,
        frames=counts.frames,
        bytes=counts.bytes,
        resent=counts.resent,
        redelivered=counts.redelivered,
        unheard=counts.unheard,
        lost=dict(counts.lost),
        denied=str(link.denied) if link.denied is not None else "; ".join(link.refused.values()),
    )


def refusals(links: Iterable[Outgoing]) -> tuple[str, ...]:
    """Which links take nothing, and why. That an actor has stopped is no refusal: what it has left is `OutgoingStatistics.outstanding`."""
    return tuple(refusal for link in links for refusal in _refusals(link))


def _refusals(link: Outgoing) -> Iterator[str]:
    sender = f"{link.sender}.{link.port}" if link.port else link.sender
    yield from (f"{sender} → {receiver} of topic {link.topic!r}: {text}" for receiver, text in link.refused.items())
    if isinstance(link.denied, LinkDenied):
        yield f"{sender} → {link.name}: {(link.unhandled or link.denied).reason}"


def of_incoming(link: Incoming) -> IncomingStatistics:
    """The receiver's view of a link."""
    counts: IncomingCounts = link.counts
    return IncomingStatistics(
        client=link.client_name,
        sender=link.sender,
        port=link.port,
        receiver=link.receiver,
        high=link.high,
        received=counts.received,
        waiting=link.unhandled,
        redelivered=counts.redelivered,
        duplicates=counts.duplicates,
        gaps=counts.gaps,
    )
