"""Drawn programs on drawn bundles, each decided by its seed alone: what is started, sent, stopped, restarted and cancelled, and when.

A program draws as it goes, from one seeded source, on trio's virtual clock and a seeded schedule; so the same seed is the same program,
and `python -m tests.property.test_contract_machine SEED` shows it line by line.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import attrs
import trio
from tests.property.contract_books import Account, Boom, Message, Sender
from tests.property.contract_sending import MESSAGES, STUCK_S, TIMES
from tests.property.contract_settling import settle
from tests.property.contract_starting import Starting

from spore import Directive, open_bundle
from spore.errors import RestartLimit, StartTimeout, UsageError
from spore.nursery_bundle.answers import Unfinished
from spore.nursery_bundle.whose import current_host, hosts

__all__ = ["World"]

MEANT = (Boom, RestartLimit, StartTimeout, Unfinished)
"""What may come out of a bundle: the program raises it, or leads to it."""
BUNDLES, TIMERS = 3, 4


class World(Starting):
    """One program."""

    def __init__(self, seed: int, dispatch: str) -> None:
        super().__init__(seed)
        self.dispatch = dispatch
        self.accounts: list[Account] = []
        self.left.update(bundles=BUNDLES, timers=TIMERS)

    async def run(self) -> None:
        """Run it to its end, and hold what is left against the contract."""
        before = _tasks()
        try:
            with trio.fail_after(20 * STUCK_S):
                async with trio.open_nursery() as self.nursery:
                    with trio.CancelScope() as everything:
                        if self.chance(self.cuts):
                            self.cut_later(everything)
                        await self.bundle(Sender("body"), depth=0)
                    if self.chance(0.5):
                        await trio.sleep(self.pick(TIMES))
                    self.nursery.cancel_scope.cancel()
        except trio.TooSlowError:
            self.books.wrong("the program never ended")
        for task in _tasks() - before:
            self.books.wrong(f"task {task.name} is left")
        self.books.hold(not hosts(), "tasks are left in the list of those that run actors: {}", hosts())
        for _ in self.accounts:
            if self.known and self.chance(0.5):
                self.tell(Sender("late"), *self.pick(self.known), hops=1)
        for account in self.accounts:
            settle(account, final=True)

    async def bundle(self, sender: Sender, depth: int) -> None:
        """Open a bundle, do things in it, and leave it."""
        self.left["bundles"] -= 1
        account = Account(f"b{len(self.accounts)}", self.books)
        self.accounts.append(account)
        options: dict[str, Any] = {"drain_timeout_s": self.pick((0.0, 0.3, 10.0, 10.0, 100.0))}
        if self.chance(0.5):
            options["supervision"] = attrs.evolve(self.supervision(), on_failure=Directive.RESTART)
        if self.chance(0.1):
            options["debug"] = True
        if self.chance(0.1):
            options["verifier"] = lambda message: None
        self.books.say("{} opens {} with {}", sender.name, account.name, options)
        try:
            with trio.CancelScope() as scope:
                if self.chance(self.cuts / 2):
                    self.cut_later(scope)
                async with open_bundle(account.name, dispatch=self.dispatch, keep_letters=100_000, **options) as bundle:
                    account.bundle = bundle
                    await self.body(sender, account, scope, depth)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - what is not meant is raised again
            self.books.say("{} has ended by {}", account.name, repr(error))
            unmeant = _unmeant(error)
            if unmeant is not None:
                raise unmeant from None  # noqa: ASYNC104 - a cancellation is in there
        else:
            self.books.say("{} has ended", account.name)
        settle(account, final=False)
        for place in account.places:
            states = [life.state for life in place.lives if life.state in ("starting", "living", "leaving")]
            self.books.hold(not states, "{} is {} after the end of its bundle", place.label, states)

    async def body(self, sender: Sender, account: Account, scope: trio.CancelScope, depth: int) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(self.chances.randrange(1, 4)):
                await self.start(sender, account)
            for _ in range(self.chances.randrange(3, 14)):
                await self.step(sender, account, nursery, scope, depth)
            if self.chance(0.5):
                nursery.cancel_scope.cancel()
        if self.chance(0.2):
            late = Sender(f"starter{self.number()}")
            self.nursery.start_soon(self.start, late, account)
            await trio.lowlevel.checkpoint()
            if self.chance(0.5):
                scope.cancel()

    async def step(
        self, sender: Sender, account: Account, nursery: trio.Nursery, scope: trio.CancelScope, depth: int
    ) -> None:
        """One thing that somebody outside of the actors does."""
        bundle = account.bundle
        assert bundle is not None
        kind = self.chances.randrange(23)
        if kind < 9:
            if self.known:
                await self.send(sender, *self.pick(self.known), hops=3)
        elif kind < 12:
            await self.start(sender, account)
        elif kind < 14:
            await trio.sleep(self.pick(TIMES))
        elif kind == 14:
            await self.stop(sender, account)
        elif kind == 15:
            await self.restart(sender, account)
        elif kind == 16:
            self.timer(sender, account)
        elif kind == 17:
            with trio.move_on_after(5), self.cutting():
                await bundle.wait_idle()
        elif kind == 18:
            self.look(account)
        elif kind == 19 and self.left["bundles"] and depth < 2:
            await self.bundle(sender, depth + 1)
        elif kind == 20:
            nursery.start_soon(self.help, account, nursery, scope, depth)
        elif kind == 21:
            self.nursery.start_soon(
                self.help, account, self.nursery, scope, 2
            )  # which may be there for longer than the bundle
        elif self.chance(self.trouble):
            self.books.say("{} makes {} end", sender.name, account.name)
            if nursery is not self.nursery and self.chance(0.5):
                raise Boom("in a body")
            scope.cancel()

    async def help(self, account: Account, nursery: trio.Nursery, scope: trio.CancelScope, depth: int) -> None:
        """A task beside the body."""
        sender = Sender(f"helper{self.number()}")
        with self.cutting():
            for _ in range(self.chances.randrange(1, 5)):
                await self.step(sender, account, nursery, scope, depth)

    # Steps

    async def stop(self, sender: Sender, account: Account) -> None:
        """Stop an actor, in whosever code this is."""
        mine = [(ref, place) for ref, place in self.known if place.account is account]
        if account.bundle is None or not mine:
            return
        bundle, (ref, place) = account.bundle, self.pick(mine)
        drain, timeout_s = self.chance(0.7), self.pick((0.0, 0.3, 10.0))
        self.books.say("{} stops {} (drain={}, {} s)", sender.name, place.label, drain, timeout_s)

        async def stop() -> None:
            cell = bundle._roster.cells.get(place.name)
            try:
                await bundle.stop(self.pick((ref, place.name)), drain=drain, timeout_s=timeout_s)
            except UsageError as error:
                self.books.say("{} was not stopped: {}", place.label, error)
                return
            if cell is not current_host() and not bundle._ending.closed:
                places = [each for each in account.places if each.cell is cell]
                states = [life.state for each in places for life in each.lives if life.state in ("living", "leaving")]
                self.books.hold(
                    cell is not None and cell.gone and not states, "{} is {} once it was stopped", place.label, states
                )

        await self.within(STUCK_S, stop, "stop of {}", place.label)

    async def restart(self, sender: Sender, account: Account) -> None:
        """Restart a bundle, in whosever code this is."""
        if account.bundle is None:
            return
        bundle = account.bundle
        self.books.say("{} restarts {}", sender.name, account.name)

        async def restart() -> None:
            try:
                await bundle.restart()
            except (UsageError, Boom, StartTimeout) as error:
                self.books.say("{}: restart raised {}", account.name, repr(error))

        await self.within(STUCK_S, restart, "restart of {}", account.name)

    def timer(self, sender: Sender, account: Account) -> None:
        """Set one that sends something now and then, and fails sometimes."""
        bundle = account.bundle
        if not self.left["timers"] or not self.known or bundle is None:
            return
        self.left["timers"] -= 1
        ref, place = self.pick(self.known)
        ticker = Sender(f"timer{self.number()}")

        def make() -> Message:
            if self.books.count >= MESSAGES or self.chance(self.trouble):
                timer.cancel()
                account.timer_failures += 1
                raise Boom("in a timer")
            message = self.books.message(ticker, place, ref, high=False, asked=False, hops=1)
            message.fate = "unknown"
            return message

        self.books.say("{} starts {} to {}", sender.name, ticker.name, place.label)
        try:
            timer = self.pick((bundle.every, bundle.after))(self.pick((0.01, 0.3, 1.0)), ref, make=make)
        except UsageError as error:
            self.books.say("{} was not started: {}", ticker.name, error)

    def look(self, account: Account) -> None:
        """Hold a bundle's counts against the books, and take snapshots of what is quiet."""
        settle(account, final=False)
        bundle = account.bundle
        for name in bundle._roster.cells if bundle is not None else ():
            with suppress(UsageError, Boom):  # it is busy, or fails
                bundle.snapshot(name)  # type: ignore[union-attr]


def _unmeant(error: BaseException) -> BaseException | None:
    """What is not meant to come out of a bundle; with what is trio's own."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(MEANT)[1]
    return None if isinstance(error, MEANT) else error


def _tasks() -> set[trio.lowlevel.Task]:
    root = trio.lowlevel.current_root_task()
    found: set[trio.lowlevel.Task] = set()
    ahead = [root] if root is not None else []
    while ahead:
        task = ahead.pop()
        found.add(task)
        ahead += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found
