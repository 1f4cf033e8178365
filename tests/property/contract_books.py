"""The books of a drawn program: what was sent, what its receivers saw of it, and how each actor's lives went.

Actors write here what happens to them, and each entry is held against the contract when it is made: nothing is handled outside of a
life, twice, or before what the same sender sent earlier. `tests.property.contract_settling`
then holds a bundle's own counts and dead letters against what was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from spore import Bundle, Directive, Supervision

__all__ = ["Account", "Books", "Boom", "Broken", "Life", "Message", "Place", "Sender"]


class Broken(AssertionError):
    """The contract was broken."""


class Boom(Exception):
    """What a program raises on purpose."""


@attrs.define(eq=False)
class Sender:
    """Somebody who sends one message after the other."""

    name: str
    event_time_ns: int = 0


@attrs.define(eq=False)
class Message:
    """One delivery to one actor. It consists of its number and its time; all else is the books' own."""

    number: int
    event_time_ns: int
    place: Place = attrs.field(init=False, eq=False)
    sender: Sender = attrs.field(init=False, eq=False)
    high: bool = attrs.field(init=False, eq=False)
    asked: bool = attrs.field(init=False, eq=False)
    lane: Any = attrs.field(init=False, eq=False)
    """What is handled in order: what one sender sends to one receiver with one priority."""
    turn: int = attrs.field(init=False, eq=False)
    hops: int = attrs.field(init=False, eq=False)
    """How deep what its handler sends may go on."""
    fate: str = attrs.field(init=False, eq=False, default="open")
    """What its sender knows: ``open`` while it sends, ``accepted``, ``refused``, or ``unknown``."""
    begun: int = attrs.field(init=False, eq=False, default=0)
    ended: str = attrs.field(init=False, eq=False, default="")
    """What the handler knows: ``done``, ``raised`` or ``cut``."""

    def __str__(self) -> str:
        signs = ("!" if self.high else "") + ("?" if self.asked else "")
        return f"m{self.number}{signs} {self.sender.name}→{self.place.label}"

    def __repr__(self) -> str:
        return f"{self} ({self.fate}, begun {self.begun}, {self.ended or 'not ended'})"


@attrs.define(eq=False)
class Place:
    """What is known of one `start`."""

    name: str
    account: Account
    promised: bool = attrs.field(default=False, kw_only=True)
    """Whether references by its name were made before it was started. Its name is given to nobody else."""
    form: str = ""
    merges: bool = False
    supervision: Supervision = attrs.field(factory=Supervision)
    label: str = attrs.field(init=False)
    """The name with its bundle's."""
    cell: Any = None
    """The bundle's own; None until the factory was called."""
    lives: list[Life] = attrs.field(factory=list)
    in_hand: Message | None = None
    turns: dict[Any, int] = attrs.field(factory=dict)
    """How many were sent here in each lane, and up to which they were handled."""
    reached: dict[Any, int] = attrs.field(factory=dict)
    messages: list[Message] = attrs.field(factory=list)
    sender: Sender = attrs.field(init=False)
    """As which its handlers and ends of lives send: never two of them at a time."""

    def __attrs_post_init__(self) -> None:
        self.label = f"{self.account.name}.{self.name}"
        self.sender = Sender(self.label)


@attrs.define(eq=False)
class Life:
    """One actor, from its factory to the end of its `on_stop`."""

    place: Place
    number: int
    wired: list[Place]
    """Where its ports lead."""
    state: str = "built"
    broken: bool = False
    """Whether its supervisor has decided that it handles nothing more."""


@attrs.define(eq=False)
class Account:
    """What is known of one bundle."""

    name: str
    books: Books
    bundle: Bundle | None = None
    places: list[Place] = attrs.field(factory=list)
    timer_failures: int = 0
    """Ticks whose function has raised."""


