"""What the actors of a drawn program do at each point of their lives: drawn when they do it."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio
from tests.property.contract_actors import Conduct, refs_of
from tests.property.contract_books import Account, Boom, Life, Message, Sender
from tests.property.contract_sending import TIMES

from spore import Actor, Directive
from spore.errors import UsageError

if TYPE_CHECKING:
    from tests.property.contract_world import World

__all__ = ["DIRECTIVES", "Drawn"]

DIRECTIVES = (
    Directive.RESUME,
    Directive.RESUME,
    Directive.RESTART,
    Directive.RESTART,
    Directive.STOP,
    Directive.ESCALATE,
)


class Drawn(Conduct):
    """One actor's."""

    def __init__(self, world: World, account: Account, life: Life) -> None:
        self.world, self.account, self.life = world, account, life
        self.sender = life.place.sender

    def fails(self, where: str, share: float = 1.0) -> None:
        if self.chance(share):
            raise Boom(where)

    def chance(self, share: float) -> bool:
        return self.world.chance(self.world.trouble * share)

    # Handlers

    def plain(self, actor: Actor[Any], message: Message) -> Any:
        world = self.world
        with world.books.handling(self.life, message):
            self.fails("in a handler")
            if message.hops:
                for ref, place in refs_of(actor):
                    if world.chance(0.6):
                        world.tell(self.sender, ref, place, message.hops - 1)
                self.aside(message)
            self.fails("at the end of a handler", 0.5)
        return message.number

    def aside(self, message: Message) -> None:
        """What any handler does now and then: use a reference that came from elsewhere, write to itself, set a timer."""
        world, place, bundle = self.world, self.life.place, self.account.bundle
        kind = world.chances.randrange(12)
        if kind == 0 and world.known:
            ref, to = world.pick(world.known)
            world.tell(self.sender, ref, to, message.hops - 1)
        elif kind == 1 and place.promised and bundle is not None:
            world.tell(self.sender, bundle.ref(place.name), place, message.hops - 1)
        elif kind == 2:
            world.timer(self.sender, self.account)

    async def waiting(self, actor: Actor[Any], message: Message) -> Any:
        world = self.world
        with world.books.handling(self.life, message):
            self.fails("at the beginning of an async handler", 0.5)
            try:
                if world.chance(0.5):
                    await trio.sleep(world.pick(TIMES))
                self.fails("in an async handler", 0.5)
                if message.hops:
                    for ref, place in refs_of(actor):
                        if world.chance(0.6):
                            await world.send(self.sender, ref, place, message.hops - 1)
                    await self.waiting_aside(message)
            except trio.Cancelled:
                await self.cleaning_up(actor, message)  # noqa: ASYNC102 - with a shield where it waits
                raise
            self.fails("at the end of an async handler", 0.5)
        return message.number

    async def cleaning_up(self, actor: Actor[Any], message: Message) -> None:
        """What a handler may do when it is cancelled: tell somebody, wait in a shield, fail."""
        world = self.world
        kind = world.chances.randrange(6)
        if kind == 0:
            for ref, place in refs_of(actor)[:1]:
                world.tell(self.sender, ref, place, max(0, message.hops - 1))
        elif kind == 1:
            with trio.move_on_after(0.2, shield=True):
                await trio.sleep(world.pick(TIMES))
        elif kind == 2:
            self.fails("when it was cancelled")

    async def waiting_aside(self, message: Message) -> None:
        """What an async handler does now and then."""
        world, place, account = self.world, self.life.place, self.account
        kind = world.chances.randrange(20)
        other = world.pick(world.accounts)
        if kind == 0:
            await world.start(self.sender, account)
        elif kind == 1:
            await world.stop(self.sender, world.pick((account, other)))
        elif kind == 2:
            await world.restart(self.sender, world.pick((account, other)))
        elif kind == 3 and world.left["bundles"]:
            await world.bundle(self.sender, 2)
        elif kind == 4 and world.known:
            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    ref, to = world.pick(world.known)
                    nursery.start_soon(world.send, Sender(f"child{world.number()}"), ref, to, message.hops - 1)
        elif kind == 5 and account.bundle is not None:
            idle = world.pick((account, other)).bundle
            with trio.move_on_after(1), suppress(UsageError):
                if idle is not None:
                    await idle.wait_idle()
        elif kind == 6 and account.bundle is not None and place.cell is not None:
            world.books.say("{} stops itself", place.label)
            try:
                await account.bundle.stop(place.name, drain=world.chance(0.5))
            except UsageError as error:  # it has left already
                world.books.hold(
                    place.name not in account.bundle._roster.cells,
                    "{} was not stopped by itself: {}",
                    place.label,
                    error,
                )
        elif kind < 10:
            self.aside(message)

    # The ends of a life

    def start(self, actor: Actor[Any]) -> Awaitable[None] | None:
        if self.world.chance(0.4):
            return self._start(actor)
        with self.world.books.phase(self.life, "built", "starting", "living", "failed"):
            self.begin(actor)
        return None

    def begin(self, actor: Actor[Any]) -> None:
        world = self.world
        self.fails("in on_start", 0.5)
        if world.chance(0.3):
            for ref, place in refs_of(actor):
                world.tell(self.sender, ref, place, 2)
        if world.chance(0.1):
            world.timer(self.sender, self.account)

    async def _start(self, actor: Actor[Any]) -> None:
        world = self.world
        with world.books.phase(self.life, "built", "starting", "living", "failed"):
            if world.chance(0.5):
                await trio.sleep(world.pick(TIMES))
            self.begin(actor)
            for ref, place in refs_of(actor):
                if world.chance(0.2):
                    await world.send(self.sender, ref, place, 1)
            if world.chance(0.1):
                await world.start(self.sender, self.account)
            if self.chance(0.2):
                await trio.sleep_forever()
            self.fails("at the end of on_start", 0.5)

    def stop(self, actor: Actor[Any]) -> Awaitable[None] | None:
        if self.world.chance(0.4):
            return self._stop(actor)
        with self.world.books.phase(self.life, "living", "leaving", "gone", "gone"):
            if self.world.chance(0.3):
                for ref, place in refs_of(actor):
                    self.world.tell(self.sender, ref, place, 1)
            self.fails("in on_stop")
        return None

    async def _stop(self, actor: Actor[Any]) -> None:
        world = self.world
        with world.books.phase(self.life, "living", "leaving", "gone", "gone"):
            if world.chance(0.5):
                await trio.sleep(world.pick(TIMES))
            for ref, place in refs_of(actor):
                if world.chance(0.3):
                    await world.send(self.sender, ref, place, 1)
            if self.chance(0.2):
                await trio.sleep_forever()
            self.fails("at the end of on_stop", 0.5)

    # The rest

    def error(self, error: Exception) -> Directive | None:
        books, place = self.world.books, self.life.place
        if self.chance(1.0):
            books.decided(self.life, Directive.ESCALATE)
            raise Boom("in on_error")
        directive: Directive | None = self.world.pick((None, None, None, *DIRECTIVES))
        books.decided(self.life, directive)
        books.say("{} answers {} with {}", place.label, repr(error), directive or place.supervision.on_failure)
        return directive

    def skipped(self) -> dict[str, int]:
        if self.world.trouble and self.life.number % 2:
            raise Boom("in skipped")
        return {"some": 1}

    def snapshot(self) -> Any:
        self.fails("in snapshot")
        return 1

    def restore(self, state: Any) -> None:
        self.fails("in restore")
