"""The control socket: where it is, who may use it, and that no client hurts the system."""

import fcntl
import json
import os
import socket
import stat

import pytest
import trio
from tests.controlled import TEXT, running, short_folder

from spore.deploy import Mode
from spore.deploy.control import MAX_CLIENTS
from spore.deploy.control_client import open_control
from spore.deploy.control_socket import claim, runner_of, socket_path
from spore.deploy.control_words import MAX_REQUEST_BYTES
from spore.errors import ControlError, NothingRuns, SwitchFailed, UsageError


@pytest.fixture
def folder(monkeypatch):
    with short_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        yield folder


@pytest.fixture
def config(folder):
    path = folder / "system.toml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def path(config):
    return socket_path(config)


async def raw(path, data, *, answers=1):
    """What comes back for some bytes, line by line."""
    async with await trio.open_unix_socket(str(path)) as stream:
        await stream.send_all(data)
        got = b""
        while got.count(b"\n") < answers and (more := await stream.receive_some()):
            got += more
    return [json.loads(line) for line in got.splitlines()]


# Where it is


def test_a_socket_is_found_by_the_file_however_it_is_named(config, folder, monkeypatch):
    """Relative, absolute or through a link; and another file has another one."""
    monkeypatch.chdir(folder)
    (folder / "link.toml").symlink_to(config)
    assert len({socket_path(name) for name in (config, "system.toml", "link.toml")}) == 1
    assert socket_path(config).parent == folder / "spore"
    assert socket_path("other.toml") != socket_path(config)


def test_a_file_can_say_where_its_socket_is(config, folder):
    """Seen from its own folder, wherever one stands."""
    assert socket_path(config, "run/core.sock") == folder / "run/core.sock"
    with pytest.raises(UsageError, match="at most 107 bytes"):
        socket_path(config, "x" * 120)


def test_without_the_variable_it_is_in_the_usual_runtime_directory_or_a_temporary_one(config, folder, monkeypatch):
    """So that a job of cron finds what a login has started."""
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr("spore.deploy.run_folder.RUN_USER", str(folder / "user"))
    assert socket_path(config).parent == folder / f"spore-{os.getuid()}"
    usual = folder / "user" / str(os.getuid())
    usual.mkdir(parents=True)
    assert socket_path(config).parent == usual / "spore"


async def test_directory_and_socket_are_for_the_user_alone_and_gone_afterwards(config, path):
    """Whatever the umask is."""
    old = os.umask(0)
    try:
        async with claim(path, config):
            modes = [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path)]
    finally:
        os.umask(old)
    assert modes == [0o700, 0o600]
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("what", ["open to others", "a link", "a file"])
async def test_a_directory_that_is_not_private_is_refused(config, path, folder, what):
    """Somebody else might have made it. Nothing is put there."""
    place = path.parent
    if what == "open to others":
        place.mkdir()
        place.chmod(0o777)
    elif what == "a link":
        place.symlink_to(folder)
    else:
        place.write_text("")
    with pytest.raises(UsageError, match=r"in \[control\]"):
        async with claim(path, config):
            pytest.fail("it was taken")
    assert not path.exists()


# Who listens


async def test_a_second_run_is_refused_with_the_number_of_the_first(config, path):
    """And the first goes on."""
    async with running(config):
        with pytest.raises(UsageError, match=f"is run already, by process {os.getpid()}; end that one first"):
            async with claim(path, config):
                pytest.fail("there are two")
        async with open_control(path, config) as control:
            assert (await control.status()).pid == os.getpid()


async def test_somebody_who_looks_whether_it_runs_does_not_keep_it_from_running(config, path):
    """Although he holds the lock while he looks."""
    path.parent.mkdir(mode=0o700)
    looking = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    async with trio.open_nursery() as nursery:

        async def look_away():
            await trio.testing.wait_all_tasks_blocked()
            os.close(looking)

        nursery.start_soon(look_away)
        async with claim(path, config):
            assert runner_of(path) == os.getpid()


