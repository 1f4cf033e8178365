"""Going back: file and system agree, whatever fails."""

import errno
import os
import re
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
from tests import small_disk
from tests.controlled import TEXT, running, short_folder

from spore.deploy import Mode, load_config
from spore.deploy.control_socket import claim, socket_path
from spore.errors import ConfigError, ControlError, RollbackFailed, SwitchFailed, UsageError
from spore.migration import config_file
from spore.migration.rollback import change_to_backup, change_to_relay, make

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
DIVIDED = TEXT.replace('or "relay"\n', 'or "relay"\nshard_by = "number"\nshards = 2\n')
RELAYED = TEXT.replace('"shared_memory"', '"relay"')


@pytest.fixture
def config(monkeypatch):
    with short_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
        (folder / "run").mkdir()
        path = folder / "etc" / "system.toml"
        path.parent.mkdir()
        path.write_text(TEXT)
        yield path


def files(config):
    return sorted(each.name for each in config.parent.iterdir())


def said_mode(config):
    return load_config(config).bundles[0].mode


async def to_relay(config, **options):
    lines = []
    made = await make(change_to_relay(config, "core"), lines.append, now=NOW, **options)
    return made, lines


async def test_a_running_system_is_switched_and_its_file_says_so(config):
    """The backup is beside it, with date and time in its name, and is what the file was; the rights are those of the file."""
    config.chmod(0o640)
    async with running(config) as system:
        made, lines = await to_relay(config, cold=True)
        assert (system.mode("core"), system.asked) == (Mode.RELAY, [("core", Mode.RELAY, True)])
    assert made.backup == config.parent / "system.toml.20261125T093000Z.bak"
    assert (config.read_text(), made.backup.read_text()) == (RELAYED, TEXT)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (config, made.backup)} == {0o640}
    assert files(config) == [config.name, made.backup.name]
    assert lines == [
        f"backed up as {made.backup}",
        "switching bundle 'core' to relay",
        "  drain",
        "  go on",
        "bundle 'core' runs in relay now, after a pause of 12.5 ms",
        f"{config} says mode = \"relay\" for bundle 'core' now",
    ]


async def test_where_nothing_runs_the_file_alone_is_changed_and_it_says_so(config):
    """It counts at the next start."""
    made, lines = await to_relay(config)
    assert not made.runs
    assert config.read_text() == RELAYED
    assert lines[1] == f"nothing runs {config}, as nobody listens at {socket_path(config)}: there is nothing to switch"


async def test_what_is_in_relay_already_is_left_alone(config):
    """In the file, in the system, or in both: no backup of what does not change."""
    config.write_text(RELAYED)
    async with running(config) as system:
        made, lines = await to_relay(config)
        assert (made.backup, made.runs, system.asked) == (None, True, [])
        assert lines[-1] == f'{config} says mode = "relay" already, and is as it was'
        config.write_text(TEXT)
        made, lines = await to_relay(config)
        assert (made.backup is None, system.asked, said_mode(config)) == (False, [], Mode.RELAY)
    assert lines[1] == "the system runs bundle 'core' in relay already"


async def test_a_link_is_followed_and_stays_one(config):
    """It is what others read that is changed, and the backup is where that is."""
    link = config.parent.parent / "current.toml"
    link.symlink_to(config)
    made, _ = await to_relay(link)
    assert link.is_symlink()
    assert (said_mode(config), made.backup.parent) == (Mode.RELAY, config.parent)


async def test_a_backup_never_replaces_another(config):
    """Two in one second get two names."""
    backups = []
    for _ in range(3):
        config.write_text(TEXT)
        made, _ = await to_relay(config)
        backups.append(made.backup.name.removeprefix("system.toml.20261125T093000Z"))
    assert backups == [".bak", "-2.bak", "-3.bak"]


async def test_a_switch_that_fails_leaves_file_and_system_as_they_were(config):
    """And no backup, since there is nothing to go back to."""
    async with running(config) as system:
        system.refuse()
        with pytest.raises(SwitchFailed, match="drain: no"):
            await to_relay(config)
        assert system.mode("core") is Mode.SHARED_MEMORY
    assert (config.read_text(), files(config)) == (TEXT, [config.name])


@pytest.mark.parametrize("write", [1, 2])
async def test_without_room_on_the_disk_nothing_happens(config, monkeypatch, write):
    """Neither for the backup nor for the new file: the system is not even asked."""
    count = 0
    fsync = os.fsync

    def full(handle):
        nonlocal count
        count += stat.S_ISREG(os.fstat(handle).st_mode)
        if count == write:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(config_file.os, "fsync", full)
    async with running(config) as system:
        with pytest.raises(OSError, match="No space left on device") as caught:
            await to_relay(config)
        assert system.asked == []
    assert Path(caught.value.filename).parent == config.parent
    assert (config.read_text(), files(config)) == (TEXT, [config.name])


