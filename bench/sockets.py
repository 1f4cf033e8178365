"""What strangers and insiders can make a relay hold: its memory, while others go on, under each kind of attack on its socket.

drawn        connections that send what a generator draws: frames of all kinds, damaged, cut off, with and without a token
half-open    connections that say nothing
never ends   connections that begin a frame of 16 MiB and send as much of it as they get rid of
a byte       connections that send a frame byte by byte
no reader    clients that know the token, ask for an answer again and again, and read none

All connections of a kind are there at once. Meanwhile two clients exchange messages, one at a time. Each attack has a fresh
``spore relay``; ``open`` is one that asks for no token, ``token`` one that does. ``peak`` is the most resident memory that the relay had,
less what it had before; ``lines`` what it has logged. Linux only.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import attrs
import trio

from spore import Actor, open_bundle
from spore.codec import encode
from spore.message import REGISTRY, Schema
from spore.relay import open_client
from spore.relay.control import PROTOCOL, Attach, Detach, Hello, Open, Route, SchemaLine, control_frame
from spore.services.messages import OrderCancel

__all__ = ["ATTACKS", "Outcome", "attack"]

TOKEN = "a token for the bench"
MiB = 1024 * 1024
ATTACK_S = 3.0
"""So long at the most; the relay's heartbeat is half a second, so that it has given up by then whoever it gives up."""

PATIENT_S = 10.0
"""The honest clients' heartbeat: attackers, clients and relay share the cores, and what is measured is how slow that is."""


@attrs.frozen
class Outcome:
    """What an attack has done."""

    name: str
    token: bool
    connections: int
    sent: int
    """Bytes that the relay took."""
    base_mib: float
    peak_mib: float
    exchanged: int
    """Messages of the two honest clients, meanwhile."""
    slowest_s: float
    """The longest that one of these took."""
    lines: int


@attrs.define
class Attack:
    """Where to connect, and what was sent so far."""

    path: str
    count: int
    known: str
    """The token that is shown where one is."""
    sent: int = 0

    async def connect(self) -> trio.SocketStream:
        return await trio.open_unix_socket(self.path)

    async def send(self, stream: trio.SocketStream, data: bytes) -> None:
        await stream.send_all(data)
        self.sent += len(data)


def hello(client: int, token: str) -> bytes:
    """A client's first words."""
    schema = Schema.of(REGISTRY)
    lines = tuple(SchemaLine(number, schema.texts[number]) for number in sorted(schema.texts))
    return control_frame(Hello(PROTOCOL, client, f"client {client}", token, bytes.fromhex(schema.digest), lines, 500))


def frame(domain: int, payload: bytes, *, checksum: int | None = None) -> bytes:
    """A frame with any payload."""
    head = struct.pack("<IBBBBQQI", 0xDEADBEEF, domain, 1, 7, 0, 1, 2, len(payload))
    right = zlib.crc32(payload, zlib.crc32(head))
    return head + struct.pack("<I", right if checksum is None else checksum) + payload


def drawn(chance: random.Random, token: str) -> bytes:
    """What a generator draws for one connection."""
    parts: list[bytes] = []
    for _ in range(chance.randrange(1, 6)):
        match chance.randrange(7):
            case 0:
                parts.append(hello(chance.getrandbits(62) | 1, chance.choice(("", "x", token))))
            case 1:
                parts.append(
                    frame(
                        chance.randrange(6), chance.randbytes(chance.randrange(200)), checksum=chance.choice((None, 0))
                    )
                )
            case 2:
                parts.append(frame(4, bytes((chance.randrange(195, 256), 4)) + chance.randbytes(4)))
            case 3:
                parts.append(chance.randbytes(chance.randrange(300)))
            case 4:
                parts.append(encode(OrderCancel(1, 2, "x"), sequence=1, timestamp_ns=0) * chance.randrange(1, 5))
            case 5:
                parts.append(control_frame(Attach(f"r{chance.getrandbits(40)}", ("execution",))))
            case _:
                parts.append(
                    control_frame(Open(chance.randrange(1, 4), "s", "", False, ("nobody",), ""))
                    + control_frame(Route(1))
                )
    data = bytearray(b"".join(parts))
    if data and chance.random() < 0.3:
        data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
    return bytes(data)


async def draw(attack: Attack) -> None:
    """Send what is drawn, and wait for the answer, or a moment."""
    chance = random.Random(attack.count)
    limit = trio.CapacityLimiter(100)

    async def one(data: bytes) -> None:
        async with limit:
            with suppress(OSError, trio.BrokenResourceError), trio.move_on_after(0.5):
                async with await attack.connect() as stream:
                    await attack.send(stream, data)
                    await stream.send_eof()
                    while await stream.receive_some():
                        pass

    async with trio.open_nursery() as nursery:
        for _ in range(attack.count):
            nursery.start_soon(one, drawn(chance, attack.known))


def at_once(one: Callable[[Attack, trio.SocketStream, int], Awaitable[None]]) -> Callable[[Attack], Awaitable[None]]:
    """All connections at once, for a while, or until the relay has closed them."""

    async def connected(attack: Attack, number: int) -> None:
        with suppress(OSError, trio.BrokenResourceError):
            async with await attack.connect() as stream:
                await one(attack, stream, number)

    async def run(attack: Attack) -> None:
        with trio.move_on_after(ATTACK_S):
            async with trio.open_nursery() as nursery:
                for number in range(attack.count):
                    nursery.start_soon(connected, attack, number)

    return run


