"""Streams: what is sent to the relay's journal reaches every subscriber, whenever it comes, and in the senders' order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

import spore
from spore import Actor, Bundle, open_bundle
from spore.errors import LinkDenied, RelayRefused, UsageError
from spore.relay import Address, Client, Journal, open_client, open_relay
from spore.relay import carrier as carriers
from spore.relay.carrier import Carrier
from spore.relay.session import Session
from spore.services.messages import GasPrice


def gas(number: int) -> GasPrice:
    return GasPrice(event_time_ns=number, block_number=number, base_fee_wei=0, priority_fee_wei=0)


@attrs.define
class Taken(Actor[Any]):
    """Keeps the numbers of what came."""

    numbers: list[int]
    enough: trio.Event
    count: int

    def handle(self, message: Any) -> None:
        self.numbers.append(message.block_number)
        if len(self.numbers) >= self.count:
            self.enough.set()


@asynccontextmanager
async def relay_at(directory: Path, **limits: int) -> AsyncIterator[Address]:
    """A relay with a journal; after the block it is as if it had been killed, but for the last marks."""
    journal = Journal.open(directory / "journal", **limits)
    where = Address(path=str(directory / "relay"))
    try:
        async with open_relay([where], journal=journal):
            yield where
    finally:
        journal.close()


async def subscribe(bundle: Bundle, client: Client, count: int, name: str = "reader") -> tuple[list[int], trio.Event]:
    numbers: list[int] = []
    enough = trio.Event()
    client.attach(await bundle.start(Taken, numbers=numbers, enough=enough, count=count), name=name, streams=("gas",))
    return numbers, enough


async def publish(where: Address, numbers: range) -> None:
    async with open_client(where, name="writer") as writer:
        stream = writer.stream("gas")
        for number in numbers:
            await stream.send(gas(number))
        await writer.drain()


async def read(where: Address, count: int, name: str = "reader") -> list[int]:
    async with open_client(where, name=name) as client, open_bundle("b") as bundle:
        numbers, enough = await subscribe(bundle, client, count, name)
        with trio.fail_after(30):
            await enough.wait()
    return numbers


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what comes about in other tasks and threads."""
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - there is nothing to wait for but this
            await trio.sleep(0.001)


async def test_a_subscriber_that_comes_late_gets_everything(tmp_path: Path) -> None:
    """Its sender is long gone, and so is the relay that took the messages."""
    async with relay_at(tmp_path) as where:
        await publish(where, range(2_500))
    async with relay_at(tmp_path) as where:
        assert await read(where, 2_500) == list(range(2_500))
        assert await read(where, 2_500, "another") == list(range(2_500))


async def test_a_restarted_subscriber_goes_on_where_it_was(tmp_path: Path) -> None:
    """It is told by name; the journal knows how far it was, also after the relay's own restart."""
    async with relay_at(tmp_path) as where:
        await publish(where, range(10))
        assert await read(where, 10) == list(range(10))
        await publish(where, range(10, 20))
        assert await read(where, 10) == list(range(10, 20))
        await publish(where, range(20, 30))
    async with relay_at(tmp_path) as where:
        assert await read(where, 10) == list(range(20, 30))


async def test_a_relay_that_is_restarted_in_the_middle_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """Sender and subscriber live on; each message is handled once and in order."""
    where = Address(path=str(tmp_path / "relay"))
    async with open_client(where, name="reader") as client, open_bundle("b") as bundle, trio.open_nursery() as nursery:
        numbers, enough = await subscribe(bundle, client, 5_000)
        nursery.start_soon(publish, where, range(5_000))
        for share in range(1, 5):
            async with relay_at(tmp_path):
                await until(lambda share=share: len(numbers) >= share * 1_000)
        async with relay_at(tmp_path):
            await enough.wait()
            await until(lambda: not nursery.child_tasks)  # the sender has heard that all is kept
    assert numbers == list(range(5_000))
    assert sum(link.counts.redelivered for link in client.session.incoming) == 0


async def test_what_a_dead_subscriber_had_not_acknowledged_comes_again_and_says_so(tmp_path: Path) -> None:
    """Its successor gets it with the mark of a redelivery; what is new has none."""

    @attrs.define
    class Stuck(Actor[Any]):
        async def handle(self, message: Any) -> None:
            await trio.sleep_forever()

    async with relay_at(tmp_path) as where:
        await publish(where, range(3))
        with trio.CancelScope() as killed:
            async with open_client(where, name="first") as client, open_bundle("b") as bundle:
                client.attach(await bundle.start(Stuck), name="reader", streams=("gas",))
                await until(lambda: any(link.received == 3 for link in client.session.incoming))
                killed.cancel()
        await publish(where, range(3, 5))
        async with open_client(where, name="second") as client, open_bundle("b") as bundle:
            numbers, enough = await subscribe(bundle, client, 5)
            with trio.fail_after(30):
                await enough.wait()
        assert sorted(numbers) == list(range(5))
        assert sum(link.counts.redelivered for link in client.session.incoming) == 3


async def test_each_sender_keeps_its_order_and_its_name(tmp_path: Path) -> None:
    """A subscriber that merges by event time gets what it would get from the senders themselves."""
    async with relay_at(tmp_path) as where, trio.open_nursery() as nursery:

        async def write(name: str, numbers: range) -> None:
            async with open_client(where, name=name) as writer:
                stream = writer.stream("gas", sender=name)
                for number in numbers:
                    await stream.send(gas(number))
                stream.idle()
                await writer.drain()

        nursery.start_soon(write, "even", range(0, 1_000, 2))
        nursery.start_soon(write, "odd", range(1, 1_000, 2))
        async with open_client(where, name="reader") as client, open_bundle("b") as bundle:
            numbers: list[int] = []
            enough = trio.Event()
            await until(lambda: len(nursery.child_tasks) == 0)
            ref = await bundle.start(Taken, numbers=numbers, enough=enough, count=1_000, merge="event_time")
            client.attach(ref, name="reader", streams=("gas",))
            with trio.fail_after(30):
                await enough.wait()
            senders = {edge.sender for edge in bundle.statistics().edges}
    assert numbers == list(range(1_000))
    assert {"even", "odd"} <= senders


