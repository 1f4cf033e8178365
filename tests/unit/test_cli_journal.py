"""``spore journal``: looks into a journal beside the relay or without one, and lets go of what holds it full."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.unit.test_deaths import lives
from tests.unit.test_streams import gas, publish, read, relay_at, subscribe, until

import spore
from spore import open_bundle
from spore.cli.app import run
from spore.codec import RecordingDecoder
from spore.errors import SchemaMismatch
from spore.feeds import open_feed
from spore.relay import Journal, open_client
from spore.relay.session import Session

Output = pytest.CaptureFixture[str]


def listed(directory: Path, capsys: Output) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["journal", "list", str(directory / "journal"), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def numbers(lines: str) -> list[int]:
    return [json.loads(line)["items"][0]["fields"]["block_number"] for line in lines.splitlines()]


async def test_it_lists_streams_and_how_far_each_subscriber_is(tmp_path: Path, capsys: Output) -> None:
    """Whether the relay runs or not."""
    async with relay_at(tmp_path) as where:
        await publish(where, range(10))
        assert await read(where, 10) == list(range(10))
        await until(lambda: listed(tmp_path, capsys)["streams"][0]["subscribers"] != [])
        await until(lambda: listed(tmp_path, capsys)["streams"][0]["subscribers"][0]["behind"] == 0)
        await publish(where, range(10, 15))
        await until(lambda: None not in listed(tmp_path, capsys)["streams"][0]["subscribers"][0]["positions"].values())
        beside = listed(tmp_path, capsys)
    assert listed(tmp_path, capsys)["streams"] == beside["streams"]
    (stream,) = beside["streams"]
    assert (stream["stream"], stream["messages"], stream["dead"]) == ("gas", 15, 0)
    assert [(link["client"], link["first"], link["last"]) for link in stream["links"]] == [
        ("writer", 1, 10),
        ("writer", 1, 5),
    ]
    assert stream["oldest_ns"] <= stream["newest_ns"]
    (subscriber,) = stream["subscribers"]
    assert (subscriber["subscriber"], subscriber["behind"]) == ("reader", 5)
    assert run(["journal", "list", str(tmp_path / "journal")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "gas" in shown
    assert "5 behind" in shown


async def test_it_shows_messages_as_decode_does_and_exports_them(tmp_path: Path, capsys: Output) -> None:
    """Those of several senders in the order in which they were sent; a part of them on demand."""
    async with relay_at(tmp_path) as where:
        async with open_client(where, name="one") as one, open_client(where, name="two") as two:
            for number in range(20):
                client = (one, two)[number % 2]
                await client.stream("gas").send(gas(number))
                await client.drain()
        show = ["journal", "show", str(tmp_path / "journal"), "gas"]
        assert run(show) == 0
        assert numbers(capsys.readouterr().out) == list(range(20))
        assert run([*show, "--from", "1", "--limit", "3"]) == 0
        assert numbers(capsys.readouterr().out) == [0, 1, 2]
        link = listed(tmp_path, capsys)["streams"][0]["links"][0]["link"]
        file = tmp_path / "gas.frames"
        assert run(["journal", "export", str(tmp_path / "journal"), "gas", "--to", str(file), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["messages"] == 20
        assert run(["decode", str(file)]) == 0
        head, *shown = capsys.readouterr().out.splitlines()
        assert "SchemaHead" in head
        assert numbers("\n".join(shown)) == list(range(20))
        async with open_feed(str(file)) as feed:
            assert [message.block_number async for batch in feed.batches() for message in batch] == list(range(20))
        assert run(["journal", "export", str(tmp_path / "journal"), "gas", "--to", str(file)]) == 2
        assert "--force" in capsys.readouterr().err
        assert link > 0


async def test_a_subscriber_that_never_comes_again_is_forgotten_and_the_journal_is_let_go(
    tmp_path: Path, capsys: Output
) -> None:
    """While the relay runs, and is full because of it: senders go on, and others lose nothing."""
    forget = ["journal", "forget", str(tmp_path / "journal"), "--subscriber", "old"]
    async with relay_at(tmp_path, limit_bytes=400_000) as where, trio.open_nursery() as nursery:
        await publish(where, range(1))
        assert await read(where, 1, "old") == [0]
        assert await read(where, 1, "reader") == [0]
        async with open_client(where, name="reader") as client, open_bundle("b") as bundle:
            taken, enough = await subscribe(bundle, client, 8_000)
            nursery.start_soon(publish, where, range(1, 8_001))
            await until(lambda: len(taken) > 500)
            await until(lambda: listed(tmp_path, capsys)["bytes"] > 380_000)
            assert run(forget) == 2
            said = capsys.readouterr()
            assert "add --yes" in said.err
            assert "'old' in 'gas', which is" in said.out
            assert not enough.is_set()
            assert await trio.to_thread.run_sync(run, [*forget, "--yes"]) == 0
            with trio.fail_after(60):
                await enough.wait()
    assert taken == list(range(1, 8_001))
    assert [each["subscriber"] for each in listed(tmp_path, capsys)["streams"][0]["subscribers"]] == ["reader"]


async def test_a_subscriber_that_is_there_is_known_again_at_once(tmp_path: Path, capsys: Output) -> None:
    """Forgetting it by mistake costs nothing."""
    async with relay_at(tmp_path) as where, open_client(where, name="reader") as client, open_bundle("b") as bundle:
        await publish(where, range(10))
        taken, enough = await subscribe(bundle, client, 20)
        await until(lambda: len(taken) == 10 and listed(tmp_path, capsys)["streams"][0]["subscribers"] != [])
        assert run(["journal", "forget", str(tmp_path / "journal"), "--subscriber", "reader", "--yes"]) == 0
        await until(lambda: listed(tmp_path, capsys)["streams"][0]["subscribers"] != [])
        await publish(where, range(10, 20))
        with trio.fail_after(30):
            await enough.wait()
    assert taken == list(range(20))


async def test_one_with_another_schema_holds_nothing_once_it_is_forgotten(tmp_path: Path, capsys: Output) -> None:
    """Though it is connected: it can never read what is there."""
    other = spore.Registry()

    @spore.message(type_id=18, domain=spore.Domain.MARKET_DATA, registry=other)
    class GasPrice:
        event_time_ns: spore.TimestampNs

    async with relay_at(tmp_path) as where:
        await publish(where, range(5))
        session = Session("other", registry=other)
        async with open_client(where, name="other", session=session) as client, open_bundle("b") as bundle:
            await subscribe(bundle, client, 1, "other")
            await until(lambda: bool(session.denied) and listed(tmp_path, capsys)["streams"][0]["subscribers"] != [])
            assert run(["journal", "forget", str(tmp_path / "journal"), "--subscriber", "other", "--yes"]) == 0
            assert listed(tmp_path, capsys)["streams"][0]["subscribers"] == []
            assert await read(where, 5) == list(range(5))


async def test_messages_before_a_number_are_forgotten_and_readers_go_on_behind_them(
    tmp_path: Path, capsys: Output
) -> None:
    """One that is there and one that comes later."""
    forget = ["journal", "forget", str(tmp_path / "journal"), "--stream", "gas", "--before", "6", "--yes"]
    async with relay_at(tmp_path) as where:
        await publish(where, range(10))
        assert run(forget) == 0
        assert listed(tmp_path, capsys)["streams"][0]["messages"] == 5
        await until(lambda: True)
        assert await read(where, 5) == [5, 6, 7, 8, 9]
    async with relay_at(tmp_path) as where:
        assert await read(where, 5, "another") == [5, 6, 7, 8, 9]


async def test_a_reader_that_waits_for_what_is_forgotten_goes_on_behind_it(tmp_path: Path, capsys: Output) -> None:
    """It was away, and what it had not read is gone by the word of a person."""
    async with relay_at(tmp_path) as where:
        await publish(where, range(3))
        assert await read(where, 3) == [0, 1, 2]
        await publish(where, range(3, 10))
        (first, second) = listed(tmp_path, capsys)["streams"][0]["links"]
        forget = ["journal", "forget", str(tmp_path / "journal"), "--stream", "gas"]
        assert run([*forget, "--link", str(second["link"]), "--before", "5", "--yes"]) == 0
        assert await read(where, 3) == [7, 8, 9]
        assert first["last"] == 3


async def test_dead_letters_are_listed_shown_exported_and_forgotten(tmp_path: Path, capsys: Output) -> None:
    """Also after the relay has ended."""
    handled: list[int] = []
    async with relay_at(tmp_path) as where:
        await publish(where, range(10))
        assert await lives(where, {4}, handled, upto=9) == 3
        await until(lambda: listed(tmp_path, capsys)["streams"][0]["dead"] == 1)
    directory = str(tmp_path / "journal")
    assert run(["journal", "show", directory, "--dead"]) == 0
    letter = json.loads(capsys.readouterr().out)
    assert (letter["stream"], letter["subscriber"], letter["sequence"], letter["deaths"]) == ("gas", "of gas", 5, 3)
    assert letter["message"]["items"][0]["fields"]["block_number"] == 4
    file = tmp_path / "dead.frames"
    assert run(["journal", "export", directory, "--dead", "--to", str(file)]) == 0
    capsys.readouterr()
    assert run(["decode", str(file)]) == 0
    head, *shown = capsys.readouterr().out.splitlines()
    assert "SchemaHead" in head
    assert numbers("\n".join(shown)) == [4]
    assert run(["journal", "forget", directory, "--dead", "--number", "4", "--yes"]) == 0
    assert listed(tmp_path, capsys)["streams"][0]["dead"] == 1
    assert run(["journal", "forget", directory, "--dead", "--yes"]) == 0
    assert "1 dead letters" in capsys.readouterr().out
    assert listed(tmp_path, capsys)["streams"][0]["dead"] == 0


async def test_messages_that_mean_something_else_here_are_refused_by_name(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal knows what they meant, and an export of them says it."""
    other = spore.Registry()

    @spore.message(type_id=18, domain=spore.Domain.MARKET_DATA, registry=other)
    class GasPrice:
        event_time_ns: spore.TimestampNs
        base_fee_wei: spore.U64
        block_number: spore.U64
        priority_fee_wei: spore.U64

    async with relay_at(tmp_path) as where:
        await publish(where, range(3))
    monkeypatch.setattr("spore.cli.journal.load_messages", lambda modules: other)
    assert run(["journal", "show", str(tmp_path / "journal"), "gas"]) == 2
    said = capsys.readouterr().err
    assert "stream 'gas', link 2, message 1" in said
    assert "GasPrice (18) differs" in said
    assert "--module" in said
    file = tmp_path / "gas.frames"
    assert run(["journal", "export", str(tmp_path / "journal"), "gas", "--to", str(file)]) == 0
    decoder = RecordingDecoder(registry=other)
    decoder.feed(file.read_bytes())
    with pytest.raises(SchemaMismatch, match="GasPrice"):
        list(decoder)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "{}/nowhere"], "there is no journal here"),
        (["show", "{}/journal"], "name the stream; there is 'gas'"),
        (["show", "{}/journal", "gsa"], "there is no stream 'gsa'; there is 'gas'"),
        (["show", "{}/journal", "gas", "--link", "77"], "there is no stream 'gas' with link 77"),
        (["forget", "{}/journal", "--subscriber", "redaer"], "did you mean 'reader'?"),
        (["forget", "{}/journal"], "give one of --subscriber NAME, --before NUMBER (with --stream) and --dead"),
        (["forget", "{}/journal", "--before", "3"], "give the --stream"),
        (["export", "{}/journal", "gas", "--to", "{}/x.bin"], "must end in .frames"),
    ],
)
async def test_a_mistake_is_one_sentence_and_exit_code_2(
    arguments: list[str], said: str, tmp_path: Path, capsys: Output
) -> None:
    """It says what there is."""
    async with relay_at(tmp_path) as where:
        await publish(where, range(3))
        await read(where, 3)
    assert run(["journal", *(each.format(tmp_path) for each in arguments)]) == 2
    assert said in capsys.readouterr().err


