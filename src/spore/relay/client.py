"""The client: what a process needs to have actors behind the relay, and to reach those of others.

It keeps one connection, and makes a new one, with backoff and jitter, whenever that is lost; until then senders feel
backpressure. Everything that it was told, and everything that was not acknowledged, outlives a connection.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter_ns
from typing import Any, NoReturn

import trio

from spore.errors import RelayError, RelayRefused, UsageError, first_cause
from spore.nursery_bundle.chance import chances, slice_clock
from spore.nursery_bundle.dispatcher import Dispatcher
from spore.nursery_bundle.local import LocalRef
from spore.nursery_bundle.policy import Overflow, Supervision
from spore.nursery_bundle.ref import OUTSIDE, ActorRef
from spore.relay import carrier as carriers
from spore.relay.address import Address
from spore.relay.carrier import CERTIFICATE, READ_SIZE, Carrier
from spore.relay.control import STREAM, Deny, Policy, Reason
from spore.relay.delivery import Delivery
from spore.relay.incoming import Incoming
from spore.relay.names import ASK_AGAIN_S
from spore.relay.outgoing import DEFAULT_CAPACITY, LinkOptions, Outgoing
from spore.relay.remote import RemoteRef
from spore.relay.session import DEFAULT_HEARTBEAT_S, Session
from spore.relay.statistics import ClientStatistics, of_incoming, of_outgoing, refusals
from spore.relay.token import Tokens

__all__ = ["ACK_DELAY_S", "BACKOFF", "Client", "is_stop", "open_client"]

_log = logging.getLogger("spore.relay")

ACK_DELAY_S = 0.01
"""An acknowledgement that is not urgent waits until so long nothing more was handled."""
MOST_ACK_DELAYS = 5
"""It waits so many times at most."""
RELIEF_DELAY_S = 0.05
"""A sender that waits for room waits so much longer while there is little: until a quarter of the window is free, it could only send a
few messages, and nobody is idle meanwhile, because three quarters are still to be handled."""
MOST_STOPS = 8
"""So often a reader gives way before it has handed over all that it has read. Then what comes behind is not kept waiting any longer by
handlers that take their time: it may be for others, or of high priority."""
TOGETHER_NS = 50_000
"""What is told so soon after something was written goes out together with what follows it in the same tick."""
BURST_SIZE = 8 * 1024
"""After a write of so many bytes or more, the next one also waits for what follows in the same tick. One message alone would wake the
relay, and from there each of the receivers, just before all the others come."""
BACKOFF = Supervision(backoff_s=0.05, backoff_max_s=2.0, jitter=0.3)
"""How long to wait before another attempt to connect."""
MAX_SAID = 1_000
"""So many refused links are logged. Statistics have them all."""
GOODBYE_S = 1.0
"""So long the last words of a client that leaves may take."""
LASTING = {Reason.PROTOCOL.name.lower(), Reason.TOKEN.name.lower(), Reason.LIMIT.name.lower(), CERTIFICATE}
"""Refusals that coming again does not change."""


class Client:
    """One process's end of the relay. Made by `open_client`."""

    def __init__(
        self,
        session: Session,
        connect: Callable[[], Awaitable[Carrier]],
        nursery: trio.Nursery,
        trace: bool,
        there: str = "relay",
        said_from: int = 1,
    ) -> None:
        self.session = session
        self.there = there
        """What is at the other end, for people."""
        self.trace = trace
        """Whether messages carry the trace that they are sent in."""
        self.turns = Dispatcher(slice_clock())
        """Time slices for senders outside of bundles."""
        self.reconnects = 0
        self.closed = ""
        """Why nothing more can be sent; empty while it can."""
        self._connect = connect
        self._said_from = said_from
        """The first attempt of which it is said that it was in vain."""
        self._nursery = nursery
        self._carrier: Carrier | None = None
        self._chances = chances(None)
        self._leaving = False
        self._holding = False
        """Whether what is to be written is left until the work in hand is done."""
        self._written_at = 0
        self._burst = False
        """Whether so much was written last that more of it is to be expected."""
        self._rooms: set[trio.lowlevel.ParkingLot] = set()
        """Where senders wait for room, and there is a little."""
        self._relief_wanted = trio.Event()
        self._rest = b""
        """What the socket did not take."""
        self._flush_wanted = trio.lowlevel.ParkingLot()
        self._flush_due = False
        self._ack_wanted = trio.Event()
        self._handling = False
        """Whether messages were handled while an acknowledgement waited."""
        self._changed = trio.lowlevel.ParkingLot()
        self._now = trio.lowlevel.current_clock().current_time  # what `trio.current_time` finds out anew each time
        self._own = nursery.cancel_scope
        """Around all that is the client's, and cancelled when its block has ended, however that was."""
        self._delivery = Delivery(session, self.turns, nursery, self._handled)
        self._refusal: RelayError | None = None
        self._broken: RelayError | None = None
        """Why this connection has to be given up, found while nobody was reading."""
        self._nap = trio.CancelScope()
        """While the clock need not be looked at."""
        self._said: set[str] = set()
        """The refusals that were logged: a link that is refused at each connection is one line."""
        session.on_send = self._kick
        session.names.on_taken = self._name_taken
        session.on_denied = self._say_denied

    # For the application

    def ref(
        self,
        *receivers: str,
        capacity: int = DEFAULT_CAPACITY,
        key: Callable[[Any], Hashable] | None = None,
        source: int = 0,
        feedback: bool = False,
        sender: str = OUTSIDE,
    ) -> RemoteRef[Any]:
        """A reference to an actor by name, or to several, each of which gets every message.

        Args:
            receivers: names under which clients have attached actors, or will.
            capacity: how many messages wait while the receiver has not said how many it lets be under way.
            key: for a receiver that conflates: what tells a message's kind, so that what waits here is conflated, too.
            source: stands in the header of every frame, a u8.
            feedback: whether the reference closes a cycle of actors; nobody then waits for room in it.
            sender: whose messages these are, for receivers that merge, and for statistics. A port of an actor has its
                own name.

        Raises:
            UsageError: without a receiver.
        """
        if not receivers:
            raise UsageError("a reference needs at least one receiver")
        options = LinkOptions(capacity=capacity, key=key, source=source, feedback=feedback, trace=self.trace)
        return RemoteRef(self, receivers=receivers, options=options, sender=sender)

    def topic(self, topic: str, *, source: int = 0, sender: str = OUTSIDE) -> RemoteRef[Any]:
        """A reference to whoever has subscribed a topic. What is published while nobody has is counted, and gone."""
        options = LinkOptions(source=source, trace=self.trace)
        return RemoteRef(self, topic=topic, options=options, sender=sender)

    def stream(self, stream: str, *, source: int = 0, sender: str = OUTSIDE, inside: bool = False) -> RemoteRef[Any]:
        """A reference to a stream of the relay's journal. What is sent there is handled once it is on the relay's disk.

        It then outlives this process, and the relay, and reaches each subscriber when that comes; see `attach`.

        Args:
            stream: its name.
            source: as for `ref`.
            sender: as for `ref`.
            inside: whether the switchboard is in this process, as that of an inlet is, and writes the stream elsewhere.
        """
        options = LinkOptions(source=source, trace=self.trace, inside=inside)
        return RemoteRef(self, receivers=(STREAM + stream,), options=options, sender=sender)

    def attach(
        self,
        ref: ActorRef[Any],
        *,
        name: str | None = None,
        topics: tuple[str, ...] = (),
        streams: tuple[str, ...] = (),
    ) -> None:
        """Let an actor of this process have messages from others.

        Args:
            ref: as `spore.Bundle.start` returns it.
            name: under which others know it; by default its own.
            topics: have it get what is published there.
            streams: have it get what the relay's journal keeps there, from where it left off, whichever process it was
                in then; from the beginning if it is new. In the order of each sender.

        Raises:
            UsageError: if it is not in this process, or the name is taken here, or is a stream's. Whether another client has it is
                known later; see `wait_attached`.
        """
        name = name or ref.name
        if name.startswith(STREAM):
            raise UsageError(
                f"{name!r} cannot be attached: names that begin with {STREAM!r} are streams of the relay's journal"
            )
        if not isinstance(ref, LocalRef):
            raise UsageError(f"{ref!r} cannot be attached: it is no reference to an actor of a bundle in this process")
        if name in self._delivery.receivers:
            raise UsageError(f"this client has attached {name!r} already")
        self._delivery.receivers[name] = ref
        cell = ref.cell
        lossy = cell.mailbox.overflow not in {Overflow.BLOCK, Overflow.FAIL}
        # What may be lost is lost in the mailbox, by its own rules; the link only has to be fast enough for that.
        window = max(cell.capacity, DEFAULT_CAPACITY) if lossy else cell.capacity
        topics = (*topics, *(STREAM + stream for stream in streams))
        self.session.attach(name, topics=topics, window=window, policy=Policy[cell.mailbox.overflow.name])

    def detach(self, name: str, *, leave: bool = False) -> None:
        """Let it have none any more. What is not handled yet, its senders keep for its successor.

        Args:
            name: as it was attached.
            leave: there will be no successor: publishers to its topics, and the journal, forget it.
        """
        self._delivery.forget(name)
        self.session.detach(name, leave=leave)

    async def wait_detached(self) -> None:
        """Wait until somebody else can have the names of the receivers that were detached.

        Cancellation: a checkpoint if it waits.
        """
        while self.session.detaching:
            await self._changed.park()

    def pause(self, inside: Collection[str] = ()) -> None:
        """Hand nothing more to the actors here than what these senders send. What comes from others waits in its link, as if the
        actors were busy."""
        self._delivery.pause(frozenset(inside))

    def resume(self) -> None:
        """Hand over what has come since, and everything from now on."""
        self._delivery.resume()

    def hold(self, name: str) -> None:
        """Hand nothing more to this receiver, which is about to stop. What comes for it stays with its senders, for its successor."""
        self._delivery.hold(name)

    @property
    def busy(self) -> bool:
        """Whether something is being handed over that is to wait; it is not for long."""
        return self._delivery.busy

    async def wait_connected(self) -> None:
        """Wait until the relay has welcomed this client.

        Cancellation: a checkpoint if it waits.

        Raises:
            RelayRefused: if it never will.
        """
        while not self.session.ready:
            if self._refusal is not None:
                raise self._refusal
            await self._changed.park()

    async def wait_attached(self, *names: str) -> None:
        """Wait until the relay has said whether this client can have the names of its receivers.

        Args:
            names: as they were attached; by default all.

        Cancellation: always a checkpoint.

        Raises:
            RelayRefused: with the reason ``name``, if another client that is alive has one of them. It is asked for again every
                two seconds, and had once that client is gone; everything else of this client goes on meanwhile. Or if the
                relay will never have this client.
        """
        await trio.lowlevel.checkpoint()
        session = self.session
        while True:
            await self.wait_connected()
            connection, fence = session.connections, session.fence()
            while session.ready and session.connections == connection and session.names.fences < fence:
                await self._changed.park()
            if session.ready and session.connections == connection:
                break
        taken = session.names.taken
        for name in names or tuple(taken):
            if name in taken:
                raise RelayRefused("name", taken[name].text)

    async def wait_open(self) -> None:
        """Wait until every link that there is by now has been accepted, or refused, by whoever is at its other end.

        Cancellation: a checkpoint if it waits.
        """
        while any(not link.accepted and link.denied is None for link in self.session.outgoing.values()):
            await self._changed.park()

    async def drain(self, *receivers: str) -> None:
        """Wait until everything that was sent from here has been handled.

        Args:
            receivers: wait for these only.

        Cancellation: a checkpoint; what is not acknowledged yet stays so.

        Raises:
            LinkDenied: if a receiver takes nothing from here, and something was sent to it.
            ActorStopped: if a receiver has stopped before all was handled.
        """
        await self.settle(*receivers)
        for link in self._leading_to(receivers):
            if (unhandled := link.unhandled) is not None:
                raise unhandled

    async def settle(self, *receivers: str) -> None:
        """The same, and what nobody takes is not waited for: `ClientStatistics.refused` has it.

        Cancellation: a checkpoint; what is not acknowledged yet stays so.
        """
        await trio.lowlevel.checkpoint()
        while any(link.unsettled for link in self._leading_to(receivers)):
            await self._changed.park()

    def _leading_to(self, receivers: Collection[str]) -> Iterable[Outgoing]:
        """The links to these, or all if none are named."""
        return (
            link
            for link in self.session.outgoing.values()
            if not receivers or not link.members.keys().isdisjoint(receivers)
        )

    async def wait_answered(self, links: Iterable[Outgoing]) -> None:
        """Wait until nobody waits for an answer over these links.

        Cancellation: a checkpoint if it waits.
        """
        links = tuple(links)
        while any(link.asks for link in links):
            await self._changed.park()

    def lift_bounds(self) -> None:
        """Everything is about to end: no sender here waits any more for room in its link.

        A receiver that merges may hold what is under way until somebody else stops, who may wait here.
        """
        for link in self.session.outgoing.values():
            link.lift_bound()

    def statistics(self, receivers: Collection[str] | None = None) -> ClientStatistics:
        """Counts of all links, exact as of now.

        Args:
            receivers: of which links to say something single: those that lead to these; by default all.
        """
        session, ended = self.session, self._delivery.ended
        incoming = [link for link in session.incoming if link not in ended]
        counts = [self._delivery.before, *(link.counts for link in (*incoming, *ended))]
        return ClientStatistics(
            name=session.name,
            connected=session.ready,
            reconnects=self.reconnects,
            damaged=session.damaged,
            denied=tuple(
                dict.fromkeys(
                    f"{denial.receiver}: {denial.text}"
                    for denial in (*session.denied, *session.names.taken.values())
                    if denial.reason is not Reason.STOPPED  # what it does not take is counted at the actor
                )
            ),
            refused=refusals(session.outgoing.values()),
            outgoing=tuple(
                of_outgoing(link) for link in session.outgoing.values() if receivers is None or link.name in receivers
            ),
            incoming=tuple(of_incoming(link) for link in incoming if receivers is None or link.receiver in receivers),
            received=sum(each.received for each in counts),
            redelivered=sum(each.redelivered for each in counts),
            duplicates=sum(each.duplicates for each in counts),
            gaps=sum(each.gaps for each in counts),
            unread=dict(session.unread.counts),
            token=session.tokens.number,
        )

    def _say_denied(self, what: str) -> None:
        if what not in self._said and len(self._said) < MAX_SAID:
            self._said.add(what)
            _log.warning("%s: %s", self.session.name, what)

    # The connection

    async def run(self) -> None:
        """Keep a connection, until cancelled or it has left.

        Cancellation: always a checkpoint.

        Raises:
            RelayRefused: if the relay will never have this client.
        """
        attempt = 0
        while True:
            try:
                carrier = await self._connect()
            except (OSError, trio.BrokenResourceError) as error:
                if (refusal := carriers.distrust(error)) is not None:
                    self._give_up(refusal)
                attempt += 1
                if attempt in {self._said_from, 10} or attempt % 100 == 0:
                    _log.warning("%s: no %s (attempt %d): %s", self.session.name, self.there, attempt, error)
            else:
                welcomed = await self._converse(carrier)
                if self._leaving:
                    return
                attempt = 1 if welcomed else attempt + 1
                self.reconnects += 1
            await trio.sleep(BACKOFF.backoff(attempt, self._chances.random()))

    async def _converse(self, carrier: Carrier) -> bool:
        """Talk over one connection until it is lost; return whether the relay was content with this client till then."""
        session = self.session
        before = session.connections
        self._carrier = carrier
        self._rest = b""
        self._flush_due = False
        self._broken = None
        carrier.eager = self._take_at_once
        error: BaseException | None = None
        try:
            session.connected(trio.current_time())
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._flush, carrier)
                    nursery.start_soon(self._watch)
                    nursery.start_soon(self._acknowledge)
                    nursery.start_soon(self._relieve)
                    self._kick()
                    await self._read(carrier)
            except BaseException as stop:
                if (
                    is_stop(stop) and not self._own.cancel_called
                ):  # the block in which this client is may hear of it only later
                    self.say_goodbye()
                raise
        except* (RelayError, trio.BrokenResourceError) as lost:
            error = first_cause(lost.subgroup(RelayRefused) or lost)
            error = carriers.distrust(error) or error
        finally:
            self._carrier = carrier.eager = None
            carrier.close()
            session.disconnected()
            self._changed.unpark_all()
            self._unpark_rooms()
        if isinstance(error, RelayRefused) and error.reason in LASTING and not self._other_token(error):
            self._give_up(error)
        if not self._leaving:
            _log.warning("%s: the connection to the %s is lost: %s", session.name, self.there, error)
        return session.connections > before and not isinstance(error, RelayRefused)

    def _other_token(self, refusal: RelayRefused) -> bool:
        """Whether the relay only does not take one token, and there is another one to show."""
        return refusal.reason == "token" and self.session.tokens.show_another()

    def _give_up(self, refusal: RelayRefused) -> NoReturn:
        """Coming again would not help."""
        self._refusal = refusal
        self._changed.unpark_all()
        raise refusal

    async def leave(self) -> None:
        """Say goodbye, and give the relay a moment to hear it: it closes the connection then.

        Cancellation: a checkpoint if it waits; the relay then takes the connection for lost.
        """
        self._leaving = True
        if self.session.ready:
            self.session.leave()
            self._write()
            with trio.move_on_after(GOODBYE_S):
                while self._carrier is not None:
                    await self._changed.park()

    def say_goodbye(self) -> None:
        """Say it without waiting for an answer: this process ends in an orderly way, and did not die of what it had in hand."""
        self._leaving = True
        if self.session.ready:
            self.session.leave()
            self._write()

    def end(self) -> None:
        """Nothing goes out any more: tell whoever sends, or waits for room or for an answer."""
        self.closed = f"client {self.session.name!r} has left the {self.there}"
        for link in tuple(self.session.outgoing.values()):
            link.end(self.closed)
        self._changed.unpark_all()

    async def _read(self, carrier: Carrier) -> None:
        turns = self.turns
        try:
            while data := await carrier.receive():
                if carrier.waited:
                    turns.new_slice()
                self._take(data, patient=True)
                for stops in range(MOST_STOPS, -1, -1):
                    if self.session.stopped is None:
                        break
                    await self._give_way()
                    self._take(b"", patient=stops > 0)
                if turns.spent(1):
                    await turns.give_way()
        except trio.BrokenResourceError:
            if self._broken is not None:
                raise self._broken from None
            raise
        raise RelayError("it was closed there")

    async def _give_way(self) -> None:
        """Let everything else have its turn, before more is read."""
        try:
            await self.turns.give_way()
        except BaseException:
            if (stopped := self.session.stopped) is not None:
                self._delivery.abandoned(stopped)
            raise

    def _take(self, data: bytes, *, patient: bool = False) -> None:
        self._holding, self._delivery.patient = True, patient
        try:
            for link in self.session.receive(data, self._now()):
                self._delivery.deliver(link)
        finally:
            self._holding = self._delivery.patient = False
        self._write()
        self._acknowledge_soon()
        if self._changed:
            self._changed.unpark_all()

    @trio.lowlevel.disable_ki_protection  # it runs handlers, wherever it is called
    def _take_at_once(self, data: bytes) -> bool:
        if self._holding or self._carrier is None or self.session.stopped is not None:
            return False
        self.turns.new_slice()  # whoever calls has one of its own
        try:
            self._take(data)
        except RelayError as error:
            self._broken = error
            self._carrier.close()  # and the reader will say why
        return True

    async def _watch(self) -> None:
        while True:
            now_s = trio.current_time()
            self._delivery.on_time(now_s)
            with trio.CancelScope(deadline=self.session.on_time(now_s)) as self._nap:
                await trio.sleep_forever()

    def _name_taken(self, denial: Deny) -> None:
        """Another client has the name of a receiver here. That is said once, until it was had."""
        _log.warning(
            "%s: %s; it is asked for again every %g s, and everything else goes on",
            self.session.name,
            denial.text,
            ASK_AGAIN_S,
        )
        self._nap.deadline = min(self._nap.deadline, trio.current_time() + ASK_AGAIN_S)

    async def _acknowledge(self) -> None:
        while True:
            await self._ack_wanted.wait()
            for _ in range(MOST_ACK_DELAYS):
                self._handling = False
                await trio.sleep(ACK_DELAY_S)
                if not self._handling:
                    break
            self._ack_wanted = trio.Event()
            self.session.acknowledge()
            self._kick()

    # Writing: at once when nothing was written just now, and else together with the next pass of the scheduler

    def unpark_soon(self, room: trio.lowlevel.ParkingLot) -> None:
        """Somebody waits in this lot for room, and there is a little: soon that will do, if there is not much by then."""
        self._rooms.add(room)
        self._relief_wanted.set()

    async def _relieve(self) -> None:
        while True:
            await self._relief_wanted.wait()
            await trio.sleep(RELIEF_DELAY_S)
            self._relief_wanted = trio.Event()
            self._unpark_rooms()

    def _unpark_rooms(self) -> None:
        for room in self._rooms:
            room.unpark_all()
        self._rooms.clear()

    def _kick(self) -> None:
        """There is something to write."""
        if self._holding or self._flush_due or self._carrier is None:
            return
        if self._burst or perf_counter_ns() - self._written_at < TOGETHER_NS:
            self._flush_due = True
            self._flush_wanted.unpark()
        else:
            self._write()

    def _write(self) -> None:
        carrier = self._carrier
        if carrier is None or self._rest:
            return
        data = self.session.data_to_send(self._now())
        if not data:
            return
        try:
            done = carrier.send_nowait(data)
        except trio.BrokenResourceError:
            carrier.close()  # whoever reads will notice
            return
        self._written_at = perf_counter_ns()
        self._burst = len(data) >= BURST_SIZE
        self.session.written()
        if done < len(data):
            self._rest = data[done:]
            self._flush_due = True
            self._flush_wanted.unpark()

    async def _flush(self, carrier: Carrier) -> None:
        while True:
            while not self._flush_due:
                await self._flush_wanted.park()
            if self._rest:
                await carrier.send_all(self._rest)
                self._rest = b""
            grown, size = self._burst, 0
            while (
                grown
            ):  # senders are at it: they know no end but a whole read of the other end, or that they have to wait
                await trio.lowlevel.checkpoint()
                before, size = size, self.session.unwritten_size
                grown = before < size < READ_SIZE
            self._flush_due = False
            self._write()
            self._changed.unpark_all()

    # Acknowledging

    def _handled(self, link: Incoming) -> None:
        """Messages of a link were handled: acknowledge them, soon."""
        self._handling = True
        if self.session.handled(link):
            self.session.acknowledge()
            self._kick()
        elif not self._holding:
            self._acknowledge_soon()

    def _acknowledge_soon(self) -> None:
        """See that what was handled is acknowledged, at the latest when nothing more has been for a while."""
        if self.session.ack_waits and not self._ack_wanted.is_set():
            self._ack_wanted.set()


