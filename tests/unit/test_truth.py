"""What an operator is told: findings from made-up looks, and from systems that have ended."""

from __future__ import annotations

import errno
from typing import Any

import attrs
import pytest
import trio
from tests.modes import opened
from tests.pipeline_actors import Tick, Turn
from tests.unit.test_health import SECOND, actor, process, seen, shadow

from spore import Actor, ActorRef
from spore.deploy import Mode, SystemStatistics, make_plan
from spore.deploy.config import MonitorConfig
from spore.deploy.ended import Ended
from spore.deploy.ground import Incident
from spore.deploy.load import config_of
from spore.deploy.plan import Route
from spore.deploy.reading import EdgeReading, FeedReading, Reading, UnsentReading, reading_of
from spore.deploy.spec import RelaySpec
from spore.deploy.supervise import STARTS, Child
from spore.deploy.truth import Level, findings_of
from spore.errors import LinkDenied, UnitFailed
from spore.migration.health import Watch
from spore.nursery_bundle.policy import Overflow
from spore.observe.metrics import exposed
from spore.observe.warn import EXPECTED, QUIET_LOOKS, Warner
from spore.relay.control import Reason
from spore.relay.statistics import ClientStatistics
from spore.testing import run


def reading(*things: Any, at_s: float = 0.0, **changes: Any) -> Reading:
    kinds = {"actors": actor, "processes": process, "shadows": lambda: shadow(different=0)}
    of = {name: tuple(each for each in things if type(each) is type(make())) for name, make in kinds.items()}
    return Reading(at_ns=round(at_s * SECOND), **of, **changes)


def said(*things: Any, over: bool = False, **changes: Any) -> list[str]:
    return [str(finding) for finding in findings_of(reading(*things, **changes), over=over)]


def edge(sender: str, receiver: str, **changes: Any) -> EdgeReading:
    usual: dict[str, Any] = {
        "port": "out",
        "route": Route.REFERENCE,
        "reason": "",
        "pid": 7,
        "messages": 1,
        "full": True,
    }
    return EdgeReading(**{**usual, "sender": sender, "receiver": receiver, **changes})


@pytest.mark.parametrize(
    ("things", "changes", "text", "level"),
    [
        ([actor(lost={"deadline": 3})], {}, "actor 'desk': 3 messages lost (3 deadline)", Level.LOSS),
        (
            [actor(failed=1)],
            {},
            "actor 'desk': 1 message not handled to the end, because its handler raised",
            Level.LOSS,
        ),
        (
            [actor(lost={"dropped_oldest": 2, "conflated": 1})],
            {},
            "actor 'desk': 3 messages given up, as its overflow policy says (2 dropped oldest, 1 conflated)",
            Level.NOTE,
        ),
        ([actor(restarts=2)], {}, "actor 'desk': restarted 2 times, without its state", Level.FAULT),
        ([actor(skipped={"late": 5})], {}, "actor 'desk': 5 skipped (5 late)", Level.NOTE),
        (
            [process(denied=("a.out → b: they differ",))],
            {},
            "the process of actor 'desk': a link is refused: a.out → b: they differ",
            Level.LOSS,
        ),
        ([process(answers=False)], {}, "the process of actor 'desk': does not answer", Level.FAULT),
        (
            [process(restarts=1)],
            {},
            "the process of actor 'desk': restarted once, without the state of its actors",
            Level.FAULT,
        ),
        ([process(name="relay", restarts=1)], {}, "process 'relay': restarted once", Level.FAULT),
        (
            [process(unread={"checksum": 4})],
            {},
            "the process of actor 'desk': 4 frames of plain senders could not be read (4 checksum)",
            Level.FAULT,
        ),
        (
            [],
            {"incidents": (Incident(where="actor 'desk'", text="its process was killed by SIGKILL", at_ns=0),)},
            "the process of actor 'desk': its process was killed by SIGKILL (1970-01-01 00:00:00 UTC)",
            Level.FAULT,
        ),
        ([], {"stopped": ("desk",)}, "actor 'desk': has ended, and takes no messages", Level.FAULT),
        (
            [],
            {"ended": (Ended(name="desk", lost={"stopped": 2}),)},
            "actor 'desk': 2 messages lost (2 stopped)",
            Level.LOSS,
        ),
        (
            [],
            {"ended": (Ended(name="core", several=True, failed=2),)},
            "bundle 'core': of its actors that have ended: 2 messages not handled to the end, because its handler raised",
            Level.LOSS,
        ),
        (
            [],
            {"feeds": (FeedReading(name="feed 'feeds[0]'", read=9, used=7, skipped={"no swap": 2}),)},
            "feed 'feeds[0]': 2 skipped (2 no swap)",
            Level.NOTE,
        ),
        ([shadow(different=0, skipped=3)], {}, "bundle 'core': 3 skipped by its twin", Level.NOTE),
    ],
)
def test_each_thing_is_one_sentence(things: list[Any], changes: Any, text: str, level: Level) -> None:
    """With who it is about, how much, and how bad it is."""
    (finding,) = findings_of(reading(*things, **changes))
    assert (str(finding), finding.level) == (text, level)


