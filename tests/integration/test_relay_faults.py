"""What happens to messages when processes and connections fail: real processes, real sockets, real signals."""

from __future__ import annotations

import random
import signal
import socket
from itertools import pairwise

import pytest
from tests.integration.relay_processes import PATIENCE_S, Process, Processes, Proxy, eventually, processes_in
from tests.relays import hello

from spore.relay.control import Reason, Welcome, control_frame, control_of

MEMORY_MIB = 120
"""No process may ever take more. An idle one takes about 45."""
BRISK = {"heartbeat_s": 0.2}
BRISK_RELAY = ("--heartbeat-s", "0.2")


@pytest.fixture
def processes(tmp_path):
    with processes_in(tmp_path) as processes:
        yield processes


def finish(sender: Process) -> int:
    """Let the sender stop and drain, and return how many it has sent."""
    sender.do("stop")
    sent = sender.event("stopped")
    sender.do("drain")
    assert sender.event("drained") == sent
    return sent


def under_load(processes: Processes, receiver: Process) -> None:
    """Wait until the receiver has handled more than it has by now."""
    receiver.event("handled", len(processes.log()) + 50)


def assert_bounded(*running: Process) -> None:
    assert max(process.peak_mib for process in running) < MEMORY_MIB


@pytest.mark.long
def test_a_relay_that_is_killed_twenty_times_loses_and_repeats_nothing(processes):
    """Each message is handled once, in order, whatever the relay was doing when it was killed."""
    relay = processes.relay()
    receiver = processes.receiver()
    sender = processes.peer("sender")
    sender.do("send", to="sink")
    for _ in range(20):
        spare = processes.spare_relay()
        under_load(processes, receiver)
        processes.kill_relay(relay)
        relay = processes.listen(spare)
    under_load(processes, receiver)
    sent = finish(sender)
    assert processes.log() == list(range(sent))
    assert receiver.statistics()["redelivered"] == 0
    assert receiver.statistics()["reconnects"] >= 20
    assert_bounded(relay, sender, receiver)
    assert processes.peak_mib < MEMORY_MIB


def test_the_successor_of_a_killed_receiver_gets_what_was_not_acknowledged(processes):
    """What the dead one may have handled comes again with the mark; nothing is missing, and nothing else comes twice."""
    relay = processes.relay()
    first = processes.receiver(capacity=40, gated=True)
    sender = processes.peer("sender")
    sender.do("send", to="sink", count=200)
    first.do("let", count=10)
    eventually(lambda: len(processes.log()) == 10)
    eventually(lambda: first.statistics()["received"] >= 40)  # so many are under way, and unhandled
    first.kill()
    second = processes.receiver("successor", log="log of the successor", capacity=40)
    sender.event("stopped")
    sender.do("drain")
    sender.event("drained")
    handled = processes.log("log of the successor")
    assert processes.log() == list(range(10))
    assert handled == list(range(handled[0], 200))
    assert handled[0] <= 10
    redelivered = second.statistics()["redelivered"]
    assert redelivered == sender.statistics()["outgoing"][0]["redelivered"]
    assert redelivered >= 40 - handled[0]
    assert_bounded(relay, sender, second)


@pytest.mark.long
def test_a_receiver_killed_under_load_again_and_again(processes):
    """Whatever it was doing: what successors handle twice was marked, and nothing is missing or out of order."""
    relay = processes.relay()
    receiver = processes.receiver()
    sender = processes.peer("sender")
    sender.do("send", to="sink")
    for number in range(4):
        receiver.event("handled", 100)
        receiver.kill()
        receiver = processes.receiver(f"successor {number}", log=f"log {number}")
        receiver.event("handled", 100)
    sent = finish(sender)
    marked = sender.statistics()["outgoing"][0]["redelivered"]
    logs = [processes.log(), *(processes.log(f"log {number}") for number in range(4))]
    assert all(log == list(range(log[0], log[-1] + 1)) for log in logs)
    repeated = [before[-1] + 1 - after[0] for before, after in pairwise(logs)]
    assert min(repeated) >= 0
    assert logs[-1][-1] == sent - 1
    assert sum(repeated) <= marked <= 4 * 100  # the window
    assert_bounded(relay, sender, receiver)


def test_what_a_killed_actor_in_the_middle_had_to_send_on_is_not_lost(processes):
    """What it has handled counts as handled only when what came of it is on its way; its successor does the rest again."""
    processes.relay()
    last = processes.receiver(capacity=10, gated=True)
    middle = processes.peer("middle")
    middle.do("forward", to="sink", capacity=4)  # each message is acknowledged by itself
    middle.event("forwarding")
    sender = processes.peer("sender")
    sender.do("send", to="middle", count=20)
    middle.event("forwarded", 6)  # and of what came of the last there is no room for any
    middle.statistics()  # it has said by now what it was going to say
    middle.kill()
    successor = processes.peer("successor")
    successor.do("forward", to="sink")
    last.do("let", count=100)
    sender.do("drain")
    sender.event("drained")
    successor.do("drain")
    successor.event("drained")
    log = processes.log()
    assert log[:10] == [number for number in range(5) for _ in range(2)]
    assert log[-30:] == [number for number in range(5, 20) for _ in range(2)]


