"""The relay's socket under attack, in a process of its own: its memory is bounded, its log short, and others go on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from bench.sockets import ATTACKS, attack
from tests.integration.relay_processes import PATIENCE_S, Processes, eventually, processes_in

from spore.codec import encode
from spore.relay.control import Reason, Refused, control_of
from spore.services.messages import OrderCancel

MEMORY_MIB = 128
"""More than any attack takes: unfinished frames of strangers have 32 MiB, and the interpreter needs as much again to move them."""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with processes_in(tmp_path) as processes:
        yield processes


@pytest.mark.parametrize("token", [True, False], ids=["token", "open"])
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("drawn", 1_000),
        pytest.param("drawn", 10_000, marks=pytest.mark.long),
        *((name, 500) for name in ATTACKS if name != "drawn"),
    ],
)
def test_a_relay_under_attack_goes_on_for_others(name: str, count: int, token: bool) -> None:
    """Rows "relay": drawn inputs, and 500 connections at once of each other kind: memory, log and everybody else are well."""
    outcome = trio.run(lambda: attack(name, token=token, count=count))
    assert outcome.peak_mib - outcome.base_mib < MEMORY_MIB
    assert outcome.exchanged > 0
    assert outcome.lines <= 2  # all connections come from one process, and a minute may end in between


def test_a_plain_frame_without_the_token_is_refused_and_logged(processes: Processes, tmp_path: Path) -> None:
    """Row "relay, frame without Hello": a subscriber of its topic handles nothing, and the log says once why, from where, and no secret."""
    token = tmp_path / "token"
    token.write_text("secret\n")
    relay = processes.relay("--token-file", str(token))
    receiver = processes.receiver(token="secret", topics=["execution"])
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect(str(processes.socket))
            sock.sendall(encode(OrderCancel(1, 2, "x"), sequence=1, timestamp_ns=0))
            answer = control_of(sock.recv(65_536))
            assert isinstance(answer, Refused)
            assert answer.reason is Reason.TOKEN
            assert sock.recv(1) == b""
    eventually(lambda: "a frame of execution without Hello" in relay.errors)
    assert relay.errors.count("\n") == 1
    assert "(token)" in relay.errors
    assert "secret" not in relay.errors
    assert processes.log() == []
    assert receiver.statistics()["reconnects"] == 0


def test_a_relay_takes_two_tokens_and_says_who_shows_the_old_one(processes: Processes, tmp_path: Path) -> None:
    """Row "relay, Hello": both clients are in; the log names the one that has to be changed, and then that nobody has."""
    token = tmp_path / "token"
    token.write_text("new\nold\n")
    relay = processes.relay("--token-file", str(token))
    processes.receiver(token="new")
    other = processes.peer("late", token="old")
    eventually(lambda: "late has shown the second token" in relay.errors)
    assert "receiver" not in relay.errors
    assert other.statistics()["reconnects"] == 0
    assert "the token is wrong" in processes.peer("stranger", token="older").event("error")