def test_what_was_before_a_switch_is_added() -> None:
    """The actor is the same one for whoever looks at it."""
    assert said(actor(failed=1), ended=(Ended(name="desk", failed=2),)) == [
        "actor 'desk': 3 messages not handled to the end, because its handler raised"
    ]


def test_what_is_left_at_the_end_was_not_handled() -> None:
    """In a mailbox, held by a merge, or on the way: what the actor itself has lost is not counted twice. Before the end it is only queued."""
    assert said(actor(queued=3, held=2)) == []
    assert said(actor(queued=3, held=2), over=True) == [
        "actor 'desk': 5 messages had been sent to it and were not handled at the end"
    ]
    assert said(actor(queued=3, lost={"deadline": 3}), over=True) == ["actor 'desk': 3 messages lost (3 deadline)"]
    on_the_way = {
        "ended": (Ended(name="desk", lost={"deadline": 3}),),
        "unsent": (UnsentReading(sender="a", receiver="desk", messages=4),),
    }
    assert said(over=True, **on_the_way) == [
        "actor 'desk': 1 message had been sent to it and was not handled at the end",
        "actor 'desk': 3 messages lost (3 deadline)",
    ]


def test_the_worst_comes_first() -> None:
    """Losses, then faults, then what is meant."""
    found = findings_of(reading(actor(lost={"full": 1}, restarts=1, failed=1)))
    assert [finding.level for finding in found] == [Level.LOSS, Level.FAULT, Level.NOTE]


def test_who_holds_up_whom_is_told_from_the_end_of_the_row() -> None:
    """One that is suspended is at fault; one that is only slower slows its senders down, as is meant."""
    chain = (edge("feeds[0]", "a"), edge("a", "b"))
    waiting = actor(name="a", queued=10)
    assert said(waiting, actor(name="b", queued=10, state="suspended"), edges=chain) == [
        "actor 'b': it is suspended, and holds up feeds[0] → a → b"
    ]
    (slow,) = findings_of(reading(waiting, actor(name="b", queued=10), edges=chain))
    assert (slow.text, slow.level) == ("it has 10 of 10 queued, and holds up feeds[0] → a → b", Level.NOTE)
    lossy = actor(name="b", queued=10, overflow=Overflow.DROP_OLDEST)
    assert [finding.actor for finding in findings_of(reading(waiting, lossy, edges=chain))] == ["a"]
    ring = (edge("a", "b"), edge("b", "a"))
    assert len(said(waiting, actor(name="b", queued=10), edges=ring)) == 1


def test_a_monitor_that_comes_late_knows_what_happened_before() -> None:
    """Not healthy, with what there was before the first look; only who asks for that counts from the first look on."""
    look = (actor(failed=3, restarts=1), process(restarts=1, dead_letters=3))

    def watched(*, from_now: bool) -> Any:
        watch = Watch(MonitorConfig(), from_now=from_now)
        for second in range(2):
            health = watch.see(reading(*look, at_s=second))
        return health

    health, fresh = watched(from_now=False), watched(from_now=True)
    assert not health.healthy
    assert {excess.limit for excess in health.excesses} == {"max_lost", "max_restarts", "max_dead_letters"}
    assert [str(finding) for finding in health.before] == [
        "actor 'desk': 3 messages not handled to the end, because its handler raised",
        "the process of actor 'desk': restarted once, without the state of its actors",
        "actor 'desk': restarted once, without its state",
    ]
    assert (fresh.healthy, fresh.before) == (True, health.before)


