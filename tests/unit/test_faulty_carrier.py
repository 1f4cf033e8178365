"""Connections in memory that fail as a seed says."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from tests.relays import numbers, order

from spore import open_bundle
from spore.codec import Flags, Frame, encode, encode_frame
from spore.message import Domain
from spore.relay import Relay, Switchboard, open_client
from spore.relay.control import Heartbeat, Reply, control_frame
from spore.testing import Faults, FaultyCarrier, FaultyPipe, run, start_probe

FRAMES = [encode(order(number), sequence=number, timestamp_ns=0) for number in range(3)]
CONTROL = control_frame(Heartbeat())
ANSWER = encode_frame(Frame(Domain.SYSTEM, 0, Flags.REPLY, 1, 0, (Reply(1, False, ""),)))


@given(
    st.lists(st.sampled_from([*FRAMES, CONTROL]), max_size=6),
    st.lists(st.integers(1, 60)),
    st.lists(st.integers(1, 60)),
)
def test_a_pipe_keeps_the_stream_however_it_is_written_and_read(frames, writes, reads):
    """What is written in parts of any size comes out in parts of any size, the same and in order."""
    pipe, data, got = FaultyPipe(), b"".join(frames), b""
    rest = data
    for size in writes:
        pipe.write(rest[:size])
        rest = rest[size:]
    pipe.write(rest)
    assert len(pipe) == len(data)
    for size in reads:
        part = pipe.read(size)
        assert len(part) == min(size, len(data) - len(got))
        got += part
    assert got + pipe.read() == data
    assert len(pipe) == 0


def test_frames_are_dropped_repeated_and_changed_on_the_way():
    """By hand, each at its place."""
    pipe = FaultyPipe()
    assert pipe.write(FRAMES[0] + CONTROL + FRAMES[1][:9]) == [0, 1]
    assert pipe.write(FRAMES[1][9:] + FRAMES[2]) == [2, 3]
    pipe.duplicate(3)
    pipe.drop(2)
    pipe.corrupt(0, 31 + len(FRAMES[0]), 0xFF)
    changed = FRAMES[0][:31] + bytes((FRAMES[0][31] ^ 0xFF,)) + FRAMES[0][32:]
    assert pipe.read() == changed + CONTROL + FRAMES[2] * 2


def test_only_what_is_whole_and_has_a_number_may_be_dropped():
    """Neither control messages nor answers, and nothing of which a part was read."""
    pipe = FaultyPipe()
    pipe.write(FRAMES[0] + CONTROL + ANSWER + FRAMES[1])
    assert [pipe.is_numbered(place) for place in range(4)] == [True, False, False, True]
    pipe.read(1)
    assert not pipe.is_numbered(0)


async def transfer(faults: Faults, seed: int, data: bytes, capacity: int = 100) -> tuple[bytes, Any]:
    """What comes of these bytes at the other end, and how it ended."""
    one, other = FaultyCarrier.pair(faults, seed=seed, capacity=capacity)
    got, end = b"", None

    async def send() -> None:
        try:
            await one.send_all(data)
            one.close()
        except trio.BrokenResourceError as error:
            nonlocal end
            end = error

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        try:
            while part := await other.receive():
                got += part
        except trio.BrokenResourceError as error:
            end = error
    return got, end


DATA = b"".join(FRAMES) * 20


@pytest.mark.parametrize("seed", range(5))
def test_delays_and_splits_change_nothing(seed):
    """They are what streams do; the same seed does the same at the same time."""

    async def main() -> tuple[bytes, Any, float]:
        got, end = await transfer(Faults(delay=0.5, delay_s=2.0, split=0.5), seed, DATA)
        return got, end, trio.current_time() % 1

    got, end, _ = first = run(main, seed=seed)
    assert (got, end) == (DATA, None)
    assert run(main, seed=seed)[:2] == first[:2]


def test_each_fault_shows():
    """What is dropped is missing, what is duplicated comes twice, and what is corrupted is of the same length."""
    frame = len(FRAMES[0])
    dropped, _ = run(transfer, Faults(drop=1), 0, DATA)
    assert dropped == b""
    doubled, _ = run(transfer, Faults(duplicate=1), 0, DATA)
    assert doubled == b"".join(each * 2 for each in FRAMES) * 20
    corrupted, _ = run(transfer, Faults(corrupt=1), 0, DATA)
    assert len(corrupted) == len(DATA)
    for at in range(0, len(DATA), frame):
        assert sum(a != b for a, b in zip(corrupted[at : at + frame], DATA[at : at + frame], strict=True)) == 1
    cut, end = run(transfer, Faults(cut=1), 0, DATA)
    assert isinstance(end, trio.BrokenResourceError)
    assert DATA.startswith(cut)


def test_rates_are_from_0_to_1():
    """A rate that is none is refused."""
    for rate in (-0.1, 1.1):
        with pytest.raises(ValueError, match="must be"):
            Faults(drop=rate)


def test_a_carrier_that_is_closed_or_cut():
    """Who reads behind a close gets the end of the stream, behind a cut an error; nobody can write."""

    async def main() -> None:
        one, other = FaultyCarrier.pair()
        assert one.send_nowait(CONTROL) == len(CONTROL)
        one.close()
        assert await other.receive() == CONTROL
        with pytest.raises(trio.BrokenResourceError):
            other.send_nowait(CONTROL)
        with pytest.raises(trio.BrokenResourceError):
            await one.receive()
        one, other = FaultyCarrier.pair()
        one.send_nowait(CONTROL)
        other.cut()
        for end in (one, other):
            with pytest.raises(trio.BrokenResourceError):
                await end.receive()

    run(main)


FAULTS = Faults(delay=0.2, delay_s=0.5, split=0.3, drop=0.01, duplicate=0.02, cut=0.05)


@pytest.mark.parametrize("seed", range(6))
def test_clients_over_a_carrier_that_fails(seed):
    """Through all faults, what one actor is sent it handles once and in order."""

    async def main() -> list[int]:
        made = 0
        async with trio.open_nursery() as nursery:
            relay = Relay(Switchboard(), nursery)
            nursery.start_soon(relay.watch)

            async def connect() -> FaultyCarrier:
                nonlocal made
                made += 1
                here, there = FaultyCarrier.pair(FAULTS, seed=seed * 1_000 + made)
                nursery.start_soon(relay.serve, there)
                return here

            async with (
                open_client("unix:none", name="receiver", connect=connect) as receiver,
                open_client("unix:none", name="sender", connect=connect) as sender,
                open_bundle("b") as bundle,
            ):
                probe = await start_probe(bundle, "a", capacity=20)
                receiver.attach(probe.ref)
                ref = sender.ref("a")
                for number in range(300):
                    await ref.send(order(number))
                await sender.drain()
                found = numbers(probe.received)
            nursery.cancel_scope.cancel()
        assert made > 2  # or nothing was ever cut
        return found

    assert run(main, seed=seed) == list(range(300))