async def test_what_a_dead_run_has_left_is_replaced(config, path):
    """Its socket, and its lock with a number that may be anybody's by now."""
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    path.with_name(f"{path.name}.lock").write_text("1")
    assert runner_of(path) is None
    with pytest.raises(NothingRuns):
        async with open_control(path, config):
            pytest.fail("nobody can have answered")
    async with running(config), open_control(path, config) as control:
        assert (await control.status()).pid == os.getpid()


async def test_something_else_in_its_place_is_left_alone(config, path):
    """It is said what is there; a client takes it for nothing that runs."""
    path.parent.mkdir(mode=0o700)
    path.write_text("precious")
    with pytest.raises(UsageError, match="exists and is no socket; nothing was changed"):
        async with claim(path, config):
            pytest.fail("it was taken")
    assert path.read_text() == "precious"
    with pytest.raises(NothingRuns):
        async with open_control(path, config):
            pytest.fail("nobody can have answered")


async def test_a_run_that_begins_or_ends_is_not_taken_for_none(config, path):
    """It holds the lock and does not listen. Whoever changed its file now would do it behind its back."""
    path.parent.mkdir(mode=0o700)
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.write(lock, b"4711")
    try:
        with pytest.raises(ControlError, match="process 4711 is just beginning or ending") as caught:
            async with open_control(path, config):
                pytest.fail("nobody can have answered")
        assert not isinstance(caught.value, NothingRuns)
    finally:
        os.close(lock)


# What it answers


async def test_status_says_the_mode_in_which_each_bundle_runs(config, path):
    """Whatever the file says, and since when."""
    async with running(config), open_control(path, config) as control:
        before = await control.status()
        await control.switch("core", Mode.RELAY)
        after = await control.status()
    assert [(each.name, each.mode) for each in before.bundles] == [("core", Mode.SHARED_MEMORY), ("other", Mode.RELAY)]
    assert [each.mode for each in after.bundles] == [Mode.RELAY, Mode.RELAY]
    assert {each.since for each in before.bundles} == {before.since}


async def test_a_switch_is_told_step_by_step_and_the_system_says_so_too(config, path):
    """In the order in which it happens; the pause is in what comes back."""
    said, steps = [], []
    async with running(config, said) as system, open_control(path, config) as control:
        switched = await control.switch("core", Mode.RELAY, cold=True, watch=steps.append)
    assert steps == ["drain", "go on"]
    assert (switched.mode_before, switched.mode, switched.pause_s) == (Mode.SHARED_MEMORY, Mode.RELAY, 0.0125)
    assert system.asked == [("core", Mode.RELAY, True)]
    assert said == ["bundle 'core' is in relay now, after a pause of 12.5 ms"]


async def test_a_switch_that_fails_says_in_which_step_and_why(config, path):
    """And the system answers as before, whatever kind of failure it was."""
    said = []
    async with running(config, said) as system, open_control(path, config) as control:
        system.refuse()
        with pytest.raises(SwitchFailed) as caught:
            await control.switch("core", Mode.RELAY)
        assert (caught.value.step, caught.value.reason) == ("drain", "no")
        system.failing = lambda _: RuntimeError("a defect")
        with pytest.raises(SwitchFailed, match="RuntimeError: a defect"):
            await control.switch("core", Mode.RELAY)
        system.failing = lambda _: None
        await control.switch("core", Mode.RELAY)
    assert said[0] == "bundle 'core' is as it was: drain: no"


async def test_of_two_switches_at_once_the_second_is_refused(config, path):
    """With what is under way; the first is not disturbed."""
    async with running(config) as system, open_control(path, config) as one, open_control(path, config) as other:
        system.go = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.switch, "core", Mode.RELAY)
            await system.switching.wait()
            with pytest.raises(SwitchFailed, match="bundle 'core' is just being switched to relay; one switch at a t"):
                await other.switch("other", Mode.SHARED_MEMORY)
            system.go.set()
        assert (system.asked, system.mode("core")) == ([("core", Mode.RELAY, False)], Mode.RELAY)