def acknowledged_of(sender: Process) -> int:
    return sum(link["sent"] - link["outstanding"] for link in sender.statistics()["outgoing"])


def test_what_a_killed_sender_had_acknowledged_is_handled_once(processes):
    """Of the rest, what had left it is handled once, too, in order; the remainder is gone with it, and a new one goes on."""
    relay = processes.relay()
    receiver = processes.receiver()
    sender = processes.peer("sender")
    sender.do("send", to="sink")
    acknowledged = eventually(lambda: acknowledged_of(sender))
    sender.kill()
    another = processes.peer("sender")
    another.do("send", to="sink", count=100, first=1_000_000)
    another.event("stopped")
    another.do("drain")
    another.event("drained")
    eventually(lambda: all(each["waiting"] == 0 for each in receiver.statistics()["incoming"]))
    log = processes.log()
    old = [number for number in log if number < 1_000_000]
    assert [number for number in log if number >= 1_000_000] == list(range(1_000_000, 1_000_100))
    assert old == list(range(len(old)))
    assert len(old) >= acknowledged
    assert receiver.statistics()["redelivered"] == 0
    assert_bounded(relay, another, receiver)


def test_a_receiver_that_is_stopped_for_longer_than_the_heartbeat(processes):
    """The sender feels it as backpressure; when the receiver wakes up, it goes on where it was."""
    relay = processes.relay(*BRISK_RELAY)
    receiver = processes.receiver(**BRISK)
    sender = processes.peer("sender", **BRISK)
    sender.do("send", to="sink")
    under_load(processes, receiver)
    receiver.signal(signal.SIGSTOP)
    eventually(lambda: "refused receiver: nothing was heard for" in relay.errors)
    link = sender.statistics()["outgoing"][0]
    assert link["outstanding"] <= 100  # the capacity
    receiver.signal(signal.SIGCONT)
    under_load(processes, receiver)
    sent = finish(sender)
    assert processes.log() == list(range(sent))
    statistics = receiver.statistics()
    assert (statistics["redelivered"], statistics["reconnects"] > 0) == (0, True)
    assert_bounded(relay, sender, receiver)


def test_a_relay_that_is_stopped_for_longer_than_the_heartbeat(processes):
    """Both clients notice and try again until it wakes up; nothing is lost or repeated."""
    relay = processes.relay(*BRISK_RELAY)
    receiver = processes.receiver(**BRISK)
    sender = processes.peer("sender", **BRISK)
    sender.do("send", to="sink")
    under_load(processes, receiver)
    relay.signal(signal.SIGSTOP)
    for peer in (receiver, sender):
        eventually(lambda peer=peer: "nothing from the relay for" in peer.errors)
    relay.signal(signal.SIGCONT)
    under_load(processes, receiver)
    sent = finish(sender)
    assert processes.log() == list(range(sent))
    assert receiver.statistics()["redelivered"] == 0
    assert_bounded(relay, sender, receiver)


@pytest.mark.long
def test_a_half_open_connection_is_given_up_by_both_ends(processes):
    """Bytes vanish, and nobody says that the connection is gone: the heartbeats tell, and nothing is lost or repeated."""
    relay = processes.relay(*BRISK_RELAY)
    proxy = Proxy(processes.socket.with_name("p"), processes.socket)
    try:
        receiver = processes.receiver(at=proxy.path, **BRISK)
        sender = processes.peer("sender", **BRISK)
        sender.do("send", to="sink")
        under_load(processes, receiver)
        proxy.swallow.set()
        eventually(lambda: "refused receiver: nothing was heard for" in relay.errors)
        eventually(lambda: "nothing from the relay for" in receiver.errors)
        proxy.swallow.clear()
        under_load(processes, receiver)
        sent = finish(sender)
        assert processes.log() == list(range(sent))
        assert receiver.statistics()["redelivered"] == 0
        assert_bounded(relay, sender, receiver)
    finally:
        proxy.close()


@pytest.mark.long
def test_who_has_vanished_with_a_full_socket_does_not_keep_its_name(processes):
    """A receiver that takes no byte more is given up although something is still to be written to it."""
    relay = processes.relay(*BRISK_RELAY)
    receiver = processes.receiver(**BRISK)
    sender = processes.peer("sender", **BRISK)
    sender.do("send", to="sink", count=200, size=50_000)  # more than any socket holds
    under_load(processes, receiver)
    receiver.signal(signal.SIGSTOP)
    eventually(lambda: "refused receiver: nothing was heard for" in relay.errors)
    successor = processes.receiver("successor", log="log of the successor", **BRISK)
    sender.event("stopped")
    sender.do("drain")
    sender.event("drained")
    handled = processes.log("log of the successor")
    assert handled == list(range(handled[0], 200))
    assert handled[0] <= len(processes.log())
    assert successor.statistics()["redelivered"] == sender.statistics()["outgoing"][0]["redelivered"] > 0
    assert_bounded(relay, sender, successor)


