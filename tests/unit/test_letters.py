"""Which dead letters are kept, and what of an error."""

import gc
import logging
import time
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spore.nursery_bundle import Actor, DeadLetter, DeadLetters, Loss, Supervision, open_bundle
from spore.nursery_bundle.letters import FRAMES, MEANT, LetterError
from spore.nursery_bundle.report import LONGEST_TRACEBACK, MOST, report_letters
from spore.testing import run


def kept(letters: DeadLetters) -> list[tuple[str, Loss, Any]]:
    return [(letter.actor, letter.reason, letter.message) for letter in letters]


def test_a_flood_of_one_actor_pushes_out_no_letter_of_another() -> None:
    """Nor one of its own of another reason."""
    letters = DeadLetters(10)
    for number in range(4):
        letters.add(DeadLetter("fragile", Loss.FAILED, number))
    letters.add(DeadLetter("slow", Loss.STOPPED, 4))
    for number in range(5, 1_000):
        letters.add(DeadLetter("slow", Loss.DROPPED_OLDEST, number))
    assert (letters.total, len(letters)) == (1_000, 10)
    assert kept(letters) == [
        *(("fragile", Loss.FAILED, number) for number in range(4)),
        ("slow", Loss.STOPPED, 4),
        *(("slow", Loss.DROPPED_OLDEST, number) for number in range(995, 1_000)),
    ]


def test_the_drops_of_many_actors_push_out_no_failure() -> None:
    """With as many actors as there is room for, there is room for a failure of each first."""
    letters = DeadLetters(10)
    for number in range(6):
        letters.add(DeadLetter(f"fragile {number}", Loss.FAILED, number))
    for number in range(100):
        letters.add(DeadLetter(f"slow {number}", Loss.FULL, number))
    reasons = [reason for _, reason, _ in kept(letters)]
    assert (reasons.count(Loss.FAILED), len(reasons)) == (6, 10)


def test_failures_leave_some_room_for_the_drops_of_others() -> None:
    """Of each actor and reason there is at least one, while there is room for one of each."""
    letters = DeadLetters(10)
    for number in range(100):
        letters.add(DeadLetter("slow", Loss.FULL, number))
    for number in range(100):
        letters.add(DeadLetter("fragile", Loss.FAILED, number))
    assert kept(letters) == [("slow", Loss.FULL, 99), *(("fragile", Loss.FAILED, number) for number in range(91, 100))]


LETTERS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(list(Loss))), max_size=80)


@settings(max_examples=60)
@given(LETTERS, st.integers(0, 12), st.integers(0, 4), st.integers(0, 12))
def test_the_newest_of_each_are_kept_in_order_of_time(
    added: list[tuple[str, Loss]], keep: int, count: int, most: int
) -> None:
    """Bounded; the newest of each actor and reason without a gap; a drop stays only where nothing else had to give way."""
    letters = DeadLetters(keep)
    for number, (actor, reason) in enumerate(added):
        letters.add(DeadLetter(actor, reason, number))
    found = kept(letters)
    assert (letters.total, len(letters)) == (len(added), len(found))
    assert len(found) == min(keep, len(added))
    assert [number for _, _, number in found] == sorted(number for _, _, number in found)
    for key in set(added):
        of_it = [number for number, each in enumerate(added) if each == key]
        those = [number for actor, reason, number in found if (actor, reason) == key]
        assert those == of_it[len(of_it) - len(those) :]
    if len(set(added)) <= keep:
        assert {(actor, reason) for actor, reason, _ in found} == set(added)
    elif any(reason in MEANT for _, reason, _ in found):
        assert {key for key in added if key[1] not in MEANT} <= {(actor, reason) for actor, reason, _ in found}
    told = letters.last(count, most)
    assert len(told) <= most
    assert [number - 1 for number, _ in told] == [letter.message for _, letter in told]
    assert [number for number, _ in told] == sorted(number for number, _ in told)
    assert all(len([0 for _, letter in told if (letter.actor, letter.reason) == key]) <= count for key in set(added))


def test_of_each_actor_and_reason_the_newest_are_told() -> None:
    """However many there are in all, failures come before what policies gave up."""
    letters = DeadLetters(1_000)
    letters.add(DeadLetter("fragile", Loss.FAILED, "x", LetterError.of(ValueError("x"))))
    for number in range(300):
        letters.add(DeadLetter(f"slow {number % 150}", Loss.FULL, number))
    told = list(report_letters(letters, {}, 20))
    assert (len(told), told[0].actor, told[0].number) == (MOST, "fragile", 1)
    assert len(list(report_letters(letters, {}, 1_000))) == 301
    assert list(report_letters(letters, {}, 0)) == []