@asynccontextmanager
async def open_client(
    address: Address | str | None = None,
    *,
    name: str,
    token: Tokens = "",
    tls: ssl.SSLContext | None = None,
    heartbeat_s: float = DEFAULT_HEARTBEAT_S,
    trace: bool = False,
    connect: Callable[[], Awaitable[Carrier]] | None = None,
    session: Session | None = None,
) -> AsyncIterator[Client]:
    """A client of a relay for the length of a block. It need not be there yet: the client comes until it is.

    Args:
        address: ``unix:PATH`` or ``tcp:HOST:PORT``; may be left out with ``connect``.
        name: the process's, for people.
        token: what the relay asks for, if it does; two while one replaces the other: if the relay does not take the one, the other is
            shown.
        tls: for TCP.
        heartbeat_s: say something at least this often.
        trace: let messages carry the trace that they are sent in; see `spore.message.traced`.
        connect: makes a connection in place of ``address``; see `spore.relay.nats`.
        session: in place of a new one; for tests.

    Cancellation: entering is no checkpoint; leaving is one. What was not acknowledged by then is given up: `Client.drain`
    first.

    Raises:
        UsageError: if it is not said where to connect.
        ExceptionGroup: on leaving, with `RelayRefused` if the relay will never have this client.
    """
    if connect is None:
        if address is None:
            raise UsageError("a client needs the address of a relay, or another way to connect")
        where = Address.parse(address) if isinstance(address, str) else address
        connect = partial(carriers.connect, where, tls)
    async with trio.open_nursery() as nursery:
        client = Client(session or Session(name, token=token, heartbeat_s=heartbeat_s), connect, nursery, trace)
        nursery.start_soon(client.run, name=f"relay client {name}")
        try:
            yield client
            await client.leave()
        except BaseException as error:
            if is_stop(error):
                client.say_goodbye()
            raise
        finally:
            client.end()
            nursery.cancel_scope.cancel()


def is_stop(error: BaseException) -> bool:
    """Whether somebody wants this process, or this part of it, to end, and nothing has failed."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_stop(each) for each in error.exceptions)
    return isinstance(error, (trio.Cancelled, KeyboardInterrupt))
