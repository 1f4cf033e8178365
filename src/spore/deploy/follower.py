"""One twin, from its start to its end: it is fed with what the bundle handles, and what it sends is compared.

It ends in one of three ways: in step, when everything that was noted has been handled and compared; out of step, when it has died,
failed or fallen behind; or by a difference that would be none, which puts it out of step, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

from spore.deploy.comparing import Stream, Tally, Tap
from spore.deploy.place import Local
from spore.deploy.plan import Plan, make_plan
from spore.deploy.tapping import Taps
from spore.deploy.twin import Twin, collectors, name_of_twin
from spore.errors import UnitFailed, first_cause
from spore.nursery_bundle import ActorRef, Bundle

if TYPE_CHECKING:
    from spore.deploy.system import System

__all__ = ["Follower", "OpenTwin"]

BATCH = 64
PAUSE_S = 0.002
"""After a batch the one who copies rests for so long, so that a busy bundle keeps most of its process for itself."""
IDLE_S = 0.02
"""How often to look whether there is something to copy. Nobody tells: that would take from the bundle."""
WATCH_S = 0.1
"""How often to look whether the twin has fallen behind."""


class OpenTwin(Protocol):
    """`spore.deploy.run_plan`, which runs bundles, and so cannot be imported by what a bundle is made of."""

    def __call__(
        self, plan: Plan, *, local: Local, say: Callable[[str], None], states: Mapping[str, Any], restarts: bool
    ) -> AbstractAsyncContextManager[System]:
        """Run a plan for the length of a block."""
        ...


@attrs.define(eq=False)
class Follower:
    """The life of one twin."""

    twin: Twin
    bundle: Bundle
    taps: Taps
    """What is noted. It has begun when the states were taken."""
    tally: Tally
    open_twin: OpenTwin
    say: Callable[[str], None]
    window: float
    """How many messages it is fed with before it ends; infinite for as long as the bundle lives."""
    lost: str = attrs.field(default="", init=False)
    """Why it is out of step; empty while it is not."""
    running: bool = attrs.field(default=False, init=False)
    """Whether its processes have started."""
    copied: int = attrs.field(default=0, init=False)
    """How many messages it was fed with."""
    processes: Mapping[str, int] = attrs.field(factory=dict, init=False)
    _listening: bool = attrs.field(default=False, init=False)
    """Whether what it sends counts."""
    _feeding: bool = attrs.field(default=True, init=False)
    """Whether the bundle may still handle something that it is to have."""
    _settled: bool = attrs.field(default=False, init=False)
    """Whether all that it was to have was handled there, and compared."""
    _ended: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the bundle has ended."""
    _life: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _from_outside_before: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._from_outside_before = self._from_outside()

    def end(self) -> None:
        """The bundle has ended: handle what is left, for no longer than its own end may take."""
        self._ended.set()
        self._life.deadline = trio.current_time() + self.twin.drain_timeout_s

    async def run(self, states: Mapping[str, Any]) -> None:
        """Run it to its end. Whatever goes wrong in it is told by `lost`.

        Args:
            states: what its actors take over from; empty where they begin with the bundle's.

        Cancellation: always a checkpoint; its processes are killed.
        """
        local = collectors(self.twin, self._meet)
        plan = make_plan(self.twin.config, local=local, source="the twin")
        self._listening = not states
        try:
            with self._life:
                async with self.open_twin(plan, local=local, say=self.say, states=states, restarts=False) as system:
                    known = (await system.statistics()).processes
                    self.processes = {name: known[name] for name in self.twin.processes if name in known}
                    await self._listen(system)
                    self.running = True
                    await self._keep_up(system)
                self._settle()
        except* Exception as group:  # noqa: BLE001 - whatever it is, it is the twin's
            error = first_cause(group)
            self._lose(f"{error.unit}: {error.reason}" if isinstance(error, UnitFailed) else f"{error}")
        finally:
            self.running, self.processes = False, {}
        if not self._settled:
            self._lose(f"it had not handled everything {self.twin.drain_timeout_s:g} s after the end of the bundle")

    async def _listen(self, system: System) -> None:
        """Let what it sends count from now on. What actors that have taken over say when they start, the bundle's did not say."""
        if not self._listening:
            await system.wait_idle()
            self._listening = True

    async def _keep_up(self, system: System) -> None:
        """Feed it until its time is over."""
        async with trio.open_nursery() as watching:
            watching.start_soon(self._watch)
            async with trio.open_nursery() as copying:
                for name, tap in self.taps.inputs.items():
                    copying.start_soon(self._copy, tap, system.ref(name_of_twin(name)))
                await self._until_over()
            if not self._ended.is_set():
                await system.wait_idle()
                self._settle()
                self._life.cancel()  # the bundle goes on, so what the twin would say when it stops is not to be heard
            watching.cancel_scope.cancel()

    async def _until_over(self) -> None:
        """Wait until the bundle has ended, or the window is over."""
        while not self._ended.is_set() and self.copied < self.window:
            with trio.move_on_after(WATCH_S):
                await self._ended.wait()
        if not self._ended.is_set():
            await self.bundle.wait_idle()  # what it handles now is the twin's, too, with all that is sent then
        self.taps.rest()
        self._feeding = False

    async def _copy(self, tap: Tap, ref: ActorRef[Any]) -> None:
        queue = tap.queue
        while queue or self._feeding:
            batch = min(len(queue), BATCH)
            for _ in range(batch):
                if tap.full:
                    self._lose_behind()
                    return
                message = queue.popleft()
                self.copied += 1  # at once: what waits for room in the twin waits here no longer, and is not skipped
                await ref.send(message)
            await trio.sleep(PAUSE_S if batch else IDLE_S)

    async def _watch(self) -> None:
        while True:
            await trio.sleep(WATCH_S)
            if self.taps.full:
                self._lose_behind()

    # What is compared

    def _meet(self, port: tuple[str, str], message: Any) -> None:
        """The twin has sent something."""
        if self.lost or self._settled or not self._listening:
            return
        stream = self.taps.streams[port]
        stream.theirs.append(message)
        if stream.full:
            self._lose_behind()
            return
        for one, other in stream.pairs():
            self._compare(stream, one, other)

    def _settle(self) -> None:
        """Both have sent everything: what is left has no counterpart."""
        if self.lost:
            return
        for stream in self.taps.streams.values():
            for one, other in stream.rest():
                self._compare(stream, one, other)
        self._settled = not self.lost

    def _compare(self, stream: Stream, one: Any, other: Any) -> None:
        if one != other and (excuse := self._excuse()):
            self._lose(excuse)
        if not self.lost:
            found = self.tally.count(stream, one, other)
            if found is not None and found is self.tally.first:
                self.say(f"the first difference: {found.difference()}")

    def _excuse(self) -> str:
        """Why a difference would be none; empty if it would be one."""
        for stream in self.taps.streams.values():
            if stream.ours.asked:
                asks = f"actor {stream.actor!r} asks somebody outside of the bundle through {stream.port!r}"
                return f"{asks}, and the twin cannot have the answer"
        if self._from_outside() > self._from_outside_before:
            return "an actor that is not fed got messages from outside, of which the twin has no copy"
        return ""

    def _from_outside(self) -> int:
        """How many messages from outside of the bundle nobody could note, because they went to an actor in the middle."""
        own = self.twin.actors
        return sum(
            edge.sent
            for edge in self.bundle.statistics().edges
            if edge.receiver in own and edge.receiver not in self.twin.fed and edge.sender not in own
        )

    def _lose(self, reason: str) -> None:
        """Out of step: it is of no use any more."""
        if not self.lost and not self._settled:
            self.lost = reason
            self._life.cancel()
            self.taps.forget()

    def _lose_behind(self) -> None:
        self._lose(f"it is behind: {self.taps.most:,} messages of an actor or a port wait")
