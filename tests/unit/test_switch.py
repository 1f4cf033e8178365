"""A switch of a bundle: what is refused, what becomes of messages, references and actors, and what goes wrong on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from tests.modes import relayed
from tests.pipeline_actors import Tick, Turn
from tests.relays import run

import spore
from spore.deploy import STEPS, Hop, Mode, SystemConfig, load_config, open_system
from spore.errors import AskTimeout, SwitchFailed
from spore.testing import Faults

BUNDLED, RELAYED = Mode.SHARED_MEMORY, Mode.RELAY
both = pytest.mark.parametrize("mode", [BUNDLED, RELAYED])


@attrs.define
class Kept(spore.Actor[Turn]):
    """The caller's own: it writes down what it gets, and when it starts and stops."""

    log: list[object]

    def handle(self, message: Turn) -> None:
        self.log.append((message.number, message.total))

    def on_start(self) -> None:
        self.log.append("start")

    def on_stop(self) -> None:
        self.log.append("stop")


def config_of(text: str, tmp_path: Path) -> SystemConfig:
    path = tmp_path / "system.toml"
    path.write_text(text)
    return load_config(path)


def pair(tmp_path: Path, options: str = "") -> SystemConfig:
    """Two actors, of which the second sums up."""
    return config_of(
        f"""
        [[bundles]]
        name = "core"
        mode = "shared_memory"
        actors.source = {{ type = "tests.switch_actors:Passing", wire = {{ out = "sum" }} }}
        actors.sum = {{ type = "tests.switch_actors:Summing", config = {{ every = 1 }}, wire = {{ signals = "kept", recorder = [] }} {options} }}
        """,
        tmp_path,
    )


def reluctant(tmp_path: Path, trouble: str = "") -> SystemConfig:
    """One actor that may not want to move."""
    return config_of(
        f"""
        [[bundles]]
        name = "core"
        mode = "shared_memory"
        actors.one = {{ type = "tests.switch_actors:Reluctant", config = {{ path = "{tmp_path / "log"}", trouble = "{trouble}" }} }}
        """,
        tmp_path,
    )


@asynccontextmanager
async def running(config: SystemConfig, log: list[object], mode: Mode = BUNDLED) -> AsyncIterator[Any]:
    """The system, in one process and on the virtual clock."""
    summing = any("sum" in bundle.actors for bundle in config.bundles)
    local = {"kept": (Kept, {"log": log})} if summing else {}
    async with relayed(config.in_mode(mode), local=local, faults=Faults(), seed=0) as system:
        yield system


def other(mode: Mode) -> Mode:
    return RELAYED if mode is BUNDLED else BUNDLED


def refusal(config: SystemConfig, to: Mode = RELAYED, *, name: str = "core", **options: Any) -> SwitchFailed:
    """What a switch says that cannot be."""

    async def main() -> SwitchFailed:
        async with running(config, []) as system:
            plan = system.plan
            with pytest.raises(SwitchFailed) as refused:
                await system.switch(name, to, **options)
            assert system.plan is plan
            return refused.value

    return run(main)


# What is refused


