"""``spore switch``, ``rollback`` and ``monitor`` as they speak to people, against a system that is made up."""

import json
import signal
import threading
from contextlib import contextmanager

import pytest
import trio
from tests.controlled import TEXT, running, short_folder
from tests.unit.test_health import actor, process, shadow

import spore.cli.monitor
from spore.cli.app import run
from spore.deploy import Mode, load_config
from spore.deploy.reading import Reading
from spore.errors import ControlError
from spore.migration.health import Watch
from spore.migration.monitor import FEWEST_LOOKS

SECOND = 1_000_000_000


@pytest.fixture
def config(monkeypatch):
    with short_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        path = folder / "system.toml"
        path.write_text(TEXT)
        yield path


@contextmanager
def served(config):
    """A system that seems to run, in a thread: commands have the main one, as with people."""
    ready, found = threading.Event(), {}

    async def main():
        async with running(config) as system:
            found.update(system=system, token=trio.lowlevel.current_trio_token(), stop=trio.Event())
            ready.set()
            await found["stop"].wait()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    try:
        assert ready.wait(20)
        yield found["system"]
    finally:
        found["token"].run_sync_soon(found["stop"].set)
        thread.join(20)


@pytest.fixture
def looks(monkeypatch):
    """What the monitor sees, in place of a system: a look a second, without the seconds, and then perhaps an error."""

    def looks(*seen, then=None):
        async def watch(control, config, limits, show, *, seconds, from_now):
            watching = Watch(limits, from_now=from_now)
            health = None
            for number, things in enumerate(seen):
                await trio.lowlevel.checkpoint()
                of = {cls: tuple(each for each in things if type(each) is cls) for cls in map(type, things)}
                given = [of.get(type(each), ()) for each in (actor(), process(), shadow(different=0))]
                health = watching.see(
                    Reading(at_ns=number * SECOND, actors=given[0], processes=given[1], shadows=given[2])
                )
                if health is not None:
                    show(health)
            if then is not None:
                raise then
            return health

        monkeypatch.setattr(spore.cli.monitor, "watch", watch)

    return looks


# spore switch


def test_switch_says_the_steps_the_pause_and_that_the_file_is_as_it_was(config, capsys):
    """In the order in which they happen; the exit code is 0."""
    with served(config) as system:
        assert run(["switch", "core", str(config), "--to", "relay", "--cold"]) == 0
        assert system.asked == [("core", Mode.RELAY, True)]
    assert capsys.readouterr().out.splitlines() == [
        "switching bundle 'core' to relay",
        "  drain",
        "  go on",
        "bundle 'core' runs in relay now, after a pause of 12.5 ms",
        f"{config} was not changed, and says shared_memory",
    ]
    assert config.read_text() == TEXT


