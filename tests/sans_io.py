"""A switchboard and sessions that are spoken to by hand."""

from __future__ import annotations

from typing import Any

from spore.codec import decode
from spore.message import REGISTRY, Registry, Schema
from spore.relay.control import PROTOCOL, Hello, SchemaLine, control_frame, control_of
from spore.relay.framing import FrameSplitter
from spore.relay.peer import Peer
from spore.relay.session import Session
from spore.relay.switchboard import Switchboard

__all__ = ["Wire", "greet", "hello", "messages", "read", "say", "taken"]


def read(data: bytes) -> list[Any]:
    """What these bytes are: control messages, and frames of others."""
    splitter = FrameSplitter()
    splitter.feed(data)
    found: list[Any] = []
    for start, end, _, kind in splitter.runs(each=True):
        frame = splitter.data[start:end]
        found.append(control_of(frame) if kind else frame)
    assert not splitter.buffered
    return found


def hello(client: int = 1, *, registry: Registry = REGISTRY, **changes: Any) -> Hello:
    """A client's first words."""
    schema = Schema.of(registry)
    lines = tuple(SchemaLine(number, schema.texts[number]) for number in sorted(schema.texts))
    facts: dict[str, Any] = {
        "protocol": PROTOCOL,
        "client": client,
        "name": f"client {client}",
        "token": "",
        "digest": bytes.fromhex(schema.digest),
        "schema": lines,
        "heartbeat_ms": 2_000,
    }
    return Hello(**(facts | changes))


def say(board: Switchboard, peer: Peer, *words: object, now_s: float = 0.0) -> list[Any]:
    """Say control messages, or send frames, and return what the relay has for this peer in consequence."""
    data = b"".join(word if isinstance(word, bytes) else control_frame(word) for word in words)
    board.receive(peer, data, now_s)
    return taken(peer)


def taken(peer: Peer) -> list[Any]:
    """What the relay has for a peer."""
    data = b"".join(peer.take())
    peer.out_bytes -= len(data)
    return read(data)


def greet(board: Switchboard, client: int = 1, **changes: Any) -> Peer:
    """A client that was welcomed."""
    peer = board.connect(0.0)
    (welcome,) = say(board, peer, hello(client, **changes))
    assert welcome.relay == board.relay
    return peer


class Wire:
    """Sessions at one switchboard, between which everything moves at once."""

    def __init__(self, *sessions: Session, board: Switchboard | None = None) -> None:
        self.board = board or Switchboard()
        self.now_s = 0.0
        self.peers: dict[Session, Peer] = {}
        self.arrived: dict[Session, list[Any]] = {session: [] for session in sessions}
        """The links with arrivals, by session."""
        for session in sessions:
            self.connect(session)
        self.move()

    def connect(self, session: Session) -> None:
        self.peers[session] = self.board.connect(self.now_s)
        self.arrived.setdefault(session, [])
        session.connected(self.now_s)

    def lose(self, session: Session) -> None:
        """Both ends notice that a connection is lost."""
        session.disconnected()
        self.board.disconnect(self.peers.pop(session))

    def move(self) -> None:
        """Move bytes until there are none."""
        while sum(map(self.write, list(self.peers))) + sum(map(self.read, list(self.peers))):
            pass

    def write(self, session: Session) -> bool:
        """Move what a session has to say to the switchboard; return whether that was anything."""
        for link in session.outgoing.values():
            if link.to_send:
                session.queued(link)
        if data := session.data_to_send(self.now_s):
            self.board.receive(self.peers[session], data, self.now_s)
        return bool(data)

    def read(self, session: Session) -> bool:
        """Move what the switchboard has to say to a session; return whether that was anything."""
        peer = self.peers[session]
        if data := b"".join(peer.take()):
            peer.out_bytes -= len(data)
            self.arrived[session] += session.receive(data, self.now_s)
        return bool(data)

    def handle(self, session: Session, *, acknowledge: bool = True) -> list[Any]:
        """Have everything handled that has arrived, and return the messages."""
        found = []
        for link in session.incoming:
            while link.arrived:
                sequence, item, _ = link.arrived.popleft()
                link.done(sequence)
                found.append(item)
            session.handled(link)
        if acknowledge:
            session.acknowledge()
        self.move()
        return found


def messages(frames: list[Any]) -> list[Any]:
    """The messages in frames; control messages are left out."""
    return [decode(frame).message for frame in frames if isinstance(frame, bytes)]
