"""The sans-IO link over the faulty carrier against lists: 10,000 schedules in CI (`make schedules`), some hundred otherwise.

Each schedule sends, moves bytes, harms frames, cuts connections, restarts the relay, kills receivers, moves them about and
lets time pass, all in any order; then everything is healed, and what was handled is compared with what was sent.
`python -m tests.property.test_link_machine` prints how many schedules that is a second.
"""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.property.link_world import World

from spore.relay.control import Policy

SHARDS = 8
SCHEDULES = int(os.environ.get("SPORE_SCHEDULES", "400"))
STEPS = 20

number = st.integers(0, 255)
amount = st.sampled_from([None, None, 0, 1, 33, 70, 150])
POLICIES = [policy for policy in Policy if policy is not Policy.PAUSED]


class LinkMachine(RuleBasedStateMachine):
    """One schedule."""

    @initialize(
        windows=st.lists(st.integers(1, 8), min_size=4, max_size=4),
        policies=st.lists(st.sampled_from(POLICIES), min_size=4, max_size=4),
        capacity=st.integers(1, 6),
        connected=st.booleans(),
    )
    def begin(self, windows: list[int], policies: list[Policy], capacity: int, connected: bool) -> None:
        self.world = World(windows=windows, policies=policies, capacity=capacity)
        if connected:
            for _ in range(5):
                self.world.work()

    @rule(link=number, kind=st.integers(0, 2), how=st.integers(0, 7), count=st.integers(1, 6), flush=st.booleans())
    def send(self, link: int, kind: int, how: int, count: int, flush: bool) -> None:
        books = self.world.books[link % len(self.world.books)]
        for n in range(count):
            self.world.send(books, (kind + n) % 3, tell=how % 3 == 2, ask=how >= 6)
        if flush:
            self.world.flush(books.sender)

    @rule(kind=st.integers(0, 2), rounds=st.integers(1, 4))
    def everybody_sends(self, kind: int, rounds: int) -> None:
        for n in range(rounds):
            for books in self.world.books:
                self.world.send(books, kind + n, tell=False, ask=n == 2)
        for process in self.world.processes:
            self.world.flush(process)

    @rule(who=number, most=amount)
    def write(self, who: int, most: int | None) -> None:
        """What clients have said goes on its way, and some of it reaches the relay."""
        for process in self.world.processes:
            self.world.flush(process)
        connections = [connection for connection in self.world.connections.values() if len(connection.up)]
        if connections:
            self.world.move_up(connections[who % len(connections)], most)

    @rule(who=number, most=amount)
    def read(self, who: int, most: int | None) -> None:
        processes = [p for p in self.world.processes if p.connection is not None and len(p.connection.down)]
        if processes:
            self.world.move_down(processes[who % len(processes)], most)

    @rule(who=number, take=st.integers(0, 4), finish=st.integers(0, 4), pick=number, acknowledge=st.booleans())
    def handle(self, who: int, take: int, finish: int, pick: int, acknowledge: bool) -> None:
        world = self.world
        process = world.receivers[who % 2]
        for _ in range(take):
            world.take(process, pick)
        for _ in range(finish):
            world.finish(process, pick)
        if acknowledge:
            process.session.acknowledge()

    @rule(rounds=st.integers(1, 3))
    def everybody_works(self, rounds: int) -> None:
        for _ in range(rounds):
            self.world.work()

    @rule(what=st.sampled_from(["corrupt", "drop", "duplicate"]), pick=number, where=number, on=st.booleans())
    def harm(self, what: str, pick: int, where: int, on: bool) -> None:
        """Something is on its way, to the relay or from there, and is harmed."""
        self.everybody_sends(pick % 3, 1)
        if on:
            for connection in list(self.world.connections.values()):
                self.world.move_up(connection, None)
        self.world.harm(what, pick=pick, offset=where, change=1 << pick % 8)

    @rule(who=number, how=st.integers(0, 3))
    def cut(self, who: int, how: int) -> None:
        """At either end first, with or without what is under way; and all the others come back."""
        process = self.world.processes[who % 4]
        connection = process.connection
        for other in self.world.processes:
            self.world.connect(other)
        if connection is None:
            return
        if how & 1:
            connection.up.read()
            connection.down.read()
        if how & 2:
            self.world.lose(process)
        elif connection.relay_end:
            self.world.drop(connection)

    @rule(what=st.integers(1, 4))
    def die(self, what: int) -> None:
        """The relay, or a receiver."""
        if what in (2, 3):
            self.world.kill(what)
        else:
            self.world.restart_relay()

    @rule(name=st.sampled_from(["alpha", "beta", "early", "late"]), to=st.integers(0, 2), leave=st.booleans())
    def move(self, name: str, to: int, leave: bool) -> None:
        """A receiver is attached, detached, or lives somewhere else from now on."""
        world = self.world
        home = world.homes[name]
        if home is not None and world.receivers[to % 2] is home:
            world.detach(name, home)
            home.in_hand = [(link, arrival) for link, arrival in home.in_hand if link.receiver != name]
        elif home is not None:
            if home.connection is not None or leave:
                world.detach(name, home, leave=leave and name in ("early", "late"))
            world.homes[name] = None
        if to < 2 and world.homes[name] is None:
            world.attach(name, world.receivers[to])

    @rule(who=number, pauses=st.booleans())
    def pause(self, who: int, pauses: bool) -> None:
        """Receivers that would refuse what finds no room do not for a time."""
        self.world.pause(self.world.receivers[who % 2], pauses=pauses)

    @rule(by_s=st.sampled_from([0.5, 2.0, 3.0, 7.0]))
    def wait(self, by_s: float) -> None:
        self.world.pass_time(by_s)

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()


def run(schedules: int, shard: int) -> None:
    """Run some schedules, which the shard's number decides."""
    chosen = settings(
        max_examples=schedules,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    run_state_machine_as_test(seed(shard)(LinkMachine), settings=chosen)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_schedule_ends_with_the_same_lists(shard: int) -> None:
    """Whatever happens on the way, everything is handled as it was sent, or its loss is counted."""
    run(SCHEDULES // SHARDS, shard)


if __name__ == "__main__":
    start = time.perf_counter()
    run(1_000, 0)
    print(f"{1_000 / (time.perf_counter() - start):.0f} schedules a second")