@pytest.mark.parametrize(
    "things", [[process(denied=("a → b: they differ",))], [actor(state="suspended")], [process(unread={"magic": 1})]]
)
def test_what_no_limit_decides_about_is_not_healthy(things: list[Any]) -> None:
    """A refused link, and what has been down for some looks."""
    assert not seen(*[tuple(things)] * 5).healthy


def test_what_a_policy_gave_up_is_no_dead_letter_that_a_limit_decides_about() -> None:
    """Who chose the policy has meant it."""
    look = (actor(lost={"dropped_oldest": 5}, process="actor 'desk'"), process(dead_letters=5))
    health = seen((actor(process="actor 'desk'"), process()), look)
    assert health.healthy
    assert [finding.count for finding in health.notes] == [5]
    worse = seen((actor(process="actor 'desk'"), process()), (look[0], process(dead_letters=6)))
    assert [str(excess) for excess in worse.excesses] == [
        "the process of actor 'desk': max_dead_letters is 0, and this was 1"
    ]


def fallen(*looks: tuple[float, int]) -> list[str]:
    """What a warner says at the last of some looks: the time, and how many were handled by then. The process is 100 s older."""
    warner = Warner()
    for at_s, handled in looks:
        found = warner.see(reading(actor(handled=handled, process="p"), process(name="p", age_s=100 + at_s), at_s=at_s))
    return [finding.text for finding in found if finding.kind == "rate fell to nothing"]


