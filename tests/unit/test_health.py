"""What is healthy: verdicts on made-up looks at a system."""

import attrs
import pytest

from spore.deploy.config import Mode, MonitorConfig
from spore.deploy.reading import ActorReading, ProcessReading, Reading, ShadowReading
from spore.migration.health import Watch
from spore.nursery_bundle.statistics import Sampled

SECOND = 1_000_000_000


def actor(**given):
    known = {"handled": 0, "failed": 0, "lost": {}, "queued": 0, "capacity": 10, "restarts": 0}
    timed = {"handling": Sampled(), "waiting": Sampled()}
    place = {"name": "desk", "bundle": "core", "mode": Mode.RELAY, "pid": 7, "state": "running"}
    return ActorReading(**{**place, **known, **timed, **given})


def process(**given):
    return ProcessReading(**{"name": "actor 'desk'", "pid": 7, **given})


def shadow(**given):
    twin = {"bundle": "core", "pid": 7, "state": "following", "reason": "", "skipped": 0, "compared": 0}
    return ShadowReading(**{**twin, **given})


def seen(*looks, **limits):
    """What the last of some looks shows, one a second. A look is an actor, a process or a shadow, or several."""
    watch = Watch(MonitorConfig(**limits), from_now=True)
    for second, look in enumerate(looks):
        things = look if isinstance(look, tuple) else (look,)
        of = {cls: tuple(each for each in things if isinstance(each, cls)) for cls in map(type, things)}
        health = watch.see(
            Reading(
                at_ns=second * SECOND,
                actors=of.get(ActorReading, ()),
                processes=of.get(ProcessReading, ()),
                shadows=of.get(ShadowReading, ()),
            )
        )
    return health


def said(*looks, **limits):
    return [str(excess) for excess in seen(*looks, **limits).excesses]


def test_the_first_look_says_nothing():
    """It takes two to tell a rate, and what was before is not counted."""
    assert seen(actor(lost={"stopped": 9}, failed=3, restarts=2)) is None
    (desk,) = seen(*[actor(lost={"stopped": 9}, failed=3, restarts=2, handled=50)] * 2).actors
    assert (desk.per_second, desk.lost, desk.restarts) == (0, {}, 0)


def test_rates_and_times_are_of_the_time_between_two_looks():
    """Means of what was timed in it, and nothing where nothing was."""
    early = actor(handled=1_000, handling=Sampled(4, 8_000, 9), waiting=Sampled(4, 4_000, 9))
    late = actor(handled=3_500, handling=Sampled(6, 28_000, 9), waiting=Sampled(4, 4_000, 9))
    (desk,) = seen(early, late).actors
    assert (desk.per_second, desk.handling_us, desk.waiting_us, desk.latency_us) == (2_500, 10.0, None, 10.0)


@pytest.mark.parametrize(
    ("looks", "excess"),
    [
        ([actor(), actor(failed=2)], "actor 'desk': max_lost is 0, and this was 2"),
        ([actor(), actor(lost={"deadline": 1, "stopped": 2})], "actor 'desk': max_lost is 0, and this was 3"),
        ([actor(), actor(restarts=1)], "actor 'desk': max_restarts is 0, and this was 1"),
        ([process(), process(restarts=2)], "the process of actor 'desk': max_restarts is 0, and this was 2"),
        (
            [process(name="relay"), process(name="relay", restarts=1)],
            "process 'relay': max_restarts is 0, and this was 1",
        ),
        ([process(), process(dead_letters=4)], "the process of actor 'desk': max_dead_letters is 0, and this was 4"),
        ([actor(queued=10)] * 3, "actor 'desk': max_queue_share is 0.9, and this was 1"),
        (
            [actor(), actor(waiting=Sampled(1, 150_000_000, 0))],
            "actor 'desk': max_latency_us is 100,000, and this was 150,000",
        ),
        (
            [shadow(different=1), shadow(different=2)],
            "bundle 'core': max_shadow_differences is 0, and this was 1",
        ),
        ([process(answers=False)] * 3, "the process of actor 'desk' does not answer"),
    ],
)
def test_what_exceeds_a_limit_is_not_healthy(looks, excess):
    """It is said which limit, where, and by how much."""
    assert said(*looks) == [excess]


@pytest.mark.parametrize(
    ("looks", "limits"),
    [
        ([actor(), actor(failed=2)], {"max_lost": 2}),
        ([actor(), actor(restarts=1)], {"max_restarts": 1}),
        ([actor(), actor(lost=dict.fromkeys(["full", "dropped_oldest", "dropped_newest", "conflated"], 5))], {}),
        ([actor(queued=10), actor(queued=10), actor(queued=9), actor(queued=10)], {}),
        ([actor(queued=10)] * 2, {}),
        ([process(), process(answers=False), process(answers=False), process()], {}),
        ([shadow(different=1), shadow(different=2)], {"max_shadow_differences": 1}),
        ([actor(), actor(waiting=Sampled(1, 150_000_000, 0))], {"max_latency_us": 150_000.0}),
    ],
)
def test_what_stays_within_the_limits_is_healthy(looks, limits):
    """Up to the limit; what a policy gives up is meant, and a queue may be long for a moment."""
    assert seen(*looks, **limits).healthy


def test_what_a_new_process_has_counted_has_all_happened_while_somebody_watched():
    """It began at nothing, after the last look, whatever its predecessor had counted."""
    (desk,) = seen(actor(handled=900, failed=5), actor(handled=1_000, failed=6, pid=8)).actors
    assert (desk.per_second, desk.lost) == (1_000, {"failed": 6})


def test_a_process_that_was_silent_for_a_look_goes_on_from_where_it_was():
    """And not from nothing, as it says nothing."""
    quiet, busy = process(answers=False), process(restarts=3, dead_letters=5)
    assert seen(busy, quiet, busy).healthy
    assert said(busy, quiet, attrs.evolve(busy, restarts=4)) == [
        "the process of actor 'desk': max_restarts is 0, and this was 1"
    ]


def test_what_was_not_healthy_stays_so_with_its_worst():
    """Somebody who looks at the end is to know."""
    slow = Sampled(1, 200_000_000, 0)
    assert said(actor(), actor(waiting=slow), actor(waiting=Sampled(3, 500_000_000, 0))) == [
        "actor 'desk': max_latency_us is 100,000, and this was 200,000"
    ]
    assert len(said(*[actor(queued=10)] * 4, actor(), actor(failed=1))) == 2


def test_how_many_were_restarted_and_undeliverable_is_summed_over_processes():
    """Since the first look."""
    others = [process(name="actor 'a'", restarts=number, dead_letters=2 * number) for number in (1, 3)]
    health = seen((process(dead_letters=1), others[0]), (process(dead_letters=2), others[1]))
    assert (health.restarts, health.dead_letters) == (2, 5)
    assert seen(shadow(different=0, compared=10, skipped=1), shadow(different=0, compared=15, skipped=4)).shadows[
        0
    ] == attrs.evolve(seen(*[shadow(different=0)] * 2).shadows[0], compared=5, skipped=3)
