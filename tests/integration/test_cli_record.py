"""``spore record``, run as a person runs it: the file is whole or not there, and it replays to what was recorded."""

import json
import os
import signal
import subprocess
import sys

import pytest
from tests.shared_data import SHARED_DATA, needs_shared_data

from spore.codec import Decoder, is_schema_head
from spore.feeds import feed_of

SPORE = [sys.executable, "-m", "spore"]


def run(*arguments, cwd=None, umask=-1):
    return subprocess.run([*SPORE, "record", *arguments], capture_output=True, cwd=cwd, check=False, umask=umask)


def messages(spec):
    return list(feed_of(spec).messages())


def test_a_recording_replays_to_equal_messages(tmp_path):
    """The summary says what is in the file, and a recording of a recording is the same file."""
    sim = "sim:seed=3,events=5000,pools=20,venues=4"
    done = run(sim, "--to", "a.frames", cwd=tmp_path)
    size = (tmp_path / "a.frames").stat().st_size
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f"a.frames: 5,000 messages in {size:,} bytes, of 5,000 that were read\n"
    assert messages(str(tmp_path / "a.frames")) == messages(sim)
    assert run("a.frames", "--to", "b.frames", cwd=tmp_path).returncode == 0
    assert (tmp_path / "b.frames").read_bytes() == (tmp_path / "a.frames").read_bytes()


def test_frames_are_numbered_and_carry_the_events_times(tmp_path):
    """As the wire format asks: a sequence from 0, a collector's source number. Before them is the schema."""
    run("sim:seed=3,events=100", "--to", "a.frames", cwd=tmp_path)
    decoder = Decoder()
    decoder.feed((tmp_path / "a.frames").read_bytes())
    head, *frames = decoder
    assert is_schema_head(head)
    assert [(frame.sequence, frame.source) for frame in frames] == [(n, 1) for n in range(100)]
    assert all(frame.timestamp_ns == frame.message.event_time_ns for frame in frames)


def test_the_summary_as_json_has_the_account(tmp_path):
    """What was not used is counted by reason, for people and for programs."""
    (tmp_path / "spot").write_text('5 {"id": 1}\n6 {"data": {"e": "aggTrade"}}\n')
    done = run("binance:spot", "--to", "a.frames", "--json", cwd=tmp_path)
    skipped = {"no event, such as the answer to a request": 1, "another event": 1}
    size = (tmp_path / "a.frames").stat().st_size
    facts = {"file": "a.frames", "messages": 0, "bytes": size, "read": 2, "used": 0, "skipped": skipped}
    assert json.loads(done.stdout) == facts
    lines = run("binance:spot", "--to", "b.frames", cwd=tmp_path).stdout.decode().splitlines()
    assert lines[1:] == ["  not used, another event: 1", "  not used, no event, such as the answer to a request: 1"]


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path):
    """The refusal comes before anything is read."""
    (tmp_path / "a.frames").write_bytes(b"old")
    done = run("sim:seed=1,events=10", "--to", "a.frames", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"spore: a.frames is there already; add --force to replace it\n"
    assert (tmp_path / "a.frames").read_bytes() == b"old"
    assert run("sim:seed=1,events=10", "--to", "a.frames", "--force", cwd=tmp_path).returncode == 0
    assert len(messages(str(tmp_path / "a.frames"))) == 10


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_recording_is_for_its_user_alone(umask, tmp_path):
    """Whatever the umask is; one that is replaced keeps the mode that somebody has given to it."""
    run("sim:seed=1,events=10", "--to", "a.frames", cwd=tmp_path, umask=umask)
    assert (tmp_path / "a.frames").stat().st_mode & 0o777 == 0o600
    (tmp_path / "a.frames").chmod(0o640)
    run("sim:seed=1,events=10", "--to", "a.frames", "--force", cwd=tmp_path, umask=umask)
    assert (tmp_path / "a.frames").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("old", [None, b"old"])
def test_an_error_leaves_nothing_half_written(old, tmp_path):
    """A bad line far into the file: the old recording is as it was, and nothing is beside it."""
    quote = '{"u": 1, "s": "X", "b": "1", "B": "1", "a": "1", "A": "1"}'
    (tmp_path / "spot").write_text("".join(f"{n} {quote}\n" for n in range(5_000)) + "6000 {\n")
    if old is not None:
        (tmp_path / "a.frames").write_bytes(old)
    done = run("binance:spot", "--to", "a.frames", "--force", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"spore: spot:5001: no JSON: ")
    assert {path.name for path in tmp_path.iterdir()} == {"spot"} | ({"a.frames"} if old else set())
    assert old is None or (tmp_path / "a.frames").read_bytes() == old


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(number, tmp_path):
    """Ctrl-C, and being told to stop, end a recording of what was recorded before without a trace."""
    with subprocess.Popen(
        [*SPORE, "record", "sim:seed=1,events=1000000000", "--to", "a.frames"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        while not any(path.stat().st_size for path in tmp_path.iterdir()):
            assert process.poll() is None
            os.sched_yield()
        process.send_signal(number)
        out, error = process.communicate()
    assert (process.returncode, out, error) == (130, b"", b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "a.frames"], b"no feed was named; name one or more of sample, evm-logs:FILE"),
        (["nonsense", "--to", "a.frames"], b"feed 'nonsense' is none; a feed is one of sample, evm-logs:FILE"),
        (["binance:nowhere", "--to", "a.frames"], b"nowhere: cannot be read: No such file or directory"),
        (["sim:seed=1,events=1", "--to", "a.bin"], b"--to a.bin: the name must end in .frames"),
        (["sim:seed=1,events=1", "--to", "no/a.frames"], b"spore: no/a.frames: No such file or directory"),
        (["sim:seed=1,events=1", "--to", "folder.frames", "--force"], b"folder.frames is no file"),
        (["sim:seed=1,events=1"], b"--to requires an argument"),
    ],
)
def test_misuse_is_one_clear_error_and_exit_code_2(arguments, said, tmp_path):
    """No traceback, nothing on stdout, no file."""
    (tmp_path / "folder.frames").mkdir()
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr
    assert b"Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["folder.frames"]


@pytest.mark.long
@needs_shared_data
@pytest.mark.parametrize(
    "specs",
    [
        ["evm-logs:{data}/uniswap_v2_session/logs.jsonl.gz"],
        ["evm-logs:{data}/ethereum_mainnet/blocks_17173049_17173050_logs.jsonl.gz"],
        ["binance:{data}/binance_ethusdt/spot_20240808.gz"],
        [
            "evm-logs:{data}/uniswap_v2_session/logs.jsonl.gz",
            "binance:{data}/binance_ethusdt/spot_20240808.gz?first_venue=3",
        ],
    ],
    ids=["session", "mainnet", "exchange", "merged"],
)
def test_recorded_input_replays_to_equal_messages(specs, tmp_path):
    """Each recorded feed, and two of them merged, survive being written down."""
    specs = [spec.format(data=SHARED_DATA) for spec in specs]
    done = run(*specs, "--to", "a.frames", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    original = list(feed_of(*specs).messages())
    assert messages(str(tmp_path / "a.frames")) == original
    facts = json.loads(done.stdout)
    assert (facts["messages"], facts["read"]) == (len(original), facts["used"] + sum(facts["skipped"].values()))
