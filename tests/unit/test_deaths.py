"""A message of a stream that ends its readers is found, given so many times, and set aside; nothing else is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from tests.unit.test_streams import gas, publish, until

from spore import Actor, open_bundle
from spore.codec import decode
from spore.relay import Address, Journal, open_client, open_relay


class Died(Exception):
    """Ends a process, as far as others can see."""


@attrs.define
class Fragile(Actor[Any]):
    """Ends its process at some messages."""

    poison: frozenset[int]
    handled: list[int]
    done: trio.Event
    until: int
    died: trio.Event

    async def handle(self, message: Any) -> None:
        if message.block_number in self.poison:
            self.died.set()
            await trio.sleep_forever()
        self.handled.append(message.block_number)
        if message.block_number == self.until:
            self.done.set()


@asynccontextmanager
async def relay_at(directory: Path, deaths: int = 3) -> AsyncIterator[tuple[Address, Journal]]:
    where = Address(path=str(directory / "relay"))
    with closing(Journal.open(directory / "journal")) as journal:
        async with open_relay([where], journal=journal, deaths=deaths):
            yield where, journal


async def live(
    where: Address, poison: set[int], handled: list[int], *, upto: int, streams: tuple[str, ...] = ("gas",)
) -> bool:
    """One life of a process that reads; return whether it has died."""
    with suppress(ExceptionGroup), trio.CancelScope() as scope:
        async with open_client(where, name="reader") as client, open_bundle("b") as bundle:
            done, died = trio.Event(), trio.Event()
            for stream in streams:
                ref = await bundle.start(
                    Fragile,
                    poison=frozenset(poison),
                    handled=handled,
                    done=done,
                    until=upto,
                    died=died,
                    name=f"of {stream}",
                )
                client.attach(ref, streams=(stream,))
            with trio.fail_after(60):
                await until(lambda: done.is_set() or died.is_set())
                if died.is_set():
                    raise Died
            scope.cancel()
            await trio.sleep_forever()
    return not scope.cancelled_caught


async def lives(where: Address, poison: set[int], handled: list[int], **options: Any) -> int:
    """How many processes died until one has read everything."""
    count = 0
    while await live(where, poison, handled, **options):
        count += 1
        assert count < 30
    return count


def dead(journal: Journal) -> list[tuple[int, int]]:
    """The block numbers of dead letters, and their deaths."""
    with journal._file.turn() as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'dead'").fetchone()[0]:
            return []
        rows = connection.execute("SELECT frame, deaths FROM dead ORDER BY sequence").fetchall()
    return [(decode(frame).items[0].block_number, deaths) for frame, deaths in rows]


def vanished(journal: Journal) -> set[int]:
    """The processes of which it is noted that they have gone with messages in hand."""
    return {json.loads(record)["vanished"] for record in journal.dead.records().values()}


@pytest.mark.parametrize("limit", [2, 3, 5])
async def test_a_message_that_ends_its_readers_is_set_aside(
    limit: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After so many deaths, wherever it is among others; all others are handled."""
    handled: list[int] = []
    async with relay_at(tmp_path, limit) as (where, journal):
        await publish(where, range(100))
        assert await lives(where, {57}, handled, upto=99) == limit
        await until(lambda: dead(journal) == [(57, limit)])
    assert sorted(set(handled)) == [number for number in range(100) if number != 57]
    assert f"of stream 'journal:gas' was set aside: {limit} processes of 'of gas' died of it" in caplog.text


async def test_the_first_and_the_last_message_and_neighbours_too(tmp_path: Path) -> None:
    """Each has its own count."""
    handled: list[int] = []
    async with relay_at(tmp_path) as (where, journal):
        await publish(where, range(50))
        died = await lives(where, {0, 20, 21, 48}, handled, upto=49)
        await until(lambda: dead(journal) == [(0, 3), (20, 3), (21, 3), (48, 3)])
    assert died <= 12
    assert sorted(set(handled)) == [number for number in range(50) if number not in {0, 20, 21, 48}]


