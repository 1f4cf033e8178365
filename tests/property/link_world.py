"""Senders, a relay and receivers without any I/O, and the plain lists that say what has to come of it.

`World` does what `spore.relay.Client` and `spore.relay.Relay` do around the sans-IO link, one small step at a time, so
that a schedule decides when bytes move, what is done to them, and who dies. It keeps books: of each link the list of the
messages that have to arrive, and of each receiver the list of those that it was handed. A message's place in the first
list is its sequence number, whatever happens.
"""

from __future__ import annotations

from typing import Any

import attrs

from spore.codec import Flags
from spore.errors import MailboxFull, RelayError, RelayRefused
from spore.message import U8, U64, Domain, Registry, message
from spore.nursery_bundle import Loss
from spore.nursery_bundle.envelope import Receipt
from spore.relay.control import Policy
from spore.relay.incoming import Incoming
from spore.relay.outgoing import LinkOptions, Outgoing
from spore.relay.peer import Peer
from spore.relay.session import Session
from spore.relay.switchboard import Switchboard
from spore.testing import FaultyPipe

LINKS = Registry()
ANSWER = 1_000_000
"""What an answer's number is above that of its question."""


@message(type_id=1, domain=Domain.MARKET_DATA, registry=LINKS)
class Tick:
    """A message whose number is its own."""

    number: U64
    kind: U8


class Asked(Receipt):
    """What somebody who asks has heard."""

    awaited = True

    def __init__(self, number: int) -> None:
        self.number = number
        self.outcomes: list[object] = []
        self.forgotten = False

    def answer(self, value: Any) -> None:
        self.outcomes.append(value)

    def fail(self, error: Exception) -> None:
        self.outcomes.append(error)


@attrs.define(eq=False)
class Books:
    """What is known of one link."""

    sender: Process
    link: Outgoing
    topic: bool
    due: list[Tick] = attrs.field(factory=list)
    """Accepted and not given up, in order."""
    lost: int = 0
    unheard: int = 0
    overrun: int = 0
    """Taken without room, as `tell` does."""
    asks: list[Asked] = attrs.field(factory=list)
    joined: dict[str, int] = attrs.field(factory=dict)
    """From which place on each receiver is to have everything."""
    handed: dict[str, list[tuple[Incoming, int]]] = attrs.field(factory=dict)
    """The places that each receiver was handed, and over which end of the link."""
    done: dict[str, set[int]] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Connection:
    """A connection; each end notices by itself that it is lost."""

    process: Process
    peer: Peer
    up: FaultyPipe = attrs.field(factory=FaultyPipe)
    down: FaultyPipe = attrs.field(factory=FaultyPipe)
    relay_end: bool = True
    client_end: bool = True
    hurt: bool = False
    """Whether bytes of it were changed, so that either end may give it up."""


@attrs.define(eq=False)
class Process:
    """A client."""

    name: str
    session: Session
    connection: Connection | None = None
    inbox: dict[Incoming, None] = attrs.field(factory=dict)
    in_hand: list[tuple[Incoming, Any]] = attrs.field(factory=list)


RECEIVERS = {"alpha": (), "beta": (), "early": ("t",), "late": ("t",)}
"""Two actors and two subscribers."""


