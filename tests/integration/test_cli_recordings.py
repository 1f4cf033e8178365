"""Recordings on the command line: of a user's own messages by --module, with their schema, and refused with another one."""

import json
import subprocess
import sys

import pytest

import spore
from spore.services.messages import GasPrice

SPORE = [sys.executable, "-m", "spore"]
MINE = """
import attrs
import spore

@spore.message(type_id=120, domain=spore.Domain.MARKET_DATA)
class Tick:
    n: spore.U64
    size: spore.U64
    price: spore.U64

@spore.message(type_id=121, domain=spore.Domain.SIGNAL)
class Big:
    n: spore.U64

@attrs.define
class Watch(spore.Actor[Tick]):
    recorder: spore.ActorRef[Big] | None = None

    def handle(self, tick: Tick) -> None:
        if tick.size > 1 and self.recorder is not None:
            self.recorder.tell(Big(tick.n))
"""
CONFIG = """
[[bundles]]
name = "watching"
mode = "shared_memory"

[bundles.actors.watch]
type = "mine_actors:Watch"
"""


def run(*arguments, cwd, stdin=b""):
    return subprocess.run([*SPORE, *arguments], capture_output=True, cwd=cwd, check=False, input=stdin)


def lines(count=3):
    fields = ({"n": n, "size": n, "price": 7} for n in range(count))
    items = ({"domain": "market_data", "sequence": n, "timestamp_ns": 0, "items": [{"type": "Tick", "fields": each}]}
             for n, each in enumerate(fields))  # fmt: skip
    return b"".join(json.dumps(each).encode() + b"\n" for each in items)


@pytest.fixture
def folder(tmp_path):
    """A module, the module with two fields swapped, and a recording of the first."""
    (tmp_path / "mine_actors.py").write_text(MINE)
    swapped = MINE.replace("size: spore.U64", "x").replace("price: spore.U64", "size: spore.U64")
    (tmp_path / "swapped.py").write_text(swapped.replace("x\n", "price: spore.U64\n"))
    (tmp_path / "pipeline.toml").write_text(CONFIG)
    done = run("encode", "-", "-m", "mine_actors", "-o", "mine.frames", cwd=tmp_path, stdin=lines())
    assert (done.returncode, done.stderr) == (0, b"")
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ["record", "mine.frames", "--to", "again.frames"],
        ["replay", "mine.frames"],
        ["compare", "--feed", "mine.frames", "--repeat", "1", "--seconds", "0.1"],
        ["loadtest", "--feed", "mine.frames", "--seconds", "1"],
    ],
    ids=lambda command: command[0],
)
def test_a_file_of_unknown_messages_is_an_error(command, folder):
    """With the type number, the recorded name, and the option that helps; with the module of another layout it names the field."""
    done = run(*command, cwd=folder)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"of type number 120 (Tick), which no imported module declares" in done.stderr
    assert b"--module" in done.stderr
    done = run(*command, "--module", "swapped", cwd=folder)
    assert (done.returncode, done.stdout) == (2, b"")
    assert (
        b"Tick (120) was recorded with another meaning: size was field 2 and is field 3; price was field 3"
        in done.stderr
    )
    done = run(*command, "--module", "nowhere", cwd=folder)
    assert (done.returncode, done.stderr) == (
        2, b"spore: --module nowhere: there is no module nowhere here or among the installed packages\n"
    )  # fmt: skip
    assert not (folder / "again.frames").exists()


def test_decode_refuses_another_meaning(folder):
    """The exit code says so, too; with the right module the same file is printed, and its lines make the same file again."""
    done = run("decode", "mine.frames", "-m", "swapped", cwd=folder)
    assert (done.returncode, len(done.stdout.splitlines())) == (2, 1)
    assert b"mine.frames: at byte " in done.stderr
    assert b"Tick (120) was recorded with another meaning: size was field 2" in done.stderr
    done = run("decode", "mine.frames", "-m", "mine_actors", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    head, *ticks = [json.loads(line) for line in done.stdout.splitlines()]
    assert head["items"][0]["type"] == "SchemaHead"
    assert [tick["items"][0]["fields"]["size"] for tick in ticks] == [0, 1, 2]
    again = run("encode", "-", "-m", "mine_actors", "-o", "again.frames", cwd=folder, stdin=done.stdout)
    assert again.returncode == 0
    assert (folder / "again.frames").read_bytes() == (folder / "mine.frames").read_bytes()
    wrong = run("encode", "-", "-m", "swapped", "-o", "wrong.frames", cwd=folder, stdin=done.stdout)
    assert (wrong.returncode, (folder / "wrong.frames").exists()) == (2, False)
    assert b"<stdin>, line 2: the schema in these lines is another one" in wrong.stderr


def test_a_recording_without_a_schema_is_read_with_one_warning(folder):
    """By each command; what other files hold, and pipes, is only looked into."""
    (folder / "plain.frames").write_bytes(
        b"".join(spore.codec.encode(GasPrice(n, n, 1, 1), sequence=n, timestamp_ns=0) for n in range(5))
    )
    for command in (
        ["decode", "plain.frames"],
        ["record", "plain.frames", "--to", "b.frames"],
        ["replay", "plain.frames"],
    ):
        done = run(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count(b"plain.frames: no schema says what GasPrice (18) meant") == 1
        assert done.stderr.count(b"\n") == 1
    done = run("decode", "-", cwd=folder, stdin=(folder / "plain.frames").read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert run("decode", "b.frames", cwd=folder).stderr == b""


def test_encode_writes_no_schema_where_nobody_asks_for_one(folder):
    """Frames for a socket are frames; --schema puts it in front, as hex, too."""
    plain = run("encode", "-", "-m", "mine_actors", cwd=folder, stdin=lines()).stdout
    recording = (folder / "mine.frames").read_bytes()
    assert recording.endswith(plain)
    assert len(recording) > len(plain)
    assert run("encode", "-", "--schema", "-m", "mine_actors", cwd=folder, stdin=lines()).stdout == recording
    text = run("encode", "-", "--schema", "--hex", "-m", "mine_actors", cwd=folder, stdin=lines()).stdout
    assert bytes.fromhex(text.decode().replace("\n", "")) == recording


def test_a_users_own_recording_goes_through_every_command(folder):
    """Recorded again, and played through a pipeline of the user's own in both modes."""
    done = run("record", "mine.frames", "--to", "again.frames", "-m", "mine_actors", "--json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["messages"] == 3
    assert run("replay", "again.frames", cwd=folder).returncode == 2
    for mode in ("bundled", "relayed"):
        done = run(
            "replay",
            "again.frames",
            "--config",
            "pipeline.toml",
            "-m",
            "mine_actors",
            "--mode",
            mode,
            "--json",
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout)
        assert (facts["messages"], facts["lost"], facts["signals"]) == (3, 0, {"Big": 1})
    done = run(
        "compare", "pipeline.toml", "--feed", "again.frames", "-m", "mine_actors", "--repeat", "1", "--seconds", "0.1",
        "--json", "result.json", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_module_that_cannot_be_imported_is_one_line(folder):
    """A reserved number, for example: what is wrong, and what would be right."""
    (folder / "bad.py").write_text(MINE.replace("type_id=120", "type_id=2"))
    done = run("record", "mine.frames", "--to", "b.frames", "-m", "bad", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith(
        b"spore: --module bad: it cannot be imported: DefinitionError: Tick: type number 2 is the"
    )
    assert done.stderr.count(b"\n") == 1