async def test_one_death_is_one_death_whatever_is_under_way_in_other_streams(tmp_path: Path) -> None:
    """A process that reads two streams: what it had in hand of the other one is not set aside."""
    handled: list[int] = []
    async with relay_at(tmp_path) as (where, journal):
        await publish(where, range(30))
        async with open_client(where, name="writer") as writer:
            other = writer.stream("other")
            for number in range(100, 130):
                await other.send(gas(number))
            await writer.drain()
        await lives(where, {115}, handled, upto=29, streams=("gas", "other"))
        await lives(where, {115}, handled, upto=129, streams=("gas", "other"))
        await until(lambda: dead(journal) == [(115, 3)])
    assert set(range(30)) <= set(handled)
    assert {*range(100, 130)} - {115} <= set(handled)


async def test_counting_goes_on_when_the_relay_is_restarted_between_deaths(tmp_path: Path) -> None:
    """The end of the relay is nobody's death, and forgets none."""
    handled: list[int] = []
    count, seen = 0, {0}
    async with relay_at(tmp_path) as (where, _):
        await publish(where, range(20))
    while True:
        async with relay_at(tmp_path) as (where, journal):
            if not await live(where, {7}, handled, upto=19):
                await until(lambda: dead(journal) == [(7, 3)])
                break
            await until(
                lambda before=frozenset(seen): vanished(journal) - before
            )  # it is on the disk that this one has gone
            seen |= vanished(journal)
        count += 1
    assert count == 3
    assert sorted(set(handled)) == [number for number in range(20) if number != 7]


async def test_a_clean_stop_in_the_middle_of_a_message_is_no_death(tmp_path: Path) -> None:
    """Cancelled or interrupted, it says goodbye; however often that happens."""
    async with relay_at(tmp_path) as (where, journal):
        await publish(where, range(3))
        for stop in [None, KeyboardInterrupt] * 3:
            with suppress(BaseExceptionGroup), trio.CancelScope() as scope:
                async with open_client(where, name="reader") as client, open_bundle("b") as bundle:
                    died = trio.Event()
                    options = {"handled": [], "done": trio.Event(), "until": 2, "died": died}
                    client.attach(
                        await bundle.start(Fragile, poison=frozenset({1}), name="of gas", **options), streams=("gas",)
                    )
                    with trio.fail_after(30):
                        await died.wait()
                    if stop is not None:
                        raise stop
                    scope.cancel()
                    await trio.sleep_forever()
        handled: list[int] = []
        assert not await live(where, set(), handled, upto=2)
        assert dead(journal) == []
    assert handled[-2:] == [1, 2]


async def test_a_killed_relay_is_no_death_of_its_subscribers(tmp_path: Path) -> None:
    """They come again themselves, with the message still in hand."""
    where = Address(path=str(tmp_path / "relay"))
    async with relay_at(tmp_path):
        await publish(where, range(3))
    async with trio.open_nursery() as ending, open_client(where, name="reader") as client, open_bundle("b") as bundle:
        died = trio.Event()
        options = {"handled": [], "done": trio.Event(), "until": 2, "died": died}
        client.attach(await bundle.start(Fragile, poison=frozenset({1}), name="of gas", **options), streams=("gas",))
        for _ in range(5):
            async with relay_at(tmp_path) as (_, journal):
                with trio.fail_after(30):
                    await died.wait()
                await client.wait_connected()
                await until(lambda: not journal.dead.records())
                assert dead(journal) == []
        ending.cancel_scope.cancel()


async def test_a_connection_that_is_lost_is_no_death_if_the_process_comes_again(tmp_path: Path) -> None:
    """However often it is lost while one message is in hand."""
    async with relay_at(tmp_path) as (where, journal):
        await publish(where, range(3))
        async with (
            trio.open_nursery() as ending,
            open_client(where, name="reader") as client,
            open_bundle("b") as bundle,
        ):
            died = trio.Event()
            options = {"handled": [], "done": trio.Event(), "until": 2, "died": died}
            client.attach(
                await bundle.start(Fragile, poison=frozenset({1}), name="of gas", **options), streams=("gas",)
            )
            with trio.fail_after(30):
                await died.wait()
                for number in range(2, 7):
                    client._carrier.close()
                    await until(lambda number=number: client.session.connections == number)
                    await until(lambda: client.session.incoming[0].open)
            await until(lambda: not journal.dead.records())
            assert dead(journal) == []
            ending.cancel_scope.cancel()
