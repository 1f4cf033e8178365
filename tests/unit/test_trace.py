"""A message keeps the trace that it was sent in: on the spot, queued, held, asked, answered, and through a relay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from tests.actors import both

import spore
from spore import Actor, ActorRef, open_bundle
from spore.message import TraceContext, current_trace, traced
from spore.relay import Address, open_client, open_relay
from spore.services.messages import GasPrice
from spore.testing import run

FIRST, SECOND = (TraceContext(bytes([n]) * 16, bytes([n]) * 8, flags=1) for n in (1, 2))


def gas(number: int) -> GasPrice:
    return GasPrice(event_time_ns=number, block_number=number, base_fee_wei=0, priority_fee_wei=0)


@attrs.define
class Notes(Actor[Any]):
    """Notes each message with the trace that it came in, and passes it on."""

    notes: list[Any]
    out: ActorRef[Any] | None = None

    def handle(self, message: Any) -> Any:
        self.notes.append((message.block_number, current_trace()))
        if self.out is not None:
            self.out.tell(message)
        return message


class SlowNotes(Notes):
    """The same, with a handler that waits."""

    async def handle(self, message: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return Notes.handle(self, message)


async def send_three(ref: ActorRef[Any]) -> None:
    with traced(FIRST):
        ref.tell(gas(1))
        with traced(SECOND):
            await ref.send(gas(2))
    await ref.ask(gas(3))


EXPECTED = [(1, FIRST), (2, SECOND), (3, None)]


@both
@pytest.mark.parametrize("kind", [Notes, SlowNotes])
@pytest.mark.parametrize("merge", [None, "event_time"])
def test_a_handler_knows_the_trace_of_its_message(dispatch: str, kind: type[Notes], merge: str | None) -> None:
    """Also the handler behind it, which was sent to from there, and whoever opened the bundle has no part in it."""

    async def main() -> tuple[list[Any], list[Any]]:
        near: list[Any] = []
        far: list[Any] = []
        with traced(SECOND):
            async with open_bundle("b", dispatch=dispatch, trace=True) as bundle:
                last = await bundle.start(Notes, notes=far)
                first = await bundle.start(kind, notes=near, out=last, merge=merge)
                with traced(None):
                    await send_three(first)
        return near, far

    assert run(main) == (EXPECTED, EXPECTED)


@both
def test_where_tracing_is_off_what_is_queued_has_no_trace(dispatch: str) -> None:
    """Nobody pays for it unasked."""

    async def main() -> list[Any]:
        notes: list[Any] = []
        async with open_bundle("b", dispatch=dispatch) as bundle:
            ref = await bundle.start(SlowNotes, notes=notes)
            with traced(FIRST):
                ref.tell(gas(1))
        return notes

    assert run(main) == [(1, None)]


@pytest.mark.parametrize("kind", [Notes, SlowNotes])
async def test_a_trace_goes_through_the_relay(kind: type[Notes], tmp_path: Path) -> None:
    """The receiver's handler knows it, as it would in a bundle."""
    notes: list[Any] = []
    where = Address(path=str(tmp_path / "relay"))
    async with open_relay([where]), open_client(where, name="there") as there, open_bundle("b", trace=True) as bundle:
        there.attach(await bundle.start(kind, notes=notes, name="notes"))
        async with open_client(where, name="here", trace=True) as here:
            await send_three(here.ref("notes"))
            await here.drain()
    assert notes == EXPECTED


async def test_a_client_that_traces_nothing_sends_no_trace(tmp_path: Path) -> None:
    """Nothing accompanies its messages."""
    notes: list[Any] = []
    where = Address(path=str(tmp_path / "relay"))
    async with open_relay([where]), open_client(where, name="there") as there, open_bundle("b", trace=True) as bundle:
        there.attach(await bundle.start(Notes, notes=notes, name="notes"))
        async with open_client(where, name="here") as here:
            with traced(FIRST):
                await here.ref("notes").send(gas(1))
            await here.drain()
    assert notes == [(1, None)]


def test_a_trace_may_accompany_a_message_of_any_domain() -> None:
    """It is a system message in the same frame."""
    frame = spore.codec.Frame(spore.Domain.MARKET_DATA, 0, spore.codec.Flags.NONE, 1, 0, (gas(1), FIRST))
    assert spore.codec.decode(spore.codec.encode_frame(frame)).items == (gas(1), FIRST)