@pytest.mark.parametrize(("pages", "unwritten"), [(0, r"/system\.toml\..*\.bak"), (1, r"/\.system\.toml\..*")])
async def test_on_a_disk_that_is_full_the_command_says_so(config, pages, unwritten):
    """The same on a real one: with no page left for the backup, or with one for that and none for the new file."""
    small_disk.skip_unless_mountable()
    page, etc, kept = os.sysconf("SC_PAGESIZE"), config.parent, config.parent.with_name("kept.toml")
    kept.write_text(TEXT)
    fill = f"cp {kept} {config} && head -c {(15 - pages) * page} /dev/zero > {etc}/filler"
    go_back = f"{sys.executable} -m spore rollback core {config} --minutes 0"
    look = f"code=$?; cmp {kept} {config} && ls -A {etc}; exit $code"
    shell = ("sh", "-c", f"{fill}; {go_back}; {look}")
    async with running(config) as system:
        run = await trio.run_process(
            [sys.executable, small_disk.PROGRAM, str(16 * page), str(etc), *shell],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        assert system.asked == []
    assert re.fullmatch(f"spore: {etc}{unwritten}: No space left on device\n", run.stderr.decode())
    assert run.stdout.decode().splitlines()[-2:] == ["filler", config.name]
    assert run.returncode == 2


def cannot_replace(monkeypatch):
    def refuse(self, target):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "replace", refuse)


async def test_a_file_that_cannot_be_replaced_has_the_system_switched_back(config, monkeypatch):
    """So that both agree; the error names the file."""
    cannot_replace(monkeypatch)
    async with running(config) as system:
        with pytest.raises(OSError, match="Read-only") as caught:
            await to_relay(config)
        assert [to for _, to, _ in system.asked] == [Mode.RELAY, Mode.SHARED_MEMORY]
    assert caught.value.filename == str(config)
    assert (config.read_text(), files(config)) == (TEXT, [config.name])


async def test_a_bundle_that_is_divided_goes_back_shard_by_shard(config):
    """With one line in the file, which has it once."""
    config.write_text(DIVIDED)
    async with running(config) as system:
        made, _ = await to_relay(config)
        assert system.asked == [("core_0", Mode.RELAY, False), ("core_1", Mode.RELAY, False)]
        assert config.read_text() == DIVIDED.replace('"shared_memory"', '"relay"')
        await make(change_to_backup(config, "core", made.backup), print, now=NOW)
        assert [system.mode(f"core_{number}") for number in range(2)] == [Mode.SHARED_MEMORY] * 2
    assert config.read_text() == DIVIDED


async def test_a_shard_that_cannot_go_back_takes_those_before_it_with_it(config):
    """They run as the file says, all of them."""
    config.write_text(DIVIDED)
    async with running(config) as system:
        system.failing = lambda to: SwitchFailed("core_1", "drain", "no") if len(system.asked) == 2 else None
        with pytest.raises(SwitchFailed, match="'core_1' is as it was: drain: no"):
            await to_relay(config)
        assert [system.mode(f"core_{number}") for number in range(2)] == [Mode.SHARED_MEMORY] * 2
    assert (config.read_text(), files(config)) == (DIVIDED, [config.name])


async def test_what_can_be_made_to_agree_in_no_way_is_said(config, monkeypatch):
    """The file cannot be replaced, and the system not switched back: a person has to know what runs."""
    cannot_replace(monkeypatch)
    async with running(config) as system:
        system.refuse(Mode.SHARED_MEMORY)
        with pytest.raises(RollbackFailed, match=f"runs in relay and {config} says shared_memory, because Read-only"):
            await to_relay(config)
    assert (config.read_text(), files(config)) == (TEXT, [config.name])


async def test_a_file_that_somebody_changes_meanwhile_is_not_overwritten(config):
    """What was just written by hand stays, and the system goes back to where it was."""
    async with running(config) as system:
        system.go = trio.Event()
        async with trio.open_nursery() as nursery:

            async def edit():
                await system.switching.wait()
                config.write_text(TEXT + "# mine\n")
                system.go.set()

            nursery.start_soon(edit)
            with pytest.raises(OSError, match="somebody else has just changed it"):
                await to_relay(config)
        assert system.mode("core") is Mode.SHARED_MEMORY
    assert (config.read_text(), files(config)) == (TEXT + "# mine\n", [config.name])


