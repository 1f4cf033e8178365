"""What the relay does when its journal's disk fails, in every way and at every call: links and topics go on, and it heals."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio
from tests.unit.test_streams import Taken, gas, publish, read, subscribe, until

from spore import open_bundle
from spore.errors import JournalError, JournalFailed, LinkDenied
from spore.relay import Address, Journal, intake, journal_file, open_client, open_relay, outlets, trouble


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("as was commanded")
    error.sqlite_errorcode, error.sqlite_errorname = code, "COMMANDED"
    return error


FAULTS = {
    "disk": sqlite_error(sqlite3.SQLITE_IOERR),
    "read-only": sqlite_error(sqlite3.SQLITE_READONLY),
    "locked": sqlite_error(sqlite3.SQLITE_BUSY),
    "damaged": sqlite_error(sqlite3.SQLITE_CORRUPT),
    "full": sqlite_error(sqlite3.SQLITE_FULL),
    "cannot be opened": sqlite_error(sqlite3.SQLITE_CANTOPEN),
    "system": OSError(errno.EIO, os.strerror(errno.EIO)),
}


class Disk:
    """Fails on command."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.only = ""
        """The beginning of the statements that fail; all by default."""

    def check(self, statement: str) -> None:
        if self.fault is not None and statement.lstrip().startswith(self.only):
            raise self.fault


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk, connect = Disk(), journal_file._connect

    class Connection(sqlite3.Connection):
        def execute(self, statement: str, *args: object) -> sqlite3.Cursor:
            disk.check(statement)
            return super().execute(statement, *args)

        def executemany(self, statement: str, *args: object) -> sqlite3.Cursor:
            disk.check(statement)
            return super().executemany(statement, *args)

        def executescript(self, statement: str) -> sqlite3.Cursor:
            disk.check(statement)
            return super().executescript(statement)

    def failing(path: Path) -> sqlite3.Connection:
        disk.check("open")
        uri = f"{path.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, factory=Connection)

    assert callable(connect)
    monkeypatch.setattr(journal_file, "_connect", failing)
    return disk


@pytest.fixture(autouse=True)
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that has failed, which here is tried again soon."""
    for module in (intake, outlets, trouble):
        monkeypatch.setattr(module, "RETRY_S", 0.01)
    found: list[str] = []
    happened = trouble.Trouble.happened

    def count(self: trouble.Trouble, doing: str, error: JournalError, consequence: str) -> None:
        found.append(doing)
        happened(self, doing, error, consequence)

    monkeypatch.setattr(trouble.Trouble, "happened", count)
    return found


@asynccontextmanager
async def relay_at(directory: Path, **limits: int) -> AsyncIterator[Address]:
    where = Address(path=str(directory / "relay"))
    with closing(Journal.open(directory / "journal", **limits)) as journal:
        async with open_relay([where], journal=journal):
            yield where


@asynccontextmanager
async def plain_link(where: Address) -> AsyncIterator[None]:
    """In the block links and topics of others have to work, and do."""
    async with (
        open_client(where, name="desk") as here,
        open_client(where, name="other") as there,
        open_bundle("desks") as bundle,
    ):
        numbers: list[int] = []
        enough = trio.Event()
        here.attach(
            await bundle.start(Taken, numbers=numbers, enough=enough, count=200, name="desk"), topics=("quotes",)
        )
        link, topic = there.ref("desk"), there.topic("quotes")
        await link.wait_open()
        yield
        for number in range(100):
            await link.send(gas(number))
        await there.drain()
        await until(lambda: bool(topic) and len(numbers) >= 100)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
async def test_a_journal_that_fails_has_its_streams_wait_and_nothing_else(
    fault: Exception, disk: Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture, attempts: list[str]
) -> None:
    """It is said in one line however often it is tried again, and when the cause is gone everything is kept and read."""
    async with relay_at(tmp_path) as where, trio.open_nursery() as nursery:
        await publish(where, range(10))
        async with open_client(where, name="reader") as client, open_bundle("b") as bundle:
            numbers, enough = await subscribe(bundle, client, 20)
            await until(lambda: len(numbers) == 10)
            async with plain_link(where):
                disk.fault = fault
                nursery.start_soon(publish, where, range(10, 20))
                await until(lambda: len(attempts) > 5)
            assert nursery.child_tasks
            assert numbers == list(range(10))
            disk.fault = None
            with trio.fail_after(30):
                await enough.wait()
    assert numbers == list(range(20))
    (line,) = lines(caplog)
    assert "journal.sqlite" in line
    assert "senders to its streams wait; links and topics go on" in line or "is not noted" in line
    assert "again" in caplog.text


@pytest.mark.parametrize(
    "statement", ["SELECT sequence, frame", "INSERT INTO frames", "INSERT INTO marks", "PRAGMA data_version"]
)
async def test_each_call_can_fail_alone(
    statement: str, disk: Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Reading, appending, noting and looking: what can be done is done, and the rest when it can be."""
    async with relay_at(tmp_path) as where, trio.open_nursery() as nursery:
        await publish(where, range(10))
        disk.fault, disk.only = FAULTS["disk"], statement
        nursery.start_soon(publish, where, range(10, 20))
        async with open_client(where, name="reader") as client, open_bundle("b") as bundle:
            numbers, enough = await subscribe(bundle, client, 20)
            await until(lambda: "links and topics go on" in caplog.text)
            disk.fault = None
            with trio.fail_after(30):
                await enough.wait()
    assert numbers == list(range(20))
    assert len(lines(caplog)) == 1