def test_a_bundle_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With those that are."""
    failed = refusal(reluctant(tmp_path), name="cor")
    assert (failed.bundle, failed.step) == ("cor", "plan")
    assert "there is no such bundle; did you mean 'core'?" in failed.reason


def test_a_mode_that_it_is_in_already_is_refused(tmp_path: Path) -> None:
    """There is nothing to do."""
    assert refusal(reluctant(tmp_path), BUNDLED).reason == "it is in mode 'shared_memory' already"


def test_no_bundle_becomes_distributed_while_it_runs(tmp_path: Path) -> None:
    """What goes through the engine is not handed over; the file says what to do."""
    reason = refusal(reluctant(tmp_path), Mode.DISTRIBUTED).reason
    assert reason.startswith(
        "a bundle in mode 'distributed' stays so while it runs, and no other becomes so; change the file"
    )


def test_actors_that_would_lose_their_state_are_refused(tmp_path: Path) -> None:
    """All are named, and what would switch all the same."""
    config = config_of(
        """
        [[bundles]]
        name = "core"
        mode = "shared_memory"
        actors.a = { type = "tests.pipeline_actors:Clock" }
        actors.b = { type = "tests.pipeline_actors:Clock" }
        """,
        tmp_path,
    )
    assert (
        refusal(config).reason
        == "'a', 'b': no snapshot and restore, so the state would be lost; --cold (cold=True) lets them begin anew"
    )


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("snapshot", "actor 'one' gives no snapshot that can travel: OSError: no snapshot"),
        (
            "travel",
            "actor 'one' gives no snapshot that can travel: neither a configuration nor a snapshot can hold {1, 2} where another "
            "process is to read it",
        ),
        ("restore", "actor 'one' cannot take over: OSError: no restore"),
        ("on_start", "actor 'one' cannot take over: OSError: no on_start"),
    ],
)
def test_what_an_actor_raises_when_it_is_to_move_is_told(tmp_path: Path, trouble: str, reason: str) -> None:
    """And the old one goes on."""
    failed = refusal(reluctant(tmp_path, trouble))
    assert (failed.step, failed.reason) == ("hand over", reason)
    assert str(failed) == f"bundle 'core' is as it was: hand over: {reason}"


def test_an_actor_that_has_stopped_does_not_move(tmp_path: Path) -> None:
    """It would come to life again."""

    async def main() -> None:
        async with running(reluctant(tmp_path), []) as system:
            await system.ref("one").send(Tick(1, 1, "stop"))
            with pytest.raises(SwitchFailed, match="actor 'one' is stopped"):
                await system.switch("core", RELAYED)

    run(main)


def test_of_two_switches_at_once_the_second_is_refused(tmp_path: Path) -> None:
    """At once, and the first does not notice."""

    async def main() -> None:
        async with running(pair(tmp_path), []) as system, trio.open_nursery() as nursery:
            refused = trio.Event()

            async def switch_too() -> None:
                with pytest.raises(SwitchFailed, match="another switch is under way"):
                    await system.switch("core", RELAYED)
                refused.set()

            def watch(step: str) -> None:
                if step == "prepare":
                    nursery.start_soon(switch_too)

            assert (await system.switch("core", RELAYED, watch=watch)).mode is RELAYED
            assert refused.is_set()

    run(main)


async def test_a_system_whose_hops_are_measured_is_not_switched(tmp_path: Path) -> None:
    """Both ends count, and a new one would begin at 0."""
    hop = Hop(sender="source", port="out", receiver="sum")
    local = {"kept": (Kept, {"log": []})}
    async with open_system(pair(tmp_path), local=local, hops=(hop,)) as system:
        with pytest.raises(SwitchFailed, match="hops are being measured"):
            await system.switch("core", RELAYED)


async def test_a_system_that_is_about_to_end_is_not_switched(tmp_path: Path) -> None:
    """The error says so."""
    async with open_system(reluctant(tmp_path)) as system:
        pass
    with pytest.raises(SwitchFailed, match="about to end"):
        await system.switch("core", RELAYED)


def test_an_actor_of_the_callers_own_is_not_taken_from_another_bundle(tmp_path: Path) -> None:
    """That one is to run on undisturbed."""
    config = config_of(
        """
        [[bundles]]
        name = "core"
        mode = "shared_memory"
        actors.sum = { type = "tests.switch_actors:Summing", config = { every = 1 }, wire = { signals = "kept", recorder = [] } }
        [[bundles]]
        name = "too"
        mode = "shared_memory"
        actors.too = { type = "tests.switch_actors:Summing", config = { every = 1 }, wire = { signals = "kept", recorder = [] } }
        """,
        tmp_path,
    )
    assert "would move to or from bundle 'too'" in refusal(config).reason


# What is measured and told


@both
def test_each_step_is_told_and_measured(tmp_path: Path, mode: Mode) -> None:
    """The pause is the time from the moment when senders are held up to the one when they go on."""

    async def main() -> None:
        told: list[str] = []
        async with running(pair(tmp_path), [], mode) as system:
            switched = await system.switch("core", other(mode), watch=told.append)
        assert tuple(told) == STEPS == tuple(step.name for step in switched.steps)
        assert (switched.bundle, switched.mode_before, switched.mode) == ("core", mode, other(mode))
        assert switched.pause_s == sum(step.seconds for step in switched.steps[2:6])

    run(main)


# References, and what is on its way


@both
def test_what_is_told_sent_and_asked_meanwhile_is_handled_in_order(tmp_path: Path, mode: Mode) -> None:
    """Through a reference that was given out before: the pause is all that its holder notices."""
    log: list[object] = []

    async def main() -> None:
        async with running(pair(tmp_path), log, mode) as system, trio.open_nursery() as nursery:
            ref = system.ref("sum")
            ref.tell(Tick(1, 1))

            async def ask_and_send() -> None:
                assert (await ref.ask(Tick(5, 5))).total == 15
                await ref.send(Tick(6, 6))

            def watch(step: str) -> None:
                if step == "pause":
                    ref.tell(Tick(2, 2))
                if step == "drain":
                    ref.tell_many(Tick(number, number) for number in (3, 4))
                    ref.advance(4)
                    ref.idle()
                    nursery.start_soon(ask_and_send)

            await system.switch("core", other(mode), watch=watch)
            assert repr(ref).startswith("<StandingRef <")
            assert system.ref("sum") is ref

    run(main)
    assert log == ["start", *((number, sum(range(number + 1))) for number in range(1, 7)), "stop"]


def test_an_ask_that_waits_longer_than_its_timeout_says_so(tmp_path: Path) -> None:
    """As if the actor had been busy."""

    async def main() -> None:
        async with running(pair(tmp_path), []) as system:
            ref = system.ref("sum")
            ref.close()
            with pytest.raises(AskTimeout, match="it is being moved"):
                await ref.ask(Tick(1, 1), timeout=0.5)
            ref.open()
            assert (await ref.ask(Tick(1, 1), timeout=0.5)).total == 1

    run(main)


def test_asks_that_wait_in_a_link_are_answered_by_the_successor(tmp_path: Path) -> None:
    """It comes to run in this process, and the link is closed."""

    async def main() -> None:
        answers: list[int] = []
        async with running(pair(tmp_path, ", capacity = 1"), [], RELAYED) as system, trio.open_nursery() as nursery:
            ref = system.ref("sum")

            async def ask(number: int) -> None:
                answers.append((await ref.ask(Tick(number, number))).total)

            def watch(step: str) -> None:
                if step == "prepare":
                    for number in range(1, 20):
                        nursery.start_soon(ask, number)

            await system.switch("core", BUNDLED, watch=watch)
        assert len(answers) == 19
        assert max(answers) == sum(range(20))

    run(main)


@both
def test_a_sender_that_waits_for_room_goes_on_with_the_successor(tmp_path: Path, mode: Mode) -> None:
    """However small the mailbox, what `send_many` was in the midst of arrives once and in order."""
    log: list[object] = []

    async def main() -> None:
        async with running(pair(tmp_path, ", capacity = 1"), log, mode) as system, trio.open_nursery() as nursery:
            nursery.start_soon(system.ref("source").send_many, [Tick(number, number) for number in range(2_000)])
            await system.switch("core", other(mode))

    run(main)
    assert [entry[0] for entry in log if isinstance(entry, tuple)] == list(range(2_000))


REFUSING = """
[[bundles]]
name = "core"
mode = "shared_memory"
actors.slow = { type = "tests.switch_actors:Slow", capacity = 2, overflow = "fail", wire = { out = "sum" } }
actors.sum = { type = "tests.switch_actors:Summing", config = { every = 1 }, wire = { signals = "kept", recorder = [] } }
[[bundles]]
name = "senders"
mode = "shared_memory"
actors.b = { type = "tests.switch_actors:Passing", wire = { out = "slow" } }
"""


@both
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("entry", ["b", "slow"])
def test_a_mailbox_that_refuses_refuses_nothing_meanwhile(tmp_path: Path, mode: Mode, entry: str, fails: bool) -> None:
    """Whether an actor sends or somebody from outside, and it is switched or goes on: all of the pause is taken, and two more, for
    which there is room."""
    log: list[object] = []

    async def main() -> None:
        async with running(config_of(REFUSING, tmp_path), log, mode) as system, trio.open_nursery() as nursery:
            ref = system.ref(entry)

            async def tell_many() -> None:
                for number in range(1, 21):
                    ref.tell(Tick(number, number))
                    await trio.sleep(0.005)

            def watch(step: str) -> None:
                if step == "drain":  # which takes until the first is handled
                    nursery.start_soon(tell_many)
                if fails and step == "hand over":
                    raise InterruptedError

            ref.tell(Tick(0, 0))
            await trio.sleep(0.1)
            with suppress(InterruptedError):
                await system.switch("core", other(mode), watch=watch)
            for number in (21, 22):
                ref.tell(Tick(number, number))

    run(main)
    assert [entry[0] for entry in log if isinstance(entry, tuple)] == list(range(23))


# The life of actors


@both
def test_an_actor_of_the_callers_own_moves_as_it_is(tmp_path: Path, mode: Mode) -> None:
    """It starts once and stops once, though it gets its messages by reference in one mode, and through the relay in the other."""
    log: list[object] = []

    async def main() -> None:
        async with running(pair(tmp_path), log, mode) as system:
            for number, to in enumerate((other(mode), mode), start=1):
                await system.switch("core", to)
                await system.ref("source").send(Tick(number, number))
                await system.wait_idle()

    run(main)
    assert log == ["start", (1, 1), (2, 3), "stop"]


@both
def test_the_old_actor_says_goodbye_once_the_new_one_runs(tmp_path: Path, mode: Mode) -> None:
    """The new one has its state before it starts."""

    async def main() -> None:
        async with running(reluctant(tmp_path), [], mode) as system:
            await system.switch("core", other(mode))
            assert (tmp_path / "log").read_text().split("\n")[:-1] == ["start", "restore 7", "start", "stop"]

    run(main)
    assert (tmp_path / "log").read_text().endswith("start\nstop\nstop\n")


def test_cold_begins_anew_only_who_has_no_snapshot(tmp_path: Path) -> None:
    """The others hand over as ever."""
    config = config_of(
        """
        [[bundles]]
        name = "core"
        mode = "shared_memory"
        actors.source = { type = "tests.pipeline_actors:Source", wire = { out = "sum" } }
        actors.sum = { type = "tests.switch_actors:Summing", config = { every = 1 }, wire = { signals = "kept", recorder = [] } }
        """,
        tmp_path,
    )
    log: list[object] = []

    async def main() -> None:
        async with running(config, log) as system:
            await system.ref("source").send(Tick(1, 1))
            await system.switch("core", RELAYED, cold=True)
            await system.ref("source").send(Tick(2, 2))

    run(main)
    assert log == ["start", (1, 1), (2, 3), "stop"]


# A bundle that merges


MERGING = """
[[bundles]]
name = "core"
mode = "shared_memory"
actors.sum = {{ type = "tests.switch_actors:Summing", config = {{ every = 1 }}, merge = "event_time", capacity = 3, wire = {{ signals = "kept", recorder = [] }} }}
{inside}
[[bundles]]
name = "senders"
mode = "shared_memory"
actors.b = {{ type = "tests.switch_actors:Passing", wire = {{ out = "sum" }} }}
{outside}
"""
SENDER = 'actors.a = { type = "tests.switch_actors:Passing", wire = { out = "sum" } }'


@both
@pytest.mark.parametrize("inside", [True, False])
def test_what_a_merge_holds_for_others_is_handled_in_its_place(tmp_path: Path, mode: Mode, inside: bool) -> None:
    """By the successor, and whether the sender of it moves, too, or not."""
    text = MERGING.format(inside=SENDER if inside else "", outside="" if inside else SENDER)
    log: list[object] = []

    async def main() -> None:
        async with running(config_of(text, tmp_path), log, mode) as system:
            a, b = system.ref("a"), system.ref("b")
            await b.send(Tick(1, 1, "b"))
            await a.send_many([Tick(time, time, "a") for time in (2, 4, 6)])
            await trio.sleep(1)  # of the virtual clock; what waits for b is held now
            assert [entry[0] for entry in log if isinstance(entry, tuple)] == [1]
            await system.switch("core", other(mode))
            await system.switch("core", mode)
            await b.send_many([Tick(time, time, "b") for time in (3, 5, 7)])

    run(main)
    assert [entry[0] for entry in log if isinstance(entry, tuple)] == [1, 2, 3, 4, 5, 6, 7]


MERGED_ELSEWHERE = """
[[bundles]]
name = "core"
mode = "shared_memory"
drain_timeout_s = 2
actors.a = { type = "tests.switch_actors:Passing", wire = { out = "sum" } }
[[bundles]]
name = "senders"
mode = "shared_memory"
actors.b = { type = "tests.switch_actors:Passing", wire = { out = "sum" } }
[[bundles]]
name = "back"
mode = "shared_memory"
actors.sum = { type = "tests.switch_actors:Summing", config = { every = 1 }, merge = "event_time", wire = { signals = "kept", recorder = [] } }
"""


@both
def test_what_a_merge_elsewhere_holds_is_waited_for(tmp_path: Path, mode: Mode) -> None:
    """Until the others go on for whom it waits; if they do not, the switch says so, and what to do."""
    log: list[object] = []

    async def main() -> None:
        async with running(config_of(MERGED_ELSEWHERE, tmp_path), log, mode) as system, trio.open_nursery() as nursery:
            a, b = system.ref("a"), system.ref("b")
            await b.send(Tick(1, 1, "b"))
            await a.send(Tick(2, 2, "a"))
            await trio.sleep(0.1)
            with pytest.raises(SwitchFailed) as refused:
                await system.switch("core", other(mode))
            assert (refused.value.step, refused.value.reason) == (
                "drain",
                "after 2 s 'sum' still held what was sent to it: it merges, and waits until each of its senders (a, b) has gone on, or has "
                "said that it is idle. Switch when they have, or have 'sum' in the same bundle: what it holds moves along then",
            )

            def watch(step: str) -> None:
                if step == "drain":
                    nursery.start_soon(b.send, Tick(3, 3, "b"))

            await system.switch("core", other(mode), watch=watch)

    run(main)
    assert [entry[0] for entry in log if isinstance(entry, tuple)] == [1, 2, 3]
