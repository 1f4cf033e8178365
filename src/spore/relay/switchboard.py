"""The relay's side of all connections, sans-IO: who has which receivers, who has opened which links, and what goes where.

It remembers nothing that its clients could not tell again: after a restart they come back, say what they have, and
senders go on from where their receivers stand. It looks at headers, and at control messages, never at a message.

Invariants:
- bytes of a link go to a receiver only after a `Begin` for it has passed, so that none overtakes it;
- what is queued for a connection is bounded by the windows of the links to it, and by `HIGH_WATER` for those who do not
  keep to windows: they are not read while it is exceeded;
- where there is a token, nothing that a connection sends goes any further, and nothing is remembered of it, before it has shown one;
- whatever a connection takes has a limit, for itself and for all together: time, bytes that wait for the end of their frame, bytes
  that wait to be written, and places (channels, receivers, topics, members of links).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol
from zlib import crc32

import attrs

from spore.codec import HEADER_SIZE, MAX_FRAME_SIZE
from spore.codec.header import SUMMED_SIZE
from spore.errors import Damage, DecodeError, RelayRefused
from spore.message import Domain, Schema
from spore.relay.control import (
    ANNOUNCED,
    PROTOCOL,
    STREAM,
    Accept,
    Ack,
    Announce,
    AnotherProtocol,
    Attach,
    Begin,
    Bye,
    Close,
    Deny,
    Detach,
    Gone,
    Heartbeat,
    Hello,
    Open,
    Position,
    Reason,
    Refused,
    Resend,
    Route,
    Welcome,
    control_frame,
    control_of,
)
from spore.relay.framing import FrameSplitter
from spore.relay.peer import FIRST_FRAME, HIGH_WATER, Limits, Link, Member, Peer
from spore.relay.session import DEFAULT_HEARTBEAT_S, SILENT_BEATS
from spore.relay.token import Tokens, as_tokens, matching

__all__ = ["Keeper", "Switchboard"]

GREETING_S = 10.0
"""At most so long a connection may take for its first frame."""
FRAME_S = 60.0
"""At most so long a frame may take from its first byte to its last one."""
ACCEPT_S = 120.0
"""At most so long a subscriber may leave open whether it takes frames of a plain sender, who is not read meanwhile."""
MAX_HEARTBEAT_S = 3_600
OVERRUN = 4 * HIGH_WATER
"""Bytes queued for one connection beyond which it is given up, whatever they are."""
_NO_TOKEN = "this relay asks for a token, and Hello shows it; ask whoever runs the relay"  # noqa: S105 - no token
_NO_JOURNAL = "this relay keeps no journal; start it with --journal DIR"
DOMAIN_TOPICS = {int(domain): domain.label for domain in Domain}
"""The topic to which a frame belongs that comes without a link, by the domain in its header."""


class Keeper(Protocol):
    """Whoever keeps streams: the relay's journal."""

    def wanted(self, stream: str) -> str | None:
        """Somebody sends to a stream; return why that cannot be, if it cannot."""
        ...

    def subscribed(self, stream: str, receiver: str) -> None:
        """A receiver wants what is kept of a stream, and what follows."""
        ...

    def left(self, stream: str, receiver: str) -> None:
        """It never will again."""
        ...

    def vanished(self, subscribers: list[tuple[str, str]]) -> None:
        """The connection of a process is lost, without a word of farewell: the streams and the receivers that it had subscribed."""
        ...


@attrs.define
class RelayCounts:
    """What has gone through the relay."""

    frames: int = 0
    """Frames of messages that came in."""
    bytes: int = 0
    unheard: int = 0
    """Frames that came without a link, and to whose topic nobody has subscribed."""
    refused: int = 0
    """Connections."""
    names: int = 0
    """Receivers that were not attached, because another client that is alive has the name."""


