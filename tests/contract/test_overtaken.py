"""What is under way when an end comes: a start when its bundle ends, and what a merge holds when its actor stops."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio

from spore import Actor, ActorRef, Supervision, open_bundle
from spore.errors import ActorStopped, UsageError
from spore.nursery_bundle import Loss
from spore.nursery_bundle.dispatcher import Dispatcher
from spore.testing import run, start_probe

DISPATCHES = ("inline", "queued")


@attrs.frozen
class Event:
    event_time_ns: int


@attrs.define
class Opening(Actor[Any]):
    """Waits in `on_start` for as long as it may."""

    log: list[str]
    out: ActorRef[Any] | None = None

    async def on_start(self) -> None:
        self.log.append("starts")
        try:
            await trio.sleep_forever()
        finally:
            self.log.append("gives up")

    def handle(self, message: Any) -> Any:
        return message

    def on_stop(self) -> None:
        self.log.append("stops")


@attrs.define
class Starter(Actor[Any]):
    """Starts another actor in its handler."""

    log: list[str]
    bundle: Any

    async def handle(self, message: Any) -> None:
        await self.bundle().start(Opening, log=self.log, name="opening")


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("by", ["a task of the bundle", "a task outside of it", "an actor"])
def test_a_start_that_the_end_of_the_bundle_overtakes(by: str, dispatch: str) -> None:
    """It is cancelled, its end is waited for, and what was sent to the actor meanwhile is counted and a dead letter."""

    async def main() -> None:
        log: list[str] = []
        refused: list[type] = []

        async def start(bundle: Any) -> None:
            try:
                await bundle.start(Opening, log=log, name="opening")
            except ActorStopped as error:
                refused.append(type(error))

        async with trio.open_nursery() as outside:
            async with open_bundle("b", dispatch=dispatch, drain_timeout_s=1) as bundle:
                inside = await bundle.start(Starter, log=log, bundle=lambda: bundle)
                if by == "a task of the bundle":
                    bundle._overseer.start_soon(start, bundle, name="start")
                elif by == "a task outside of it":
                    outside.start_soon(start, bundle)  # noqa: ASYNC111 - the bundle ends first, and that is what is tested
                else:
                    inside.tell("start it")
                await trio.testing.wait_all_tasks_blocked()
                bundle.ref("opening").tell_many([1, 2, 3])
            assert log == ["starts", "gives up"]
            statistics = bundle.statistics()
            assert statistics.ended.lost == {Loss.STOPPED: 3}
            assert bundle.dead_letters.total == 3 + (by == "an actor")
        assert refused == ([ActorStopped] if by == "a task outside of it" else [])

    run(main)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("drain", [True, False])
@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_what_a_merge_holds_when_its_actor_stops(dispatch: str, drain: bool, debug: bool) -> None:
    """It was accepted before the stop, so that it is handled, in order; with drain=False it is dead letters. No sender sees an error."""

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch, debug=debug) as bundle:
            probe = await start_probe(bundle, "merging", merge="event_time")
            first = await bundle.start(Sends, out=probe.ref, name="first")
            second = await bundle.start(Sends, out=probe.ref, name="second")
            await first.ask(Event(10))
            await first.ask(Event(20))
            assert bundle.statistics().actors["merging"].held == 2
            await bundle.stop("merging", drain=drain)
            await second.ask(Event(30))  # it has moved past what was held, and tells an actor that has ended
            assert [event.event_time_ns for event in probe.received] == ([10, 20] if drain else [])
            assert bundle.statistics().ended.lost == {Loss.STOPPED: 1 if drain else 3}
            assert not [actor for actor in bundle.statistics().actors.values() if actor.failed]

    run(main)


@attrs.define
class Sends(Actor[Any]):
    out: ActorRef[Any]

    def handle(self, message: Any) -> None:
        self.out.tell(message)


def test_a_snapshot_after_the_end_is_refused() -> None:
    """The actor is gone, and the error says when there was still one."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            await start_probe(bundle, "probe")
        with pytest.raises(UsageError, match="'probe' has ended with its bundle 'b'"):
            bundle.snapshot("probe")

    run(main)


class Ends(Actor[Any]):
    """Stops itself in its handler, which then fails."""

    def __init__(self, log: list[Any], bundle: Any) -> None:
        self.log, self.bundle = log, bundle

    async def handle(self, message: Any) -> None:
        self.log.append(message)
        await self.bundle().stop("ends", drain=False)
        raise ValueError(message)


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_a_stop_that_the_end_overtakes_has_no_failed_actor_go_on(
    dispatch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor has decided that it handles nothing more; the failure ends the bundle, and the stop with it."""
    monkeypatch.setattr(Dispatcher, "spent", lambda *_: True)  # so that everything gives way after each message

    async def main() -> None:
        log: list[Any] = []
        with pytest.raises(ExceptionGroup):  # noqa: PT012 - it comes out of the bundle
            async with open_bundle("b", dispatch=dispatch) as bundle:
                ends = await bundle.start(
                    Ends, log=log, bundle=lambda: bundle, name="ends", supervision=Supervision(on_failure="escalate")
                )
                ends.tell_many([1, 2])
                try:
                    await trio.sleep_forever()
                finally:
                    with trio.move_on_after(
                        0.1, shield=True
                    ):  # the body takes its time, so that the bundle has not ended yet
                        await trio.sleep_forever()
        assert log == [1]
        assert bundle.dead_letters.total == 2

    for seed in range(20):
        run(main, seed=seed)


def test_a_name_that_nobody_has_any_more_can_be_said_to_be_idle() -> None:
    """Nobody waits for it, so that whoever says it at the end need not know who has left."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle, "probe")
            by_name = bundle.ref("other")
            await start_probe(bundle, "other")
            await bundle.stop("other")
            by_name.idle()
            await bundle.stop(probe.ref)

    run(main)
