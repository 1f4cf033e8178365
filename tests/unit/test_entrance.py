"""Codes and sessions, with a clock of the test's own."""

from __future__ import annotations

import pytest

from spore.observe.entrance import CODE_S, MAX_CODES, MAX_SESSIONS, SESSION_S, Entrance


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_code_works_once_and_not_for_long(clock: Clock) -> None:
    """A second after its time it is as good as a guess."""
    entrance = Entrance(clock=clock)
    code, late = entrance.new_code(), entrance.new_code()
    clock.now = CODE_S
    session = entrance.redeem(code)
    assert session is not None
    assert entrance.knows_session(session)
    assert entrance.redeem(code) is None
    clock.now = CODE_S + 1
    assert entrance.redeem(late) is None
    assert entrance.redeem("") is None


def test_a_session_ends_after_a_day_and_is_no_token(clock: Clock) -> None:
    """Neither opens what the other opens."""
    entrance = Entrance(("right",), clock=clock)
    session = entrance.log_in("right")
    assert session is not None
    assert not entrance.knows_token(session)
    assert not entrance.knows_session("right")
    clock.now = SESSION_S
    assert entrance.knows_session(session)
    clock.now = SESSION_S + 1
    assert not entrance.knows_session(session)


def test_without_tokens_none_is_right() -> None:
    """Not even an empty one."""
    assert Entrance().log_in("") is None
    assert not Entrance().knows_token("")


def test_there_are_so_many_codes_and_sessions_and_no_more(clock: Clock) -> None:
    """The oldest one makes room, so that nobody fills the memory, or keeps the operator out."""
    entrance = Entrance(("right",), clock=clock)
    codes = [entrance.new_code() for _ in range(MAX_CODES + 1)]
    sessions = [entrance.log_in("right") for _ in range(MAX_SESSIONS + 1)]
    assert [entrance.knows_session(each) for each in sessions] == [False, *[True] * MAX_SESSIONS]
    assert [entrance.redeem(each) is not None for each in codes] == [False, *[True] * MAX_CODES]