class Switchboard:
    """All connections of one relay.

    Args:
        token: what a client has to know; two while one replaces the other, the one that is to stay first; None to ask for nothing.
        heartbeat_s: say something to each client at least this often, in seconds.
        limits: what one client may make the relay remember.
    """

    def __init__(
        self, *, token: Tokens = None, heartbeat_s: float = DEFAULT_HEARTBEAT_S, limits: Limits | None = None
    ) -> None:
        self.relay = random.SystemRandom().getrandbits(63) | 1
        self.counts = RelayCounts()
        self.peers: dict[int, Peer] = {}
        self.touched: dict[Peer, None] = {}
        """Those for whom something was queued, or who are to be closed, since the caller last cleared it."""
        self.notice: Callable[[Peer, str, str], None] = _nothing
        """Told what an operator should know: of whom, the reason in a word, and a line."""
        self.unfinished = 0
        """Bytes of frames that have begun and not ended, of all connections."""
        self.places = 0
        """See `Limits.places`."""
        self._now_s = 0.0
        self._unaccepted: dict[Member, float] = {}
        """Subscribers that have not said yet whether they take what a plain sender sends, and since when."""
        self._tokens = as_tokens(token)
        self.heartbeat_s = heartbeat_s
        self.keeper: Keeper | None = None
        self._limits = limits or Limits()
        self._numbers = 0
        self._clients: dict[int, Peer] = {}
        self._receivers: dict[str, Peer] = {}
        self._links_to: dict[str, dict[Link, None]] = {}
        """The links to each actor, whether it is there or not."""
        self._topics: dict[str, dict[str, Peer]] = {}
        """Subscribers by topic."""
        self._links_on: dict[str, dict[Link, None]] = {}

    # Connections

    def connect(self, now_s: float, origin: str = "") -> Peer:
        """A new connection, of which nothing is known.

        Args:
            now_s: by the clock that `receive` and `on_time` are told, too.
            origin: where it comes from, for the log.
        """
        self._numbers += 1
        peer = self.peers[self._numbers] = Peer(self._numbers, now_s, self._limits, origin)
        if self._tokens:
            peer.splitter.max_frame_size = min(FIRST_FRAME, self._limits.frame_size)
        return peer

    def showing(self, token: int) -> list[str]:
        """The names of the clients that are connected and have shown this token: 1 for the one that is to stay, 2 for the other."""
        return [peer.name for peer in self._clients.values() if peer.token == token]

    def hello_of(self, client: int) -> Hello | None:
        """How a client that is connected has introduced itself."""
        peer = self._clients.get(client)
        return peer.hello if peer is not None else None

    def receive(self, peer: Peer, data: bytes, now_s: float) -> None:
        """Bytes have come over a connection. What goes out in consequence is queued; see `touched`."""
        if peer.closing:
            return
        self._now_s = now_s
        splitter = peer.splitter
        try:
            splitter.feed(data)
            for start, end, count, kind in splitter.runs(each=peer.hello is None):
                peer.heard_at = now_s  # only now: a frame that does not come to its end is silence, too
                peer.begun_at = None
                run = splitter.data[start:end]
                if kind:
                    self._control(peer, control_of(run))
                elif peer.hello is None:
                    self._plain(peer, run)
                else:
                    self._forward(peer, run, count)
                if peer.closing:
                    return
            unfinished = splitter.buffered
            if unfinished or peer.unfinished:
                self._keep(peer, unfinished)
        except AnotherProtocol as error:
            self.refuse(peer, Reason.PROTOCOL, f"{error}")
        except DecodeError as error:
            self.refuse(peer, self._blame(peer, error), f"{error}")
        except RelayRefused as refused:
            self.refuse(peer, Reason[refused.reason.upper()], refused.text)

    def _blame(self, peer: Peer, error: DecodeError) -> Reason:
        """Larger than any frame is damage, and coming again helps; only what is larger than this relay allows may be meant."""
        size = peer.splitter.begun
        if error.damage is not Damage.SIZE or size > MAX_FRAME_SIZE:
            return Reason.DAMAGE
        return Reason.TOKEN if size <= self._limits.frame_size else Reason.LIMIT

    def _keep(self, peer: Peer, size: int) -> None:
        """So many bytes of a connection wait for the end of their frame. Where all have too many, the one with the most is given up."""
        self.unfinished += size - peer.unfinished
        peer.unfinished = size
        if not size:
            peer.begun_at = None
        elif peer.begun_at is None:
            peer.begun_at = self._now_s
        if self.unfinished > self._limits.unfinished_plain:
            strangers = [each for each in self.peers.values() if each.hello is None and each.unfinished]
            self._bound(strangers, self._limits.unfinished_plain)
            self._bound([each for each in self.peers.values() if each.unfinished], self._limits.unfinished)

    def _bound(self, peers: list[Peer], most: int) -> None:
        while (total := sum(each.unfinished for each in peers)) > most:
            largest = max(peers, key=lambda each: each.unfinished)
            text = f"{total:,} bytes wait for the ends of their frames, {most:,} is the most, and {largest.unfinished:,} are of this one"
            self.refuse(largest, Reason.SILENCE, text)

    def disconnect(self, peer: Peer) -> None:
        """A connection is lost."""
        if self.peers.pop(peer.number, None) is not None:
            self._forget(peer)
        self._let_go(peer)
        peer.out.clear()
        peer.out_bytes = 0

    def _forget(self, peer: Peer) -> None:
        peer.closing = True
        if self._clients.get(peer.client) is peer:
            del self._clients[peer.client]
            if peer.token == 2 and not self.showing(2):
                self.notice(
                    peer, "token", f"{peer.title} is gone: no client that is connected has shown the second token"
                )
        subscribed = [
            (topic, name) for name, topics in peer.receivers.items() for topic in topics if topic.startswith(STREAM)
        ]
        if subscribed and self.keeper is not None:
            self.keeper.vanished(subscribed)
        for link in list(peer.channels.values()):
            self._drop_link(link, close=False)
        for name in list(peer.receivers):
            self._detach(peer, name, leave=False)

    def refuse(self, peer: Peer, reason: Reason, text: str) -> None:
        """Tell a client why not, and close its connection."""
        self.counts.refused += 1
        peer.refused = RelayRefused(reason.name.lower(), text)
        peer.closing = True
        if not peer.plain:
            self._say(peer, Refused(reason, text[:1_000]))
        self._let_go(peer)
        self.touched[peer] = None

    def _let_go(self, peer: Peer) -> None:
        """Keep nothing of what has come over a connection that is about to be closed."""
        self.unfinished -= peer.unfinished
        peer.unfinished = 0
        peer.begun_at = None
        peer.splitter = FrameSplitter(0)

    def on_time(self, now_s: float) -> None:
        """Look at the clock: say something to those who have heard nothing, give up those who say nothing."""
        self._now_s = now_s
        for peer in list(self.peers.values()):
            if peer.closing or peer.deliver is not None:
                continue
            if not peer.held and (reason := self._overdue(peer, now_s)):
                self.refuse(peer, Reason.SILENCE, reason)
            elif peer.hello is not None and now_s - peer.spoke_at >= self.heartbeat_s:
                peer.spoke_at = now_s
                self._say(peer, Heartbeat())
        for member, since_s in list(self._unaccepted.items()):
            if now_s - since_s > ACCEPT_S and not member.peer.closing:
                text = f"{member.receiver!r} was announced frames {now_s - since_s:.1f} s ago, and has not said whether it takes them"
                self.refuse(member.peer, Reason.SILENCE, text)

    def _overdue(self, peer: Peer, now_s: float) -> str:
        """What a connection should have said by now; empty if there is nothing."""
        patience_s = self.heartbeat_s * SILENT_BEATS
        if peer.hello is not None:
            patience_s = max(peer.hello.heartbeat_ms / 1_000, self.heartbeat_s) * SILENT_BEATS
        elif not peer.plain:
            patience_s = min(patience_s, GREETING_S)
        if not peer.plain and now_s - peer.heard_at > patience_s:
            return f"nothing was heard for {now_s - peer.heard_at:.1f} s"
        if peer.begun_at is not None and now_s - peer.begun_at > min(patience_s, FRAME_S):
            return f"a frame has not come to its end for {now_s - peer.begun_at:.1f} s; {peer.unfinished:,} bytes of it are there"
        return ""

    # What goes through

    def _forward(self, peer: Peer, run: bytes, count: int) -> None:
        """Pass frames on as they are, to wherever the frames from this connection go now."""
        self.counts.frames += count
        self.counts.bytes += len(run)
        route = peer.route
        if type(route) is Link:
            for member in route.members.values():
                if member.begun:
                    self._pass_on(member.peer, member.channel, run)
                    if route.plain:  # whose frames come one by one
                        member.passed_on(len(run))
        elif type(route) is tuple:  # answers, on their way back
            link, _ = route
            self._pass_on(link.peer, link.opening.channel, run)

    def _pass_on(self, peer: Peer, channel: int, run: bytes) -> None:
        if peer.sending_over != channel:
            peer.sending_over = channel
            self._say(peer, Route(channel))
        peer.out.append(run)
        peer.out_bytes += len(run)
        self.touched[peer] = None

    def _plain(self, peer: Peer, frame: bytes) -> None:
        """A frame from somebody who has not introduced himself: publish it in its domain, if nobody is asked for a token."""
        if self._tokens and peer.deliver is None:
            if not _may_be_meant(frame):
                raise DecodeError(Damage.CHECKSUM, "the checksum is wrong", offset=SUMMED_SIZE)
            raise RelayRefused("token", f"a frame of {DOMAIN_TOPICS[frame[4]]} without Hello: {_NO_TOKEN}")
        peer.plain = True
        domain = frame[4]
        topic = DOMAIN_TOPICS[domain]
        link = peer.channels.get(domain)
        if link is None:
            opening = Open(domain, peer.name, "", False, (), topic)
            self._take_places(1)
            link = peer.channels[domain] = Link(peer, opening, plain=True)
            self._links_on.setdefault(topic, {})[link] = None
            for name, subscriber in self._topics.get(topic, {}).items():
                self._announce(link, name, subscriber)
        peer.route = link
        if not any(member.begun for member in link.members.values()):
            self.counts.unheard += 1
        self._forward(peer, frame, 1)

    # What is said

    def _control(self, peer: Peer, control: object) -> None:
        if peer.hello is None and type(control) is not Hello:
            if self._tokens and peer.deliver is None:
                raise RelayRefused("token", f"{type(control).__name__} before Hello: {_NO_TOKEN}")
            raise RelayRefused("damage", f"{type(control).__name__} before Hello")
        handler = _HANDLERS.get(type(control))
        if handler is None:
            raise RelayRefused("damage", f"a client does not say {type(control).__name__}")
        handler(self, peer, control)

    def _hello(self, peer: Peer, hello: Hello) -> None:
        if hello.protocol != PROTOCOL:
            raise RelayRefused("protocol", f"you speak protocol {hello.protocol}, and this relay speaks {PROTOCOL}")
        token = matching(self._tokens, hello.token) if peer.deliver is None else 0
        if self._tokens and peer.deliver is None and not token:
            raise RelayRefused("token", "the token is wrong; ask whoever runs the relay")
        if peer.hello is not None or peer.plain or not hello.client:
            raise RelayRefused("damage", "Hello comes first, and once")
        self._check_name(hello.name)
        if hello.heartbeat_ms > MAX_HEARTBEAT_S * 1_000:
            raise RelayRefused("limit", f"a heartbeat every {hello.heartbeat_ms} ms; {MAX_HEARTBEAT_S:,} s is the most")
        if len(hello.schema) > self._limits.messages:
            raise RelayRefused("limit", f"{len(hello.schema):,} messages, and {self._limits.messages:,} is the most")
        if _schema(hello).digest != hello.digest.hex():
            raise RelayRefused("damage", "the digest of the schema is not that of its messages")
        older = self._clients.get(hello.client)
        if older is not None:
            self._forget(older)
            self.refuse(older, Reason.REPLACED, "the same client has come again")
        peer.hello, peer.client, peer.name = hello, hello.client, hello.name
        peer.token = token
        peer.splitter.max_frame_size = self._limits.frame_size
        self._clients[peer.client] = peer
        if token > 1:
            self.notice(
                peer, "token", f"{peer.title} has shown the second token; give it the first one, which is to stay"
            )
        self._say(peer, Welcome(PROTOCOL, self.relay, round(self.heartbeat_s * 1_000)))

    def _check_name(self, name: str) -> None:
        if not name or len(name.encode()) > self._limits.names:
            raise RelayRefused("limit", f"a name of {len(name.encode())} bytes; 1 to {self._limits.names} are allowed")

    def _check_length(self, name: str) -> None:
        if len(name) > self._limits.names or len(name.encode()) > self._limits.names:
            raise RelayRefused("limit", f"a name of {len(name.encode())} bytes, and {self._limits.names} is the most")

    def _bye(self, peer: Peer, _: Bye) -> None:
        for link in list(peer.channels.values()):
            self._drop_link(link, close=True)
        for name in list(peer.receivers):
            self._detach(peer, name, leave=True)
        peer.closing = True
        self.touched[peer] = None

    def _heartbeat(self, peer: Peer, _: Heartbeat) -> None:
        pass

    def _attach(self, peer: Peer, attach: Attach) -> None:
        name = attach.receiver
        for each in (name, *attach.topics):
            self._check_name(each)
        if len(set(attach.topics)) < len(attach.topics):
            raise RelayRefused("damage", f"receiver {name!r} names a topic twice")
        if len(peer.receivers) >= self._limits.receivers:
            raise RelayRefused("limit", f"more than {self._limits.receivers:,} receivers")
        holder = self._receivers.get(name)
        if holder is peer:
            raise RelayRefused("damage", f"receiver {name!r} is attached already")
        if name.startswith(STREAM) and peer.deliver is None:
            self._deny_name(peer, name, f"{name!r} is a stream of the relay's journal; subscribe it as a topic")
            return
        if holder is not None:
            self._deny_name(peer, name, f"receiver {name!r} belongs to client {holder.name!r}, which is alive")
            return
        self._add_routes(peer, len(attach.topics))
        self._receivers[name] = peer
        peer.receivers[name] = attach.topics
        for link in self._links_to.get(name, {}):
            self._announce(link, name, peer)
        for topic in attach.topics:
            self._topics.setdefault(topic, {})[name] = peer
            for link in self._links_on.get(topic, {}):
                self._announce(link, name, peer)
            if topic.startswith(STREAM):
                self._subscribe(peer, name, topic)

    def _deny_name(self, peer: Peer, name: str, text: str) -> None:
        """A client cannot have this name now. Whatever else it has goes on, and it may ask again."""
        self.counts.names += 1
        self._say(peer, Deny(peer.next_channel, name, Reason.NAME, text))
        peer.next_channel += 1

    def _take_places(self, count: int) -> None:
        self.places += count
        if self.places > self._limits.places:
            self.places -= count
            raise RelayRefused(
                "limit", f"all clients together have {self._limits.places:,} channels, receivers and topics already"
            )

    def _subscribe(self, peer: Peer, name: str, stream: str) -> None:
        if self.keeper is not None:
            self.keeper.subscribed(stream, name)
        else:
            self._say(peer, Deny(peer.next_channel, name, Reason.JOURNAL, f"{stream!r}: {_NO_JOURNAL}"))
            peer.next_channel += 1

    def _add_routes(self, peer: Peer, count: int) -> None:
        if peer.routes + count > self._limits.routes:
            raise RelayRefused("limit", f"more than {self._limits.routes:,} receivers of links, and topics")
        self._take_places(1 + count)
        peer.routes += count

    def _detached(self, peer: Peer, detach: Detach) -> None:
        if detach.receiver in peer.receivers:
            keeper = self.keeper if detach.leave else None
            for topic in peer.receivers[detach.receiver]:
                if keeper is not None and topic.startswith(STREAM):
                    keeper.left(topic, detach.receiver)
            self._detach(peer, detach.receiver, leave=detach.leave)
        self._say(peer, detach)

    def _detach(self, peer: Peer, name: str, *, leave: bool) -> None:
        topics = peer.receivers.pop(name)
        del self._receivers[name]
        peer.routes -= len(topics)
        self.places -= 1 + len(topics)
        for topic in topics:
            subscribers = self._topics[topic]
            del subscribers[name]
            if not subscribers:
                del self._topics[topic]
        for link, member in list(peer.announced.values()):
            if member.receiver == name:
                self._part(link, member)
                if not link.plain:
                    self._say(link.peer, Gone(link.opening.channel, member.index, leave))

    def _part(self, link: Link, member: Member) -> None:
        """A link does not lead to a receiver any more. A plain sender gets back all places that its frames took there."""
        self.places -= 1
        self._unaccepted.pop(member, None)
        del link.members[member.receiver]
        del member.peer.announced[member.channel]
        if isinstance(member.peer.route, tuple) and member.peer.route[1] is member:
            member.peer.route = None

    def _open(self, peer: Peer, opening: Open) -> None:
        if len(peer.channels) >= self._limits.channels:
            raise RelayRefused("limit", f"more than {self._limits.channels:,} channels")
        if not 0 < opening.channel < ANNOUNCED or opening.channel in peer.channels:
            raise RelayRefused("damage", f"channel {opening.channel} cannot be opened")
        if bool(opening.topic) == bool(opening.receivers):
            raise RelayRefused("damage", "a link leads to actors or to a topic")
        if len(set(opening.receivers)) < len(opening.receivers):
            raise RelayRefused("damage", "a link leads to each actor once")
        for name in opening.receivers or (opening.topic,):
            self._check_name(name)
        for name in (opening.sender, opening.port):
            self._check_length(name)
        self._add_routes(peer, len(opening.receivers))
        link = peer.channels[opening.channel] = Link(peer, opening)
        if opening.topic:
            self._links_on.setdefault(opening.topic, {})[link] = None
            for name, subscriber in self._topics.get(opening.topic, {}).items():
                self._announce(link, name, subscriber)
        for name in opening.receivers:
            self._links_to.setdefault(name, {})[link] = None
            if (receiver := self._receivers.get(name)) is not None:
                self._announce(link, name, receiver)
            elif name.startswith(STREAM):
                refusal = self.keeper.wanted(name) if self.keeper is not None else _NO_JOURNAL
                if refusal is not None:
                    self._say(peer, Deny(opening.channel, name, Reason.JOURNAL, refusal))

    def _announce(self, link: Link, name: str, receiver: Peer) -> None:
        difference = _difference(link.peer, receiver)
        if difference:
            self._say(link.peer, Deny(link.opening.channel, name, Reason.SCHEMA, difference))
            self._say(receiver, Deny(receiver.next_channel, name, Reason.SCHEMA, _difference(receiver, link.peer)))
            receiver.next_channel += 1
            return
        if len(receiver.announced) >= self._limits.routes:
            raise RelayRefused("limit", f"more than {self._limits.routes:,} links to client {receiver.name!r}")
        self._take_places(1)
        # What a plain sender says is numbered where it arrives, so that nobody has to say where to begin.
        member = Member(receiver, name, receiver.next_channel, link.next_index, begun=link.plain)
        receiver.next_channel += 1
        link.next_index += 1
        link.members[name] = member
        receiver.announced[member.channel] = (link, member)
        if link.plain:
            self._unaccepted[member] = self._now_s
        opening = link.opening
        self._say(
            receiver,
            Announce(
                member.channel,
                link.peer.client,
                opening.channel,
                link.peer.name,
                opening.sender,
                opening.port,
                opening.high,
                name,
            ),
        )

    def _close(self, peer: Peer, close: Close) -> None:
        link = peer.channels.get(close.channel)
        if link is not None:
            self._drop_link(link, close=True)

    def _drop_link(self, link: Link, *, close: bool) -> None:
        peer = link.peer
        if peer.channels.pop(link.opening.channel, None) is not None:
            peer.routes -= len(link.opening.receivers)
            self.places -= 1 + len(link.opening.receivers)
        if peer.route is link:
            peer.route = None
        for index, key in (
            (self._links_on, link.opening.topic),
            *((self._links_to, n) for n in link.opening.receivers),
        ):
            links = index.get(key)
            if links is not None:
                links.pop(link, None)
                if not links:
                    del index[key]
        over = close or link.plain
        for member in list(link.members.values()):
            self._part(link, member)
            self._say(member.peer, Close(member.channel) if over else Gone(member.channel, 0, False))

    def _route(self, peer: Peer, route: Route) -> None:
        peer.route = (
            peer.announced.get(route.channel) if route.channel >= ANNOUNCED else peer.channels.get(route.channel)
        )

    def _accept(self, peer: Peer, accept: Accept) -> None:
        found = peer.announced.get(accept.channel)
        if found is None:
            return
        link, member = found
        if link.plain:
            member.window = max(1, accept.window)
            self._unaccepted.pop(member, None)
            self.touched[link.peer] = None
        else:
            self._say(
                link.peer,
                Accept(
                    link.opening.channel,
                    member.index,
                    member.receiver,
                    accept.incarnation,
                    accept.known,
                    accept.received,
                    accept.handled,
                    accept.window,
                    accept.policy,
                ),
            )

    def _begin(self, peer: Peer, begin: Begin) -> None:
        link = peer.channels.get(begin.channel)
        for member in link.members.values() if link is not None else ():
            if member.index == begin.member:
                member.begun = True
                self._say(member.peer, Begin(member.channel, 0, begin.sequence, begin.unanswered))

    def _position(self, peer: Peer, position: Position) -> None:
        link = peer.channels.get(position.channel)
        for member in link.members.values() if link is not None else ():
            if member.begun:
                self._say(member.peer, Position(member.channel, position.sent))

    def _ack(self, peer: Peer, ack: Ack) -> None:
        found = peer.announced.get(ack.channel)
        if found is not None:
            link, member = found
            if link.plain:
                member.acked(ack.handled)
                self.touched[link.peer] = None
            else:
                self._say(link.peer, Ack(link.opening.channel, member.index, ack.handled))

    def _resend(self, peer: Peer, resend: Resend) -> None:
        found = peer.announced.get(resend.channel)
        if found is not None and not found[0].plain:
            link, member = found
            self._say(link.peer, Resend(link.opening.channel, member.index, resend.after))

    def _denied(self, peer: Peer, deny: Deny) -> None:
        found = peer.announced.get(deny.channel)
        if found is not None:
            link, member = found
            self._part(link, member)
            if not link.plain:
                self._say(link.peer, Deny(link.opening.channel, member.receiver, deny.reason, deny.text))

    def _say(self, peer: Peer, control: object) -> None:
        frame = control_frame(control)
        if peer.out_bytes > OVERRUN and not peer.closing and peer.deliver is None:
            self._overrun(peer)
        peer.out.append(frame)
        peer.out_bytes += len(frame)
        self.touched[peer] = None

    def _overrun(self, peer: Peer) -> None:
        """So much waits for a connection that it can only be given up. Its client comes again, and nothing of a link is lost."""
        text = f"{peer.out_bytes:,} bytes wait to be written to it, and {OVERRUN:,} is the most"
        peer.out_bytes -= sum(map(len, peer.out))
        peer.out.clear()
        self.refuse(peer, Reason.SILENCE, text)


