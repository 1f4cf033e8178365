"""The guards: verify, portable edges, the debug check, and the warning when something holds the loop."""

from __future__ import annotations

import logging
import threading
from typing import Any

import attrs
import pytest
import trio
from tests.actors import Log, Slow, balance, both, open_gate, shut
from trio.testing import wait_all_tasks_blocked

from spore import Actor, open_bundle
from spore.errors import UsageError
from spore.nursery_bundle import Bundle
from spore.services.messages.market_data import QuoteUpdate
from spore.testing import run, start_probe


def verified(bundle: Bundle) -> int:
    return sum(edge.verified for edge in bundle.statistics().edges)


@both
@pytest.mark.parametrize(("rate", "expected"), [(1.0, 100), (0.5, 50), (0.1, 10), (0.03, 3), (1 / 3, 33)])
def test_verify_looks_at_the_share_it_was_given(dispatch: str, rate: float, expected: int) -> None:
    """Of a hundred messages exactly that share is verified, however they are sent."""
    seen = []

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch, verifier=seen.append) as bundle:
            probe = await start_probe(bundle, verify=rate)
            probe.ref.tell_many(range(40))
            for number in range(40, 70):
                await probe.ref.send(number)
            for number in range(70, 100):
                probe.ref.tell(number)
            await bundle.wait_idle()
            assert verified(bundle) == len(seen) == expected
            assert probe.received == list(range(100))

    run(main)


def test_verify_looks_at_replies_and_reports() -> None:
    """Replies are verified too; what differs, or cannot be encoded, is a defect that names the edge, in its direction."""

    def verifier(message: Any) -> str | None:
        if message == "cannot":
            raise ValueError("no wire form")
        return "the price differs" if message == "bad" else None

    async def main() -> None:
        async with open_bundle("b", verifier=verifier) as bundle:
            probe = await start_probe(bundle, verify=1, answer={"q": "bad"}.get)
            sender = await bundle.start(Log, log=[], out=probe.ref, name="sender")
            assert await probe.ref.ask("q") == "bad"
            assert await probe.ref.ask("nothing comes back") is None
            sender.tell("cannot")
            assert [(d.sender, d.receiver, d.message, d.reason) for d in bundle.defects] == [
                ("probe", "outside", "bad", "the price differs"),
                ("sender", "probe", "cannot", "ValueError: no wire form"),
            ]
            assert bundle.statistics().defects == 2
            assert verified(bundle) == 4
            assert probe.received == ["q", "nothing comes back", "cannot"]

    run(main)


def test_a_portable_edge_takes_registered_messages_only() -> None:
    """Where the actor may be in another process, what is no registered message is refused at once."""
    quote = QuoteUpdate(**{field.name: 1 for field in attrs.fields(QuoteUpdate)})

    async def main() -> None:
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle, portable=True)
            probe.ref.tell(quote)
            await probe.ref.send(quote)
            for use in (probe.ref.send, probe.ref.ask):
                with pytest.raises(UsageError, match="may be in another process"):
                    await use("text")
            with pytest.raises(UsageError, match="'probe' may be in another process"):
                probe.ref.tell("text")
            assert probe.received == [quote, quote]

    run(main)


@attrs.define
class Box:
    content: Any


@both
@pytest.mark.parametrize("when", ["queued", "while handled", "by the handler", "late", "window", "never", "merged"])
def test_debug_finds_changed_messages(dispatch: str, when: str) -> None:
    """A message changed after it was sent is reported once: while queued, by its handler, or afterwards."""

    async def main() -> list[Any]:
        gate = shut()

        @attrs.define
        class Changer(Actor[Any]):
            async def handle(self, message: Box) -> None:
                await gate.acquire()
                if when == "by the handler":
                    message.content = "changed"

        async with open_bundle("b", dispatch=dispatch, debug=True) as bundle:
            changer = await bundle.start(Changer, name="changer", capacity=1)
            probe = await start_probe(bundle, merge="event_time" if when == "merged" else None)
            first, box = Box("first"), Box("as sent")
            await changer.send(first)
            await wait_all_tasks_blocked()
            await changer.send(box)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(changer.send, Box("waits for room"))
                await wait_all_tasks_blocked()
                if when == "queued":
                    box.content = "changed"
                if when == "while handled":
                    first.content = "changed"
                open_gate(gate)
            await bundle.wait_idle()
            if when == "late":
                box.content = "changed"
            if when == "window":
                box.content = "changed"
                for _ in range(1_100):
                    await probe.ref.send(Box("other"))
                assert bundle.defects
            if when == "merged":
                timed = attrs.make_class("Timed", ["event_time_ns", "content"])(1, "as sent")
                timed.__class__.__module__ = __name__
                globals()["Timed"] = timed.__class__
                probe.ref.tell(timed)
                timed.content = "changed"
            probe.ref.tell(lambda: "cannot be pickled, so not watched") if when == "never" else None
        return [(defect.sender, defect.receiver, defect.reason) for defect in bundle.defects]

    receiver = "probe" if when == "merged" else "changer"
    found = run(main)
    assert set(found) == (set() if when == "never" else {("outside", receiver, "changed after it was sent")})
    assert len(found) == {"never": 0, "by the handler": 3}.get(when, 1)


@both
def test_debug_changes_no_result(dispatch: str) -> None:
    """With the debug check on, everything arrives as without."""

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch, debug=True) as bundle:
            probe = await start_probe(bundle, answer=str)
            sender = await bundle.start(Log, log=[], out=probe.ref)
            sender.tell_many([1, 2])
            assert await sender.ask(3) == 3
            await sender.send(4)
            await bundle.wait_idle()
            assert probe.received == [1, 2, 3, 4]
            assert bundle.defects == ()

    run(main)


def test_a_stall_names_the_actor(caplog: pytest.LogCaptureFixture) -> None:
    """While a handler holds the loop, a warning names its actor; a handler that returns in time causes none."""
    warned = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warned.set()

    class Blocker(Actor[Any]):
        def handle(self, message: Any) -> None:
            assert warned.wait(10)

    async def main() -> None:
        async with open_bundle("b", stall_after_s=0.005) as bundle:
            blocker = await bundle.start(Blocker)
            await wait_all_tasks_blocked()
            blocker.tell(1)

    handler = Handler()
    log = logging.getLogger("spore.stall")
    log.addHandler(handler)
    try:
        trio.run(main)
        assert "held by actor" in caplog.text
        assert "Blocker at " in caplog.text
        caplog.clear()
        warned.clear()

        async def nobody() -> None:
            async with open_bundle("b", stall_after_s=0.005):
                await wait_all_tasks_blocked()
                assert warned.wait(10)

        trio.run(nobody)
        assert "held by something at " in caplog.text
    finally:
        log.removeHandler(handler)


@both
def test_guards_see_what_waits(dispatch: str) -> None:
    """A guarded send waits for room and for relief as any other does."""

    async def main() -> None:
        gate = shut()
        async with open_bundle("b", dispatch=dispatch, debug=True) as bundle:
            slow = await bundle.start(Slow, log=[], gate=gate, name="slow", capacity=1)
            for number in range(3):
                slow.tell(number)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(slow.send, 3)
                await wait_all_tasks_blocked()
                assert balance(bundle, "slow")["received"] == 3
                open_gate(gate)

    run(main)
