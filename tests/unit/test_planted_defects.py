"""What would make the modes differ is found, and the first message that shows it is named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from tests.modes import difference, outcome
from tests.property.modes_world import NOTES, Note, Plain, Step, notes, system_of

from spore.deploy import ActorConfig, Mode
from spore.nursery_bundle import Dispatch
from spore.relay import outgoing as links
from spore.relay.delivery import Delivery

STEPS = [Step(number, number, 1, 7, "word") for number in range(5)]
MODULE = "tests.property.modes_world"


def first_difference(kind: str = "Plain") -> str | None:
    """Of two actors in a row, which get five steps and note what comes of each."""
    config = system_of(
        {
            "a": ActorConfig(type=f"{MODULE}:Plain", config={"who": "a"}, wire={"out": ("b",), "notes": (NOTES,)}),
            "b": ActorConfig(
                type=f"{MODULE}:{kind}",
                config={"who": "b"},
                wire={"out": (), "notes": (NOTES,)},
                dispatch=Dispatch.QUEUED,
            ),
        }
    )
    seen: list[dict[str, list[object]]] = [{}, {}]
    for mode, told in zip((Mode.SHARED_MEMORY, Mode.RELAY), seen, strict=True):
        outcome(config, [STEPS], mode, to=("a",), local=notes(told), seen=told)
        assert len(told["a"]) == len(STEPS)
    return difference(*seen)


def arrivals(link: Any) -> Iterator[int]:
    """Where steps for ``b`` stand among what has arrived and was not handed over."""
    return (at for at, arrival in enumerate(link.arrived) if link.receiver == "b" and isinstance(arrival[1], Step))


@pytest.mark.parametrize("kind", ["Plain", "Waiting"])
def test_without_a_defect_nothing_differs(kind: str) -> None:
    """Else the others would show nothing."""
    assert first_difference(kind) is None


def test_a_field_that_the_codec_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of a step arrives empty."""
    whole = links.encode

    def without_words(message: Any, **facts: Any) -> Any:
        return whole(attrs.evolve(message, words="") if isinstance(message, Step) else message, **facts)

    monkeypatch.setattr(links, "encode", without_words)
    said = first_difference()
    assert said is not None
    assert said.startswith("a[0]: bundled Note(who='a'")
    assert "words='word'), relayed" in said
    assert said.endswith("words='')")


def test_messages_out_of_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two that have come together change places."""
    hand_over = Delivery._hand_over_all

    def swapped(self: Delivery, link: Any, inbound: Any) -> bool:
        places = [*arrivals(link)]
        if len(places) > 1:
            one, other = places[:2]
            link.arrived[one], link.arrived[other] = link.arrived[other], link.arrived[one]
        return hand_over(self, link, inbound)

    monkeypatch.setattr(Delivery, "_hand_over_all", swapped)
    said = first_difference()
    assert said is not None
    assert said.startswith("b[")


def test_a_message_that_is_changed_after_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundled, the receiver sees the change; relayed, it has the bytes of before."""
    sent: list[Step] = []
    take = Plain._take

    def meddling(self: Plain, message: Step) -> tuple[Step | None, Note]:
        told, note = take(self, message)
        if self.who == "a":
            for earlier in sent:
                object.__setattr__(earlier, "words", "changed")
            sent[:] = [told] if told is not None else []
        return told, note

    monkeypatch.setattr(Plain, "_take", meddling)
    said = first_difference("Waiting")
    assert said is not None
    assert said.startswith("b[")
    assert "words='changed'), relayed" in said


def test_a_handler_that_reads_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers are of the moment, and no two runs are at the same one."""
    take = Plain._take

    def timed(self: Plain, message: Step) -> tuple[Step | None, Note]:
        told, note = take(self, message)
        if self.who == "b" and message.number == 2:
            note = attrs.evolve(note, total=time.time_ns())
        return told, note

    monkeypatch.setattr(Plain, "_take", timed)
    said = first_difference()
    assert said is not None
    assert said.startswith("b[")
    assert "number=2" in said


def test_a_message_that_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay's client acknowledges the third, and never hands it over."""
    hand_over = Delivery._hand_over_all

    def dropping(self: Delivery, link: Any, inbound: Any) -> bool:
        for at in reversed([*arrivals(link)]):
            sequence, item, _ = link.arrived[at]
            if item.number == 3:
                del link.arrived[at]
                link.done(sequence)
        return hand_over(self, link, inbound)

    monkeypatch.setattr(Delivery, "_hand_over_all", dropping)
    said = first_difference()
    assert said is not None
    assert said.startswith("b[")
    assert "number=3" in said