_HANDLERS: dict[type, Callable[[Any, Any, Any], None]] = {
    Hello: Switchboard._hello,
    Bye: Switchboard._bye,
    Heartbeat: Switchboard._heartbeat,
    Attach: Switchboard._attach,
    Detach: Switchboard._detached,
    Open: Switchboard._open,
    Close: Switchboard._close,
    Route: Switchboard._route,
    Accept: Switchboard._accept,
    Begin: Switchboard._begin,
    Position: Switchboard._position,
    Ack: Switchboard._ack,
    Resend: Switchboard._resend,
    Deny: Switchboard._denied,
}


def _may_be_meant(frame: bytes) -> bool:
    """Whether a frame is as its sender wrote it. Those who have never learnt to count it write 0 for the checksum."""
    checksum = int.from_bytes(frame[SUMMED_SIZE:HEADER_SIZE], "little")
    return checksum in {0, crc32(frame[HEADER_SIZE:], crc32(frame[:SUMMED_SIZE]))}


def _nothing(_: Peer, __: str, ___: str) -> None:
    pass


def _difference(here: Peer, there: Peer) -> str:
    """What two clients do not mean alike, in words for the first; empty if there is nothing, or one of them is plain."""
    if here.hello is None or there.hello is None or here.any_schema or there.any_schema:
        return ""
    if here.hello.digest == there.hello.digest:
        return ""
    differences = _schema(here.hello).differences(_schema(there.hello))
    named = "; ".join(str(difference) for difference in differences[:5])
    more = f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
    return f"the messages of {here.name!r} and {there.name!r} differ: {named or 'by their digest'}{more}"[:4_000]


def _schema(hello: Hello) -> Schema:
    return Schema({line.type_id: line.text for line in hello.schema})
