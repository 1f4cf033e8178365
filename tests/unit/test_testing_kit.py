"""The test kit: runs that repeat, probes that remember, and waiting until nothing is left to do."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio

from spore import Actor, ActorRef, Supervision, open_bundle
from spore.errors import AskFailed, UsageError
from spore.testing import Probe, run, start_probe, wait_idle


@attrs.define
class Worker(Actor[Any]):
    """Notes when it handles what, fails now and then, and passes everything on."""

    trace: list[Any]
    who: str
    out: ActorRef[Any]

    async def handle(self, message: int) -> None:
        await trio.lowlevel.checkpoint()
        self.trace.append((self.who, message, trio.current_time()))
        if message % 7 == 3:
            raise ValueError(message)
        await self.out.send(message)


async def traced() -> list[Any]:
    """A run with much in it that a schedule decides."""
    trace: list[Any] = []
    async with open_bundle("b", drain_timeout_s=1_000) as bundle:
        probe: Probe[Any] = await start_probe(
            bundle, capacity=2, answer=lambda message: trace.append(("probe", message))
        )
        workers = [
            await bundle.start(
                Worker,
                trace=trace,
                who=name,
                out=probe.ref,
                name=name,
                capacity=2,
                supervision=Supervision(max_restarts=1_000, backoff_s=0.01),
            )
            for name in "abc"
        ]
        async with trio.open_nursery() as nursery:
            for worker in workers:
                nursery.start_soon(worker.send_many, range(200))
    return trace


def test_same_seed_same_run() -> None:
    """With one seed everything happens in the same order and at the same times, restarts included."""
    assert run(traced, seed=3) == run(traced, seed=3)


def test_other_seeds_show_other_schedules() -> None:
    """Among several seeds there are several schedules."""
    traces = [tuple(run(traced, seed=seed)) for seed in range(4)]
    assert len(set(traces)) > 1
    assert len({tuple(sorted(entry[:2] for entry in trace)) for trace in traces}) == 1


def test_run_returns_and_raises_what_the_function_does() -> None:
    """Arguments go in, the result comes out, and so does an exception, and trio's own schedule is back afterwards."""

    async def main(value: int) -> int:
        await trio.sleep(1_000)
        if not value:
            raise LookupError
        return value

    scheduler: Any = trio._core._run  # type: ignore[attr-defined]
    before = scheduler._r.getstate(), scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    assert run(main, 7) == 7
    with pytest.raises(LookupError):
        run(main, 0)
    assert (scheduler._r.getstate(), scheduler._ALLOW_DETERMINISTIC_SCHEDULING) == before


def test_a_probe_remembers_and_answers() -> None:
    """A probe keeps what it received, waits for more, and answers what it was told to, or raises it."""

    async def main() -> None:
        async with open_bundle("b") as bundle:

            def answer(message: Any) -> Any:
                if message == "bad":
                    raise ValueError
                return message * 2

            probe: Probe[Any] = await start_probe(bundle, answer=answer, capacity=5)
            silent: Probe[Any] = await start_probe(bundle, "silent")
            assert await silent.ref.ask(1) is None
            assert await probe.ref.ask(2) == 4
            with pytest.raises(AskFailed):
                await probe.ref.ask("bad")
            bundle.after(3, probe.ref, 5)
            assert await probe.wait_for(3) == [2, "bad", 5]
            assert trio.current_time() == 3

    run(main)


def test_a_probe_has_a_reference_once_it_is_started() -> None:
    """The reference of a probe that was never started is an error that says how to start one."""
    with pytest.raises(UsageError, match="start_probe"):
        _ = Probe[Any]().ref


def test_wait_idle_waits_for_all() -> None:
    """wait_idle returns when none of several bundles has anything left, also when one keeps another busy."""

    @attrs.define
    class PingPong(Actor[Any]):
        others: dict[int, ActorRef[Any]]

        async def handle(self, message: int) -> None:
            await trio.sleep(1)
            if message:
                self.others[0].tell(message - 1)

    async def main() -> None:
        async with open_bundle("one") as one, open_bundle("two") as two:
            to_one: dict[int, Any] = {}
            to_two: dict[int, Any] = {}
            to_one[0] = await one.start(lambda: PingPong(to_two), name="a")
            to_two[0] = await two.start(lambda: PingPong(to_one), name="b")
            await wait_idle(one, two)
            to_one[0].tell(5)
            await wait_idle(one, two)
            assert trio.current_time() == 6
            assert one.statistics().active == two.statistics().active == 0

    run(main)
