"""Drawn programs on drawn bundles, each decided by its seed alone: what is started, sent, stopped, restarted and cancelled, and when.

A program draws as it goes, from one seeded source, on trio's virtual clock and a seeded schedule; so the same seed is the same program,
and `python -m tests.property.test_contract_machine SEED` shows it line by line.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import trio
from tests.property.contract_actors import FORMS, Conduct, refs_of
from tests.property.contract_books import Account, Boom, Books, Life, Message, Place, Sender

from spore import Actor, ActorRef, Bundle, Directive, Supervision, open_bundle
from spore.errors import ActorStopped, AskError, AskTimeout, MailboxFull, RestartLimit, StartTimeout, UsageError
from spore.nursery_bundle.answers import Unfinished

__all__ = ["World"]

POLICIES = ("block", "block", "block", "block", "fail", "drop_oldest", "drop_newest", "conflate")
DIRECTIVES = (Directive.RESUME, Directive.RESUME, Directive.RESTART, Directive.RESTART, Directive.STOP, Directive.ESCALATE)
TIMES = (0.0, 0.0, 0.01, 0.1, 0.5, 1.0)
MEANT = (Boom, RestartLimit, StartTimeout, Unfinished)
"""What may come out of a bundle: the program raises it, or leads to it."""
STUCK_S = 1_000.0
"""Nothing takes so long that is not stuck."""
MESSAGES, ACTORS, BUNDLES, TIMERS = 120, 10, 3, 4


class World:
    """One program."""

    def __init__(self, seed: int, dispatch: str) -> None:
        self.chances = random.Random(seed)
        self.dispatch = dispatch
        self.books = Books(_now)
        self.waits_for_ever = False
        """Whether something may wait as long as it likes: for a merge that waits for a sender."""
        self.known: list[tuple[ActorRef[Any], Place]] = []
        """References that everybody has, of all bundles."""
        self.bundles: list[Account] = []
        self.left = {"actors": ACTORS, "bundles": BUNDLES, "timers": TIMERS}
        self.numbers = 0
        self.nursery: trio.Nursery
        # How wild this program is.
        self.trouble = self.chances.choice((0.0, 0.05, 0.2))
        self.cuts = self.chances.choice((0.0, 0.05, 0.2))
        self.merging = self.chances.random() < 0.2

    # Chances

    def chance(self, share: float) -> bool:
        return self.chances.random() < share

    def pick(self, items: Any) -> Any:
        return self.chances.choice(items)

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

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

    # The program

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
                    self.nursery.cancel_scope.cancel()
        except trio.TooSlowError:
            self.books.wrong("the program never ended")
        for task in _tasks() - before:
            self.books.wrong(f"task {task.name} is left")
        for account in self.bundles:
            if self.known and self.chance(0.5):
                ref, place = self.pick(self.known)
                self.tell(Sender("late"), ref, place, 1)
        for account in self.bundles:
            self.books.settle(account, final=True)

    def cut_later(self, scope: trio.CancelScope) -> None:
        """Cancel a scope after some time and some passes of the scheduler."""
        time_s, passes = self.pick(TIMES), self.chances.randrange(12)

        async def cut() -> None:
            await trio.sleep(time_s)
            for _ in range(passes):
                await trio.lowlevel.checkpoint()
            scope.cancel()

        self.nursery.start_soon(cut)

    @contextmanager
    def cutting(self) -> Iterator[None]:
        """A block that may be cancelled at a drawn moment."""
        if not self.chance(self.cuts):
            yield
            return
        with trio.CancelScope() as scope:
            self.cut_later(scope)
            yield

    async def within(self, limit_s: float, what: str, run: Callable[[], Awaitable[Any]]) -> None:
        """Do something that has to end in a time. Where something in it may wait for ever, it is cancelled then."""
        with trio.move_on_after(limit_s) as scope, self.cutting():
            await run()
        if scope.cancelled_caught and not self.waits_for_ever:
            self.books.wrong(f"{what} is stuck")

    async def bundle(self, sender: Sender, depth: int) -> None:
        """Open a bundle, do things in it, and leave it."""
        self.left["bundles"] -= 1
        account = Account(f"b{self.number()}", self.books)
        self.bundles.append(account)
        again = self.chance(0.5)
        options: dict[str, Any] = {"supervision": attrs.evolve(self.supervision(), on_failure=Directive.RESTART)} if again else {}
        if self.chance(0.1):
            options["debug"] = True
        if self.chance(0.1):
            options["verifier"] = lambda message: None
        drain_timeout_s = self.pick((0.0, 0.3, 10.0, 10.0, 100.0))
        self.books.say(f"{sender.name} opens {account.name}, to be drained in {drain_timeout_s:g} s, {'again' if again else ''}")
        try:
            with trio.CancelScope() as scope:
                if self.chance(self.cuts / 2):
                    self.cut_later(scope)
                async with open_bundle(
                    account.name, dispatch=self.dispatch, drain_timeout_s=drain_timeout_s, keep_letters=100_000, **options
                ) as bundle:
                    account.bundle = bundle
                    await self.body(sender, account, scope, depth)
        except BaseException as error:  # noqa: BLE001 - what is not meant is raised again
            self.books.say(f"{account.name} has ended by {error!r}")
            _, unmeant = _split(error)
            if unmeant is not None:
                raise unmeant from None
        else:
            self.books.say(f"{account.name} has ended")
        self.books.settle(account, final=False)
        for place in account.places:
            states = [life.state for life in place.lives if life.state in ("starting", "living", "leaving")]
            self.books.hold(not states, f"{place.name} is {states} after the end of {account.name}")

    async def body(self, sender: Sender, account: Account, scope: trio.CancelScope, depth: int) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(self.chances.randrange(1, 4)):
                await self.start(sender, account)
            for _ in range(self.chances.randrange(3, 14)):
                await self.step(sender, account, nursery, scope, depth)
            if self.chance(0.5):
                nursery.cancel_scope.cancel()

    async def step(self, sender: Sender, account: Account, nursery: trio.Nursery, scope: trio.CancelScope, depth: int) -> None:
        bundle = account.bundle
        assert bundle is not None
        kind = self.chances.randrange(22)
        if kind < 9:
            if self.known:
                await self.send(sender, *self.pick(self.known), hops=3, bundle=bundle)
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
        elif self.chance(self.trouble):
            if self.chance(0.5):
                self.books.say(f"{sender.name} raises in the body of {account.name}")
                raise Boom("in a body")
            self.books.say(f"{sender.name} cancels {account.name}")
            scope.cancel()

    async def help(self, account: Account, nursery: trio.Nursery, scope: trio.CancelScope, depth: int) -> None:
        """A task beside the body."""
        sender = Sender(f"helper{self.number()}")
        with self.cutting():
            for _ in range(self.chances.randrange(1, 5)):
                await self.step(sender, account, nursery, scope, depth)

    # Steps

    async def start(self, sender: Sender, account: Account, *, child: bool = False) -> None:
        bundle = account.bundle
        if not self.left["actors"] or bundle is None:
            return
        self.left["actors"] -= 1
        place = self._place(account)
        place.supervision = self.supervision()
        overflow, merge = self.pick(POLICIES), None
        if self.merging and self.chance(0.5):
            place.merges, merge, self.waits_for_ever = True, "event_time", True
        wired = self._wiring(account, bundle)
        ports: dict[str, Any] = {}
        for shape, how in zip(wired, ("out", "outs", "table"), strict=False):
            refs = [ref for ref, _ in shape]
            ports[how] = refs[0] if how == "out" else refs if how == "outs" else dict(enumerate(refs))
        places = [each for shape in wired for _, each in shape]
        form = FORMS[place.form]
        trouble = self.trouble

        def factory(**fields: Any) -> Actor[Any]:
            place.cell = bundle._roster.cells[place.name]
            life = self.books.built(place)
            life.wired = places
            if self.chance(trouble / 2):
                raise Boom("in a factory")
            conduct = Drawn(self, account, life)
            actor: Actor[Any] = form(lambda: conduct, **fields)
            return actor

        self.books.say(f"{sender.name} starts {place.name} ({place.form}, {overflow}, {merge}) wired to {[each.name for each in places]}")
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
            self.books.say(f"{place.name} was not started: {error!r}")

    def _place(self, account: Account) -> Place:
        """A place of a name that was given to somebody already, or of one that has ended, or of a new one."""
        promised = [place for place in account.places if not place.form]
        if promised and self.chance(0.7):
            place: Place = promised[0]
        else:
            ended = [each.name for each in account.places if each.cell is not None and each.cell.gone and each.name.startswith("t")]
            free = [name for name in ended if name not in account.bundle._roster.cells]  # type: ignore[union-attr]
            name = self.pick(free) if free and self.chance(0.3) else f"t{self.number()}"
            place = Place(name, account)
            account.places.append(place)
        place.form = self.pick(sorted(FORMS))
        return place

    def _wiring(self, account: Account, bundle: Bundle) -> list[list[tuple[ActorRef[Any], Place]]]:
        """For up to three fields: references, across bundles too, some to actors that are not there yet."""
        wired = []
        for most in (1, 2, 2):
            shape = []
            for _ in range(self.chances.randrange(most + 1) or (most == 1)):
                if not self.known or self.chance(0.15):
                    promised = [place for place in account.places if not place.form]
                    if not promised:
                        promised = [Place(f"p{self.number()}", account)]
                        account.places += promised
                    shape.append((bundle.ref(promised[0].name), promised[0]))
                else:
                    shape.append(self.pick(self.known))
            if not shape:
                break
            wired.append(shape)
        return wired

    def key(self, message: Message) -> int:
        if message.number % 7 == 0 and self.trouble:
            raise Boom("in a key")
        return message.number % 2

    async def stop(self, sender: Sender, account: Account) -> None:
        bundle = account.bundle
        mine = [(ref, place) for ref, place in self.known if place.account is account]
        if bundle is None or not mine:
            return
        ref, place = self.pick(mine)
        drain, timeout_s = self.chance(0.7), self.pick((0.0, 0.3, 10.0))
        self.books.say(f"{sender.name} stops {place.name} (drain={drain}, {timeout_s:g} s)")

        async def stop() -> None:
            try:
                await bundle.stop(self.pick((ref, place.name)), drain=drain, timeout_s=timeout_s)
            except UsageError as error:
                self.books.say(f"{place.name} was not stopped: {error}")

        await self.within(STUCK_S, f"stop of {place.name}", stop)

    async def restart(self, sender: Sender, account: Account) -> None:
        bundle = account.bundle
        if bundle is None:
            return
        self.books.say(f"{sender.name} restarts {account.name}")

        async def restart() -> None:
            try:
                await bundle.restart()
            except (UsageError, Boom, StartTimeout) as error:
                self.books.say(f"{account.name}: restart raised {error!r}")

        await self.within(STUCK_S, f"restart of {account.name}", restart)

    def timer(self, sender: Sender, account: Account) -> None:
        """One that sends something now and then, and fails sometimes."""
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
            message = self.books.message(ticker, place, high=False, asked=False, hops=1)
            message.fate = "unknown"
            return message

        self.books.say(f"{sender.name} starts {ticker.name} to {place.name}")
        try:
            timer = (bundle.every if self.chance(0.5) else bundle.after)(self.pick((0.01, 0.3, 1.0)), ref, make=make)
        except UsageError as error:
            self.books.say(f"{ticker.name} was not started: {error}")

    def look(self, account: Account) -> None:
        bundle = account.bundle
        if bundle is None:
            return
        self.books.settle(account, final=False)
        for name in (*bundle._roster.cells,):
            try:
                bundle.snapshot(name)
            except (UsageError, Boom, AttributeError):  # busy, or not built yet
                pass

    # Messages

    def tell(self, sender: Sender, ref: ActorRef[Any], place: Place, hops: int) -> None:
        """`tell` one message, or several."""
        if self.books.count >= MESSAGES:
            return
        high = self.chance(0.2)
        if high or self.chance(0.7):
            messages = [self.books.message(sender, place, high=high, asked=False, hops=hops)]
            self._tell(ref, messages, lambda: ref.tell(messages[0], high))
        else:
            messages = [self.books.message(sender, place, high=False, asked=False, hops=hops) for _ in range(self.chances.randrange(2, 6))]
            self._tell(ref, messages, lambda: ref.tell_many(self.pick((messages, iter(messages)))))

    def _tell(self, ref: ActorRef[Any], messages: list[Message], tell: Callable[[], None]) -> None:
        try:
            tell()
        except MailboxFull:
            for message in messages:  # those up to the one that was refused are its, and that one is counted
                message.fate = "unknown"
        except UsageError:  # nobody is there yet
            for message in messages:
                message.fate = "refused"
        else:
            for message in messages:
                message.fate = "accepted"

    async def send(self, sender: Sender, ref: ActorRef[Any], place: Place, hops: int, bundle: Bundle) -> None:
        """Send something in a drawn way."""
        way = self.pick(("tell", "tell", "send", "send", "ask", "send_many"))
        if way == "tell" or self.books.count >= MESSAGES:
            self.tell(sender, ref, place, hops)
            return
        high = self.chance(0.2)
        many = self.chances.randrange(2, 6) if way == "send_many" else 1
        messages = [self.books.message(sender, place, high=high and many == 1, asked=way == "ask", hops=hops) for _ in range(many)]
        self.books.say(f"{sender.name} {way}s {messages}")
        run = {"send": self._send, "ask": self._ask, "send_many": self._send_many}[way]
        try:
            await self.within(STUCK_S, f"{way} of {messages}", lambda: run(ref, messages))
        finally:
            for message in messages:
                if message.fate == "open":
                    message.fate = "unknown" if way != "send" else "refused"  # it was cancelled

    async def _send(self, ref: ActorRef[Any], messages: list[Message]) -> None:
        try:
            await ref.send(messages[0], messages[0].high)
            messages[0].fate = "accepted"
        except MailboxFull:
            messages[0].fate = "accepted"  # it is counted, and a dead letter
        except (ActorStopped, UsageError):
            messages[0].fate = "refused"

    async def _send_many(self, ref: ActorRef[Any], messages: list[Message]) -> None:
        try:
            await ref.send_many(self.pick((messages, iter(messages))))
            for message in messages:
                message.fate = "accepted"
        except (MailboxFull, ActorStopped, UsageError):
            pass

    async def _ask(self, ref: ActorRef[Any], messages: list[Message]) -> None:
        (message,) = messages
        timeout, began = self.pick((0.0, 0.1, 5.0, 30.0)), trio.current_time()
        try:
            answer = await ref.ask(message, timeout, message.high)
            message.fate = "accepted"
            self.books.hold(answer == message.number and message.ended == "done", f"{message} was answered with {answer!r}")
        except AskTimeout:
            message.fate = "unknown"
        except AskError:
            message.fate = "accepted"
            self.books.hold(message.ended != "done", f"{message} was handled, and its ask has failed")
        except (ActorStopped, UsageError):
            message.fate = "refused"
        except MailboxFull:
            message.fate = "accepted"
        self.books.hold(trio.current_time() <= began + timeout, f"{message} took {trio.current_time() - began} s of {timeout:g}")


class Drawn(Conduct):
    """What an actor does, drawn when it does it."""

    def __init__(self, world: World, account: Account, life: Life) -> None:
        self.world, self.account, self.life = world, account, life

    def fails(self, share: float = 1.0) -> bool:
        return self.world.chance(self.world.trouble * share)

    # Handlers

    def plain(self, actor: Actor[Any], message: Message) -> Any:
        world = self.world
        with world.books.handling(self.life, message):
            if self.fails():
                raise Boom("in a handler")
            if message.hops:
                for ref, place in refs_of(actor):
                    if world.chance(0.6):
                        world.tell(self.life.place.sender, ref, place, message.hops - 1)
                self.aside(message)
            if self.fails(0.5):
                raise Boom("at the end of a handler")
        return message.number

    def aside(self, message: Message) -> None:
        """What a plain handler does now and then: use a reference that came from elsewhere, write to itself, set a timer."""
        world, place = self.world, self.life.place
        kind = world.chances.randrange(12)
        if kind == 0:
            world.tell(place.sender, *world.pick(world.known or [(self.account.bundle.ref(place.name), place)]), message.hops - 1)  # type: ignore[union-attr]
        elif kind == 1 and place.name.startswith("p"):
            world.tell(place.sender, self.account.bundle.ref(place.name), place, message.hops - 1)  # type: ignore[union-attr]
        elif kind == 2:
            world.timer(place.sender, self.account)

    async def waiting(self, actor: Actor[Any], message: Message) -> Any:
        world = self.world
        with world.books.handling(self.life, message):
            if self.fails(0.5):
                raise Boom("at the beginning of an async handler")
            if world.chance(0.5):
                await trio.sleep(world.pick(TIMES))
            if self.fails(0.5):
                raise Boom("in an async handler")
            if message.hops:
                for ref, place in refs_of(actor):
                    if world.chance(0.6):
                        await world.send(self.life.place.sender, ref, place, message.hops - 1, self.account.bundle)  # type: ignore[arg-type]
                await self.waiting_aside(message)
            if self.fails(0.5):
                raise Boom("at the end of an async handler")
        return message.number

    async def waiting_aside(self, message: Message) -> None:
        """What an async handler does now and then."""
        world, place, account = self.world, self.life.place, self.account
        sender = place.sender
        kind = world.chances.randrange(20)
        other = world.pick(world.bundles)
        if kind == 0:
            await world.start(sender, account)
        elif kind == 1:
            await world.stop(sender, world.pick((account, other)))
        elif kind == 2:
            await world.restart(sender, world.pick((account, other)))
        elif kind == 3 and world.left["bundles"]:
            await world.bundle(sender, 2)
        elif kind == 4 and world.known:
            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    ref, to = world.pick(world.known)
                    child = Sender(f"child{world.number()}")
                    nursery.start_soon(world.send, child, ref, to, message.hops - 1, account.bundle)
        elif kind == 5 and self.account.bundle is not None:
            with trio.move_on_after(1):
                try:
                    await self.account.bundle.wait_idle()
                except UsageError:
                    pass
        elif kind == 6:
            self.stop_oneself()
            await self.account.bundle.stop(place.name)  # type: ignore[union-attr]
        elif kind < 10:
            self.aside(message)

    def stop_oneself(self) -> None:
        self.world.books.say(f"{self.life.place.name} stops itself")

    # The ends of a life

    def start(self, actor: Actor[Any]) -> Awaitable[None] | None:
        if self.world.chance(0.4):
            return self._start(actor)
        with self.world.books.phase(self.life, "built", "starting", "living", "failed"):
            self.begin(actor)
        return None

    def begin(self, actor: Actor[Any]) -> None:
        world = self.world
        if self.fails(0.5):
            raise Boom("in on_start")
        if world.chance(0.3):
            for ref, place in refs_of(actor):
                world.tell(self.life.place.sender, ref, place, 2)
        if world.chance(0.1):
            world.timer(self.life.place.sender, self.account)

    async def _start(self, actor: Actor[Any]) -> None:
        world = self.world
        with world.books.phase(self.life, "built", "starting", "living", "failed"):
            if world.chance(0.5):
                await trio.sleep(world.pick(TIMES))
            self.begin(actor)
            for ref, place in refs_of(actor):
                if world.chance(0.2):
                    await world.send(self.life.place.sender, ref, place, 1, self.account.bundle)  # type: ignore[arg-type]
            if world.chance(0.1):
                await world.start(self.life.place.sender, self.account)
            if self.fails(0.2):
                await trio.sleep_forever()
            if self.fails(0.5):
                raise Boom("at the end of on_start")

    def stop(self, actor: Actor[Any]) -> Awaitable[None] | None:
        if self.world.chance(0.4):
            return self._stop(actor)
        with self.world.books.phase(self.life, "living", "leaving", "gone", "gone"):
            if self.world.chance(0.3):
                for ref, place in refs_of(actor):
                    self.world.tell(self.life.place.sender, ref, place, 1)
            if self.fails():
                raise Boom("in on_stop")
        return None

    async def _stop(self, actor: Actor[Any]) -> None:
        world = self.world
        with world.books.phase(self.life, "living", "leaving", "gone", "gone"):
            if world.chance(0.5):
                await trio.sleep(world.pick(TIMES))
            for ref, place in refs_of(actor):
                if world.chance(0.3):
                    await world.send(self.life.place.sender, ref, place, 1, self.account.bundle)  # type: ignore[arg-type]
            if self.fails(0.2):
                await trio.sleep_forever()
            if self.fails(0.5):
                raise Boom("at the end of on_stop")

    # The rest

    def error(self, error: Exception) -> Directive | None:
        books = self.world.books
        if self.fails():
            books.decided(self.life, Directive.ESCALATE)
            raise Boom("in on_error")
        directive: Directive | None = self.world.pick((None, None, None, *DIRECTIVES))
        books.decided(self.life, directive)
        books.say(f"{self.life.place.name} answers {error!r} with {directive or self.life.place.supervision.on_failure}")
        return directive

    def skipped(self) -> dict[str, int]:
        if self.world.trouble and self.life.number % 2:
            raise Boom("in skipped")
        return {"some": 1}

    def snapshot(self) -> Any:
        if self.fails():
            raise Boom("in snapshot")
        return 1

    def restore(self, state: Any) -> None:
        if self.fails():
            raise Boom("in restore")


def _now() -> float:
    try:
        return trio.current_time()
    except RuntimeError:  # the run is over
        return float("inf")


def _split(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """What may come out of a bundle, and what may not; the latter with what is trio's own."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(MEANT)
    return (error, None) if isinstance(error, MEANT) else (None, error)


def _tasks() -> set[trio.lowlevel.Task]:
    root = trio.lowlevel.current_root_task()
    found: set[trio.lowlevel.Task] = set()
    ahead = [root] if root is not None else []
    while ahead:
        task = ahead.pop()
        found.add(task)
        ahead += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found