async def test_ctrl_c_in_the_middle_waits_for_the_switch_and_the_file_follows(config):
    """A switch that has begun cannot be called back, and a file that says something else would be a trap."""
    async with running(config) as system:
        system.go = trio.Event()
        async with trio.open_nursery() as nursery:

            async def interrupt():
                await system.switching.wait()
                scope.cancel()
                system.go.set()

            nursery.start_soon(interrupt)
            with trio.CancelScope() as scope:
                await to_relay(config)
        assert (system.mode("core"), said_mode(config), len(files(config))) == (Mode.RELAY, Mode.RELAY, 2)


async def test_a_system_that_does_not_answer_leaves_the_file_alone(config, autojump_clock):
    """It may go on in the old mode for long."""
    async with claim(socket_path(config), config):
        with pytest.raises(ControlError, match="has not answered"):
            await to_relay(config)
    assert (config.read_text(), files(config)) == (TEXT, [config.name])


UNREGISTERED = """
[[bundles]]
name = "core"
mode = "shared_memory"
actors.s = { type = "tests.plan_actors:Sends", wire = { out = "c" } }
actors.c = { type = "tests.plan_actors:Anything" }
"""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("bundles = ", "system.toml: is not TOML"),
        (TEXT.replace("Paper", "Nobody"), "'Nobody' is not there in module"),
        (
            UNREGISTERED,
            'with mode = "relay": .*Unregistered goes to .* through the relay, and is no registered message',
        ),
    ],
)
def test_a_configuration_that_cannot_run_as_it_is_or_relayed_is_refused(config, text, error):
    """With what is wrong with it, before anything happens."""
    config.write_text(text)
    with pytest.raises(ConfigError, match=error):
        change_to_relay(config, "core")
    assert (config.read_text(), files(config)) == (text, [config.name])


async def test_an_unknown_bundle_is_refused(config):
    """In the file, and in the system, which may have been started from another one."""
    with pytest.raises(UsageError, match="there is no bundle 'cor'; did you mean 'core'"):
        change_to_relay(config, "cor")
    async with running(config):
        config.write_text(TEXT.replace("core", "kernel"))
        with pytest.raises(UsageError, match="the system that runs has no bundle 'kernel'"):
            await make(change_to_relay(config, "kernel"), print)
    assert files(config) == [config.name]


async def test_restoring_a_backup_goes_the_other_way(config):
    """The file is as it was to the byte, the system in the mode that it says, and what was there is backed up, too."""
    async with running(config) as system:
        first, _ = await to_relay(config)
        lines = []
        second = await make(change_to_backup(config, "core", first.backup), lines.append, now=NOW)
        assert system.mode("core") is Mode.SHARED_MEMORY
    assert config.read_bytes() == first.backup.read_bytes()
    assert second.backup.read_text() == RELAYED
    assert "differs in more" not in " ".join(lines)


async def test_a_backup_that_differs_in_more_than_the_mode_says_so(config, tmp_path):
    """A system that runs knows nothing of the rest before it is started again."""
    backup = tmp_path / "old"
    backup.write_text(TEXT + "[monitor]\nmax_lost = 7\n")
    lines = []
    await make(change_to_backup(config, "core", backup), lines.append, now=NOW)
    assert lines[-1].startswith("it differs in more than that")
    assert "max_lost" in config.read_text()


@pytest.mark.parametrize("damage", ["gone", "damaged"])
async def test_a_backup_takes_the_place_of_a_file_that_is_no_use(config, tmp_path, damage):
    """That is what it is for. What can be kept of the file is kept."""
    backup = tmp_path / "old"
    backup.write_text(TEXT)
    config.write_text("[[[")
    if damage == "gone":
        config.unlink()
    made = await make(change_to_backup(config, "core", backup), print, now=NOW)
    assert config.read_text() == TEXT
    assert made.backup is None if damage == "gone" else made.backup.read_text() == "[[["


def test_a_backup_that_is_missing_damaged_or_of_something_else_is_refused(config, tmp_path):
    """And the file is as it was."""
    backup = tmp_path / "old"
    with pytest.raises(FileNotFoundError):
        change_to_backup(config, "core", backup)
    backup.write_text("[[[")
    with pytest.raises(ConfigError, match="old: is not TOML"):
        change_to_backup(config, "core", backup)
    backup.write_text(TEXT.replace("core", "kernel"))
    with pytest.raises(UsageError, match="old: there is no bundle 'core'"):
        change_to_backup(config, "core", backup)
    assert (config.read_text(), files(config)) == (TEXT, [config.name])
