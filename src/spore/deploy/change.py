"""What a switch changes in a plan: which units end, which begin, and why it cannot be, if it cannot."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import attrs

from spore.deploy.config import Mode, SystemConfig
from spore.deploy.plan import Plan, Route, Unit
from spore.nursery_bundle.actor import Actor

__all__ = ["Change", "in_mode"]


def in_mode(config: SystemConfig, bundle: str, mode: Mode) -> SystemConfig:
    """A configuration with one bundle in another mode."""
    bundles = (attrs.evolve(each, mode=mode) if each.name == bundle else each for each in config.bundles)
    return attrs.evolve(config, bundles=tuple(bundles))


@attrs.frozen
class Change:
    """From one plan to another one with the same actors."""

    before: Plan
    after: Plan

    @property
    def old(self) -> tuple[Unit, ...]:
        """The units that end, senders before receivers."""
        return _without(self.before, self.after)

    @property
    def new(self) -> tuple[Unit, ...]:
        return _without(self.after, self.before)

    @property
    def actors(self) -> tuple[str, ...]:
        """Those that move."""
        return tuple(name for unit in self.old for name in unit.actors)

    @property
    def merging(self) -> tuple[str, ...]:
        """Those of them that may hold what they get."""
        return tuple(name for name in self.actors if self.before.actors[name].config.merge is not None)

    @property
    def drained(self) -> tuple[str, ...]:
        """To whom the actors send that handles all of it before they move."""
        merging = set(self.merging)
        receivers = (edge.receiver for edge in self.before.edges if edge.sender in self.actors)
        return tuple(dict.fromkeys(name for name in receivers if name not in merging))

    def undrained(self, waiting: Collection[str]) -> str:
        """What has kept the actors from moving, and what to do about it.

        Args:
            waiting: receivers that have not handled all that the actors have sent to them.
        """
        there = [name for name in self.drained if name in waiting]
        for name in there:
            if self.before.actors[name].config.merge is not None:
                senders = dict.fromkeys(edge.sender for edge in self.before.edges if edge.receiver == name)
                return (
                    f"{name!r} still held what was sent to it: it merges, and waits until each of its senders "
                    f"({', '.join(senders)}) has gone on, or has said that it is idle. Switch when they have, or have {name!r} "
                    "in the same bundle: what it holds moves along then"
                )
        if there:
            return f"not all had been handled that was sent to {', '.join(map(repr, there))}"
        return "its actors had still something to handle"

    @property
    def reached_here(self) -> tuple[str, ...]:
        """Those that run in the calling process, before or after: what it sends to them does not go through the relay."""
        return tuple(name for name in self.actors if self.before.unit_of(name).here or self.after.unit_of(name).here)

    @property
    def anew(self) -> tuple[str, ...]:
        """Those that cannot hand over their state. The caller's own need not."""
        kinds = {name: self.before.actors[name] for name in self.actors}
        return tuple(name for name, actor in kinds.items() if not (actor.local or _hands_over(actor.kind.make)))

    def problem(self, bundle: str) -> str:
        """Why the change cannot be made while the system runs; empty if it can."""
        for unit in (*self.old, *self.new):
            if unit.bundle is not None and unit.bundle.name != bundle:
                return (
                    f"an actor of the caller's own would move to or from bundle {unit.bundle.name!r}, "
                    "which is to run on undisturbed"
                )
        for edge in (*self.before.edges, *self.after.edges):
            if edge.route is Route.DISTRIBUTED and not {edge.sender, edge.receiver}.isdisjoint(self.actors):
                return (
                    f"{edge.sender}.{edge.port} → {edge.receiver} goes through the engine, which a switch cannot hand over; "
                    "change the file, and start the nodes again"
                )
        feedback = {(edge.sender, edge.port, edge.receiver): edge.feedback for edge in self.before.edges}
        for edge in self.after.edges:
            if edge.sender not in self.actors and edge.feedback is not feedback[edge.sender, edge.port, edge.receiver]:
                return (
                    f"{edge.sender}.{edge.port} → {edge.receiver} closes a cycle in one mode and not in the other, "
                    f"and {edge.sender!r} is to run on undisturbed"
                )
        return ""


def _without(plan: Plan, other: Plan) -> tuple[Unit, ...]:
    """The units of a plan that are not the same in another one."""
    there = {(unit.label, frozenset(unit.actors)) for unit in _units(other)}
    return tuple(unit for unit in _units(plan) if (unit.label, frozenset(unit.actors)) not in there)


def _units(plan: Plan) -> Iterable[Unit]:
    return (unit for group in plan.units for unit in group)


def _hands_over(make: object) -> bool:
    if not isinstance(make, type) or not issubclass(make, Actor):
        return True  # whoever makes it knows
    return make.snapshot is not Actor.snapshot and make.restore is not Actor.restore