def test_failures_keep_no_actor_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 restarts leave one actor, and what the failures said."""
    monkeypatch.setattr(
        logging.root.manager, "disable", logging.CRITICAL
    )  # pytest keeps what is logged, errors included
    alive: weakref.WeakSet[Any] = weakref.WeakSet()

    class Fragile(Actor[Any]):
        def __init__(self) -> None:
            alive.add(self)

        def handle(self, message: Any) -> None:
            local = self  # noqa: F841 - a frame that was kept would keep it
            raise ValueError(message)

    async def main() -> Any:
        never = Supervision(max_restarts=1_000, backoff_s=0)
        async with open_bundle("b") as bundle:
            ref = await bundle.start(Fragile, name="fragile", supervision=never)
            for number in range(300):
                ref.tell(number)
            await bundle.wait_idle()
            gc.collect()
            return len(alive), list(bundle.dead_letters), bundle.last_letters(1)

    count, letters, (told,) = run(main)
    assert count <= 2  # the one that runs, and the one of which the last error still speaks
    assert [str(letter.error) for letter in letters] == [str(number) for number in range(300)]
    assert all(time.time_ns() >= letter.at_ns > time.time_ns() - 3600 * 10**9 for letter in letters)
    assert told.at_ns == letters[-1].at_ns
    assert told.traceback.startswith("Traceback (most recent call last):")
    assert told.traceback.endswith("raise ValueError(message)\nValueError: 299\n")


class SaysNothing(Exception):
    """Its text raises."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


class SaysANumber(Exception):
    """Its text is none."""

    def __str__(self) -> str:
        return 7  # type: ignore[return-value]  # noqa: PLE0307

    __repr__ = __str__


class OddAttributes(Exception):
    """Whoever reads what it carries fails."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class OddName(AttributeError):
    """Whoever looks for a similar name fails."""

    name = property(lambda self: 1 / 0)  # type: ignore[assignment]


@pytest.mark.parametrize("odd", [SaysNothing, SaysANumber, OddAttributes, OddName])
def test_no_error_is_too_odd_to_be_kept(odd: type[Exception]) -> None:
    """Its class is known in any case."""

    def made() -> LetterError:
        try:
            raise odd
        except Exception as error:  # noqa: BLE001 - it is what is tested
            return LetterError.of(error)

    error = made()
    assert (error.kind, str(error), error.text) == (odd.__name__, "", "")
    assert odd.__name__ in error.traceback


def test_a_text_that_is_no_plain_string_is_copied() -> None:
    """Of a subclass of str nothing is kept but its characters."""

    class Holding(str):
        __slots__ = ("held",)

    class Odd(Exception):
        def __str__(self) -> str:
            return Holding("held")

    assert type(LetterError.of(Odd()).text) is str


def test_of_a_recursion_without_end_the_innermost_calls_are_kept() -> None:
    """And what is told of them is bounded."""

    def deeper(number: int) -> int:
        return deeper(number + 1) if number else deeper(2) + deeper(3)

    letters = DeadLetters(10)
    try:
        deeper(0)
    except RecursionError as error:
        letters.add(DeadLetter("a", Loss.FAILED, 0, LetterError.of(error)))
    (letter,) = letters
    assert letter.error is not None
    assert letter.error.traceback.count("in deeper") <= FRAMES
    try:
        raise ValueError("x\n" * 10_000)
    except ValueError as error:
        letters.add(DeadLetter("a", Loss.FAILED, 0, LetterError.of(error)))
    assert max(len(each.traceback) for each in report_letters(letters, {}, 2)) <= LONGEST_TRACEBACK + 2


def test_what_led_to_an_error_is_in_its_traceback() -> None:
    """Causes, and the errors of a group."""
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ExceptionGroup("both", [ValueError("one"), TypeError("two")]) from error
    except ExceptionGroup as error:
        traceback = LetterError.of(error).traceback
    for part in ("KeyError: 'inner'", "The above exception was the direct cause", "ValueError: one", "TypeError: two"):
        assert part in traceback