async def test_a_journal_that_fails_at_the_end_costs_no_more_than_marks(
    disk: Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The relay ends in peace, says what follows from it, and its successor goes on."""
    async with relay_at(tmp_path) as where:
        await publish(where, range(10))
        assert await read(where, 10) == list(range(10))
        disk.fault = FAULTS["disk"]
    assert "may be sent again what they have handled" in caplog.text
    disk.fault = None
    async with relay_at(tmp_path) as where:
        assert (await read(where, 10, "another")) == list(range(10))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_one_that_fails_at_the_start_is_an_error_that_names_the_file_and_what_to_do(
    fault: Exception, disk: Disk, tmp_path: Path
) -> None:
    """Whatever is wrong, nothing is made anew in its place."""
    Journal.open(tmp_path).close()
    before = (tmp_path / "journal.sqlite").read_bytes()
    disk.fault = fault
    with pytest.raises(JournalError, match=r"journal\.sqlite: .*; (see|stop|save|make|restart|give)|permissions"):
        Journal.open(tmp_path)
    disk.fault = None
    assert (tmp_path / "journal.sqlite").read_bytes() == before
    Journal.open(tmp_path).close()


async def test_a_journal_whose_contents_no_relay_has_written_is_refused_in_words(tmp_path: Path) -> None:
    """The relay does not begin, and says which stream it is."""
    with closing(Journal.open(tmp_path / "journal")) as journal:
        journal.append([("schema:00", 0, b"no frame")])
        with pytest.raises(ExceptionGroup) as caught:
            async with open_relay([Address(path=str(tmp_path / "relay"))], journal=journal):
                pass
    assert caught.group_contains(JournalFailed, match=r"journal\.sqlite: its stream 'schema:00' cannot be read")


@pytest.mark.parametrize("gone", ["journal", "journal/journal.sqlite"])
async def test_nothing_is_acknowledged_that_is_written_to_a_file_that_was_removed(
    gone: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, attempts: list[str]
) -> None:
    """It would be lost with the relay. When the file is put back everything goes on."""
    async with relay_at(tmp_path) as where, trio.open_nursery() as nursery:
        await publish(where, range(10))
        (tmp_path / gone).rename(tmp_path / "away")
        async with plain_link(where):
            nursery.start_soon(publish, where, range(10, 20))
            await until(lambda: "was removed or replaced; put it back" in caplog.text)
            await until(lambda: len(attempts) > 5)
            assert nursery.child_tasks
        (tmp_path / "away").rename(tmp_path / gone)
        assert await read(where, 20) == list(range(20))
    assert len(lines(caplog)) == 1


async def test_a_file_that_was_put_in_its_place_is_not_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A backup, say: what the relay knows is not what is in there."""
    async with relay_at(tmp_path) as where, trio.open_nursery() as nursery:
        await publish(where, range(10))
        file = tmp_path / "journal" / "journal.sqlite"
        shutil.copy(file, tmp_path / "copy")
        (tmp_path / "copy").replace(file)
        before = file.read_bytes()
        nursery.start_soon(publish, where, range(10, 20))
        await until(lambda: "was removed or replaced; put it back, or restart the relay" in caplog.text)
        assert file.read_bytes() == before
        nursery.cancel_scope.cancel()


async def test_a_log_that_was_removed_costs_nothing(tmp_path: Path) -> None:
    """What it held is moved into the file, and there is another one."""
    async with relay_at(tmp_path) as where:
        await publish(where, range(10))
        await publish(where, range(10, 20))
        (tmp_path / "journal" / "journal.sqlite-wal").unlink()
        await publish(where, range(20, 30))
    async with relay_at(tmp_path) as where:
        assert await read(where, 30) == list(range(30))


async def test_what_contradicts_the_journal_costs_one_sender_its_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told why; the others' messages are kept."""
    append = Journal.append

    def refusing(self: Journal, records: list[tuple[str, int, bytes]]) -> dict[str, int]:
        for stream, sequence, _ in records:
            if '"bad"' in stream:
                raise JournalError("journal.sqlite", "it is there with other bytes", stream="gas", sequence=sequence)
        return append(self, records)

    monkeypatch.setattr(Journal, "append", refusing)
    async with relay_at(tmp_path) as where, open_client(where, name="bad") as bad, trio.open_nursery() as nursery:
        nursery.start_soon(publish, where, range(100))
        stream = bad.stream("gas")
        await stream.send(gas(1))
        (link,) = bad.session.outgoing.values()
        await until(lambda: link.denied is not None)
        with pytest.raises(LinkDenied, match="it is there with other bytes"):
            await stream.send(gas(1))
        assert await read(where, 100) == list(range(100))
    assert "the link of 'bad' is given up" in caplog.text


async def test_a_log_line_is_said_at_most_once_a_minute(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """However often, and in how many ways, it fails and works again."""
    found = trouble.Trouble()
    for _ in range(600):
        for doing in ("appending", "reading"):
            found.happened(doing, JournalFailed("file", "broken"), "streams wait")
        found.over("appending")
        found.over("reading")
        await trio.sleep(1)
    assert len(lines(caplog)) == 10
    assert caplog.text.count("works again") == 10
