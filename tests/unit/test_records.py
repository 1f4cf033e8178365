"""What commands that measure keep of themselves, and how others read it."""

import json
import os

import pytest

from spore.migration.told import measured_facts
from spore.observe.records import MAX_BYTES, MAX_KEPT, keep_record, records_folder
from spore.observe.runs import Runs


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_a_run_is_seen_while_it_goes_on_and_afterwards():
    """Line by line as they are told; a run that has not changed is not read again."""
    runs = Runs()
    assert runs.look() == []
    with keep_record("compare", feed="sample") as record:
        record.tell("progress", what="warm-up", done=0, total=6)
        (run,) = runs.look()
        assert (run.command, run.begin["feed"], run.goes_on, run.end) == ("compare", "sample", True, None)
        assert run.progress == {"what": "warm-up", "done": 0, "total": 6}
        assert runs.look()[0] is run
        record.tell("measured", mode="bundled", latency=None)
        assert runs.look()[0].measured == [{"mode": "bundled", "latency": None}]
        record.tell("end", identical=True)
    (run,) = runs.look()
    assert (run.end, run.goes_on) == ({"identical": True}, False)


def test_what_ended_a_run_is_kept_with_it():
    """Of a group the first cause, and of Ctrl-C a word."""
    with pytest.raises(ExceptionGroup), keep_record("compare"):
        raise ExceptionGroup("", [ValueError("no feed")])
    with pytest.raises(KeyboardInterrupt), keep_record("loadtest"):
        raise KeyboardInterrupt
    assert [run.end for run in Runs().look()] == [{"error": "interrupted"}, {"error": "no feed"}]


def test_a_run_that_was_killed_does_not_go_on():
    """The lock is gone with its process, and no end was told."""
    if (child := os.fork()) == 0:
        with keep_record("compare"):
            os._exit(9)
    os.waitpid(child, 0)
    (run,) = Runs().look()
    assert (run.goes_on, run.end) == (False, None)


def test_that_there_is_no_room_for_a_record_is_no_reason_to_fail(state, monkeypatch):
    """Neither that its folder cannot be made, nor that others could write to it."""
    (state / "spore").write_text("no folder")
    with keep_record("compare") as record:
        record.tell("progress", done=1)
    (state / "spore").unlink()
    records_folder().mkdir(parents=True)
    records_folder().chmod(0o777)
    with keep_record("compare") as record:
        record.tell("progress", done=1)
    assert list(records_folder().iterdir()) == []


def test_few_records_are_kept_and_they_stay_small():
    """The newest; and of one that tells too much, what was first, and the end."""
    for number in range(MAX_KEPT + 3):
        with keep_record("compare", number=number):
            pass
    kept = Runs().look()
    assert [run.begin["number"] for run in kept] == list(range(MAX_KEPT + 2, 2, -1))
    with keep_record("loadtest") as record:
        for _ in range(30):
            record.tell("sample", text="x" * 100_000)
        record.tell("end", sustained=True)
    run = Runs().look()[0]
    assert 0 < len(run.samples) < 10
    assert run.end == {"sustained": True}
    assert max(path.stat().st_size for path in records_folder().iterdir()) <= MAX_BYTES
    assert {path.stat().st_mode & 0o777 for path in records_folder().iterdir()} == {0o600}


def test_a_damaged_record_hurts_nobody():
    """What is no line, no JSON or no object is left out, as is what is not whole yet, and a file without a beginning."""
    folder = records_folder()
    folder.mkdir(parents=True)
    lines = [
        json.dumps({"event": "begin", "command": "compare"}),
        '{"event": "sample", "value": NaN}',
        "[1]",
        "}{",
        '"text"',
        "null",
        "[" * 100_000,
        '{"event": "end"',
    ]
    (folder / "20260101T000000000000Z-compare-1.jsonl").write_text("\n".join(lines))
    (folder / "20260101T000000000000Z-compare-2.jsonl").write_text('{"event": "end"}\n')
    (folder / "20260101T000000000000Z-compare-3.jsonl").symlink_to("/dev/zero")
    (folder / "notes.txt").write_text("")
    (run,) = Runs().look()
    assert (run.samples, run.end) == ([{"value": None}], None)


def test_a_run_of_a_comparison_is_told_with_its_distributions():
    """Of one for latency; of one for throughput what it took."""
    from tests.made_up_comparison import comparison

    made = comparison(repeats=1).repeats[0]
    paced = measured_facts("relayed", 0, made.paced["relayed"])
    assert paced["hop"]["p50"] <= paced["hop"]["p99"] <= paced["hop"]["curve"][-1][1]
    full = measured_facts("bundled", 0, made.full["bundled"])
    assert full["messages_per_second"] > 0
    assert "latency" not in full
    json.dumps([paced, full], allow_nan=False)