async def test_a_full_journal_has_senders_wait_and_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once; when its subscriber has caught up there is room again."""
    async with relay_at(tmp_path, limit_bytes=400_000) as where, trio.open_nursery() as nursery:
        assert await read_first(where)
        nursery.start_soon(publish, where, range(1, 20_000))
        await until(lambda: "senders to its streams wait" in caplog.text)
        assert await read(where, 19_999) == list(range(1, 20_000))
    assert caplog.text.count("its limit is 400,000; senders to its streams wait") >= 1
    assert "the journal has room again" in caplog.text


async def read_first(where: Address) -> bool:
    await publish(where, range(1))
    return await read(where, 1) == [0]


async def test_a_subscriber_that_leaves_is_forgotten(tmp_path: Path) -> None:
    """If it should come again it begins at the beginning, and until then nothing is kept for it."""
    async with relay_at(tmp_path) as where:
        await publish(where, range(3))
        async with open_client(where, name="reader") as client, open_bundle("b") as bundle:
            _, enough = await subscribe(bundle, client, 3)
            await enough.wait()
            client.detach("reader", leave=True)
        assert await read(where, 3) == [0, 1, 2]


async def test_without_a_journal_there_are_no_streams(tmp_path: Path) -> None:
    """Both ends are told what to do about it."""
    where = Address(path=str(tmp_path / "relay"))
    async with open_relay([where]), open_client(where, name="c") as client, open_bundle("b") as bundle:
        stream = client.stream("gas")
        with pytest.raises(LinkDenied, match="keeps no journal; start it with --journal DIR"):
            await stream.wait_open()
        with pytest.raises(LinkDenied, match="keeps no journal"):
            await stream.send(gas(1))
        await subscribe(bundle, client, 1)
        await until(lambda: bool(client.session.denied))
        assert "start it with --journal DIR" in client.session.denied[0].text


async def test_a_stream_answers_nobody(tmp_path: Path) -> None:
    """Who handles a message, and when, its sender does not learn."""
    async with relay_at(tmp_path) as where, open_client(where, name="c") as client:
        with pytest.raises(UsageError, match="ask needs one receiver"):
            await client.stream("gas").ask(gas(1))


async def test_nobody_can_pretend_to_be_a_stream(tmp_path: Path) -> None:
    """The names of streams are the journal's: a client is told so at once, and one that goes past that is denied the name."""
    async with relay_at(tmp_path) as where, open_client(where, name="c") as client, open_bundle("b") as bundle:
        ref = await bundle.start(Taken, numbers=[], enough=trio.Event(), count=1)
        with pytest.raises(UsageError, match="names that begin with 'journal:' are streams"):
            client.attach(ref, name="journal:gas")
        client.session.attach("journal:gas")
        with pytest.raises(RelayRefused, match="is a stream of the relay's journal"):
            await client.wait_attached("journal:gas")
        assert client.session.ready


async def test_a_subscriber_with_another_schema_is_told_what_differs(tmp_path: Path) -> None:
    """What was written with one schema is not read with another, however long ago that was."""
    other = spore.Registry()

    @spore.message(type_id=18, domain=spore.Domain.MARKET_DATA, registry=other)
    class GasPrice:
        event_time_ns: spore.TimestampNs

    async with relay_at(tmp_path) as where:
        await publish(where, range(1))
    async with relay_at(tmp_path) as where:
        session = Session("reader", registry=other)
        async with open_client(where, name="reader", session=session) as client, open_bundle("b") as bundle:
            numbers, _ = await subscribe(bundle, client, 1)
            await until(lambda: bool(session.denied))
        assert "the messages of 'reader' and 'journal' differ: Trade (1) is known only there" in session.denied[0].text
        assert numbers == []
        assert await read(where, 1) == [0]


async def test_a_damaged_message_does_not_get_into_the_journal(tmp_path: Path) -> None:
    """It is asked for again, and what was sent is what is read."""
    async with relay_at(tmp_path) as where:

        async def connect() -> Carrier:
            return Spoiling(await carriers.connect(where))

        async with open_client(where, name="writer", connect=connect) as writer:
            stream = writer.stream("gas")
            await stream.wait_open()
            for number in range(100):
                await stream.send(gas(number))
            await writer.drain()
        assert sum(link.counts.resent for link in writer.session.outgoing.values()) > 0
        assert await read(where, 100) == list(range(100))


MESSAGE = b"\xef\xbe\xad\xde\x01"
"""How a frame of market data begins."""


class Spoiling(Carrier):
    """Flips one bit in the last byte of the first write that has a message."""

    def __init__(self, inner: Carrier) -> None:
        self._inner = inner
        self._spoilt = False

    def send_nowait(self, data: bytes) -> int:
        if not self._spoilt and MESSAGE in data:
            self._spoilt = True
            data = data[:-1] + bytes([data[-1] ^ 1])
        return self._inner.send_nowait(data)

    async def send_all(self, data: bytes | memoryview) -> None:
        await self._inner.send_all(data)

    async def receive(self) -> bytes:
        return await self._inner.receive()

    def close(self) -> None:
        self._inner.close()
