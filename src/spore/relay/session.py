"""A client's end of a connection to the relay, sans-IO: bytes and the time in, bytes and events out.

It outlives connections: links and what they keep stay when one is lost, and go on over the next one. Life of a
connection: `connected` → `Hello` out → `Welcome` in → every receiver and every link is told again → messages, until
`disconnected`.

Limits: an Announce, and each thing that the relay may make this end remember, is bounded by what this end has attached.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import count, repeat
from time import time_ns
from typing import Any

import attrs

from spore.codec import MAX_FRAME_SIZE, UnknownTlv, decode
from spore.codec.runs import LARGEST, RunReader
from spore.errors import DecodeError, RelayError, RelayRefused
from spore.message import REGISTRY, Domain, Registry, Schema
from spore.nursery_bundle.ref import OUTSIDE
from spore.relay.control import (
    ANNOUNCED,
    FIRST_ACCOMPANYING,
    PROTOCOL,
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
    Policy,
    Position,
    Reason,
    Refused,
    Reply,
    Resend,
    Route,
    SchemaLine,
    Welcome,
    control_frame,
    control_of,
    read_control,
)
from spore.relay.framing import FrameSplitter
from spore.relay.incoming import Incoming
from spore.relay.names import Names
from spore.relay.outgoing import LinkOptions, Outgoing
from spore.relay.token import Showing, Tokens
from spore.relay.unread import Unread

__all__ = ["DEFAULT_HEARTBEAT_S", "Attached", "LinkPosition", "Session"]

DEFAULT_HEARTBEAT_S = 2.0
SILENT_BEATS = 3
"""After so many of the other end's heartbeats without a word the connection counts as lost."""
BATCH = 32
"""At most so many messages are read before they are handed over: a few stay in the processor's caches, and give Python's garbage
collector nothing to do."""
FORGOTTEN_LINKS = 4_096
"""The links that are remembered without a sender there; the oldest of more are forgotten."""


@attrs.frozen
class Attached:
    """A receiver that this client has."""

    name: str
    topics: tuple[str, ...]
    window: int
    policy: Policy


@attrs.frozen(kw_only=True)
class LinkPosition:
    """Where a receiver stands with one link, for a successor that is to go on there."""

    client: int
    """The sender's."""
    link: int
    receiver: str
    incarnation: int
    """By which the sender knows the receiver."""
    handled: int
    """Everything up to this number was handled, and nothing after it."""
    known: bool = True
    """Whether the sender has said there with what it begins."""


