"""Shadow mode: a relayed twin handles what the bundle handles, and what both send is compared, while the bundle runs.

Invariant: the bundle never waits for its twin, and no failure of the twin is one of the bundle. What the twin is to have is
appended to bounded queues, which tasks of their own empty. When a queue overflows, or the twin dies, the two are *out of step*:
nothing more is compared, what is missed is counted, and a twin begins afresh where the bundle's actors stand.

The first twin begins with the bundle. Each later one takes over: at a moment when the bundle is quiet, the snapshots of all its actors
are taken, and the queues begin.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from spore.deploy.comparing import Tally
from spore.deploy.follower import Follower, OpenTwin
from spore.deploy.shadow_statistics import ShadowState, ShadowStatistics
from spore.deploy.tapping import Taps
from spore.deploy.twin import Twin, name_of_twin
from spore.nursery_bundle import ActorState, Bundle, Supervision
from spore.nursery_bundle.chance import chances

__all__ = ["KEPT_MESSAGES", "WINDOW", "Shadow"]

KEPT_MESSAGES = 65_536
"""So many messages of an actor or a port are kept for the twin, by reference: what comes while its processes start."""
WINDOW = 10_000
"""With a rate below 1: how many messages a twin is fed with before it ends."""
LOOK_S = 0.1
"""How often to look whether the next twin can begin. Nobody tells."""
AGAIN = Supervision(backoff_s=0.5, backoff_max_s=30.0, jitter=0.2)
"""How long to wait before a twin begins afresh: twice as long each time, …"""
LIVED_S = 60.0
"""… unless the last one has lived for so long."""


class Paused(Exception):
    """No twin can take over from this bundle."""


class Shadow:
    """All twins of one bundle, and what was compared.

    Args:
        twin: what each of them is.
        open_twin: runs one.
        say: told in one line whatever a person may want to know.
    """

    def __init__(self, twin: Twin, open_twin: OpenTwin, say: Callable[[str], None]) -> None:
        self.taps = Taps(twin.fed, twin.compared, most=KEPT_MESSAGES)
        """To be built into the bundle."""
        self._twin = twin
        self._open_twin = open_twin
        self._say_line = say
        self._bundle: Bundle | None = None
        self._follower: Follower | None = None
        """The twin that runs now; None between two."""
        self._state = ShadowState.STARTING
        self._reason = ""
        self._tally = Tally()
        self._twins = 0
        self._copied = 0
        """To all twins before."""
        self._between = trio.CancelScope()
        """Between one twin and the next."""
        self._ended = False
        """Whether the bundle has ended."""
        self._over = trio.Event()
        self.taps.begin()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """A block in which twins may run; they are gone at its end.

        Cancellation: leaving is a checkpoint.
        """
        async with trio.open_nursery() as self._nursery:
            yield
            self._nursery.cancel_scope.cancel()

    def start(self, bundle: Bundle, *, afresh: bool = True) -> None:
        """The bundle's actors have started, with the taps built in; not afresh, if they have taken over from others."""
        self._bundle = bundle
        if not afresh:
            self.taps.forget()
        self._nursery.start_soon(self._run, bundle, afresh)

    async def retire(self) -> None:
        """The bundle's actors live elsewhere now, and it is quiet: let the twin handle what it was to have, and no more.

        Cancellation: a checkpoint; what is left is not compared.
        """
        self._ended = True
        self._between.cancel()
        if self._follower is not None:
            self._follower.window = 0
        await self._over.wait()

    async def finish(self) -> None:
        """The bundle has ended: let the twin handle what it was to have, but for no longer than the bundle's own end may take.

        Cancellation: a checkpoint; what is left is not compared.
        """
        self._ended = True
        self._between.cancel()
        if self._follower is not None:
            self._follower.end()
        await self._over.wait()
        self._state = ShadowState.ENDED
        self._say(self.statistics().summary)

    def statistics(self) -> ShadowStatistics:
        """Counts as of now."""
        follower, tally = self._follower, self._tally
        inputs, waiting = self._handled(), self.taps.waiting
        copied = self._copied + (follower.copied if follower is not None else 0)
        return ShadowStatistics(
            bundle=self._twin.bundle,
            state=ShadowState.FOLLOWING if follower is not None and follower.running else self._state,
            reason=self._reason,
            twins=self._twins,
            inputs=inputs,
            copied=copied,
            waiting=waiting,
            skipped=max(0, inputs - copied - waiting),
            equal=tally.equal,
            different=tally.different,
            first=tally.first.difference() if tally.first is not None else None,
            last=tuple(pair.difference() for pair in tally.last),
            processes=follower.processes if follower is not None else {},
        )

    # From one twin to the next

    async def _run(self, bundle: Bundle, afresh: bool) -> None:
        try:
            await self._run_twins(bundle, afresh)
        except Paused as paused:
            self._enter(ShadowState.PAUSED, str(paused))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not the bundle's
            self._enter(ShadowState.PAUSED, f"{type(error).__name__}: {error}")
        finally:
            self.taps.forget()
            self._over.set()

    async def _run_twins(self, bundle: Bundle, afresh: bool) -> None:
        attempt, chance = 0, chances(None)
        states: Mapping[str, Any] = {}
        if not afresh:
            with trio.CancelScope() as self._between:
                states = await self._take_over(bundle)
        while not self._ended:
            began = trio.current_time()
            lost = await self._follow(bundle, states)
            if self._ended:
                return
            with trio.CancelScope() as self._between:
                if lost:
                    attempt = 1 if trio.current_time() - began > LIVED_S else attempt + 1
                    await trio.sleep(AGAIN.backoff(attempt, chance.random()))
                else:
                    await self._rest()
                states = await self._take_over(bundle)

    async def _follow(self, bundle: Bundle, states: Mapping[str, Any]) -> str:
        """Run one twin to its end; return why it is out of step, empty if it is not."""
        self._twins += 1
        self._enter(ShadowState.STARTING)
        follower = self._follower = Follower(
            self._twin,
            bundle,
            self.taps,
            self._tally,
            self._open_twin,
            self._say,
            window=WINDOW if self._twin.rate < 1 else math.inf,
        )
        if self._ended:
            follower.end()
        await follower.run(states)
        self._copied += follower.copied
        self._follower = None
        if follower.lost:
            self._enter(ShadowState.OUT_OF_STEP, follower.lost)
        return follower.lost

    async def _rest(self) -> None:
        """Between two windows: let as many messages pass as makes the share."""
        self._enter(ShadowState.RESTING)
        until = self._handled() + WINDOW * (1 / self._twin.rate - 1)
        while self._handled() < until:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(LOOK_S)

    async def _take_over(self, bundle: Bundle) -> Mapping[str, Any]:
        """Wait until the bundle is quiet, and have the queues begin at the moment when its actors' states are taken.

        Raises:
            Paused: if an actor has no snapshot.
        """
        while True:
            await bundle.wait_idle()
            actors = bundle.statistics().actors
            if all(name in actors and actors[name].state is ActorState.RUNNING for name in self._twin.actors):
                break
            await trio.sleep(LOOK_S)
        states = {}
        for name in self._twin.actors:  # from here to the end nothing waits, so nothing is handled
            try:
                states[name_of_twin(name)] = bundle.snapshot(name)
            except NotImplementedError:
                reason = f"actor {name!r} has no snapshot, so that no twin can take over where it stands"
                raise Paused("; ".join(filter(None, (self._reason, reason)))) from None
        self.taps.begin()
        return states

    def _handled(self) -> int:
        """Messages that the actors have handled that are fed in the twin."""
        if self._bundle is None:
            return 0
        actors = self._bundle.statistics().actors
        return sum(actors[name].handled + actors[name].failed for name in self._twin.fed if name in actors)

    def _say(self, line: str) -> None:
        self._say_line(f"shadow of {self._twin.bundle!r}: {line}")

    def _enter(self, state: ShadowState, reason: str = "") -> None:
        self._state, self._reason = state, reason
        if reason:
            self._say(f"{state}: {reason}")
