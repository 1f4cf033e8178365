"""ZeroMQ: a relay in C with threads in C on both ends, driven by plain blocking Python, which is how it is quickest.

The relay is its own ``zmq.proxy`` between XSUB and XPUB. XPUB is told not to drop, so that a slow subscriber makes the
sender wait, as with the other contenders. Without a relay there is a PUSH and a PULL socket for each subscriber.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import zmq

from bench.relay_contender import Contender
from bench.relay_load import BenchQuote, Sink, Source
from spore.codec import decode, encode

__all__ = ["ZmqPushPull", "ZmqRelay"]

EVERYTHING = b""
"""The subscription to all messages. Brokers merge equal ones, so each subscriber has one of its own behind it."""

_CONTEXT = zmq.Context()
_OPEN: list[zmq.Socket[bytes]] = []
"""What a sender leaves open: when it closes, a receiver that is at its high-water mark drops what it has not read."""


class ZmqRelay(Contender):
    """Through a broker process."""

    name = "pyzmq, XSUB/XPUB broker"

    def relay(self, path: Path, ready: Callable[[], None]) -> None:
        front, back = _CONTEXT.socket(zmq.XSUB), _CONTEXT.socket(zmq.XPUB)
        back.set(zmq.XPUB_NODROP, 1)
        front.bind(f"ipc://{path}.front")
        back.bind(f"ipc://{path}")
        ready()
        zmq.proxy(front, back)

    def receive(self, path: Path, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        sockets = [_CONTEXT.socket(zmq.SUB) for _ in sinks]
        for number, socket in enumerate(sockets):
            socket.connect(f"ipc://{path}")
            socket.set(zmq.SUBSCRIBE, EVERYTHING)
            socket.set(zmq.SUBSCRIBE, b"subscriber %d" % number)
        ready()  # the sender waits for the subscriptions
        _take(sockets, sinks)

    def send(self, path: Path, source: Source) -> None:
        socket = _CONTEXT.socket(zmq.XPUB)
        socket.set(zmq.XPUB_NODROP, 1)
        socket.connect(f"ipc://{path}.front")
        missing = {b"\1subscriber %d" % number for number in range(source.subscribers)}
        while missing:
            missing.discard(socket.recv())
        source.start()
        for sequence, message in enumerate(_messages(source)):
            socket.send(encode(message, sequence=sequence, timestamp_ns=message.due_ns))
        _OPEN.append(socket)


class ZmqPushPull(Contender):
    """Straight to each subscriber: for reference, since nothing stands in between."""

    name = "pyzmq, no broker"
    has_relay = False

    def relay(self, path: Path, ready: Callable[[], None]) -> None:
        raise RuntimeError("there is none")

    def receive(self, path: Path, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        sockets = [_CONTEXT.socket(zmq.PULL) for _ in sinks]
        for number, socket in enumerate(sockets):
            socket.bind(f"ipc://{path}.{number}")
        ready()
        _take(sockets, sinks)

    def send(self, path: Path, source: Source) -> None:
        sockets = [_CONTEXT.socket(zmq.PUSH) for _ in range(source.subscribers)]
        for number, socket in enumerate(sockets):
            socket.connect(f"ipc://{path}.{number}")
        source.start()
        for sequence, message in enumerate(_messages(source)):
            frame = encode(message, sequence=sequence, timestamp_ns=message.due_ns)
            for socket in sockets:
                socket.send(frame)
        _OPEN.extend(sockets)


def _messages(source: Source) -> Iterator[BenchQuote]:
    if not source.paced:
        yield from source.flood()
    while not source.finished:
        yield from source.due()


def _take(sockets: list[zmq.Socket[bytes]], sinks: Sequence[Sink]) -> None:
    if len(sockets) == 1:
        (receive,), (sink,) = [socket.recv for socket in sockets], sinks
        while not sink.done:
            sink.take(decode(receive()).message)
        return
    poller = zmq.Poller()
    taking = dict(zip(sockets, sinks, strict=True))
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    while taking:
        for socket, _ in poller.poll():
            _take_all(socket, taking[socket])
            if taking[socket].done:
                poller.unregister(socket)
                del taking[socket]


def _take_all(socket: zmq.Socket[bytes], sink: Sink) -> None:
    try:
        while not sink.done:
            sink.take(decode(socket.recv(zmq.NOBLOCK)).message)
    except zmq.Again:
        pass