def test_bytes_that_come_one_by_one(processes):
    """Frames are put together from single bytes, on all ways between three processes."""
    relay = processes.relay()
    proxy = Proxy(processes.socket.with_name("p"), processes.socket, chunk=1)
    try:
        receiver = processes.receiver(at=proxy.path)
        sender = processes.peer("sender", at=proxy.path)
        sender.do("send", to="sink", count=300, size=3)
        sender.event("stopped")
        sender.do("drain")
        sender.event("drained")
        assert processes.log() == list(range(300))
        assert (receiver.statistics()["duplicates"], receiver.statistics()["gaps"]) == (0, 0)
        assert_bounded(relay, sender, receiver)
    finally:
        proxy.close()


def raw(processes: Processes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE_S)
    sock.connect(str(processes.socket))
    return sock


def answer_to(processes: Processes, data: bytes) -> bytes:
    """All that the relay says to these bytes, until it closes the connection."""
    heard = b""
    with raw(processes) as sock:
        try:
            sock.sendall(data)
            while data := sock.recv(65_536):
                heard += data
        except (BrokenPipeError, ConnectionResetError):
            pass
    return heard


def test_garbage_on_the_socket_ends_that_connection_alone(processes):
    """The relay says where the bytes stop being frames, and everybody else goes on."""
    relay = processes.relay()
    receiver = processes.receiver()
    sender = processes.peer("sender")
    sender.do("send", to="sink")
    under_load(processes, receiver)
    chance = random.Random(4)
    for _ in range(50):
        heard = answer_to(processes, chance.randbytes(chance.randrange(32, 5_000)))
        assert control_of(heard).reason is Reason.DAMAGE
    refused = control_of(answer_to(processes, b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n....."))
    assert refused.text.startswith("at byte 0: ")
    eventually(lambda: "at byte 0: a frame begins with ef be ad de" in relay.errors)
    under_load(processes, receiver)
    sent = finish(sender)
    assert processes.log() == list(range(sent))
    assert sender.statistics()["reconnects"] == 0
    assert relay.errors.count("\n") <= 2  # of 51: one line for this process a minute
    assert_bounded(relay, sender, receiver)


def test_an_oversized_frame_is_refused_by_its_header(processes):
    """Nothing of it is awaited or stored, and the error says how large a frame may be."""
    relay = processes.relay("--max-frame-mib", "1")
    before = relay.memory_mib
    head = control_frame(hello())[:24] + (16 * 1024 * 1024 - 32).to_bytes(4, "little") + bytes(4)
    refused = control_of(answer_to(processes, head))
    assert refused.text == "at byte 24: a frame of 16,777,216 bytes, and 1,048,576 is the most"
    assert relay.memory_mib < before + 4


@pytest.mark.long
def test_a_thousand_connects_and_disconnects_leave_nothing(processes):
    """Neither descriptors nor memory are left of connections, however they came and went."""
    relay = processes.relay()
    receiver = processes.receiver()

    def come_and_go(times: int) -> None:
        for number in range(times):
            with raw(processes) as sock:
                if number % 4 == 1:
                    sock.sendall(control_frame(hello(client=number + 1))[:100])
                elif number % 4 == 2:
                    sock.sendall(control_frame(hello(client=number + 1)))
                    assert isinstance(control_of(sock.recv(65_536)), Welcome)
                elif number % 4 == 3:
                    sock.sendall(b"\xff" * 100)

    descriptors = relay.descriptors
    come_and_go(200)  # what grows to its size once
    eventually(lambda: relay.descriptors == descriptors)
    before = relay.memory_mib
    come_and_go(1_000)
    eventually(lambda: relay.descriptors == descriptors)
    assert relay.memory_mib < before + 4
    sender = processes.peer("sender")
    sender.do("send", to="sink", count=100)
    receiver.event("handled", 100)


def test_a_peer_with_another_schema_is_denied_at_both_ends(processes):
    """Both are told which message differs and how; nothing is handled."""
    processes.relay()
    receiver = processes.receiver()
    sender = processes.peer("sender", other_schema=True)
    sender.do("send", to="sink")
    eventually(lambda: receiver.statistics()["denied"])
    (here,) = receiver.statistics()["denied"]
    there = sender.event("error")
    assert here.startswith("sink: the messages of 'receiver' and 'sender' differ: ")
    assert there.startswith("actor 'sink': the messages of 'sender' and 'receiver' differ: ")
    assert all("Numbered" in text and "number" in text for text in (here, there)), (here, there)
    assert processes.log() == []


def test_a_wrong_token_is_an_error_at_once(processes, monkeypatch):
    """The client does not try again, and says what to do; one with the token is served."""
    monkeypatch.setenv("SPORE_TOKEN", "right")
    relay = processes.relay()
    stranger = processes.peer("stranger", token="wrong")
    assert stranger.event("error") == (
        "the relay refuses this client (token): the token is wrong; ask whoever runs the relay"
    )
    assert stranger.wait() == 3
    eventually(lambda: "the token is wrong" in relay.errors)
    receiver = processes.receiver(token="right")
    sender = processes.peer("sender", token="right")
    sender.do("send", to="sink", count=50)
    receiver.event("handled", 50)
    assert "right" not in relay.errors