def _append(directory: Path, count: int) -> None:
    with closing(Journal.open(directory)) as journal:
        journal.append(
            [('["journal:big","00",1,1,false,"w","w",""]', number, bytes(30_000)) for number in range(1, count + 1)]
        )


def test_what_is_damaged_is_left_out_and_said(tmp_path: Path, capsys: Output) -> None:
    """The rest is saved; the exit code says that it is not all."""
    _append(tmp_path / "journal", 200)
    path = tmp_path / "journal" / "journal.sqlite"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 16_384 * 16_384
    data[middle : middle + 16_384 * 2] = b"\xff" * (2 * 16_384)
    path.write_bytes(data)
    file = tmp_path / "saved.frames"
    assert run(["journal", "export", str(tmp_path / "journal"), "big", "--to", str(file)]) == 1
    assert "cannot be read; they are damaged, and were left out" in capsys.readouterr().err
    assert 150 * 30_000 < file.stat().st_size < 200 * 30_000
    (link,) = listed(tmp_path, capsys)["streams"][0]["links"]
    assert link["damaged"]
    assert link["messages"] == file.stat().st_size // 30_000


def test_a_journal_of_a_killed_relay_on_a_medium_that_cannot_be_written_is_listed(
    tmp_path: Path, capsys: Output
) -> None:
    """Nothing of it is changed."""
    _append(tmp_path / "journal", 3)
    for path in [*(tmp_path / "journal").iterdir(), tmp_path / "journal"]:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    before = (tmp_path / "journal" / "journal.sqlite").read_bytes()
    try:
        assert listed(tmp_path, capsys)["streams"][0]["messages"] == 3
        assert (tmp_path / "journal" / "journal.sqlite").read_bytes() == before
    finally:
        (tmp_path / "journal").chmod(0o700)


def test_another_programs_file_is_refused(tmp_path: Path, capsys: Output) -> None:
    """It is not touched, either."""
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as connection:
        connection.execute("CREATE TABLE mine (x)")
    assert run(["journal", "list", str(tmp_path)]) == 2
    assert "this is another program's database" in capsys.readouterr().err