class World:
    """Everything, and the time."""

    def __init__(self, *, windows: list[int], policies: list[Policy], capacity: int) -> None:
        self.now_s = 1_000.0
        self.clients = 0
        self.numbers = 0
        self.windows = dict(zip(RECEIVERS, windows, strict=True))
        self.policies = dict(zip(RECEIVERS, policies, strict=True))
        self.most = max(*windows, capacity)
        self.board = Switchboard()
        self.connections: dict[Peer, Connection] = {}
        self.corrupted: set[int] = set()
        self.processes = [self.process(f"p{n}") for n in range(4)]
        self.senders, self.receivers = self.processes[:2], self.processes[2:]
        self.books: list[Books] = []
        for sender in self.senders:
            for high, receivers in ((False, ("alpha",)), (True, ("alpha",)), (False, ("alpha", "beta"))):
                self.open(sender, high=high, receivers=receivers, capacity=capacity)
            self.open(sender, topic="t", capacity=capacity)
        self.homes = {"alpha": self.receivers[0], "beta": self.receivers[1], "early": self.receivers[0], "late": None}
        for name, home in self.homes.items():
            if home is not None:
                self.attach(name, home)

    def process(self, name: str) -> Process:
        self.clients += 1
        return Process(name, Session(name, registry=LINKS, client=self.clients, clock=lambda: 7))

    def open(self, sender: Process, *, capacity: int, **where: Any) -> None:
        options = LinkOptions(capacity=capacity, key=lambda tick: tick.kind)
        link = sender.session.open(options=options, **where)
        link.on_change = lambda: sender.session.queued(link) if link.to_send else None
        books = Books(sender, link, bool(link.topic))
        books.joined = dict.fromkeys(where.get("receivers", ()), 0)
        self.books.append(books)

    # What applications do

    def pause(self, process: Process, *, pauses: bool) -> None:
        for incoming in process.session.incoming:
            if self.policies[incoming.receiver] is Policy.FAIL:
                process.session.tell_policy(incoming, Policy.PAUSED if pauses else Policy.FAIL)

    def send(self, books: Books, kind: int, *, tell: bool, ask: bool) -> None:
        link = books.link
        tick = Tick(self.numbers, kind)
        asked = Asked(tick.number) if ask and not books.topic and len(link.members) == 1 else None
        if not link.has_room(tick, awaited=asked is not None):
            if not tell:
                return
            books.overrun += 1
        self.numbers += 1
        waiting, lost, unheard = len(link.waiting), dict(link.counts.lost), link.counts.unheard
        if link.waiting.overflow == "fail" and waiting >= link.waiting._capacity:
            books.overrun += link.waiting._paused or waiting < link.waiting._capacity + link.waiting._backlog
        try:
            link.queue(tick, ask=asked)
        except MailboxFull:
            assert link.waiting.overflow == "fail"
            assert link.counts.lost.get(Loss.FULL, 0) == lost.get(Loss.FULL, 0) + 1
            assert len(link.waiting) == waiting
            books.lost += 1
            return
        new = {reason: count - lost.get(reason, 0) for reason, count in link.counts.lost.items()}
        reasons = [reason for reason, count in new.items() for _ in range(count)]
        if link.counts.unheard > unheard:
            books.unheard += 1
            return
        if asked is not None:
            books.asks.append(asked)
        books.lost += len(reasons)
        due = books.due
        queue = due[len(due) - waiting :]
        if reasons == [Loss.DROPPED_NEWEST]:
            assert waiting
            return
        if reasons == [Loss.DROPPED_OLDEST]:
            due.remove(queue[0])
        elif reasons == [Loss.CONFLATED]:
            # Neither somebody who waits for an answer, nor what came before it was known that the receiver conflates.
            asks = {ask.number for ask in books.asks}
            due.remove(next(old for old in reversed(queue) if old.kind == kind and old.number not in asks))
        else:
            assert not reasons
        due.append(tick)

    def take(self, process: Process, pick: int) -> bool:
        """Hand the next message of a link to its actor."""
        links = [link for link in process.inbox if link.arrived]
        if not links:
            return False
        link = links[pick % len(links)]
        assert link.received - link.handled <= self.windows[link.receiver], "more is under way than the window"
        arrival = link.arrived.popleft()
        books = next(b for b in self.books if (b.sender.session.client, b.link.channel) == (link.client, link.link))
        place = arrival[0] - 1
        assert books.due[place] == arrival[1], "another message has this number"
        handed = books.handed.setdefault(link.receiver, [])
        mine = [p for other, p in handed if other is link]
        others = [p for other, p in handed if other is not link]
        assert not mine or place > mine[-1], "handed over twice"
        done = books.done.get(link.receiver, set())
        first = mine[-1] + 1 if mine else books.joined.get(link.receiver, place)
        assert all(p in done for p in range(first, place)), "something was left out"
        if place in others:
            again = sum(1 for p in {*mine, place} if p in others)
            assert link.counts.redelivered >= again, "repeated without saying so"
        handed.append((link, place))
        process.in_hand.append((link, arrival))
        return True

    def finish(self, process: Process, pick: int) -> bool:
        """An actor is done with a message."""
        if not process.in_hand:
            return False
        link, (sequence, tick, company) = process.in_hand.pop(pick % len(process.in_hand))
        books = next(b for b in self.books if (b.sender.session.client, b.link.channel) == (link.client, link.link))
        if company is not None:
            process.session.answer(link, sequence, Tick(tick.number + ANSWER, tick.kind), None)
        link.done(sequence)
        books.done.setdefault(link.receiver, set()).add(sequence - 1)
        if process.session.handled(link):
            process.session.acknowledge()
        return True

    def attach(self, name: str, process: Process) -> None:
        if name not in process.session.attached:
            self.homes[name] = process
            topics, window, policy = RECEIVERS[name], self.windows[name], self.policies[name]
            process.session.attach(name, topics=topics, window=window, policy=policy)

    def detach(self, name: str, process: Process, *, leave: bool = False) -> None:
        if name in process.session.attached:
            process.session.detach(name, leave=leave)
            process.inbox = {link: None for link in process.inbox if link.receiver != name}
            if self.homes[name] is process:
                self.homes[name] = None

    def kill(self, place: int) -> None:
        """A receiving process dies, and another one takes its place."""
        dead = self.processes[place]
        if dead.connection is not None:
            self.lose(dead)
        self.processes[place] = self.process(dead.name)
        self.receivers = self.processes[2:]
        for name, home in self.homes.items():
            if home is dead:
                self.attach(name, self.processes[place])

    # What connections do

    def connect(self, process: Process) -> None:
        if process.connection is None:
            peer = self.board.connect(self.now_s)
            process.connection = self.connections[peer] = Connection(process, peer)
            process.session.connected(self.now_s)

    def lose(self, process: Process) -> None:
        """The client notices that its connection is lost; the relay has yet to."""
        process.session.disconnected()
        assert process.connection is not None
        process.connection.client_end = False
        process.connection = None

    def drop(self, connection: Connection) -> None:
        """The relay notices that a connection is lost."""
        connection.relay_end = False
        self.board.disconnect(connection.peer)
        self.connections.pop(connection.peer, None)
        self.flush_relay()

    def restart_relay(self) -> None:
        self.board = Switchboard()
        for connection in self.connections.values():
            connection.relay_end = False
        self.connections.clear()

    def flush(self, process: Process) -> bool:
        connection = process.connection
        data = process.session.data_to_send(self.now_s) if connection is not None else b""
        if data and connection is not None:
            connection.up.write(data)
        return bool(data)

    def move_up(self, connection: Connection, most: int | None) -> bool:
        """Bytes reach the relay."""
        if not connection.relay_end:
            return False
        data = connection.up.read(most)
        if data:
            self.board.receive(connection.peer, data, self.now_s)
            self.flush_relay()
        elif not connection.client_end:
            self.drop(connection)
        return bool(data)

    def flush_relay(self) -> None:
        touched = self.board.touched
        while touched:
            peer, _ = touched.popitem()
            connection = self.connections.get(peer)
            data = b"".join(peer.take())
            peer.out_bytes -= len(data)
            if connection is None:
                assert not data or peer.closing, "queued for somebody who is gone"
                continue
            assert len(data) < 50_000
            connection.down.write(data)
            if peer.closing:
                refused = peer.refused
                assert refused is None or connection.hurt or refused.reason in {"silence", "name", "replaced"}, refused
                self.drop(connection)

    def move_down(self, process: Process, most: int | None) -> bool:
        """Bytes reach a client."""
        connection = process.connection
        if connection is None:
            return False
        data = connection.down.read(most)
        if not data:
            if not connection.relay_end:
                self.lose(process)
            return False
        error: RelayError | None = None
        try:
            for link in process.session.receive(data, self.now_s):
                if link.receiver in process.session.attached:
                    process.inbox[link] = None
        except RelayError as raised:
            error = raised
            self.lose(process)
        reason = error.reason if isinstance(error, RelayRefused) else ""
        assert error is None or connection.hurt or reason in {"silence", "name", "replaced"}, error
        if reason == "name":
            for name, home in list(self.homes.items()):
                if home is not process:
                    self.detach(name, process)
        for books in self.books:
            if books.sender is process:
                self.look_at_members(books)
        return True

    def look_at_members(self, books: Books) -> None:
        """Who has joined a topic, and who has left."""
        link = books.link
        assert link.denied is None
        if books.topic:
            for name in link.members:
                books.joined.setdefault(name, len(books.due) - len(link.waiting))
            for name in [name for name in books.joined if name not in link.members]:
                del books.joined[name]
            unheard = link.counts.unheard - books.unheard
            if unheard:
                assert not link.members
                del books.due[len(books.due) - unheard :]
                books.unheard += unheard

    def pass_time(self, by_s: float) -> None:
        self.now_s += by_s
        self.board.on_time(self.now_s)
        self.flush_relay()
        for process in self.processes:
            if process.connection is not None:
                try:
                    process.session.on_time(self.now_s)
                except RelayError:
                    self.lose(process)

    # What goes wrong on the way

    def harm(self, what: str, *, pick: int, offset: int, change: int) -> None:
        """Harm one of the frames that are on their way."""
        under_way = [
            (connection, pipe, place)
            for connection in self.connections.values()
            for pipe in (connection.up, connection.down)
            for place in range(len(pipe.frames))
            if what == "corrupt" or pipe.is_numbered(place)
        ]
        if not under_way:
            return
        connection, pipe, place = under_way[pick % len(under_way)]
        if what == "drop":
            pipe.drop(place)
        elif what == "duplicate":
            pipe.duplicate(place)
        else:
            frame = pipe.frames[place]
            if pipe.is_numbered(place):  # one that cannot be read twice is given up, which another test is about
                sequence = int.from_bytes(frame[8:16], "little")
                if sequence in self.corrupted:
                    return
                self.corrupted.add(sequence)
            # The relay does not look at answers, and who has asked does not go on with one that is damaged.
            answer = len(frame) > 7 and frame[7] & Flags.REPLY
            for hurt in self.connections.values() if answer else (connection,):
                hurt.hurt = True
            pipe.corrupt(place, offset, change)

    # What has to hold

    def check(self) -> None:
        """What holds at every moment."""
        for books in self.books:
            link, counts = books.link, books.link.counts
            assert counts.sent == len(books.due) + books.lost + books.unheard
            assert sum(counts.lost.values()) == books.lost
            assert link.outstanding <= len(books.due)
            assert link.outstanding - len(link.waiting) <= self.most
            assert len(link.waiting) <= self.most + books.overrun
            assert len(link.to_send) <= link.outstanding - len(link.waiting)
        for process in self.processes:
            for incoming in process.session.incoming:
                assert len(incoming.arrived) <= self.windows[incoming.receiver]
                assert incoming.handled <= incoming.received

    def settle(self) -> None:
        """Heal everything, and let it run until nothing moves."""
        for name, home in self.homes.items():
            for process in self.receivers:
                if process is not home:
                    self.detach(name, process)
        for _ in range(40):
            for name, home in self.homes.items():  # that somebody has joined is perhaps still on its way
                if home is None and (not RECEIVERS[name] or any(name in books.joined for books in self.books)):
                    self.attach(name, self.receivers[0])
            # Who is refused because a name is taken comes again at once here, until time shows that the one who has it is silent.
            rests = any(not self.work() for _ in range(200))
            if rests and not any(b.link.outstanding for b in self.books) and all(p.connection for p in self.processes):
                return
            self.pass_time(2.0)
        raise AssertionError([(b.link.name, b.link.outstanding) for b in self.books])

    def work(self) -> bool:
        moved = False
        for connection in list(self.connections.values()):
            moved |= self.move_up(connection, None)
        for process in self.processes:
            self.connect(process)
            moved |= self.move_down(process, None)
            while self.take(process, 0) or self.finish(process, 0):
                moved = True
            process.session.acknowledge()
            moved |= self.flush(process)
        return moved

    def close(self) -> None:
        """Settle, and compare what was handled with what was sent."""
        self.settle()
        self.check()
        for books in self.books:
            for name, start in books.joined.items():
                if name not in books.link.members:
                    continue
                assert books.done.get(name, set()) >= set(range(start, len(books.due))), (name, "left out")
                if not books.topic:
                    assert {p for _, p in books.handed.get(name, [])} == set(range(len(books.due)))
            for asked in books.asks:
                assert len(asked.outcomes) <= 1
                for outcome in asked.outcomes:
                    assert isinstance(outcome, (Tick, Exception))
                    assert not isinstance(outcome, Tick) or outcome.number == asked.number + ANSWER
                lives = {incoming for incoming, _ in books.handed.get("alpha", [])}
                assert asked.outcomes or asked.forgotten or len(lives) > 1, "an answer was lost"