async def test_a_client_that_leaves_in_the_middle_does_not_stop_the_switch(config, path):
    """It belongs to the system, and another client sees how it came out."""
    async with running(config) as system:
        system.go = trio.Event()
        with trio.CancelScope() as scope:
            async with open_control(path, config) as control, trio.open_nursery() as nursery:
                nursery.start_soon(control.switch, "core", Mode.RELAY)
                await system.switching.wait()
                scope.cancel()
        system.go.set()
        async with open_control(path, config) as control:
            await trio.testing.wait_all_tasks_blocked()
            assert (await control.status()).bundles[0].mode is Mode.RELAY


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\x00garbage\n", "that is no request: it is no JSON"),
        (b"[" * 4_000 + b"\n", "that is no request: it is no JSON"),
        (b"[]\n", "that is no request: must be a table, not a list"),
        (b"{}\n", "that is no request: do: is missing"),
        (b'{"do": "stop"}\n', "that is no request: do: must be one of 'status', 'statistics', 'switch', 'drain', not the string 's"),
        (b'{"do": "status", "x": 1}\n', "that is no request: x: there is no such key here; there is 'do', 'bundle', 'to', "),
        (b'{"do": "switch", "to": "x"}\n', "that is no request: to: must be one of 'shared_memory', 'relay', 'distributed'"),
        (b"x" * (MAX_REQUEST_BYTES + 1), f"that is no request: a line has more than {MAX_REQUEST_BYTES:,} bytes"),
        (b"x" * (MAX_REQUEST_BYTES + 1) + b"\n", f"that is no request: a line has more than {MAX_REQUEST_BYTES:,} bytes"),
        (b'{"do": "switch", "bundle": "core"}\n', "a switch is of a bundle to a mode"),
    ],
)  # fmt: skip
async def test_what_is_no_request_is_refused_and_hurts_nobody(config, path, data, reason):
    """One answer with the reason; the next client is served."""
    async with running(config) as system:
        (answer,) = await raw(path, data)
        assert answer["event"] == "failed"
        assert answer["text"].startswith(reason)
        assert system.asked == []
        async with open_control(path, config) as control:
            await control.status()


async def test_a_client_too_many_is_sent_away_and_the_others_stay(config, path):
    """So that nobody can take everything there is; there is room again when one leaves."""
    async with running(config):
        async with trio.open_nursery() as nursery:
            streams = [await trio.open_unix_socket(str(path)) for _ in range(MAX_CLIENTS)]
            await trio.testing.wait_all_tasks_blocked()
            assert (await raw(path, b""))[0]["text"] == f"{MAX_CLIENTS} clients are here already"
            for stream in streams:
                nursery.start_soon(stream.aclose)
        await trio.testing.wait_all_tasks_blocked()
        async with open_control(path, config) as control:
            await control.status()


async def test_a_client_that_says_nothing_is_sent_away_after_a_minute(config, path, autojump_clock):
    """It would hold a place for ever."""
    async with running(config), await trio.open_unix_socket(str(path)) as stream:
        assert await stream.receive_some() == b""
        assert trio.current_time() >= 60


# What a client takes for an answer


async def answered(config, path, answer):
    """What a client says of an answer to its question."""
    async with claim(path, config) as sock, trio.open_nursery() as nursery:

        async def serve(stream):
            async with stream:
                await stream.receive_some()
                if answer is not None:
                    await stream.send_all(answer)

        listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        with pytest.raises(ControlError) as caught:
            async with open_control(path, config) as control:
                await control.status()
        nursery.cancel_scope.cancel()
    return caught.value.reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "the system has gone"),
        (b"what?\n", "what was answered makes no sense: it is no JSON"),
        (b'{"event": "done", "value": {}}\n', "what was answered makes no sense: pid: is missing"),
        (b'{"event": "failed", "text": "busy"}\n', "the system refuses: busy"),
        (b'{"event": "done"', "the system has gone"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_an_error(config, path, answer, reason):
    """With what is wrong with it; whoever is there may not be Spore."""
    assert (await answered(config, path, answer)).startswith(reason)


async def test_a_system_that_hangs_is_an_error_after_a_while(config, path, autojump_clock):
    """With the process that does not answer; and a switch is not left for it to find later."""
    async with claim(path, config) as sock:
        with pytest.raises(ControlError, match=f"process {os.getpid()} has not answered within 10 s"):
            async with open_control(path, config) as control:
                await control.switch("core", Mode.RELAY)
        taken, _ = sock.accept()
        with taken:
            assert b"switch" not in taken.recv(10_000)
