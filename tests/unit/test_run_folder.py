"""Folders of runs: for their user alone, with short paths, and none is left behind for ever."""

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.controlled import short_folder

from spore.deploy.control_socket import claim, socket_path
from spore.deploy.run_folder import LONGEST, open_run_folder
from spore.errors import UsageError
from spore.relay import Address

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(monkeypatch):
    with short_folder() as folder:
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setattr("tempfile.tempdir", None)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        yield folder


def left_by_a_killed_process(folder):
    """The folder of a process that was killed inside of its block."""
    code = (
        "import os\nfrom spore.deploy.run_folder import open_run_folder\nwith open_run_folder('run', sockets=True) as path:\n"
        "    (path / 'relay').touch()\n    print(path, flush=True)\n    os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    path = Path(done.stdout.strip())
    assert path.parent == folder
    assert path.is_dir()
    return path


def test_a_folder_is_for_its_user_alone_and_gone_afterwards(folder):
    """Whatever is in it."""
    with open_run_folder("compare") as path:
        (path / "deep").mkdir()
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert {stat.S_IMODE(each.stat().st_mode) for each in path.iterdir() if each.is_file()} == {0o600}
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_has_left_is_removed_by_the_next_one(folder):
    """Of whatever purpose the next one is."""
    left = left_by_a_killed_process(folder)
    with open_run_folder("nats"):
        assert not left.exists()


def test_what_somebody_holds_or_has_not_been_made_by_a_run_stays(folder):
    """A folder that is in use, one of another name, one that others can write to, a link, and one without a lock."""
    away = folder / "away"
    away.mkdir(mode=0o700)
    (away / "lock").touch()
    (folder / "spore-run-abcdefg1").symlink_to(away)
    (folder / "spore-run-abcdefg2").mkdir(mode=0o700)
    (folder / "spore-run-abcdefg3").mkdir()
    (folder / "spore-run-abcdefg3").chmod(0o777)
    (folder / "spore-run-abcdefg3" / "lock").touch()
    (folder / "spore-holiday").mkdir(mode=0o700)
    (folder / "spore-holiday" / "lock").touch()
    before = set(folder.rglob("*"))
    with open_run_folder("run") as held, open_run_folder("run"):
        assert held.is_dir()
        assert before < set(folder.rglob("*"))
    assert set(folder.rglob("*")) == before


def test_a_folder_that_a_sweep_takes_while_it_is_made_is_made_again(folder, monkeypatch):
    """Nobody works in a folder that somebody else is removing."""
    real = fcntl.flock
    stolen = []

    def flock(handle, how):
        if not stolen:
            stolen.append(Path(os.readlink(f"/proc/self/fd/{handle}")))
            stolen[0].unlink()
            stolen[0].parent.rmdir()
        real(handle, how)

    monkeypatch.setattr("fcntl.flock", flock)
    with open_run_folder("run") as path:
        assert path != stolen[0].parent
        assert path.is_dir()


@pytest.mark.parametrize("runtime", ["short", "long", "missing"])
def test_the_path_of_a_socket_is_short_whatever_the_folder_for_temporary_files_is_called(folder, runtime, monkeypatch):
    """The user's runtime folder is taken, or /tmp."""
    long = folder / ("x" * 40) / ("y" * 60)
    long.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(long))
    if runtime == "missing":
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        monkeypatch.setattr("spore.deploy.run_folder.RUN_USER", str(folder / "user"))
    elif runtime == "long":
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    with open_run_folder("run", sockets=True) as path:
        assert path.parent == (folder if runtime == "short" else Path("/tmp"))
        Address(path=str(path / "relay"))
    assert len(os.fsencode(socket_path("system.toml"))) <= LONGEST
    with open_run_folder("compare") as path:
        assert path.parent == long


def test_where_there_is_no_place_it_says_what_to_set(folder, monkeypatch):
    """Both variables and the key of the configuration."""
    monkeypatch.setattr("spore.deploy.run_folder.SHORT", "/nowhere")
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    with (
        pytest.raises(UsageError, match=r"set TMPDIR or XDG_RUNTIME_DIR .*, or socket in \[relay\]"),
        open_run_folder("run", sockets=True),
    ):
        pytest.fail("there was a place")


async def test_the_sockets_of_killed_runs_are_removed_by_the_next_run_of_anything(folder):
    """And not those of runs that go on."""
    dead, other = socket_path("dead.toml"), socket_path("other.toml")
    async with claim(other, "other.toml"):
        dead.touch()
        dead.with_name(f"{dead.name}.lock").write_text("1")
        async with claim(socket_path("new.toml"), "new.toml"):
            assert not dead.exists()
            assert not dead.with_name(f"{dead.name}.lock").exists()
            assert other.exists()


def test_systems_that_are_relayed_run_in_a_long_folder_for_temporary_files(folder):
    """With a process for each actor."""
    long = folder / ("x" * 40) / ("y" * 60)
    long.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(long), "XDG_RUNTIME_DIR": str(long)}
    command = [sys.executable, "-m", "spore", "replay", "sim:seed=1,events=50", "--mode", "relayed", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(long.iterdir()) == []
