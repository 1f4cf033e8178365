"""What the dashboard tells its pages, and what it warns of."""

import json

import pytest
import trio
from tests.made_up_system import ERROR, MadeUpSystem, actor, reading

from spore.deploy.reading import ShadowReading
from spore.deploy.truth import Kind
from spore.errors import ControlError, NothingRuns
from spore.observe.dashboard.board import MAX_SEATS, Board, Full
from spore.observe.dashboard.sheet import Sheet
from spore.observe.runs import Runs
from spore.observe.warn import GROWING_LOOKS, LOOP_RESTARTS, STALL_LOOKS, Warner


def board(source, tmp_path, **changes):
    return Board(source, name="system.toml", runs=Runs(tmp_path), clock=lambda: 1_000, **changes)


def told(event):
    return json.loads(event.removeprefix(b"data: "))


# A sheet


def test_a_sheet_tells_what_has_changed_since_a_look():
    """However many looks there were between, each row once, as it is now."""
    sheet = Sheet(("name", "count"))
    sheet.update([("a", 1), ("b", 1)], 1)
    sheet.update([("a", 2), ("b", 1)], 2)
    sheet.update([("a", 3), ("b", 1)], 3)
    assert sheet.since(0) == {"columns": ("name", "count"), "whole": True, "changed": [("a", 3), ("b", 1)]}
    assert sheet.since(1) == {"changed": [("a", 3)]}
    assert sheet.since(3) is None


def test_a_row_that_goes_goes_from_every_page():
    """Also from one that has missed the look at which it went."""
    sheet = Sheet(("name",))
    sheet.update([("a",), ("b",)], 1)
    sheet.update([("b",)], 2)
    sheet.update([("b",)], 3)
    assert sheet.since(1) == {"columns": ("name",), "whole": True, "changed": [("b",)]}
    assert sheet.since(2) is None


# The board


async def test_a_page_that_has_missed_looks_is_told_all_that_it_has_missed_at_once(tmp_path):
    """And one that has just come is told everything."""
    shown = board(MadeUpSystem(count=3), tmp_path)
    for _ in range(4):
        await shown.look()
    whole, late = told(shown.since(0)), told(shown.since(1))
    assert whole["actors"]["whole"]
    assert [point["at_ms"] for point in whole["history"]["points"]] == [1_000] * 3
    assert whole["totals"]["handled"] == 4 * (10_001 + 5_001 + 3_334)
    assert len(late["history"]["points"]) == 3
    assert {row[0] for row in late["actors"]["changed"]} == {"market_data", "signal_generator", "recorder"}
    assert late["totals"] == whole["totals"]
    assert "letters" not in late


async def test_nobody_looks_while_no_page_is_open(autojump_clock, tmp_path):
    """However many pages there are, there is no more than a look a second."""
    system = MadeUpSystem()
    shown = board(system, tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shown.run)
        await trio.sleep(100)
        assert system.looks == 0
        with shown.open_seat() as one, shown.open_seat() as other:
            assert await one.next() == await other.next()
            await trio.sleep(9.5)
            assert 1 < system.looks <= 11
            assert told(await one.next())["totals"]["handled"] > 0
        looks = system.looks
        await trio.sleep(100)
        assert system.looks <= looks + 1
        nursery.cancel_scope.cancel()


async def test_a_system_that_has_ended_leaves_nothing_and_one_that_is_silent_leaves_what_was_known(tmp_path):
    """And it says which of the two it is."""
    system = MadeUpSystem()
    shown = board(system, tmp_path, hint="start it")
    await shown.look()
    system.error = ControlError("system.toml", "it hangs")
    await shown.look()
    silent = told(shown.since(0))
    assert silent["source"]["state"] == "silent"
    assert len(silent["actors"]["changed"]) == 12
    system.error = NothingRuns("system.toml")
    await shown.look()
    ended = told(shown.since(0))
    assert (ended["source"]["state"], ended["source"]["hint"], ended["totals"]) == ("none", "start it", None)
    assert ended["actors"]["changed"] == []


async def test_a_system_that_hangs_is_called_silent(autojump_clock, tmp_path):
    """Before a page could take it that it is the server that has gone."""

    class Hanging:
        async def look(self, actors=()):
            await trio.sleep_forever()

    shown = board(Hanging(), tmp_path)
    await shown.look()
    assert told(shown.since(0))["source"]["text"] == "system.toml has not answered within 4 s"


def test_there_are_no_more_pages_than_may_be(tmp_path):
    """One more is refused until one has gone."""
    shown = board(None, tmp_path)
    seats = [shown.open_seat() for _ in range(MAX_SEATS)]
    for seat in seats:
        seat.__enter__()
    with pytest.raises(Full, match=f"{MAX_SEATS} pages"), shown.open_seat():
        pass
    seats.pop().__exit__(None, None, None)
    with shown.open_seat():
        pass


# Warnings


def kinds(warner, *actors, at_s=0, **changes):
    """What is found by comparing looks: what is to be known of a look alone is `spore.deploy.truth`'s."""
    found = warner.see(reading(*actors, at_s=at_s, **changes))
    return [each.kind for each in found if each.kind not in set(Kind)]


def test_an_actor_that_has_a_queue_and_handles_nothing_stalls():
    """Not at once; and not any more once it goes on."""
    warner = Warner()
    found = [kinds(warner, actor(queued=5), at_s=at) for at in range(STALL_LOOKS + 1)]
    assert found == [[]] * STALL_LOOKS + [["stall"]]
    assert kinds(warner, actor(queued=5, handled=1_001)) == []


def test_a_queue_that_grows_is_told_before_it_is_full():
    """From look to look, and by so much that it matters; once it shrinks it grows no more."""
    warner = Warner()
    found = [kinds(warner, actor(queued=20 * at, handled=1_000 + at), at_s=at) for at in range(GROWING_LOOKS + 1)]
    assert found == [[]] * GROWING_LOOKS + [["growing queue"]]
    assert kinds(warner, actor(queued=10, handled=2_000)) == []


def test_some_restarts_in_a_minute_are_a_loop_and_as_many_in_an_hour_are_none():
    """The last error is told with it."""
    quick, slow = Warner(), Warner()
    for count in range(1, LOOP_RESTARTS + 1):
        assert kinds(quick, actor(restarts=count), at_s=count) == []
        assert kinds(slow, actor(restarts=count), at_s=1_000 * count) == []
    (found,) = quick.see(reading(actor(restarts=LOOP_RESTARTS + 1, error=ERROR), at_s=10))
    assert (found.kind, found.actor) == ("restart loop", "signals")
    assert found.text.endswith(ERROR.text)
    assert kinds(slow, actor(restarts=LOOP_RESTARTS + 1), at_s=10_000) == []


def test_a_difference_to_the_twin_is_told_from_the_first_on():
    """With what it is."""
    twin = ShadowReading(
        bundle="core", pid=7, state="following", reason="", compared=9, different=1, skipped=0, first="a: 1 and 2"
    )
    (found,) = Warner().see(reading(shadows=(twin,)))
    assert (found.kind, found.where) == ("shadow difference", "bundle 'core'")
    assert found.text.endswith("a: 1 and 2")


def test_what_goes_well_is_not_warned_of():
    """A queue that comes and goes, and a process that was started again and counts from nothing."""
    warner = Warner()
    for at in range(40):
        changes = {"queued": 300 * (at % 2), "handled": 1_000 + at, "pid": 7 + at // 20}
        assert kinds(warner, actor(**changes), at_s=at) == []
