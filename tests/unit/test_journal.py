"""The journal: what it keeps, what it forgets, and what it refuses without touching it."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from spore.errors import JournalError, JournalFull
from spore.relay import Journal
from spore.relay.journal_file import FILE_NAME


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A new one, in the directory of the test."""
    with closing(Journal.open(tmp_path)) as opened:
        yield opened


def test_frames_come_back_in_order_behind_the_last_one_that_a_reader_has(journal: Journal) -> None:
    """By stream and sequence, with gaps; of a stream that is not known there are none."""
    journal.append([("a", 1, b"one"), ("b", 5, b"five"), ("a", 2, b"two"), ("a", 7, b"seven")])
    assert journal.read("a", -1, 1_000) == [(1, b"one"), (2, b"two"), (7, b"seven")]
    assert journal.read("a", 1, 1_000) == [(2, b"two"), (7, b"seven")]
    assert journal.read("a", 7, 1_000) == journal.read("c", -1, 1_000) == []
    assert journal.ends() == {"a": (1, 7), "b": (5, 5)}


@pytest.mark.parametrize(("limit", "count"), [(0, 1), (9, 1), (10, 2), (29, 2), (30, 3)])
def test_a_reader_gets_as_much_as_it_asks_for_and_at_least_one(journal: Journal, limit: int, count: int) -> None:
    """Frames of 5, 5 and 20 bytes, and none is cut."""
    journal.append([("a", 0, b"x" * 5), ("a", 1, b"x" * 5), ("a", 2, b"x" * 20)])
    assert len(journal.read("a", -1, limit)) == count


def test_a_batch_that_is_appended_again_is_done_already(journal: Journal) -> None:
    """Whoever has not heard of it may repeat it, also in part."""
    journal.append([("a", 1, b"one")])
    journal.append([("a", 1, b"one"), ("a", 2, b"two")])
    assert journal.read("a", -1, 1_000) == [(1, b"one"), (2, b"two")]


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (("a", 2, b"other"), "stream 'a', sequence 2: it is there with other bytes"),
        (("a", 1, b"one"), "there is nothing (any more) to compare it with"),
        (("a", -1, b""), "sequences are 0 to 9223372036854775807"),
        (("a", 2**63, b""), "sequences are 0 to 9223372036854775807"),
    ],
)
def test_what_contradicts_the_past_is_refused_with_its_whole_batch(
    journal: Journal, record: tuple[str, int, bytes], sentence: str
) -> None:
    """All of a batch is there, or none."""
    journal.append([("a", 2, b"two")])
    with pytest.raises(JournalError) as refused:
        journal.append([("b", 1, b"new"), record])
    assert sentence in str(refused.value)
    assert (refused.value.stream, refused.value.sequence) == ("a", record[1])
    assert journal.ends() == {"a": (2, 2)}


def test_trimming_forgets_frames_and_not_the_sequence(journal: Journal) -> None:
    """The room is used again, and what was trimmed cannot come again."""
    journal.append([("a", sequence, bytes(20_000)) for sequence in range(20)])
    used = journal.used_bytes
    journal.trim("a", 9)
    journal.trim("a", 3)
    journal.trim("nothing", 3)
    assert journal.ends() == {"a": (10, 19)}
    assert journal.used_bytes < used
    journal.trim("a", 2**63)
    assert journal.ends() == {"a": (20, 19)}
    with pytest.raises(JournalError):
        journal.append([("a", 19, b"")])
    journal.append([("a", 21, b"")])
    assert journal.ends() == {"a": (21, 21)}


def test_marks_never_go_back(journal: Journal) -> None:
    """An acknowledgement says "up to here"; a receiver that is forgotten begins anew."""
    journal.set_marks([("a", "desk", 5), ("b", "desk", 1)])
    journal.set_mark("a", "desk", 3)
    journal.set_mark("a", "log", 2)
    assert journal.marks() == {"a": {"desk": 5, "log": 2}, "b": {"desk": 1}}
    journal.forget("desk")
    assert journal.marks() == {"a": {"log": 2}}
    with pytest.raises(JournalError, match="sequences are 0 to"):
        journal.set_mark("a", "desk", -1)


