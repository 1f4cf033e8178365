"""Switches change no answer: of drawn systems, in both directions, under load, with failures in the middle of a switch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs
import trio
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.modes import difference, outcome, relayed, send_all
from tests.property.modes_world import Step, faults, notes, steps, wirings
from tests.relays import run

from spore.deploy import STEPS, Mode, SystemConfig
from spore.errors import SwitchFailed
from spore.testing import Faults

few = settings(max_examples=max(10, settings().max_examples // 4))
SEEDS = st.integers(0, 2**32)
BOTH = (Mode.SHARED_MEMORY, Mode.RELAY)
UNDONE = STEPS[: STEPS.index("go on") + 1]
"""The steps before which, and at whose beginning, everything can be undone."""


@attrs.frozen
class Planned:
    """A switch that somebody wants."""

    after_s: float
    """After the one before, of the virtual clock."""
    trouble: Literal["", "error", "cancelled", "killed"] = ""
    """What befalls it."""
    step: str = ""
    """At the beginning of which step."""


class Interrupted(Exception):
    """What goes wrong in the middle."""


def planned() -> st.SearchStrategy[list[Planned]]:
    each = st.builds(
        Planned,
        after_s=st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.2]),
        trouble=st.sampled_from(["", "", "error", "cancelled", "killed"]),
        step=st.sampled_from(UNDONE),
    )
    return st.lists(each, min_size=1, max_size=4)


async def switch(system: Any, to: Mode, each: Planned) -> bool:
    """Switch; return whether it has come about."""
    before = system.plan

    with trio.CancelScope() as scope:

        def watch(step: str) -> None:
            if each.trouble and step == each.step:
                event(each.trouble)
                if each.trouble == "error":
                    raise Interrupted
                if each.trouble == "cancelled":
                    scope.cancel()
                else:
                    system._ground.kill_heir()

        try:
            switched = await system.switch("drawn", to, watch=watch)
        except Interrupted:
            pass
        except SwitchFailed as failed:
            event(f"refused at {failed.step}")
        else:
            assert switched.mode is to
            assert system.plan.bundle("drawn").mode is to
            assert tuple(step.name for step in switched.steps) == STEPS
            event("switched")
            return True
    assert system.plan is before
    return False


def switched(
    config: SystemConfig,
    batches: Sequence[Sequence[Any]],
    start: Mode,
    plans: Sequence[Planned],
    faults: Faults,
    seed: int,
) -> Mapping[str, Sequence[object]]:
    """What comes out of a system that is switched as planned, while it is sent some batches."""
    seen: dict[str, list[object]] = {}

    async def main() -> None:
        async with relayed(config.in_mode(start), local=notes(seen), faults=faults, seed=seed) as system:
            ref = system.ref("a")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(switch_all, system)
                for batch in batches:
                    await send_all(ref, batch)
                    await trio.sleep(0.01)

    async def switch_all(system: Any) -> None:
        mode = start
        for each in plans:
            await trio.sleep(each.after_s)
            other = next(one for one in BOTH if one is not mode)
            if await switch(system, other, each):
                mode = other

    run(main, seed=seed)
    return seen


@few
@given(wirings(moving=True), steps(hops=st.integers(0, 4)), st.sampled_from(BOTH), planned(), SEEDS, faults())
def test_switches_change_no_answer(
    config: SystemConfig, batches: list[list[Step]], start: Mode, plans: list[Planned], seed: int, faults: Faults
) -> None:
    """However actors are wired, whatever their mailboxes hold, whenever it is switched, and whatever goes wrong then."""
    seen: dict[str, list[object]] = {}
    undisturbed = outcome(config, batches, start, to=("a",), local=notes(seen), seen=seen, seed=seed)
    found = switched(config, batches, start, plans, faults, seed)
    assert (said := difference(undisturbed.seen, found)) is None, said
