"""What the debug check takes for a change of a message, and what not."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import itertools
import threading
import types
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import attrs
import pytest
import trio
from tests.actors import both

from spore import Actor, open_bundle
from spore.errors import AskFailed
from spore.nursery_bundle import Mailbox
from spore.nursery_bundle.fingerprint import fingerprint
from spore.testing import run, start_probe


@attrs.define
class Box:
    content: Any = None
    more: Any = None


@attrs.frozen
class WithCache:
    price: int
    notes: list[int] = attrs.field(factory=list)
    _cache: dict[str, int] = attrs.field(factory=dict, init=False, eq=False)

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.price


@attrs.define(slots=False)
class OpenWithCache:
    price: int

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.price


@dataclasses.dataclass
class Data:
    price: int
    notes: list[int] = dataclasses.field(default_factory=list)
    total: int = dataclasses.field(init=False, compare=False, default=0)

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.price


class Plain:
    def __init__(self, price: int) -> None:
        self.price = price
        self.notes: list[int] = []

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.price

    @property
    def lazily(self) -> int:
        if not hasattr(self, "_lazily"):
            self._lazily = 3 * self.price
        return self._lazily


class Slotted:
    __slots__ = ("__private", "_filled", "price")

    def __init__(self, price: int) -> None:
        self.price = price

    def fill(self) -> None:
        self._filled = self.__private = 2 * self.price

    def change_private(self) -> None:
        self.__private = 7


class Checked:
    """A descriptor that keeps its value under its own name, as many frameworks do."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return vars(instance)[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)[self.name] = value


class WithDescriptor:
    price = Checked()

    def __init__(self, price: int) -> None:
        self.price = price


