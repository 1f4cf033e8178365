"""Streams of the relay's journal when processes are killed and disks are full: real processes, a real disk."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests import small_disk
from tests.integration.relay_processes import Process, Processes, eventually, processes_in

STREAM = "journal:numbers"


@pytest.fixture
def processes(tmp_path):
    with processes_in(tmp_path) as processes:
        yield processes


def reader(processes: Processes, name: str = "reader", log: str = "log") -> Process:
    return processes.receiver(name, topics=[STREAM], log=log, capacity=1_000)


def finish(sender: Process) -> int:
    sender.do("stop")
    sent = sender.event("stopped")
    sender.do("drain")
    assert sender.event("drained") == sent
    return sent


@pytest.mark.long
def test_a_relay_with_a_journal_that_is_killed_ten_times_loses_and_repeats_nothing(processes):
    """Sender and reader live on; whatever the relay was writing when it was killed, each message is handled once."""
    journal = ("--journal", str(processes.folder / "journal"))
    relay = processes.relay(*journal)
    receiver = reader(processes)
    sender = processes.peer("sender")
    sender.do("send", to=STREAM)
    for _ in range(10):
        receiver.event("handled", len(processes.log()) + 50)
        processes.kill_relay(relay)
        relay = processes.relay(*journal)
    sent = finish(sender)
    eventually(lambda: len(processes.log()) >= sent)
    assert processes.log() == list(range(sent))
    assert receiver.statistics()["redelivered"] == 0


def test_what_is_in_the_journal_needs_neither_its_sender_nor_the_relay_that_took_it(processes):
    """Both are killed once the sender has heard that all is kept; a reader that comes later gets everything."""
    journal = ("--journal", str(processes.folder / "journal"))
    relay = processes.relay(*journal)
    sender = processes.peer("sender")
    sender.do("send", to=STREAM, count=3_000)
    sender.event("stopped")
    sender.do("drain")
    sender.event("drained")
    sender.kill()
    processes.kill_relay(relay)
    processes.relay(*journal)
    reader(processes)
    eventually(lambda: len(processes.log()) >= 3_000)
    assert processes.log() == list(range(3_000))


def test_relay_and_reader_killed_together_repeat_only_what_they_say(processes):
    """The successor goes on from where the journal knows its predecessor to have been; what comes twice is marked."""
    journal = ("--journal", str(processes.folder / "journal"))
    relay = processes.relay(*journal)
    first = reader(processes)
    sender = processes.peer("sender")
    sender.do("send", to=STREAM)
    first.event("handled", 500)
    processes.kill_relay(relay)
    first.kill()
    processes.relay(*journal)
    second = reader(processes, "successor", "log of the successor")
    sent = finish(sender)
    eventually(lambda: (log := processes.log("log of the successor")) and log[-1] == sent - 1)
    before, after = processes.log(), processes.log("log of the successor")
    assert before == list(range(len(before)))
    assert after == list(range(after[0], sent))
    assert 0 <= len(before) - after[0] <= second.statistics()["redelivered"]


@pytest.mark.long
def test_a_full_disk_has_senders_wait_until_readers_have_made_room(processes, tmp_path):
    """The relay says so and lives; nothing that it has acknowledged is lost, and it goes on when there is room."""
    small_disk.skip_unless_mountable()
    disk = tmp_path / "disk"
    disk.mkdir()
    relay = processes._start(
        [
            small_disk.PROGRAM,
            "20m",
            str(disk),
            sys.executable,
            "-m",
            "spore",
            "relay",
            "--socket",
            str(processes.socket),
            "--journal",
            str(disk),
        ],
        "relay",
    )
    relay.line(lambda line: line.startswith("listening"))
    early = processes.receiver("early", topics=[STREAM], gated=True)
    early.do("let", count=10)
    sender = processes.peer("sender")
    sender.do("send", to=STREAM, count=12_000, size=2_400)  # 29 MB
    eventually(lambda: "senders to its streams wait" in relay.errors)
    assert "no room left on the disk" in relay.errors
    assert relay.popen.poll() is None
    early.do("let", count=20_000)
    sender.event("stopped")
    sender.do("drain")
    sender.event("drained")
    eventually(lambda: len(processes.log()) >= 12_000)
    assert processes.log() == list(range(12_000))
    assert "the journal has room again" in relay.errors
    assert relay.peak_mib < 120


def test_a_limit_of_file_sizes_has_senders_wait_and_links_go_on(processes, tmp_path):
    """ulimit -f, which SQLite calls an error of the disk: when readers have made room, everything goes on, and nothing is lost."""
    journal = tmp_path / "journal"
    command = [sys.executable, "-m", "spore", "relay", "--socket", str(processes.socket), "--journal", str(journal)]
    limited = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20)); os.execv(sys.argv[1], sys.argv[1:])"
    relay = processes._start(["-c", limited, *command], "relay")
    relay.line(lambda line: line.startswith("listening"))
    early = processes.receiver("early", topics=[STREAM], gated=True)
    early.do("let", count=10)
    sender = processes.peer("sender")
    sender.do("send", to=STREAM, count=4_000, size=2_400)  # 10 MB
    eventually(lambda: "senders to its streams wait" in relay.errors)
    assert "ulimit -f" in relay.errors
    processes.receiver("other", actor="desk", log="desk")
    linked = processes.peer("linked")
    linked.do("send", to="desk", count=500)
    linked.event("stopped")
    linked.do("drain")
    linked.event("drained")
    assert processes.log("desk") == list(range(500))
    early.do("let", count=20_000)
    sender.event("stopped")
    sender.do("drain")
    sender.event("drained")
    eventually(lambda: len(processes.log()) >= 4_000)
    assert processes.log() == list(range(4_000))
    assert relay.popen.poll() is None
    assert relay.errors.count("links and topics go on") == 1


def spore(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spore", "journal", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_a_message_that_ends_its_readers_is_set_aside_and_kept(processes, tmp_path):
    """Each of three processes dies of it; the fourth reads on behind it, and the relay's commands show it, also after the relay."""
    journal = processes.folder / "journal"
    relay = processes.relay("--journal", str(journal))
    sender = processes.peer("sender")
    sender.do("send", to=STREAM, count=200)
    assert sender.event("stopped") == 200
    sender.do("drain")
    assert sender.event("drained") == 200
    for life in range(3):
        doomed = processes.peer(f"life {life}", dies_at=70)
        doomed.do("receive", actor="sink", log=str(processes.folder / "log"), topics=[STREAM], capacity=1_000)
        assert doomed.wait() == 1
    processes.receiver("survivor", topics=[STREAM], log="rest", dies_at=70)
    eventually(lambda: processes.log("rest")[-1:] == [199])
    assert 70 not in processes.log("rest")
    assert {*processes.log(), *processes.log("rest")} == {*range(200)} - {70}
    shown = spore("show", journal, "--dead")
    assert shown.returncode == 0, shown.stderr
    letter = json.loads(shown.stdout)
    assert (letter["stream"], letter["subscriber"], letter["sequence"], letter["deaths"]) == ("numbers", "sink", 71, 3)
    processes.kill_relay(relay)
    assert "1 set aside" in spore("list", journal).stdout
    assert spore("forget", journal, "--dead", "--yes").returncode == 0
    assert spore("show", journal, "--dead").stdout == ""


@pytest.mark.parametrize("damage", ["no journal", "no directory", "garbage"])
def test_a_relay_that_cannot_begin_says_which_file_and_what_to_do(damage, tmp_path):
    """Exit code 1, as for whatever else fails in a running system."""
    directory = tmp_path / "journal"
    if damage == "no directory":
        directory.write_text("")
    else:
        directory.mkdir()
        (directory / "journal.sqlite").write_text("x" * 5_000 if damage == "garbage" else "text")
    command = [sys.executable, "-m", "spore", "relay", "--socket", str(tmp_path / "r"), "--journal", str(directory)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{directory}/journal.sqlite" in done.stderr
    assert len(done.stderr.splitlines()) == 1