class Session:
    """What a client knows of its links. One for the life of a process.

    Args:
        name: the client's, for people.
        token: what the relay asks for, if it does; several while one replaces the other: if it does not take one, the next is shown.
        registry: the messages that are known here.
        schema: what the other ends have to mean alike; by default all of the registry.
        heartbeat_s: say something at least this often, in seconds.
        client: the number that tells this process from all others; drawn at random if left out.
        max_frame_size: the largest frame to accept, in bytes.
        clock: for the headers' timestamps, in nanoseconds since the epoch.
    """

    fellows: Sequence[Session] = ()
    """All sessions of a process that has several: what comes over one may lead to what goes out over another."""

    def __init__(  # noqa: PLR0915 - a field a line
        self,
        name: str,
        *,
        token: Tokens = "",
        registry: Registry = REGISTRY,
        schema: Schema | None = None,
        heartbeat_s: float = DEFAULT_HEARTBEAT_S,
        client: int | None = None,
        max_frame_size: int = MAX_FRAME_SIZE,
        clock: Callable[[], int] = time_ns,
    ) -> None:
        self.name = name
        self.client = client if client is not None else _drawn()
        self.ready = False
        """Whether the relay has welcomed this connection."""
        self.relay = 0
        """The number of the relay process at the other end."""
        self.connections = 0
        """How many times the relay has welcomed this client."""
        self.on_send: Callable[[], None] = _nothing
        """Called when there is something to write."""
        self.on_announced: Callable[[Incoming], None] = _nothing_of
        """Called with each link that was opened to this client, or opened again."""
        self.on_closed: Callable[[Incoming], None] = _nothing_of
        """Called with each link that its sender has closed, or that was forgotten."""
        self.on_run: Callable[[Incoming, Sequence[Any], int], bool] | None = None
        """Called with a link, its next messages, and the first one's number, before more are read: all of `Incoming.arrived`, and then
        these, can be handed over; `Incoming.keep` is for those that are not. Returns whether to read on; see `stopped`."""
        self.stopped: Incoming | None = None
        """The link at which reading has stopped, because there is no time now for more of its messages. Call `receive` again, with no
        bytes, before those that come next."""
        self.on_denied: Callable[[str], None] = _nothing_of
        """Called with a sentence each time a link, from here or to here, was refused."""
        self.leads_to: Callable[[Incoming, Outgoing], bool] = _never
        """Whether what comes over the one link may lead to what goes out over the other."""
        self.denied: list[Deny] = []
        """Links from others that this end, or the relay, has refused; the last hundred."""
        self.unread, self.names = Unread(), Names()
        """Frames of plain senders that could not be read; and the receivers here whose names other clients have."""
        self.outgoing: dict[int, Outgoing] = {}
        self.attached: dict[str, Attached] = {}
        self.damaged = 0
        """Frames that could not be read."""
        self.tokens = Showing(token)
        self._registry, self._agreed = registry, schema
        self._heartbeat_s = heartbeat_s
        self._max_frame_size = max_frame_size
        self._runs = RunReader(registry if max_frame_size >= LARGEST else Registry())
        self._clock = clock
        self._splitter = FrameSplitter(max_frame_size)
        self._out: list[bytes] = []
        self._dirty: dict[Outgoing, None] = {}
        self._channel = self._sending_over = 0
        """The channel of the last `Route` that was written."""
        self._receiving_over: Incoming | Outgoing | None = None
        self._links: OrderedDict[tuple[int, int, str], Incoming] = OrderedDict()
        """All links to this client, by the sender's client and link, and the receiver."""
        self._announced: dict[int, Incoming] = {}
        self._incarnations: dict[str, int] = {}
        """Another one than this client's number for a receiver here of which a link has been forgotten, as if with it somebody had died:
        so a sender can tell who has handled something unseen from who has not heard yet with what the link begins."""
        self._taken_over: dict[tuple[int, int, str], LinkPosition] = {}
        """Links that a predecessor had, and that have not been announced here yet."""
        self.detaching: set[str] = set()
        """The receivers of which the relay has not said yet that they are detached."""
        self._to_close: list[Open] = []
        """Links that were closed while there was no connection: receivers that know them are to be told."""
        self._touched: dict[Incoming, None] = {}
        self._to_ack: dict[Incoming, None] = {}
        self._acks_held: frozenset[Incoming] = frozenset()
        """The links whose acknowledgements wait until something has been written."""
        self._silent_after_s = heartbeat_s * SILENT_BEATS
        self._heard_at = self._spoke_at = self._now_s = 0.0

    # For the application

    def open(
        self,
        *,
        sender: str = OUTSIDE,
        port: str = "",
        high: bool = False,
        receivers: tuple[str, ...] = (),
        topic: str = "",
        options: LinkOptions | None = None,
        channel: int | None = None,
    ) -> Outgoing:
        """A new link from here, to actors or to a topic; with the next channel unless one is given."""
        if channel is None:
            self._channel = channel = self._channel + 1
        link = Outgoing(
            channel,
            sender=sender,
            port=port,
            high=high,
            receivers=receivers,
            topic=topic,
            options=options,
            clock=self._clock,
        )
        self.outgoing[link.channel] = link
        if self.ready:
            self._say(link.opening)
        return link

    def close(self, link: Outgoing) -> None:
        """Be done with a link. What it has not delivered is given up."""
        if self.outgoing.pop(link.channel, None) is None:
            return
        if self.ready:
            self._say(Close(link.channel))
            self._dirty.pop(link, None)
            if self._sending_over == link.channel:
                self._sending_over = 0  # the relay has forgotten that route, too
        elif any(member.incarnation for member in link.members.values()):
            self._to_close.append(link.opening)

    def attach(
        self, name: str, *, topics: tuple[str, ...] = (), window: int = 1_000, policy: Policy = Policy.BLOCK
    ) -> None:
        """Have a receiver from now on: an actor, or, with topics, a subscriber."""
        self.attached[name] = Attached(name, topics, window, policy)
        if self.ready:
            self._say(Attach(name, topics))

    def positions(self, name: str) -> list[LinkPosition]:
        """Where a receiver stands with each of its links. Exact once it handles nothing any more.

        With one that has not come by since it was taken over it stands where its predecessor did.
        """
        found = [
            LinkPosition(
                client=link.client,
                link=link.link,
                receiver=name,
                incarnation=link.incarnation,
                handled=link.handled,
                known=link.known,
            )
            for link in self._links.values()
            if link.receiver == name and not link.plain
        ]
        return found + [position for position in self._taken_over.values() if position.receiver == name]

    def take_over(self, positions: Iterable[LinkPosition]) -> None:
        """Go on where a predecessor stands. To be called before its receivers are attached here."""
        self._taken_over |= {(each.client, each.link, each.receiver): each for each in positions}

    def detach(self, name: str, *, leave: bool = False) -> None:
        """Take no more for a receiver. Its senders keep what is not acknowledged, for whoever has the name next."""
        self.names.forget(name)
        if self.attached.pop(name, None) is not None and self.ready:
            self.acknowledge()
            self.detaching.add(name)
            self._say(Detach(name, leave))
        for channel, link in list(self._announced.items()):
            if link.receiver == name:
                link.open = False
                del self._announced[channel]
        for link in list(self._links.values()):
            if link.receiver == name:
                self._forget(link)
                self._incarnations[name] = _drawn()

    def queued(self, link: Outgoing) -> None:
        """A link has something to write."""
        self._dirty[link] = None
        self.on_send()

    def handled(self, link: Incoming) -> bool:
        """Messages of a link were handled; return whether the acknowledgement is urgent."""
        if link.ack_due:
            self._to_ack[link] = None
        return link.ack_urgent

    def answer(self, link: Incoming, sequence: int, value: object, failure: str | None) -> None:
        """Answer an ask."""
        frame = link.answer(sequence, value, failure, self._clock)
        self._reply(link, frame)

    def deny(self, link: Incoming, reason: Reason, text: str) -> None:
        """Take no more messages from a link, and tell its sender why."""
        denial = Deny(link.channel, link.receiver, reason, text[:1_000])
        self._note_refusal(link, denial)
        link.open = False
        if self.ready and self._announced.get(link.channel) is link:
            self.acknowledge()
            self._say(denial)

    def tell_policy(self, link: Incoming, policy: Policy) -> None:
        """From now on the sender of a link does this with what finds no room."""
        link.policy = policy
        if self.ready and self._announced.get(link.channel) is link:
            self._say(self._acceptance(link))

    def acknowledge(self) -> None:
        """Acknowledge what was handled, of each link once all that it may have led to is on its way: else that would die with
        this process, and nobody would send again what it came from."""
        self._gather()
        sessions = self.fellows or (self,)
        unwritten = [link for session in sessions for link in session.outgoing.values() if link.unwritten]
        held: dict[Incoming, None] = {}
        for link in self._to_ack:
            if unwritten and any(self.leads_to(link, outgoing) for outgoing in unwritten):
                held[link] = None
            elif link.ack_due and self.ready and self._announced.get(link.channel) is link:
                self._out.append(control_frame(link.ack()))
        self._to_ack, self._acks_held = held, frozenset(held)

    def written(self) -> None:
        """Something has gone out, for which another session of this process may have held back an acknowledgement."""
        for fellow in self.fellows:
            if fellow._acks_held:
                fellow.on_send()

    @property
    def ack_waits(self) -> bool:
        """Whether something was handled and is not acknowledged."""
        return bool(self._to_ack)

    @property
    def incoming(self) -> tuple[Incoming, ...]:
        """The links to this client."""
        return tuple(self._links.values())

    def leave(self) -> None:
        """Say goodbye for good."""
        if self.ready:
            self.acknowledge()
            self._say(Bye())

    # The connection

    def connected(self, now_s: float) -> None:
        """A new connection is there: introduce this end."""
        self.disconnected()
        self._heard_at = now_s
        self._say(self._introduction())

    def _introduction(self) -> Hello:
        schema = self._agreed or Schema.of(self._registry)
        lines = tuple(SchemaLine(number, schema.texts[number]) for number in sorted(schema.texts))
        heartbeat_ms = round(self._heartbeat_s * 1_000)
        token = self.tokens.token
        return Hello(PROTOCOL, self.client, self.name, token, bytes.fromhex(schema.digest), lines, heartbeat_ms)

    def disconnected(self) -> None:
        """The connection is lost. Everything that was not acknowledged is kept."""
        self.ready = False
        self.stopped = None
        self._splitter = FrameSplitter(self._max_frame_size)
        self._out.clear()
        self._dirty.clear()
        for link in self._announced.values():
            if link.plain:  # which has no name by which it could be known again
                self._forget(link)
        self._announced.clear()
        self.names.disconnected()
        self.detaching.clear()
        self._sending_over = 0
        self._receiving_over = None
        for outgoing in self.outgoing.values():
            outgoing.disconnected()
        for incoming in self._links.values():
            incoming.open = False

    def receive(self, data: bytes, now_s: float) -> list[Incoming]:
        """Bytes have come.

        Returns:
            The links that have new arrivals, apart from those that `on_run` was called with: those, too, that an error has kept
            an earlier call from returning.

        Raises:
            RelayRefused: the relay does not go on with this client.
            RelayError: the other end does not keep to the protocol; the connection has to be given up.
        """
        if self.stopped is not None and not self._hand_over(self.stopped, (), 0):
            return []
        touched, splitter = self._touched, self._splitter
        try:
            if data:
                splitter.feed(data)
            self._now_s = now_s
            for start, end, _, kind in splitter.runs(each=True):
                self._heard_at = now_s  # only now: a frame that does not come to its end is silence, too
                data = splitter.data
                if kind:
                    self._control(control_of(data[start:end]))
                elif type(route := self._receiving_over) is Incoming:
                    behind = self._take_runs(route, data, start)
                    if behind > start:
                        splitter.passed(behind)
                        if self.stopped is not None:
                            break
                    else:
                        self._take(route, data[start:end])
                        touched[route] = None
                elif type(route) is Outgoing:
                    self._replied(route, data[start:end])
        except AnotherProtocol as error:
            raise RelayRefused("protocol", f"the relay speaks another protocol: {error}") from error
        except DecodeError as error:
            raise RelayError(f"damaged bytes from the relay: {error}") from error
        self._touched = {}
        return list(touched)

    def _take_runs(self, link: Incoming, data: bytes, at: int) -> int:
        """Take the frames of a link that are plainly the next ones; return where the first begins that is not."""
        read = self._runs.read
        while link.open and not link.plain:
            messages, at = read(data, at, link.received + 1, BATCH)
            if messages and not self._hand_over(link, messages, link.take_all(len(messages))):
                break
            if len(messages) < BATCH:
                break
        return at

    def _hand_over(self, link: Incoming, messages: Sequence[Any], number: int) -> bool:
        """Have the next messages of a link handed over, behind those that it keeps; return whether to read on."""
        self.stopped = None
        if self.on_run is None or link.arrived:
            link.arrived.extend(zip(count(number), messages, repeat(None)))
            messages = ()
        if self.on_run is None:
            self._touched[link] = None
        elif not self.on_run(link, messages, number):
            self.stopped = link
        return self.stopped is None

    def _take(self, link: Incoming, whole: bytes) -> None:
        """Take a frame of a link. One that cannot be read is asked for again, a few times; then the link is given up."""
        try:
            frame = decode(whole, self._registry)
            items = frame.items
            item = items[0] if items else None
            if type(item) is UnknownTlv and frame.domain is Domain.SYSTEM and item.type_id < FIRST_ACCOMPANYING:
                try:
                    item = read_control(item)
                except DecodeError as error:
                    if link.plain or not link.open:
                        raise
                    # It has come as it was written, so another copy would be the same.
                    self.damaged += 1
                    self.deny(link, Reason.PROTOCOL, f"{link.client_name!r} speaks another protocol: {error}")
                    return
            answer = link.take(frame, item)
        except DecodeError as error:
            self.damaged += 1
            if not link.open:
                return
            if link.plain:  # there is nobody to ask for another copy, and nobody would ever give back its place
                link.skip()
                self.handled(link)
                self.unread.add(link, error.damage.value, str(error))
                return
            try:
                answer = link.damaged(int.from_bytes(whole[8:16], "little"))
            except ValueError as given_up:
                self.deny(link, Reason.POISON, f"{given_up}: {error}")
                return
        if isinstance(answer, bytes):
            self._reply(link, answer)
        elif answer is not None:
            self._say(answer)

    def data_to_send(self, now_s: float) -> bytes:
        """All that is to be written now. It counts as written."""
        self._gather()
        if self._acks_held:
            self.acknowledge()
        if not self._out:
            return b""
        self._spoke_at = now_s
        data = b"".join(self._out)
        self._out.clear()
        return data

    @property
    def unwritten_size(self) -> int:
        """About how many bytes of messages `data_to_send` would return: as if those of a link were as long as its last."""
        return sum(len(link.to_send) * len(link.to_send[-1]) for link in self._dirty if link.to_send)

    def _gather(self) -> None:
        if self._dirty:
            # High priority first; the sort is stable, so each keeps its turn.
            links = sorted(self._dirty, key=_urgency) if len(self._dirty) > 1 else list(self._dirty)
            self._dirty.clear()
            for link in links:
                frames = link.take()
                if frames:
                    if self._sending_over != link.channel:
                        self._sending_over = link.channel
                        self._out.append(control_frame(Route(link.channel)))
                    self._out += frames

    def on_time(self, now_s: float) -> float:
        """Look at the clock; return when to look again, which is later.

        Raises:
            RelayError: the other end has been silent for too long.
        """
        # The sums that are returned are compared: a difference may be rounded the other way, and now be the time to look.
        silent_at = self._heard_at + self._silent_after_s
        if now_s >= silent_at:
            raise RelayError(f"nothing from the relay for {now_s - self._heard_at:.1f} s")
        if self.ready and now_s >= self._spoke_at + self._heartbeat_s:
            self._spoke_at = now_s
            for link in self.outgoing.values():
                position = link.position()
                if position is not None:
                    self._out.append(control_frame(position))
            self._say(Heartbeat())
        ask_again_at = self.names.ask_again_at
        if self.ready and ask_again_at is not None and now_s >= ask_again_at:
            self._ask_again(now_s)
        # Not welcome yet, it has nothing to say; but once it is, the next heartbeat may be due long before silence is.
        beat_at = self._spoke_at + self._heartbeat_s if self.ready else now_s + self._heartbeat_s
        look_at = min(beat_at, silent_at)
        return look_at if self.names.ask_again_at is None else min(look_at, self.names.ask_again_at)

    # Names

    def fence(self, names: Iterable[str] = ()) -> int:
        """Have the relay answer behind all that was said, so that it has denied by then what it denies; see `spore.relay.names`.

        Returns:
            What `Names.fences` will be once it has come to this one, unless the connection is lost.
        """
        number = self.names.fence(names)
        self._say(Detach("", False))
        return number

    def _ask_again(self, now_s: float) -> None:
        for name in self.names.taken:
            self._out.append(control_frame(Attach(name, self.attached[name].topics)))
        self.names.asked(now_s)
        if self.names.taken:
            self.fence(self.names.taken)

    # What comes in

    def _control(self, control: object) -> None:
        handler = _HANDLERS.get(type(control))
        if handler is None:
            raise RelayError(f"the relay said {type(control).__name__}, which is not for it to say")
        handler(self, control)

    def _welcome(self, welcome: Welcome) -> None:
        text = f"a welcome for protocol {welcome.protocol}, and this is {PROTOCOL}"
        if welcome.protocol != PROTOCOL:
            raise RelayRefused("protocol", text)
        if self.ready:
            raise RelayError(text)
        self.ready = True
        self.relay = welcome.relay
        self.connections += 1
        self.tokens.taken()
        self._silent_after_s = max(self._heartbeat_s, welcome.heartbeat_ms / 1_000) * SILENT_BEATS
        for attached in self.attached.values():
            self._out.append(control_frame(Attach(attached.name, attached.topics)))
        if self.names.taken:
            self.fence(self.names.taken)
        for link in self.outgoing.values():
            self._out.append(control_frame(link.opening))
        for opening in self._to_close:
            self._out += (control_frame(opening), control_frame(Close(opening.channel)))
        self._to_close.clear()
        self.on_send()

    def _refused(self, refused: Refused) -> None:
        raise RelayRefused(refused.reason.name.lower(), refused.text)

    def _heartbeat(self, _: Heartbeat) -> None:
        pass

    def _announce(self, announce: Announce) -> None:
        attached = self.attached.get(announce.receiver)
        if attached is None:
            return  # it was detached meanwhile
        key = _key(announce)
        link = self._links.get(key)
        if link is None:
            link = self._links[key] = Incoming(announce, window=attached.window, policy=attached.policy)
            link.incarnation = self._incarnations.get(announce.receiver, self.client)
            if (position := self._taken_over.pop(key, None)) is not None:
                link.incarnation = position.incarnation
                if position.known:
                    link.resume(position.handled)
        self._links.move_to_end(key)
        self._forget_old_links()
        link.announced(announce)
        self._announced[announce.channel] = link
        self.on_announced(link)
        self._say(self._acceptance(link))

    def _acceptance(self, link: Incoming) -> Accept:
        return link.accept(handled=link.acknowledged if link in self._acks_held else link.handled)

    def _forget_old_links(self) -> None:
        if len(self._links) > FORGOTTEN_LINKS:
            present = set(self._announced.values())
            for link in self._links.values():
                if link not in present:
                    self._forget(link)
                    self._incarnations[link.receiver] = _drawn()
                    return

    def _forget(self, link: Incoming) -> None:
        self._links.pop(_key(link), None)
        self.on_closed(link)

    def _begin(self, begin: Begin) -> None:
        link = self._announced.get(begin.channel)
        if link is not None:
            self._began(link, begin)

    def _began(self, link: Incoming, begin: Begin) -> None:
        for answer in link.begin(begin):
            self._reply(link, answer)

    def _detached(self, detach: Detach) -> None:
        if detach.receiver:
            self.detaching.discard(detach.receiver)
        else:
            self.names.come_to_fence()

    def _route(self, route: Route) -> None:
        if route.channel >= ANNOUNCED:
            self._receiving_over = self._announced.get(route.channel)
        else:
            self._receiving_over = self.outgoing.get(route.channel)

    def _position(self, position: Position) -> None:
        link = self._announced.get(position.channel)
        if link is not None and (resend := link.position(position.sent)) is not None:
            self._say(resend)

    def _closed(self, close: Close) -> None:
        link = self._announced.pop(close.channel, None)
        if link is not None:
            link.open = False
            self._forget(link)

    def _accept(self, accept: Accept) -> None:
        link = self.outgoing.get(accept.channel)
        begin = link.accept(accept) if link is not None else None
        if begin is not None:
            self._say(begin)

    def _ack(self, ack: Ack) -> None:
        link = self.outgoing.get(ack.channel)
        if link is not None:
            link.acked(ack.member, ack.handled)
            if link.options.inside:
                self.written()

    def _resend(self, resend: Resend) -> None:
        link = self.outgoing.get(resend.channel)
        if link is not None:
            link.resend(resend.member, resend.after)

    def _gone(self, gone: Gone) -> None:
        if gone.channel >= ANNOUNCED:
            incoming = self._announced.pop(gone.channel, None)
            if incoming is not None:
                incoming.open = False
        elif (link := self.outgoing.get(gone.channel)) is not None:
            link.gone(gone.member, gone.left)

    def _deny(self, deny: Deny) -> None:
        if deny.reason is Reason.NAME:
            if deny.receiver in self.attached:
                self.names.deny(deny, self._now_s)
        elif deny.channel >= ANNOUNCED:
            link = self._announced.pop(deny.channel, None)
            self._note_refusal(link, deny)
            if link is not None:
                link.open = False
        elif (outgoing := self.outgoing.get(deny.channel)) is not None:
            outgoing.deny(deny.receiver, deny.reason, deny.text)
            if deny.reason is not Reason.STOPPED:
                sender = f"{outgoing.sender}.{outgoing.port}" if outgoing.port else outgoing.sender
                self.on_denied(f"{deny.receiver!r} takes nothing from {sender!r}: {deny.text}")

    def _note_refusal(self, link: Incoming | None, denial: Deny) -> None:
        """A link to this client is refused, by itself or by the relay."""
        self.denied = [*self.denied[-99:], denial]
        if denial.reason is not Reason.STOPPED:  # what an actor that has stopped does not take is counted there
            sender = f" from {link.sender!r} of {link.client_name!r}" if link is not None else ""
            self.on_denied(f"{denial.receiver!r} takes nothing{sender}: {denial.text}")

    def _replied(self, link: Outgoing, whole: bytes) -> None:
        frame = decode(whole, self._registry)
        try:
            reply = read_control(frame.items[-1]) if frame.items and type(frame.items[-1]) is UnknownTlv else None
        except DecodeError as error:  # which has come as it was written, so another connection would not help
            self.damaged += 1
            link.deny(link.name, Reason.PROTOCOL, f"the answers of {link.name!r} are of another protocol: {error}")
            return
        if not isinstance(reply, Reply):
            raise RelayError("an answer that does not say to what")
        link.replied(reply, frame.items[0] if len(frame.items) > 1 else None)

    # What goes out

    def _reply(self, link: Incoming, frame: bytes) -> None:
        if self.ready and self._announced.get(link.channel) is link:
            if self._sending_over != link.channel:
                self._sending_over = link.channel
                self._out.append(control_frame(Route(link.channel)))
            self._out.append(frame)
            self.on_send()

    def _say(self, control: object) -> None:
        self._out.append(control_frame(control))
        self.on_send()


_HANDLERS: dict[type, Callable[[Any, Any], None]] = {
    Welcome: Session._welcome,
    Refused: Session._refused,
    Heartbeat: Session._heartbeat,
    Announce: Session._announce,
    Begin: Session._begin,
    Route: Session._route,
    Position: Session._position,
    Close: Session._closed,
    Accept: Session._accept,
    Ack: Session._ack,
    Resend: Session._resend,
    Gone: Session._gone,
    Deny: Session._deny,
    Detach: Session._detached,
}


def _key(link: Announce | Incoming) -> tuple[int, int, str]:
    """By what a link is known again. Plain senders all have the same number, so theirs by its channel on this connection."""
    return link.client, link.link if link.client else link.channel, link.receiver


def _drawn() -> int:
    """A number that nobody else has."""
    return random.SystemRandom().getrandbits(63) | 1


def _urgency(link: Outgoing) -> bool:
    return not link.high


def _nothing() -> None:
    pass


def _nothing_of(_: Any) -> None:
    pass


def _never(_: Incoming, __: Outgoing) -> bool:
    return False
