"""Drawn programs on drawn bundles, each decided by its seed alone: what is started, sent, stopped, restarted and cancelled, and when.

A program draws as it goes, from one seeded source, on trio's virtual clock and a seeded schedule; so the same seed is the same program,
and `python -m tests.property.test_contract_machine SEED` shows it line by line.
"""

from __future__ import annotations

from typing import Any

import attrs
import trio
from tests.property.contract_actors import FORMS
from tests.property.contract_books import Account, Boom, Message, Place, Sender
from tests.property.contract_conduct import DIRECTIVES, Drawn
from tests.property.contract_sending import MESSAGES, STUCK_S, TIMES, Sending

from spore import Actor, ActorRef, Bundle, Directive, Supervision, open_bundle
from spore.errors import ActorStopped, RestartLimit, StartTimeout, UsageError
from spore.nursery_bundle.answers import Unfinished
from spore.nursery_bundle.whose import current_host, hosts

__all__ = ["World"]

POLICIES = ("block", "block", "block", "block", "fail", "drop_oldest", "drop_newest", "conflate")
MEANT = (Boom, RestartLimit, StartTimeout, Unfinished)
"""What may come out of a bundle: the program raises it, or leads to it."""
ACTORS, BUNDLES, TIMERS = 10, 3, 4


class World(Sending):
    """One program."""

    def __init__(self, seed: int, dispatch: str) -> None:
        super().__init__(seed)
        self.dispatch = dispatch
        self.known: list[tuple[ActorRef[Any], Place]] = []
        """References that everybody has, of all bundles."""
        self.accounts: list[Account] = []
        self.left = {"actors": ACTORS, "bundles": BUNDLES, "timers": TIMERS}
        self.merging = self.chance(0.2)

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
            self.books.settle(account, final=True)

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
        except BaseException as error:  # noqa: BLE001 - what is not meant is raised again
            self.books.say("{} has ended by {}", account.name, repr(error))
            unmeant = _unmeant(error)
            if unmeant is not None:
                raise unmeant from None
        else:
            self.books.say("{} has ended", account.name)
        self.books.settle(account, final=False)
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

    async def step(self, sender: Sender, account: Account, nursery: trio.Nursery, scope: trio.CancelScope, depth: int) -> None:
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
            self.nursery.start_soon(self.help, account, self.nursery, scope, 2)  # which may be there for longer than the bundle
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

    def supervision(self) -> Supervision:
        return Supervision(
            on_failure=self.pick(DIRECTIVES),
            max_restarts=self.pick((0, 1, 3, 50, 50)),
            within_s=self.pick((1.0, 60.0)),
            forgive_after=self.pick((1, 100)),
            backoff_s=self.pick((0.0, 0.0, 0.1, 1.0)),
            start_timeout_s=self.pick((0.3, 2.0, 60.0)),
            stop_timeout_s=self.pick((0.05, 0.3, 10.0)),
        )

    async def start(self, sender: Sender, account: Account) -> None:
        """Start an actor of a drawn form with drawn options, wired to drawn others."""
        bundle = account.bundle
        if not self.left["actors"] or bundle is None:
            return
        self.left["actors"] -= 1
        place = self._place(account, bundle)
        place.form, place.supervision = self.pick(sorted(FORMS)), self.supervision()
        overflow, merge = self.pick(POLICIES), None
        if self.merging and self.chance(0.5):
            place.merges, merge, self.waits_for_ever = True, "event_time", True
        ports, wired = self._wiring(account, bundle)
        trouble = self.trouble

        def factory(**fields: Any) -> Actor[Any]:
            place.cell = bundle._roster.cells[place.name]
            life = self.books.built(place, wired)
            if self.chance(trouble / 2):
                raise Boom("in a factory")
            conduct = Drawn(self, account, life)
            actor: Actor[Any] = FORMS[place.form](lambda: conduct, **fields)
            return actor

        labels = [each.label for each in wired]
        self.books.say("{} starts {} ({}, {}, {}) wired to {}", sender.name, place.label, place.form, overflow, merge, labels)
        try:
            with self.cutting():
                ref = await bundle.start(
                    factory,
                    name=place.name,
                    capacity=self.pick((1, 2, 3, 50)),
                    overflow=overflow,
                    key=self.key if overflow == "conflate" else None,
                    dispatch=self.pick((None, None, "inline", "queued")),
                    supervision=place.supervision,
                    merge=merge,
                    verify=0.5 if bundle._guards.verifier is not None and self.chance(0.5) else 0.0,
                    state=self.pick((None, None, None, 1)),
                    **ports,
                )
                self.known.append((ref, place))
        except (Boom, StartTimeout, ActorStopped, UsageError) as error:
            self.books.say("{} was not started: {}", place.label, repr(error))

    def _place(self, account: Account, bundle: Bundle) -> Place:
        """A place for which there are ports already, or of a name that is free again, or a new one."""
        promised = [place for place in account.places if place.promised and not place.form]
        if promised and self.chance(0.7):
            return promised[0]
        free = [place.name for place in account.places if not place.promised and place.name not in bundle._roster.cells]
        name = self.pick(free) if free and self.chance(0.3) else f"a{len(account.places)}"
        place = Place(name, account)
        account.places.append(place)
        return place

    def _wiring(self, account: Account, bundle: Bundle) -> tuple[dict[str, Any], list[Place]]:
        """For up to three fields: references, across bundles too, some to actors that are not there yet."""
        ports: dict[str, Any] = {}
        wired: list[Place] = []
        for field, most in (("out", 1), ("outs", 2), ("table", 2)):
            refs: list[ActorRef[Any]] = []
            for _ in range(self.chances.randrange(most + 1) or (most == 1)):
                if not self.known or self.chance(0.15):
                    promised = [place for place in account.places if place.promised and not place.form]
                    if not promised:
                        promised = [Place(f"a{len(account.places)}", account, promised=True)]
                        account.places += promised
                    ref, place = bundle.ref(promised[0].name), promised[0]
                else:
                    ref, place = self.pick(self.known)
                refs.append(ref)
                wired.append(place)
            if not refs:
                break
            ports[field] = {"out": refs[0], "outs": refs, "table": dict(enumerate(refs))}[field]
        return ports, wired

    def key(self, message: Message) -> int:
        if message.number % 7 == 0 and self.trouble:
            raise Boom("in a key")
        return message.number % 2

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
                self.books.hold(cell is not None and cell.gone and not states, "{} is {} once it was stopped", place.label, states)

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
        self.books.settle(account, final=False)
        for name in account.bundle._roster.cells if account.bundle is not None else ():
            try:
                account.bundle.snapshot(name)  # type: ignore[union-attr]
            except (UsageError, Boom, AttributeError):  # it is busy, or was not built yet
                pass


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