class Numbers:
    """As arrays of numbers are: equality gives another array, of which nobody can say whether it is true."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)

    def __eq__(self, other: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


class WithState:
    """It says itself what it consists of."""

    def __init__(self) -> None:
        self.price, self.visits = 1, 0

    def __getstate__(self) -> dict[str, int]:
        return {"price": self.price}

    def __setstate__(self, state: dict[str, int]) -> None:
        self.price, self.visits = state["price"], 0


class Unpicklable(Plain):
    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("not this one")


class NamedBox(NamedTuple):
    content: Any


class Titled(dict[str, Any]):
    title = "none"


@attrs.define
class Listing(list[int]):
    title: str = ""


class Colour(enum.Enum):
    RED = 1


def cyclic() -> Box:
    box = Box([])
    box.content.append(box)
    box.more = {"self": box.content}
    return box


def do(function: Callable[..., object], *args: Any) -> Callable[[Any], object]:
    return lambda message: function(message, *args)


def contents(function: Callable[[Any], object]) -> Callable[[Any], object]:
    """Something done to what is in a box."""
    return lambda box: function(box.content)


def put(key: Any, value: Any) -> Callable[[Any], object]:
    return lambda box: box.content.__setitem__(key, value)


def assign(name: str, value: Any) -> Callable[[Any], object]:
    return lambda message: setattr(message, name, value)


CHANGES: list[tuple[Callable[[], Any], Callable[[Any], object]]] = [
    (Box, assign("content", 1)),
    (lambda: Box(1), assign("content", True)),
    (lambda: Box(1), assign("content", 1.0)),
    (lambda: Box(0.0), assign("content", -0.0)),
    (lambda: Box("a"), assign("content", b"a")),
    (lambda: Box([1]), contents(lambda content: content.append(2))),
    (lambda: Box([1, 2]), contents(lambda content: content.reverse())),
    (lambda: Box((1, [2])), contents(lambda content: content[1].clear())),
    (lambda: Box({"a": [1]}), contents(lambda content: content["a"].append(2))),
    (lambda: Box({"a": 1}), put("b", 2)),
    (lambda: Box({"a": 1}), put("a", 2)),
    (lambda: Box({1}), contents(lambda content: content.add(2))),
    (lambda: Box(collections.deque([1])), contents(lambda content: content.append(2))),
    (lambda: Box(collections.deque([1, 1])), contents(lambda content: content.pop())),
    (lambda: Box(collections.defaultdict(list)), contents(lambda content: content["read"])),
    (lambda: Box(collections.OrderedDict(a=1, b=2)), contents(lambda content: content.move_to_end("a"))),
    (lambda: Box(collections.Counter("a")), contents(lambda content: content.update("b"))),
    (lambda: Box(collections.UserDict(a=1)), put("a", 2)),
    (lambda: Box(collections.ChainMap({"a": 1})), put("a", 2)),
    (lambda: Box(bytearray(2)), put(0, 1)),
    (lambda: Box(memoryview(bytearray(2))), put(0, 1)),
    (lambda: Box(array.array("q", [1])), put(0, 2)),
    (lambda: Box(types.SimpleNamespace(a=1)), contents(assign("a", 2))),
    (lambda: Box(Titled(a=1)), contents(assign("title", "new"))),
    (lambda: Box(Titled(a=1)), put("a", 2)),
    (lambda: Listing("empty"), do(Listing.append, 1)),
    (lambda: Box(NamedBox([])), contents(lambda content: content.content.append(1))),
    (lambda: Box(Numbers(2)), contents(lambda content: content.data.__setitem__(0, 1))),
    (lambda: Box(ValueError([1])), contents(lambda content: content.args[0].append(1))),
    (lambda: Box([1], threading.Lock()), contents(lambda content: content.append(2))),
    (lambda: Box([1], lambda: "a function"), contents(lambda content: content.append(2))),
    (lambda: Box([1], (number for number in ())), contents(lambda content: content.append(2))),
    (lambda: Box(Colour.RED), assign("content", 1)),
    (lambda: Box(trio.Event()), assign("content", None)),
    (cyclic, lambda box: box.content.append(1)),
    (cyclic, assign("more", None)),
    (lambda: Data(1), assign("price", 2)),
    (lambda: Data(1), lambda data: data.notes.append(1)),
    (lambda: WithCache(1), lambda message: message.notes.append(1)),
    (lambda: Plain(1), assign("price", 2)),
    (lambda: Plain(1), lambda plain: plain.notes.append(1)),
    (lambda: Plain(1), assign("public", 2)),
    (lambda: Plain(1), lambda plain: delattr(plain, "price")),
    (lambda: Unpicklable(1), assign("price", 2)),
    (lambda: Slotted(1), assign("price", 2)),
    (lambda: WithDescriptor(1), assign("price", 2)),
    (WithState, assign("price", 2)),
    (lambda: [1], do(list.append, 2)),
]

SAME: list[tuple[Callable[[], Any], Callable[[Any], object]]] = [
    (lambda: WithCache(1), lambda message: message.double),
    (lambda: WithCache(1), lambda message: message._cache.update(a=1)),
    (lambda: OpenWithCache(1), lambda message: message.double),
    (lambda: Data(1), lambda message: message.double),
    (lambda: Data(1), assign("total", 5)),
    (lambda: Plain(1), lambda message: message.double),
    (lambda: Plain(1), lambda message: message.lazily),
    (lambda: Unpicklable(1), lambda message: message.double),
    (lambda: Slotted(1), Slotted.fill),
    (lambda: Box([WithCache(1), {"a": Plain(2)}]), lambda box: box.content[0].double + box.content[1]["a"].double),
    (WithState, assign("visits", 5)),
    (cyclic, lambda box: box.content),
    (lambda: Box(float("nan")), lambda box: box.content),
    (lambda: Box(trio.Event()), lambda box: box.content.set()),
    (lambda: Box(threading.Event()), lambda box: box.content.set()),
    (lambda: Box(Mailbox(1)), lambda box: box.content.put(1)),
    (lambda: Box(Numbers(2)), lambda box: box.content == 1),
    (lambda: Box(ValueError()), lambda box: box.content.with_traceback(None)),
    *[
        (functools.partial(Box, value), repr)
        for value in (
            *(dt.datetime(2020, 1, 1, tzinfo=dt.UTC), decimal.Decimal("1.5"), fractions.Fraction(1, 3)),
            *(uuid.UUID(int=5), range(5), slice(1), frozenset({1, "a"}), 1j, types.MappingProxyType({"a": 1})),
            *(
                Colour.RED,
                int,
                len,
                repr,
                threading.Lock(),
                functools.partial(print, 1),
                ...,
                object(),
                itertools.count(),
            ),
        )
    ],
]


@pytest.mark.parametrize(("make", "change"), CHANGES)
def test_a_change_is_found(make: Callable[[], Any], change: Callable[[Any], object]) -> None:
    """Whatever a message consists of, at any depth, is compared with what it was."""
    message = make()
    unchanged = fingerprint(message)
    assert unchanged()
    assert unchanged()
    change(message)
    assert not unchanged()


@pytest.mark.parametrize(("make", "use"), SAME)
def test_use_is_no_change(make: Callable[[], Any], use: Callable[[Any], object]) -> None:
    """What a message keeps for itself when it is read, or what has a life of its own, is no change."""
    message = make()
    beside: list[int] = []
    unchanged = fingerprint((message, beside))
    use(message)
    assert unchanged()
    beside.append(1)  # it was watched, indeed
    assert not unchanged()


def test_a_slot_that_was_filled_may_not_change() -> None:
    """A lazily filled slot that was there before, a private one too, is part of the message."""
    message = Slotted(1)
    message.fill()
    unchanged = fingerprint(message)
    message.change_private()
    assert not unchanged()


def test_what_is_too_deep_is_not_watched() -> None:
    """A message that cannot be walked through is never reported."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    unchanged = fingerprint(deep)
    deep.append(1)
    assert unchanged()
    while deep:  # by hand, because to free so deep a list takes as deep a stack
        deep = deep[0] if isinstance(deep[0], list) else []


