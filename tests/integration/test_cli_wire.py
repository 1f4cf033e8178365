"""The commands that show and make frames, run as a person runs them: in processes of their own."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import spore
from spore.services.messages import PoolSync, QuoteUpdate

SPORE = [sys.executable, "-m", "spore"]
QUOTE = QuoteUpdate(1, 268_380_000_000, 302_920_000, 268_381_000_000, 3_143_950_000, 2, 1_723_161_254_024_619_568, 35)
SYNC = PoolSync(7, 17_173_049, 0, 3, b"\x01" * 32, b"\x02" * 20, 2**111, 5)


def run(*arguments, stdin=b"", cwd=None):
    return subprocess.run([*SPORE, *arguments], input=stdin, capture_output=True, cwd=cwd, check=False)


@pytest.fixture
def frames():
    return b"".join(
        spore.codec.encode(message, sequence=number, timestamp_ns=5, source=3, flags=1)
        for number, message in enumerate([QUOTE, SYNC, QUOTE])
    )


def test_decode_prints_each_frame_as_a_line_of_json(frames, tmp_path):
    """A file of frames becomes JSON lines that hold everything, wide integers as strings."""
    (tmp_path / "frames").write_bytes(frames)
    done = run("decode", str(tmp_path / "frames"))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, b"")
    assert [line["sequence"] for line in lines] == [0, 1, 2]
    assert lines[1] == {
        "domain": "market_data",
        "source": 3,
        "flags": ["high_priority"],
        "sequence": 1,
        "timestamp_ns": 5,
        "items": [{"type": "PoolSync", "fields": spore.to_plain(SYNC)}],
    }
    assert lines[1]["items"][0]["fields"]["reserve0"] == str(2**111)


def test_encode_is_the_reverse_of_decode(frames):
    """What decode prints, encode turns into the same bytes, as they are and as hex."""
    lines = run("decode", "-", stdin=frames).stdout
    assert run("encode", "-", stdin=lines).stdout == frames
    hex_text = run("encode", "-", "--hex", stdin=lines).stdout
    assert hex_text.count(b"\n") == 3
    assert run("decode", "-", "--hex", stdin=hex_text).stdout == lines


def test_hex_text_may_be_broken_anywhere(frames):
    """White space in hex text means nothing, not even between the digits of a byte."""
    text = frames.hex()
    broken = "\n".join(text[at : at + 7] for at in range(0, len(text), 7)).encode()
    assert run("decode", "-", "--hex", stdin=broken).stdout == run("decode", "-", stdin=frames).stdout


def test_at_damage_decode_prints_what_was_good_and_where_it_ended(frames):
    """The frames before the damage are not lost, and the error names the input and the byte."""
    damaged = bytearray(frames)
    damaged[-1] ^= 1
    done = run("decode", "-", stdin=bytes(damaged))
    assert done.stdout.count(b"\n") == 2
    assert done.returncode == 2
    at = len(frames) - len(spore.codec.encode(QUOTE, sequence=0, timestamp_ns=0)) + 28
    assert done.stderr.startswith(f"spore: <stdin>: at byte {at}: the checksum is ".encode())


def test_a_cut_stream_is_an_error(frames):
    """A stream that stops inside a frame is not taken for its end."""
    done = run("decode", "-", stdin=frames[:-1])
    assert done.returncode == 2
    assert b"the data ends inside a frame" in done.stderr


def test_decode_suggests_hex_where_the_input_is_no_frame(frames):
    """Forgetting --hex is the usual mistake."""
    done = run("decode", "-", stdin=frames.hex().encode())
    assert done.returncode == 2
    assert b"(hex text? add --hex)" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"ef be\nad zz", b"<stdin>, line 2: 'z' is no hex digit"),
        (b"efbea", b"<stdin>: an odd number of hex digits"),
    ],
)
def test_text_that_is_no_hex_is_refused_by_line(text, said):
    """The error says where the text stops being hex."""
    done = run("decode", "-", "--hex", stdin=text)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"domain": "signal",', b"column 21: no JSON"),
        (b"\xff", b"no UTF-8"),
        (b"[]", b"not a Frame: [] is no object"),
        (b'{"domain": "signal", "domain": "signal"}', b"the key 'domain' is there twice"),
        (b'{"domain": "moon", "sequence": 1, "timestamp_ns": 1}', b"no Domain; its members are MARKET_DATA"),
        (b'{"domain": "signal", "sequence": -1, "timestamp_ns": 1}', b"-1 is no u64"),
        (
            b'{"domain": "signal", "sequence": 1, "timestamp_ns": 1, "items": [{"type": "Nope"}]}',
            b"items[0].type: there is no message 'Nope'; there are Trade, ",
        ),
        (
            b'{"domain": "signal", "sequence": 1, "timestamp_ns": 1, "items": [{"type": "OrderCancel", "fields": '
            b'{"event_time_ns": 1, "order_id": 1.5, "reason": ""}}]}',
            b"items[0]: 1.5 is no integer; write a JSON integer or a decimal string @ OrderCancel.order_id",
        ),
        (
            b'{"domain": "signal", "sequence": 1, "timestamp_ns": 1, "items": [{"type": "OrderCancel", "fields": '
            b'{"event_time_ns": 1, "order_id": 1, "reason": ""}}]}',
            b"OrderCancel (43) belongs to execution and cannot stand in a frame of signal",
        ),
    ],
)
def test_encode_names_the_line_and_the_key_of_a_mistake(line, said):
    """Each mistake that a person makes in a line of JSON is named with its place."""
    done = run("encode", "-", "--hex", stdin=b"\n" + line + b"\n")
    assert done.returncode == 2
    assert b"<stdin>, line 2" in done.stderr
    assert said in done.stderr, done.stderr


def test_an_output_file_appears_whole_or_not_at_all(frames, tmp_path):
    """A mistake in the last line leaves the old file as it was, and nothing beside it."""
    lines = run("decode", "-", stdin=frames).stdout
    target = tmp_path / "frames"
    target.write_bytes(b"old")
    assert run("encode", "-", "--output", str(target), stdin=lines + b"{").returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]
    assert target.read_bytes() == b"old"
    assert run("encode", "-", "--output", str(target), stdin=lines).returncode == 0
    assert target.read_bytes() == frames
    assert target.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["decode", "nowhere"], b"spore: nowhere: No such file or directory"),
        (["encode", "-", "-o", "nowhere/x"], b"spore: nowhere/x: No such file or directory"),
        (["decode", "-", "--module", "no.such"], b"--module no.such: there is no module no "),
        (["decode", "-", "--hexx"], b"Unknown option: --hexx"),
        (["schema", "--json", "--markdown"], b"--json and --markdown exclude each other"),
        (["nonsense"], b"Unknown command"),
    ],
)
def test_misuse_is_one_clear_error_and_exit_code_2(arguments, said, tmp_path):
    """No traceback, the reason on stderr, nothing on stdout."""
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr
    assert b"Traceback" not in done.stderr


def test_binary_is_not_written_to_a_terminal():
    """A terminal that would be garbled gets a hint instead."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "wb"), os.fdopen(ours, "rb"):
        done = subprocess.run(
            [*SPORE, "encode", "-"], stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert b"add --hex or --output FILE" in done.stderr


def test_a_reader_that_goes_away_is_no_error(frames, tmp_path):
    """`spore decode FILE | head` ends quietly, with the exit code of a closed pipe."""
    (tmp_path / "frames").write_bytes(frames * 1_000)
    with subprocess.Popen(
        [*SPORE, "decode", str(tmp_path / "frames")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 141
        assert process.stderr.read() == b""


def test_ctrl_c_ends_without_a_traceback():
    """An interrupt is exit code 130 and silence."""
    frame = spore.codec.encode(QUOTE, sequence=0, timestamp_ns=0)
    with subprocess.Popen(
        [*SPORE, "decode", "-", "--hex"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(frame.hex().encode() + b"\n")
        process.stdin.flush()
        while _unread(process.stdin):  # once it has read the line, it is past its imports and waits for more
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.stdin.close()
        assert process.wait() == 130
        assert process.stderr.read() == b""


def _unread(pipe):
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


def test_messages_of_a_users_own_module_are_known(tmp_path):
    """--module imports a module of the folder one stands in, and its messages can be shown, written and read."""
    Path(tmp_path, "mine.py").write_text(
        "import spore\n@spore.message(type_id=19, domain=spore.Domain.MARKET_DATA)\nclass Mine:\n    note: spore.Str\n"
    )
    shown = json.loads(run("schema", "--json", "--module", "mine", cwd=tmp_path).stdout)
    assert {
        "type_id": 19,
        "name": "Mine",
        "domain": "market_data",
        "fields": [{"name": "note", "type": "str"}],
    } in shown["messages"]
    line = b'{"domain": "market_data", "sequence": 1, "timestamp_ns": 2, "items": [{"type": "Mine", "fields": {"note": "hi"}}]}'
    written = run("encode", "-", "-m", "mine", stdin=line, cwd=tmp_path).stdout
    assert written[32:] == bytes([19, 4, 2, 0]) + b"hi"
    assert json.loads(run("decode", "-", stdin=written).stdout)["items"] == [{"type_id": 19, "bytes": "0x02006869"}]


def test_schema_shows_every_message_with_its_digest():
    """What people see and what tools see agree."""
    known = json.loads(run("schema", "--json").stdout)
    shown = run("schema").stdout.decode()
    assert set(known) == {"digest", "records", "enums", "messages"}
    assert f"digest {known['digest']}" in shown
    assert all(entry["name"] in shown for key in ("messages", "records", "enums") for entry in known[key])
    code = "import spore, spore.services.messages; from spore.message import REGISTRY; print(spore.Schema.of(REGISTRY).digest)"
    alone = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )  # no test's messages
    assert known["digest"] == alone.stdout.strip()


def test_a_command_does_not_wait_for_what_only_others_need():
    """To decode takes no actors."""
    code = (
        "import sys; from spore.cli.app import app_for; app_for(['decode', '-']); print('spore.deploy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"False\n"


def test_without_the_extra_the_command_says_what_to_install():
    """A core-only installation is told which extra it lacks, not shown an ImportError."""
    code = "import sys; sys.modules['cyclopts'] = None; from spore.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"pip install 'spore-actors[cli]'" in done.stderr