@attrs.define(eq=False)
class Books:
    """All that is known of one program."""

    now: Any
    accounts: list[Account] = attrs.field(factory=list)
    log: list[tuple[float, str, tuple[Any, ...]]] = attrs.field(factory=list)
    """Moments, and what happened then, to be put into words when somebody wants to read them."""
    wrongs: list[str] = attrs.field(factory=list)
    count: int = 0

    def say(self, what: str, *about: Any) -> None:
        self.log.append((self.now(), what, about))

    def story(self) -> str:
        return "\n".join(f"{at:9.3f}  {what.format(*about)}" for at, what, about in self.log)

    def wrong(self, what: str) -> None:
        self.say("WRONG: {}", what)
        self.wrongs.append(what)

    def hold(self, right: object, what: str, *about: Any) -> None:
        if not right:
            self.wrong(what.format(*about))

    # What is sent

    def message(self, sender: Sender, place: Place, ref: object, *, high: bool, asked: bool, hops: int) -> Message:
        self.count += 1
        # A merge goes by the port through which a message came, and by none for an ask.
        lane = (sender, high, (asked, id(ref)) if place.merges else None)
        turn = place.turns[lane] = place.turns.get(lane, 0) + 1
        sender.event_time_ns += 1 + self.count % 3
        message = Message(self.count, sender.event_time_ns)
        message.place, message.sender, message.high, message.asked = place, sender, high, asked
        message.lane, message.turn, message.hops = lane, turn, hops
        place.messages.append(message)
        return message

    # What becomes of it

    @contextmanager
    def handling(self, life: Life, message: Message) -> Iterator[None]:
        """A block in which an actor handles a message."""
        place = life.place
        self.say("{}.{} begins {}", place.label, life.number, message)
        self.hold(message.place is place, "{!r} was handled by {}", message, place.label)
        self.hold(
            place.lives[-1] is life and life.state == "living",
            "{!r} was handled by life {}, which is {}",
            message,
            life.number,
            life.state,
        )
        self.hold(not life.broken, "{!r} was handled by life {}, whose supervisor had ended it", message, life.number)
        self.hold(place.in_hand is None, "{!r} was begun while {} was in hand", message, place.in_hand)
        self.hold(not message.begun, "{!r} was handled twice", message)
        lane = message.lane
        self.hold(
            place.reached.get(lane, 0) < message.turn, "{!r} was handled after a later one of its sender", message
        )
        place.reached[lane] = max(message.turn, place.reached.get(lane, 0))
        place.in_hand, message.begun = message, message.begun + 1
        try:
            yield
        except Exception:
            message.ended = "raised"
            raise
        except BaseException:
            message.ended = "cut"
            raise
        else:
            message.ended = "done"
        finally:
            place.in_hand = None
            self.say("{}.{} {} {}", place.label, life.number, message.ended, message)

    @contextmanager
    def phase(self, life: Life, before: str, during: str, after: str, failed: str) -> Iterator[None]:
        """A block in which an actor is in its `on_start` or its `on_stop`."""
        place = life.place
        self.say("{}.{} {}", place.label, life.number, during)
        self.hold(
            life.state == before, "life {} of {} went from {} to {}", life.number, place.label, life.state, during
        )
        self.hold(
            place.lives[-1] is life, "life {} of {} was {} beside its successor", life.number, place.label, during
        )
        self.hold(
            place.in_hand is None,
            "life {} of {} was {} while {} was in hand",
            life.number,
            place.label,
            during,
            place.in_hand,
        )
        life.state = during
        try:
            yield
        except BaseException as error:
            life.state = failed
            self.say("{}.{} {} ended by {}", place.label, life.number, during, type(error).__name__)
            raise
        life.state = after
        self.say("{}.{} {}", place.label, life.number, after)

    def built(self, place: Place, wired: list[Place]) -> Life:
        before = place.lives[-1].state if place.lives else "gone"
        self.hold(
            before in ("gone", "failed", "built"), "{} was built anew while its predecessor was {}", place.label, before
        )
        life = Life(place, len(place.lives) + 1, wired)
        place.lives.append(life)
        return life

    def decided(self, life: Life, directive: Directive | None) -> None:
        if (directive or life.place.supervision.on_failure) is not Directive.RESUME:
            life.broken = True
