"""The journal against a dict: whatever is appended, trimmed, marked and opened again, both say the same."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from spore.errors import JournalError, JournalFull
from spore.relay import Journal

STREAMS = st.sampled_from(["a", "b", "c"])
FRAMES = st.binary(max_size=40)


class JournalMachine(RuleBasedStateMachine):
    """The oracle: a dict of frames by stream, and what cannot be seen in it any more."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.journal = Journal.open(self.directory)
        self.frames: dict[str, dict[int, bytes]] = {}
        self.last: dict[str, int] = {}
        self.marks: dict[str, dict[str, int]] = {}

    @rule(records=st.lists(st.tuples(STREAMS, st.integers(1, 3), FRAMES), max_size=6))
    def append(self, records: list[tuple[str, int, bytes]]) -> None:
        """Each a step or more behind the last one of its stream."""
        last = dict(self.last)
        batch = []
        for stream, step, frame in records:
            last[stream] = last.get(stream, -1) + step
            batch.append((stream, last[stream], frame))
        self.journal.append(batch)
        for stream, sequence, frame in batch:
            self.frames.setdefault(stream, {})[sequence] = frame
        self.last = last

    @rule(stream=STREAMS, back=st.integers(0, 4), frame=FRAMES, other=STREAMS)
    def append_what_was_there(self, stream: str, back: int, frame: bytes, other: str) -> None:
        """Done already where the bytes are the same; otherwise refused, with everything else in the batch."""
        sequence = self.last.get(stream, -1) - back
        batch = [(other, self.last.get(other, -1) + 1, b"new"), (stream, sequence, frame)]
        same = self.frames.get(stream, {}).get(sequence) == frame
        if sequence < 0 or stream == other:
            return
        try:
            self.journal.append(batch)
        except JournalError:
            assert not same
        else:
            assert same
            self.frames.setdefault(other, {})[batch[0][1]] = b"new"
            self.last[other] = batch[0][1]

    @rule(stream=STREAMS, upto=st.integers(-1, 12))
    def trim(self, stream: str, upto: int) -> None:
        self.journal.trim(stream, upto)
        self.frames[stream] = {n: frame for n, frame in self.frames.get(stream, {}).items() if n > upto}

    @rule(stream=STREAMS, receiver=st.sampled_from(["x", "y"]), sequence=st.integers(0, 9))
    def mark(self, stream: str, receiver: str, sequence: int) -> None:
        self.journal.set_mark(stream, receiver, sequence)
        marks = self.marks.setdefault(stream, {})
        marks[receiver] = max(sequence, marks.get(receiver, 0))

    @rule(receiver=st.sampled_from(["x", "y"]))
    def forget(self, receiver: str) -> None:
        self.journal.forget(receiver)
        for marks in self.marks.values():
            marks.pop(receiver, None)

    @rule()
    def open_again(self) -> None:
        self.journal.close()
        self.journal = Journal.open(self.directory)

    @rule(stream=STREAMS)
    def too_much(self, stream: str) -> None:
        """A batch beyond the limit leaves everything as it was."""
        self.journal.close()
        small = Journal.open(self.directory, limit_bytes=1)
        try:
            small.append([(stream, self.last.get(stream, -1) + 1, b"x")])
        except JournalFull:
            pass
        else:
            raise AssertionError("one byte was enough")
        small.close()
        self.journal = Journal.open(self.directory)

    @invariant()
    def both_say_the_same(self) -> None:
        for stream, last in self.last.items():
            kept = sorted(self.frames.get(stream, {}).items())
            assert self.journal.read(stream, -1, 1 << 20) == kept
            assert self.journal.ends()[stream] == (kept[0][0] if kept else last + 1, last)
        assert self.journal.marks() == {stream: marks for stream, marks in self.marks.items() if marks}

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.directory)


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=40, stateful_step_count=25)