def test_switch_tells_machines_the_same(config, capsys):
    """One object; and there is nothing to do where there is nothing to do."""
    with served(config) as system:
        assert run(["switch", "core", str(config), "--to", "relay", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {
            "bundle": "core",
            "mode_before": "shared_memory",
            "mode": "relay",
            "pause_s": 0.0125,
            "steps": [{"name": "drain", "seconds": 0.01}],
            "anew": [],
        }
        assert run(["switch", "core", str(config), "--to", "relay"]) == 0
        assert capsys.readouterr().out == "bundle 'core' runs in relay already\n"
        assert run(["switch", "core", str(config), "--to", "shared_memory"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == f"as {config} says"
        assert len(system.asked) == 2


def test_switch_exits_with_1_where_it_failed_and_with_2_where_it_cannot_be_asked_for(config, capsys):
    """The reason is on stderr, in one line."""
    assert run(["switch", "core", str(config), "--to", "relay"]) == 2
    assert capsys.readouterr().err.startswith(f"spore: {config}: nothing runs it; start it with `spore run`")
    with served(config) as system:
        system.refuse()
        assert run(["switch", "core", str(config), "--to", "relay"]) == 1
        assert capsys.readouterr().err == "spore: bundle 'core' is as it was: drain: no\n"
        assert run(["switch", "cor", str(config), "--to", "relay"]) == 2
        assert "did you mean 'core'?" in capsys.readouterr().err
        assert run(["switch", "core", str(config), "--to", "distributed"]) == 2
        config.write_text("[[[")
        assert run(["switch", "core", str(config), "--to", "relay"]) == 2
        assert "is not TOML" in capsys.readouterr().err


def test_ctrl_c_of_a_switch_says_that_the_switch_goes_on(config, capsys):
    """And it does."""
    with served(config) as system:

        async def wait():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            await trio.lowlevel.checkpoint()

        system.go = type("Go", (), {"wait": staticmethod(wait)})
        assert run(["switch", "core", str(config), "--to", "relay"]) == 130
        assert system.switched.wait(20)
    assert capsys.readouterr().err == "spore: a switch that has begun goes on; spore monitor shows the mode\n"
    assert system.mode("core") is Mode.RELAY


# spore rollback


def test_rollback_says_how_to_undo_it_and_watches(config, capsys, looks):
    """The exit code is the monitor's."""
    looks([actor()], [actor(failed=1)])
    with served(config) as system:
        assert run(["rollback", "core", str(config), "--minutes", "0.1"]) == 1
        assert system.mode("core") is Mode.RELAY
    out = capsys.readouterr().out.splitlines()
    (backup,) = config.parent.glob("*.bak")
    assert f"to undo this: spore rollback core {config} --restore {backup}" in out
    assert "watching for 0.1 min" in out
    assert out[-1] == "  actor 'desk': max_lost is 0, and this was 1"
    assert run(["rollback", "core", str(config), "--restore", str(backup), "--minutes", "0"]) == 0
    assert config.read_text() == TEXT


def test_rollback_does_not_watch_what_does_not_run(config, capsys):
    """It says so, and is done."""
    assert run(["rollback", "core", str(config)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].startswith(f"nothing runs {config}, as nobody listens at ")
    assert "watching" not in out
    assert load_config(config).bundles[0].mode is Mode.RELAY


def test_rollback_refuses_with_1_or_2_and_changes_nothing(config, capsys):
    """1 where the system has refused, 2 where it was not even asked."""
    with served(config) as system:
        system.refuse()
        assert run(["rollback", "core", str(config)]) == 1
        assert run(["rollback", "core", str(config), "--restore", "nowhere.bak"]) == 2
        assert capsys.readouterr().err.endswith("spore: nowhere.bak: No such file or directory\n")
        assert run(["rollback", "core", str(config), "--minutes", "-1"]) == 2
    assert (config.read_text(), len(system.asked)) == (TEXT, 1)


def test_ctrl_c_of_a_rollback_waits_for_the_switch(config, monkeypatch):
    """The file follows it; the exit code says that it was interrupted."""
    heard = threading.Event()
    monkeypatch.setattr(
        "spore.cli.rollback.print", lambda line, **_: "waited for" in line and heard.set(), raising=False
    )
    with served(config) as system:

        async def wait():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            await trio.to_thread.run_sync(heard.wait, 20)

        system.go = type("Go", (), {"wait": staticmethod(wait)})
        assert run(["rollback", "core", str(config)]) == 130
    assert heard.is_set()
    assert (system.mode("core"), load_config(config).bundles[0].mode) == (Mode.RELAY, Mode.RELAY)


# spore monitor


def test_monitor_shows_a_line_an_actor_and_the_verdict(config, capsys, looks, monkeypatch):
    """With what was lost and why; what a policy gives up is called meant."""
    monkeypatch.setenv("COLUMNS", "120")
    looks(
        [actor(), actor(name="[b]", mode=Mode.RELAY, bundle="other")],
        [
            actor(handled=5_000, lost={"conflated": 3}, queued=4, state="suspended"),
            actor(name="[b]", bundle="other"),
            process(dead_letters=2),
            shadow(different=0, state="out of step", reason="its twin has died"),
        ],
    )
    assert run(["monitor", str(config), "--from-now"]) == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "core relay" in lines
    assert "desk (suspended) 5,000 – – 4/10 3 0" in lines
    assert "desk has lost 3 conflated (meant)" in lines
    assert "[b] 0 – – 0/10 0 0" in lines
    assert "shadow of core: 0 compared, 0 different, 0 skipped; out of step: its twin has died" in lines
    assert lines[-5:] == [
        f"bundle 'core' runs in relay, and {config} says shared_memory",
        "to be known:",
        "actor 'desk': 3 messages given up, as its overflow policy says (3 conflated)",
        "bundle 'core': its twin is out of step: its twin has died",
        "healthy",
    ]


def test_monitor_says_what_is_not_healthy_and_exits_with_1(config, capsys, looks):
    """Against the limits of the file."""
    config.write_text(f"{TEXT}[monitor]\nmax_restarts = 1\nmax_lost = 5\n")
    looks([actor()], [actor(restarts=2, failed=5)])
    assert run(["monitor", str(config)]) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "not healthy:",
        "  actor 'desk': max_restarts is 1, and this was 2",
    ]


def test_monitor_cannot_tell_where_nothing_answers_and_exits_with_2(config, capsys, looks):
    """Unless it has seen before that something is wrong."""
    assert run(["monitor", str(config)]) == 2
    assert "nothing runs it" in capsys.readouterr().err
    looks([actor()], [actor()], then=ControlError(str(config), "the system has gone"))
    assert run(["monitor", str(config)]) == 2
    looks([actor()], [actor(failed=1)], then=ControlError(str(config), "the system has gone"))
    assert run(["monitor", str(config)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"{config}: the system has gone"


def test_monitor_tells_machines_an_object_a_look(config, capsys, looks):
    """With the same verdict in it."""
    looks([actor()], [actor(handled=7)], [actor(handled=9, failed=1)])
    assert run(["monitor", str(config), "--json"]) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["healthy"], first["actors"][0]["per_second"], first["excesses"]) == (True, 7.0, [])
    assert second["excesses"] == [{"limit": "max_lost", "where": "actor 'desk'", "value": 1, "allowed": 0}]


def test_monitor_looks_as_often_as_it_takes(config, monkeypatch):
    """A few times, without --minutes; each look is of the whole system."""
    seen = []
    real = spore.cli.monitor.watch

    async def watch(control, source, limits, show, *, seconds, from_now):
        return await real(
            control,
            source,
            limits,
            lambda health: (seen.append(health), show(health)),
            seconds=seconds,
            from_now=from_now,
            every_s=0.01,
        )

    monkeypatch.setattr(spore.cli.monitor, "watch", watch)
    with served(config):
        assert run(["monitor", str(config)]) == 0
    assert len(seen) == FEWEST_LOOKS - 1