async def half_open(_: Attack, stream: trio.SocketStream, __: int) -> None:
    while await stream.receive_some():
        pass


async def never_ends(attack: Attack, stream: trio.SocketStream, number: int) -> None:
    if number % 2:
        await attack.send(stream, encode(OrderCancel(1, 2, "x"), sequence=1, timestamp_ns=0))
    await attack.send(stream, struct.pack("<IBBBBQQII", 0xDEADBEEF, 3, 1, 7, 0, 1, 2, 16 * MiB - 32, 0))
    for _ in range(15):
        await attack.send(stream, bytes(MiB))
    while await stream.receive_some():
        pass


async def a_byte(attack: Attack, stream: trio.SocketStream, _: int) -> None:
    for byte in hello(7, "x"):
        await attack.send(stream, bytes((byte,)))
        await trio.sleep(0.05)


async def no_reader(attack: Attack, stream: trio.SocketStream, number: int) -> None:
    await attack.send(stream, hello(1_000 + number, attack.known))
    asked = control_frame(Detach("x" * 60, False)) * 1_000
    while True:
        await attack.send(stream, asked)


ATTACKS: dict[str, tuple[Callable[[Attack], Awaitable[None]], int]] = {
    "drawn": (draw, 10_000),
    "half-open": (at_once(half_open), 500),
    "never ends": (at_once(never_ends), 500),
    "a byte": (at_once(a_byte), 500),
    "no reader": (at_once(no_reader), 500),
}


class Sink(Actor[OrderCancel]):
    """Answers."""

    def handle(self, message: OrderCancel) -> OrderCancel:
        return message


@contextmanager
def relay_process(folder: Path, *, token: bool) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """A relay, where it listens, and what it logs."""
    path, log, secret = folder / "r", folder / "log", folder / "token"
    secret.write_text(TOKEN)
    options = ["--token-file", str(secret)] if token else []
    command = [sys.executable, "-m", "spore", "relay", "--socket", str(path), "--heartbeat-s", "0.5", *options]
    environment = {name: value for name, value in os.environ.items() if name != "SPORE_TOKEN"}
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as relay,
    ):
        try:
            assert relay.stdout is not None
            relay.stdout.readline()
            yield relay, str(path), log
        finally:
            relay.send_signal(signal.SIGTERM)


def memory_mib(relay: subprocess.Popen[str], what: str) -> float:
    """A process's resident memory: ``VmRSS`` now, ``VmHWM`` the most that it ever had."""
    status = Path(f"/proc/{relay.pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(what))


async def attack(name: str, *, token: bool, count: int | None = None) -> Outcome:
    """Attack a fresh relay while two clients exchange messages over it.

    Cancellation: always a checkpoint; the relay is ended.
    """
    run, usual = ATTACKS[name]
    with (
        tempfile.TemporaryDirectory(prefix="spore-") as folder,
        relay_process(Path(folder), token=token) as (relay, path, log),
    ):
        given = Attack(path, count or usual, TOKEN if token else "")
        shown = TOKEN if token else ""
        took: list[float] = []
        async with (
            open_client(path, name="one", token=shown, heartbeat_s=PATIENT_S) as one,
            open_client(path, name="other", token=shown, heartbeat_s=PATIENT_S) as other,
            open_bundle("b") as bundle,
        ):
            one.attach(await bundle.start(Sink, name="sink"))
            ref = other.ref("sink")
            await ref.ask(OrderCancel(1, 2, "x"), timeout=60)
            base = memory_mib(relay, "VmRSS")

            async def exchange() -> None:
                while True:
                    began = trio.current_time()
                    await ref.ask(OrderCancel(1, 2, "x"), timeout=60)
                    took.append(trio.current_time() - began)
                    await trio.sleep(0.002)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(exchange)
                await run(given)
                await ref.ask(OrderCancel(1, 2, "x"), timeout=60)
                nursery.cancel_scope.cancel()
            lost = one.statistics().reconnects + other.statistics().reconnects
            if lost:
                raise RuntimeError(f"{name}: the honest clients were disconnected {lost} times")
        lines = len(log.read_text().splitlines())
        return Outcome(
            name, token, given.count, given.sent, base, memory_mib(relay, "VmHWM"), len(took), max(took), lines
        )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", choices=ATTACKS, help="this attack; repeatable")
    options = parser.parse_args(argv)
    print(
        f"{'attack':<12}{'relay':<7}{'connections':>12}{'MiB sent':>10}{'before':>9}{'peak':>9}{'exchanged':>11}{'slowest':>9}{'lines':>7}"
    )
    for name in options.only or ATTACKS:
        for token in (True, False):
            done = trio.run(partial(attack, name, token=token))
            print(
                f"{done.name:<12}{'token' if done.token else 'open':<7}{done.connections:>12,}{done.sent / MiB:>10.1f}"
                f"{done.base_mib:>5.0f} MiB{done.peak_mib - done.base_mib:>+5.0f} MiB{done.exchanged:>11,}{done.slowest_s:>7.2f} s{done.lines:>7}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