@both
@pytest.mark.parametrize("way", ["ask", "failing ask", "tell", "send", "tell_many"])
@pytest.mark.parametrize("who", ["the handler", "the sender", "nobody"])
def test_debug_watches_every_way_to_send(dispatch: str, way: str, who: str) -> None:
    """A message that holds a reference and is changed by its handler, or later by its sender, is one defect."""

    class Changes(Actor[Any]):
        def handle(self, message: Box) -> None:
            if who == "the handler":
                message.content.append("changed")
            if way == "failing ask":
                raise ValueError("after the change")

    async def main() -> list[Any]:
        async with open_bundle("b", dispatch=dispatch, debug=True) as bundle:
            probe = await start_probe(bundle)
            changes = await bundle.start(Changes, name="changes")
            message = Box([probe.ref], {"to": probe.ref})
            try:
                if way in {"ask", "failing ask"}:
                    await changes.ask(message)
                    assert len(bundle.defects) == (who == "the handler")  # found before it is answered
                elif way == "send":
                    await changes.send(message)
                elif way == "tell_many":
                    changes.tell_many([message])
                else:
                    changes.tell(message)
            except AskFailed:
                assert way == "failing ask"
            await bundle.wait_idle()
            if who == "the sender":
                assert bundle.defects == ()
                message.more["too"] = probe.ref
        return [(defect.receiver, defect.reason) for defect in bundle.defects]

    assert run(main) == ([] if who == "nobody" else [("changes", "changed after it was sent")])


@attrs.define
class Timed:
    event_time_ns: int
    content: list[int]


@both
def test_debug_watches_what_a_merge_holds(dispatch: str) -> None:
    """A message that is changed while a merge holds it has been changed after it was sent."""

    class Source(Actor[Any]):
        out: Any

        def __init__(self, out: Any) -> None:
            self.out = out

        def handle(self, message: Any) -> None:
            self.out.tell(message)

    async def main() -> list[Any]:
        async with open_bundle("b", dispatch=dispatch, debug=True) as bundle:
            probe = await start_probe(bundle, merge="event_time")
            early = await bundle.start(Source, out=probe.ref, name="early")
            late = await bundle.start(Source, out=probe.ref, name="late")
            message = Timed(5, [])
            early.tell(message)
            await bundle.wait_idle() if dispatch == "inline" else await trio.testing.wait_all_tasks_blocked()
            message.content.append(1)
            late.tell(Timed(9, []))
            await bundle.wait_idle()
        return [(defect.sender, defect.reason) for defect in bundle.defects]

    assert ("early", "changed after it was sent") in run(main)