def test_everything_is_there_after_opening_again(tmp_path: Path, journal: Journal) -> None:
    """Frames, ends of trimmed streams, marks, and the streams' numbers."""
    journal.append([("a", 1, b"one"), ("b", 1, b"one"), ("b", 2, b"two")])
    journal.trim("a", 1)
    journal.set_mark("b", "desk", 1)
    before = journal.ends(), journal.marks(), journal.number("b")
    journal.close()
    with pytest.raises(JournalError, match="it was closed"):
        journal.ends()
    with closing(Journal.open(tmp_path)) as again:
        assert (again.ends(), again.marks(), again.number("b")) == before
        assert again.read("b", -1, 100) == [(1, b"one"), (2, b"two")]


def test_what_was_returned_for_survives_the_process(tmp_path: Path) -> None:
    """Killed in the very next moment, without a chance to close anything."""
    code = (
        "import os, sys, pathlib; from spore.relay import Journal\n"
        "journal = Journal.open(pathlib.Path(sys.argv[1]))\n"
        "journal.append([('a', 1, b'one')]); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    with closing(Journal.open(tmp_path)) as journal:
        assert journal.read("a", -1, 100) == [(1, b"one")]


def test_beyond_its_limit_nothing_is_taken_until_there_is_room(tmp_path: Path) -> None:
    """All of a batch or none, as always; trimming makes room."""
    with closing(Journal.open(tmp_path, limit_bytes=400_000)) as journal:
        journal.append([("a", sequence, bytes(16_000)) for sequence in range(15)])
        with pytest.raises(JournalFull, match=r"15 more frames it would take .* bytes, and its limit is 400,000"):
            journal.append([("b", sequence, bytes(16_000)) for sequence in range(15)])
        assert journal.ends() == {"a": (0, 14)}
        journal.set_mark("a", "desk", 14)
        journal.trim("a", 14)
        journal.append([("b", sequence, bytes(16_000)) for sequence in range(15)])
        assert journal.ends()["b"] == (0, 14)


def test_only_its_owner_can_look_into_it(tmp_path: Path) -> None:
    """Directories that it makes, and the file."""
    Journal.open(tmp_path / "new" / "journal").close()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "new/journal")]
    assert modes == [0o700, 0o700]
    assert stat.S_IMODE((tmp_path / "new" / "journal" / FILE_NAME).stat().st_mode) == 0o600


def test_two_processes_cannot_have_it(tmp_path: Path, journal: Journal) -> None:
    """The second is told why."""
    journal.append([("a", 1, b"")])
    code = "import sys, pathlib; from spore.relay import Journal; Journal.open(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, capture_output=True, text=True)
    assert "another process has it open" in done.stderr


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()


def _newer(path: Path) -> None:
    Journal.open(path.parent).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()


def _damaged(path: Path) -> None:
    journal = Journal.open(path.parent)
    journal.append([("a", sequence, bytes(30_000)) for sequence in range(10)])
    journal.close()
    data = bytearray(path.read_bytes())
    data[16_384 : 6 * 16_384] = b"\xff" * (5 * 16_384)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (lambda path: path.write_text("notes, and no journal\n" * 100), "not a journal but some other file"),
        (_foreign, "this is another program's database"),
        (_newer, "its layout is version 2, and this program reads version 1"),
        (_damaged, "damaged"),
        (lambda path: path.mkdir(), "it cannot be opened"),
    ],
)
def test_what_is_no_journal_is_left_as_it_is(tmp_path: Path, prepare: object, sentence: str) -> None:
    """And the error says what it is."""
    path = tmp_path / FILE_NAME
    prepare(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(JournalError, match=sentence):
        Journal.open(tmp_path)
    assert before is None or path.read_bytes() == before


def test_a_name_that_cannot_be_written_is_refused(journal: Journal) -> None:
    """Half of a surrogate pair is no text."""
    with pytest.raises(JournalError, match="is no text that can be written"):
        journal.append([("\ud800", 1, b"")])
