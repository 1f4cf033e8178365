"""A switch: the actors of one bundle go on in the other mode, and nobody else notices more than a pause.

One message's way through it: until the *pause* it is handled by the old actors. From then on whoever sent it keeps it: its link, as for
any receiver that is busy, or the reference of this process. What the old actors had taken by then they handle, in the *drain*. Then they
*hand over* (`spore.deploy.handover`), new ones begin where they stand, and with *go on* take what was kept, first to last.

Invariant: until the step *go on* nothing has been taken from the old actors, so at whatever goes wrong they are simply told to resume.
From then on the new ones are what runs: what dies is started again as ever, and the old ones only have to leave.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import trio

from spore.deploy.change import Change, in_mode
from spore.deploy.config import Mode
from spore.deploy.handover import Handover, joined, send_again, send_frame
from spore.deploy.plan import Unit, make_plan
from spore.deploy.spec import UnitSpec, spec_of
from spore.deploy.strict import among
from spore.deploy.supervise import Child, Died
from spore.deploy.unit import RunningUnit
from spore.errors import ConfigError, SporeError, SwitchFailed, first_cause
from spore.nursery_bundle import Actor, ActorRef
from spore.nursery_bundle.ref import OUTSIDE
from spore.relay import RemoteRef
from spore.relay.outgoing import Outgoing

if TYPE_CHECKING:
    from spore.deploy.ground import Ground, Running
    from spore.deploy.standing import StandingRef
    from spore.deploy.system import System

__all__ = ["PLAN", "STEPS", "Step", "Switch", "Switched"]

T = TypeVar("T")
PLAN, PREPARE, PAUSE, DRAIN, HAND_OVER, GO_ON, LEAVE = (
    "plan",
    "prepare",
    "pause",
    "drain",
    "hand over",
    "go on",
    "leave",
)
STEPS = (PLAN, PREPARE, PAUSE, DRAIN, HAND_OVER, GO_ON, LEAVE)
"""In this order. Senders wait from the beginning of ``pause`` to the end of ``go on``."""
PAUSING = (PAUSE, DRAIN, HAND_OVER, GO_ON)
BACK_S = 5.0
"""So long the old actors may take to hear that they go on after all, and the new ones to hear that they are on."""


@attrs.frozen
class Step:
    """One step, and how long it took."""

    name: str
    seconds: float


@attrs.frozen
class Switched:
    """What a switch has done."""

    bundle: str
    mode_before: Mode
    mode: Mode
    pause_s: float
    """How long senders had to wait."""
    steps: tuple[Step, ...]
    anew: tuple[str, ...] = ()
    """The actors that go on without their state, because they could not hand it over."""


class Switch:
    """One switch of one bundle. Made by `spore.deploy.System.switch`, which says what the arguments mean."""

    def __init__(
        self,
        system: System,
        ground: Ground,
        bundle: str,
        to: Mode,
        *,
        cold: bool,
        watch: Callable[[str], None] | None,
    ) -> None:
        self._system = system
        self._ground = ground
        self._bundle = bundle
        self._to = to
        self._cold = cold
        self._watch = watch
        self._steps: list[tuple[str, float]] = []
        """Each with when it began."""
        self._change = Change(system.plan, system.plan)
        self._old: dict[str, Running] = {}
        self._new: dict[str, Running] = {}
        self._refs: dict[str, StandingRef[Any]] = {}
        """Those of this process that have to be closed meanwhile."""
        self._stood: list[object] = []
        """What the old units have said when they were quiet."""
        self._revocable = trio.CancelScope()
        """Around all that can be undone."""
        self._failure = ""
        """Why a new unit has ended."""
        self._committed = False
        self._cut: list[Outgoing] = []
        """The links of this process that lead nowhere any more."""

    async def run(self) -> Switched:
        """Switch; see `spore.deploy.System.switch`."""
        self._enter(PLAN)
        self._change = self._planned()
        before = self._change.before.bundle(self._bundle)
        try:
            handover = await self._hand_over_all(before.drain_timeout_s)
        except Died as died:
            raise self._refused(f"the process of {died} has died") from died
        except SwitchFailed:
            raise
        except SporeError as error:
            raise self._refused(str(error)) from error
        finally:
            if not self._committed:
                with trio.move_on_after(BACK_S, shield=True):
                    await self._go_back()
        with trio.CancelScope(shield=True):
            async with AsyncExitStack() as afterwards:
                afterwards.push_async_callback(self._leave, before.drain_timeout_s)
                await self._go_on(handover)
                self._enter(LEAVE)
        return self._switched(before.mode)

    async def _hand_over_all(self, drain_timeout_s: float) -> Handover:
        """All steps that can be undone; at the end the new units are the system."""
        with self._revocable:
            await self._prepare()
            await self._pause()
            await self._drain(drain_timeout_s)
            handover = await self._hand_over()
            await self._look_again()
            self._commit()
            return handover
        raise self._refused(self._failure)

    def _enter(self, step: str) -> None:
        self._steps.append((step, perf_counter()))
        if self._watch is not None:
            self._watch(step)

    def _refused(self, reason: str) -> SwitchFailed:
        return SwitchFailed(self._bundle, self._steps[-1][0], reason)

    def _switched(self, before: Mode) -> Switched:
        ends = [began for _, began in self._steps[1:]] + [perf_counter()]
        steps = tuple(Step(name, end - began) for (name, began), end in zip(self._steps, ends, strict=True))
        pause_s = sum(step.seconds for step in steps if step.name in PAUSING)
        return Switched(self._bundle, before, self._to, pause_s, steps, self._change.anew)

    # What can be undone

    def _planned(self) -> Change:
        """What is to change.

        Raises:
            SwitchFailed: if it cannot be.
        """
        plan = self._system.plan
        known = [bundle.name for bundle in plan.config.bundles]
        if self._bundle not in known:
            raise self._refused(f"there is no such bundle; {among(self._bundle, known)}")
        if Mode.DISTRIBUTED in {self._to, plan.bundle(self._bundle).mode}:
            raise self._refused(
                "a bundle in mode 'distributed' stays so while it runs, and no other becomes so; change the file, and start it again"
            )
        if (elsewhere := plan.config.node_of(plan.bundle(self._bundle))) != plan.node:
            raise self._refused(f"it runs on node {elsewhere!r}, and this is node {plan.node!r}; ask there")
        if plan.bundle(self._bundle).mode is self._to:
            raise self._refused(f"it is in mode {self._to.value!r} already")
        if self._ground.hops:
            raise self._refused("its hops are being measured, and a measurement does not survive a switch")
        try:
            config = in_mode(plan.config, self._bundle, self._to)
            node = plan.node or None
            change = Change(plan, make_plan(config, local=self._ground.local, apart=plan.apart, node=node))
        except ConfigError as error:
            raise self._refused("; ".join(error.problems)) from None
        if problem := change.problem(self._bundle):
            raise self._refused(problem)
        if change.anew and not self._cold:
            names = ", ".join(map(repr, change.anew))
            raise self._refused(
                f"{names}: no snapshot and restore, so the state would be lost; --cold (cold=True) lets them begin anew"
            )
        return change

    async def _prepare(self) -> None:
        """Have everything ready to take over, while the old actors run at full speed."""
        self._enter(PREPARE)
        ground, plan = self._ground, self._change.after
        if plan.relay:
            await ground.need_relay(plan)
        for unit in self._change.new:
            running = ground.unit(unit, attrs.evolve(self._spec(unit), heir=True), restarts=False)
            self._new[unit.label] = running
            ground.start(running, failed=self._failed)
        for running in self._new.values():
            await running.started.wait()
        self._old = {unit.label: self._system.running[unit.label] for unit in self._change.old}
        self._refs = {name: self._system.standing(name) for name in self._change.reached_here}

    def _spec(self, unit: Unit) -> UnitSpec:
        plan = self._change.after
        spec = spec_of(plan, unit, self._ground.link if plan.relay else None, self._ground.hops)
        assert isinstance(spec, UnitSpec)  # noqa: S101 - no feed is part of a bundle
        return spec

    def _failed(self, error: Exception) -> None:
        """A new unit has ended before it was to."""
        cause = first_cause(error) if isinstance(error, ExceptionGroup) else error
        self._failure = self._failure or f"{cause}"
        self._revocable.cancel()

    async def _pause(self) -> None:
        """Have whoever sends to the actors from outside keep what they send."""
        self._enter(PAUSE)
        for ref in self._refs.values():
            ref.close()
        for link in self._own_links():
            link.lift_bound()  # whoever waits there for room need not: the rest is taken along
        change = self._change
        await _all(running.pause(change.actors, change.merging) for running in self._old.values())

    async def _drain(self, timeout_s: float) -> None:
        """Have the old actors handle all that they have taken, and all they have sent be handled, or held by a merge among them."""
        self._enter(DRAIN)
        change = self._change
        with trio.move_on_after(timeout_s) as deadline:
            for name, ref in self._refs.items():
                await ref.settled(asks=change.before.unit_of(name).here)
            await self._until_quiet()
            if change.merging:  # what they hold stays with its senders
                await _all(running.pause((), change.merging) for running in self._old.values())
                await self._until_quiet()
        if deadline.cancelled_caught:
            raise self._refused(f"after {timeout_s:g} s {self._change.undrained(await self._still_waits())}")

    async def _still_waits(self) -> list[str]:
        """The receivers elsewhere that have not handled all that was sent to them from here."""
        found: list[str] = []
        with trio.move_on_after(BACK_S):
            for running in self._old.values():
                client = (await running.statistics()).client
                found += [link.receiver for link in client.outgoing if link.outstanding] if client is not None else ()
        return found

    async def _until_quiet(self) -> None:
        before: list[object] | None = None
        while before is None or before != self._stood:
            before = self._stood
            self._stood = [await running.quiet(self._change.drained) for running in self._old.values()]

    async def _hand_over(self) -> Handover:
        """Have the new actors begin where the old ones stand."""
        self._enter(HAND_OVER)
        parts = await _all(running.hand_over(cold=self._cold) for running in self._old.values())
        for part in parts:
            if part.refusal:
                raise self._refused(part.refusal)
        handover = joined(parts)
        for name in self._change.anew:
            handover.states.pop(name, None)
            self._ground.say(f"actor {name!r} begins anew: it has no snapshot and restore")
        moved: dict[str, Actor[Any]] = {}
        for running in self._old.values():
            if isinstance(running, RunningUnit):
                moved |= running.moved()

        def take_over(unit: Unit) -> Awaitable[str]:
            part, running = handover.of(unit.actors), self._new[unit.label]
            return running.take_over(part) if isinstance(running, Child) else running.take_over(part, moved)

        for refusal in await _all(take_over(unit) for unit in self._change.new):
            if refusal:
                raise self._refused(refusal)
        return handover

    async def _look_again(self) -> None:
        """Everything is ready. Whoever has died in the meantime is noticed now, or later as any other that dies."""
        self._enter(GO_ON)
        await _all(running.quiet(()) for running in self._new.values())
        if [await running.quiet(()) for running in self._old.values()] != self._stood:
            raise self._refused("an old process has died, and with it what it was to hand over")
        if self._failure:
            raise self._refused(self._failure)

    async def _go_back(self) -> None:
        """Nobody takes over: the senders go on, and the old actors."""
        for link in self._own_links():
            link.restore_bound()
        for ref in self._refs.values():
            ref.open()
        resumed = (_unless_died(running.resume()) for running in self._old.values())
        await _all((*resumed, *(self._ground.end(running) for running in self._new.values())))

    # What cannot

    def _commit(self) -> None:
        """From here to the end nothing waits: from now on the new units are the system."""
        self._committed = True
        change, system = self._change, self._system
        for running in self._old.values():
            if isinstance(running, Child):
                running.depart()
        for unit in change.new:
            running = self._new[unit.label]
            self._ground.adopt(running)
            if isinstance(running, Child):
                running.remain(self._spec(unit), restarts=self._ground.restarts)
        known = {**system.running, **self._new}
        system.take_on(change.after, {unit.label: known[unit.label] for group in change.after.units for unit in group})

    async def _go_on(self, handover: Handover) -> None:
        """Have the new actors be reached in place of the old ones."""
        with trio.move_on_after(
            BACK_S
        ):  # now, while they are quiet: once others have their names, they have to be gone at once
            await _all(_unless_died(self._remember(running)) for running in self._old.values())
        with trio.move_on_after(BACK_S) as deadline:
            await _all(_unless_died(running.let_go()) for running in self._old.values())
        if deadline.cancelled_caught:  # whoever does not let go of the names has to be gone
            await _all(self._ground.end(running) for running in self._old.values())
        await _all(_unless_died(running.go_on()) for running in self._new.values())
        for name, ref in self._refs.items():
            behind = self._system.way_to(name)
            for each in handover.under_way:
                if (each.sender, each.receiver) == (OUTSIDE, name):
                    send_again(each, behind)
            if not isinstance(behind, RemoteRef):
                self._take_along(name, handover, behind)
            ref.open(behind)

    async def _leave(self, timeout_s: float) -> None:
        """Have the old units go; they are killed if they do not."""
        with trio.move_on_after(timeout_s):
            await _all(running.retire() for running in self._old.values())
        await _all(self._ground.end(running) for running in self._old.values())
        await self._close_own_links()

    async def _remember(self, running: Running) -> None:
        self._ground.remember(await running.statistics())

    # What this process itself has under way to actors in others, where they come to run here

    def _own_links(self) -> list[Outgoing]:
        return [link for ref in self._refs.values() for link in _links_of(ref.behind)]

    def _take_along(self, name: str, handover: Handover, behind: ActorRef[Any]) -> None:
        """Hand over here what was sent to an actor over links and not handled."""
        handled = {(each.client, each.link): each.handled for each in handover.links if each.receiver == name}
        client = self._ground.links.relay
        for link in _links_of(self._refs[name].behind):
            assert client is not None  # noqa: S101 - it is its link
            for frame, ask in link.cut(handled.get((client.session.client, link.channel), 0)):
                send_frame(frame, behind, ask)
            self._cut.append(link)

    async def _close_own_links(self) -> None:
        """Once there are the answers to what was handled before."""
        client = self._ground.links.relay
        if client is not None:
            with trio.move_on_after(BACK_S):
                await client.wait_answered(self._cut)
            for link in self._cut:
                client.session.close(link)
                link.end("the actor has come to run in this process")


def _links_of(ref: ActorRef[Any]) -> tuple[Outgoing, ...]:
    return ref.opened if isinstance(ref, RemoteRef) else ()


async def _all(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Await all at once, and return what they do, in their order.

    Raises:
        Died, SporeError: what one has raised first; the others are cancelled then.
    """
    found: dict[int, T] = {}
    failed: list[Exception] = []

    async def one(number: int, call: Awaitable[T]) -> None:
        try:
            found[number] = await call
        except (Died, SporeError) as error:
            failed.append(error)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for number, call in enumerate(calls):
            nursery.start_soon(one, number, call)
    if failed:
        raise failed[0]
    return [found[number] for number in sorted(found)]


async def _unless_died(call: Awaitable[object]) -> None:
    with suppress(Died):
        await call