def test_a_rate_that_fell_to_nothing_is_noticed_by_who_comes_late_too() -> None:
    """By the mean since the process began, once its pause is no chance any more."""
    rate = 100 * EXPECTED
    assert fallen(*((at, 100 * rate) for at in range(QUIET_LOOKS + 1))) == [
        "it handled 10,000 messages a second before, and none in the last 3 s"
    ]
    assert fallen(*((at, 100 * rate) for at in range(QUIET_LOOKS))) == []
    assert fallen(*((at, 100 * rate + at // 3) for at in range(QUIET_LOOKS + 1))) == []
    assert fallen(*((at, 10) for at in range(9))) == []


def test_a_burst_now_and_then_is_no_rate_that_fell() -> None:
    """A pause as long as those before is one that is usual."""
    looks = [(at, 10_000 * (at // 10)) for at in range(40)]
    assert fallen(*looks) == []
    assert fallen(*looks, *((at, 30_000) for at in range(40, 80))) != []


def test_metrics_count_findings_by_kind_and_level() -> None:
    """All kinds are there, so that an alert need not know which can be."""
    text = exposed(reading(process(denied=("a → b: no",)), actor(skipped={"late": 2})))[0].decode()
    assert 'spore_findings{kind="denied link",level="loss"} 1.0' in text
    assert 'spore_findings{kind="stopped",level="fault"} 0.0' in text
    assert "spore_process_denied_links{process=\"actor 'desk'\"} 1.0" in text
    assert 'spore_actor_messages_skipped_total{actor="desk",bundle="core",reason="late"} 2.0' in text


# Systems


@attrs.define
class Splits(Actor[Tick]):
    """Passes on a turn for each, and fails at number 3."""

    out: ActorRef[Turn]

    def handle(self, message: Tick) -> None:
        if message.number == 3:
            raise ValueError("three")
        self.out.tell(Turn(message.event_time_ns, message.number, 0))


@attrs.define
class Stuck(Actor[Turn]):
    """Handles none to its end."""

    async def handle(self, message: Turn) -> None:
        await trio.sleep_forever()


def stuck(**options: Any) -> Any:
    actors = {
        "splits": {"type": "tests.unit.test_truth:Splits", "supervision": {"on_failure": "resume"}},
        "stuck": {"type": "tests.unit.test_truth:Stuck", **options},
    }
    return config_of({"bundles": [{"name": "core", "mode": "relay", "drain_timeout_s": 1.0, "actors": actors}]})


@pytest.mark.parametrize("mode", [Mode.SHARED_MEMORY, Mode.RELAY])
@pytest.mark.parametrize("capacity", [5, 100])
def test_a_drain_that_times_out_says_how_much_of_which_actor(mode: Mode, capacity: int) -> None:
    """Wherever the messages are then: in the mailbox, on the way to it, or in hand. Together they are all that were sent."""

    async def main() -> Any:
        async with opened(stuck(capacity=capacity), mode) as system:
            ref = system.ref("splits")
            for number in range(20):
                ref.tell(Tick(number, number))
            await trio.sleep(0.1)
        assert system.last is not None
        return findings_of(reading_of(system.plan, system.last), over=True)

    found = run(main)
    counts: dict[str, int] = {}
    for finding in found:
        assert finding.loses
        assert finding.actor is not None
        counts[finding.actor] = counts.get(finding.actor, 0) + finding.count
    assert counts == {"splits": 1, "stuck": 19}


def test_a_refused_link_is_in_the_look_of_its_process() -> None:
    """At whichever of its ends."""
    plan = make_plan(stuck())
    counts = (0, 0, 0, 0)
    client = ClientStatistics("c", True, 0, 0, ("stuck: they differ",), (), (), *counts, refused=("a → b: no",))
    look = reading_of(plan, SystemStatistics(units={}, processes={"outside": 7}, client=client))
    assert look.processes[0].denied == ("stuck: they differ", "a → b: no")


def test_whoever_waits_for_a_system_to_be_idle_is_told_of_a_refused_link() -> None:
    """What was sent over it will not be handled."""

    async def main() -> None:
        async with opened(stuck(), Mode.RELAY) as system:
            system.ref("splits").tell(Tick(3, 3))  # of which nothing comes
            await system.wait_idle()
            system.ref("splits").tell(Tick(3, 3))
            (link,) = system._links.outgoing
            link.deny("splits", Reason.SCHEMA, "they differ")
            with pytest.raises(LinkDenied, match="they differ; 1 message that was sent to it is not handled"):
                await system.wait_idle()

    run(main)


# Processes that cannot be started


class Refusing:
    """Makes no process for so many times."""

    def __init__(self, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.tried = times, 0
        self.real = trio.lowlevel.open_process
        monkeypatch.setattr(trio.lowlevel, "open_process", self)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        await trio.lowlevel.checkpoint()
        self.tried += 1
        if self.tried <= self.left:
            raise OSError(errno.EMFILE, "Too many open files")
        raise Started


class Started(Exception):
    """It was tried until it could be."""


@pytest.mark.parametrize("times", [1, STARTS.max_restarts])
def test_a_process_that_cannot_be_started_is_tried_again(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wait that grows; it is said each time, and is known to who looks later."""
    said: list[str] = []
    noted: list[str] = []
    refusing = Refusing(times, monkeypatch)

    async def main() -> None:
        await Child(RelaySpec(label="relay", address="unix:x", heartbeat_s=1.0), said.append, note=noted.append).keep()

    with pytest.raises(Started):
        run(main)
    assert (refusing.tried, len(said), len(noted)) == (times + 1, times, 1)
    assert said[0].startswith("relay: its process cannot be started: Too many open files; tried again in 0.")


def test_a_process_that_never_ran_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was wrong; one that has run is tried for ever, because all others wait for it."""
    refusing = Refusing(1_000, monkeypatch)
    spec = RelaySpec(label="relay", address="unix:x", heartbeat_s=1.0)

    async def first() -> None:
        await Child(spec, lambda _: None).keep()

    with pytest.raises(UnitFailed, match="cannot be started, tried 9 times: Too many open files"):
        run(first)

    async def again() -> None:
        child = Child(spec, lambda _: None)
        child.started.set()
        await child.keep()

    with pytest.raises(Started):
        run(again)
    assert refusing.tried == 1_001
