"""Metrics for Prometheus. A scrape is a look: what is counted anyway is read then, and nothing is counted for it.

Counters are those of the process that counts. They begin anew with a process that is started again and with an actor that is switched,
which Prometheus knows as a counter reset: `rate` and `increase` stay right. So no counter here adds up what two processes count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import trio

from spore.deploy.reading import Reading
from spore.deploy.truth import Kind, Level, findings_of
from spore.distribution import needs
from spore.errors import ControlError, NothingRuns
from spore.nursery_bundle.policy import Loss
from spore.nursery_bundle.statistics import Sampled
from spore.observe.source import Source

with needs("metrics"):
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.registry import Collector, CollectorRegistry
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

__all__ = ["DEFAULT_PLACE", "ReadingCollector", "exposed", "metrics_app"]

DEFAULT_PLACE = "127.0.0.1:9464"
ACTOR = ("bundle", "actor")
EDGE = ("sender", "port", "receiver", "route")
SAMPLED = "of those messages that were timed: the first of each sender, and one in 256 or, of a queue, more"


class ReadingCollector(Collector):
    """The metrics of one look.

    Args:
        reading: what was seen; None if nothing runs.
    """

    def __init__(self, reading: Reading | None) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("spore_up", "Whether a system runs and answers.", int(self._reading is not None))
        if self._reading is not None:
            yield from _of_actors(self._reading)
            yield from _of_edges(self._reading)
            yield from _of_processes(self._reading)
            yield from _of_shadows(self._reading)
            yield from _of_feeds(self._reading)
            yield from _of_ended(self._reading)
            yield from _findings(self._reading)


def exposed(reading: Reading | None, accept: str = "") -> tuple[bytes, str]:
    """A look in the format that a client accepts, and that format's name.

    Args:
        reading: what was seen; None if nothing runs.
        accept: the header of that name.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ReadingCollector(reading))
    encode, kind = choose_encoder(accept)
    return encode(registry), kind


class Scrapes:
    """Looks for those who scrape. Who comes during a look shares the next one with all others who do: a crowd costs a system no more than one client.

    Args:
        source: looks at the system.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._turn = trio.Lock()
        self._begun = 0
        self._seen_number = 0
        """Which of the looks that have begun was the last that came to its end."""
        self._seen: Reading | ControlError | None = None
        self._encoded: dict[str, tuple[bytes, str]] = {}
        """Of the last look, by format."""

    async def answer(self, accept: str) -> tuple[bytes, str]:
        """A look that begins no sooner than now, in the format that a client accepts, and that format's name.

        Cancellation: always a checkpoint.

        Raises:
            ControlError: if the system does not answer. That nothing runs is none: then `spore_up` is 0.
        """
        wanted = self._begun + 1
        async with self._turn:
            if self._seen_number < wanted:
                self._begun += 1
                try:
                    self._seen = await self._source.look()
                except NothingRuns:
                    self._seen = None
                except ControlError as error:
                    self._seen = error
                self._seen_number = self._begun
                self._encoded.clear()
            if isinstance(self._seen, ControlError):
                raise ControlError(self._seen.config, self._seen.reason)
            _, kind = choose_encoder(accept)
            if kind not in self._encoded:
                self._encoded[kind] = exposed(self._seen, accept)
            return self._encoded[kind]


def metrics_app(source: Source) -> Starlette:
    """What is served at ``/metrics``. Nothing that runs is no error: then `spore_up` is 0."""
    scrapes = Scrapes(source)

    async def scrape(request: Request) -> Response:
        try:
            body, kind = await scrapes.answer(request.headers.get("accept", ""))
        except ControlError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return Response(body, headers={"Content-Type": kind})

    async def hint(_: Request) -> Response:  # noqa: ASYNC124 - what is not async, starlette calls in a thread
        return PlainTextResponse("metrics are at /metrics\n")

    return Starlette(routes=[Route("/metrics", scrape), Route("/", hint)])


def _of_actors(reading: Reading) -> Iterator[Metric]:
    handled = _counter("spore_actor_messages_handled", "Messages handled.", ACTOR)
    failed = _counter("spore_actor_messages_failed", "Messages at which the handler raised.", ACTOR)
    lost = _counter(
        "spore_actor_messages_lost",
        "Messages that came and were not handled, by reason. What senders in other processes have given up is "
        "spore_edge_messages_lost_total.",
        (*ACTOR, "reason"),
    )
    queued = _gauge(
        "spore_actor_queue_messages", "Messages that wait, in the mailbox or unacknowledged on the way.", ACTOR
    )
    capacity = _gauge("spore_actor_queue_capacity_messages", "Messages that the mailbox holds.", ACTOR)
    blocked = _gauge(
        "spore_actor_blocked_senders", "Senders in the same process that wait for room in the mailbox.", ACTOR
    )
    held = _gauge("spore_actor_held_messages", "Messages that a merge by event time holds back.", ACTOR)
    skipped = _counter(
        "spore_actor_messages_skipped", "What the actor says that it did not use, by reason.", (*ACTOR, "reason")
    )
    restarts = _counter("spore_actor_restarts", "Restarts after a failure, each without the actor's state.", ACTOR)
    running = _gauge("spore_actor_running", "Whether it runs, and is not starting, suspended or stopped.", ACTOR)
    handling = SummaryMetricFamily(
        "spore_actor_handling_seconds", f"Time in the handler and what it calls inline, {SAMPLED}.", labels=ACTOR
    )
    waiting = SummaryMetricFamily("spore_actor_waiting_seconds", f"Time in the mailbox, {SAMPLED}.", labels=ACTOR)
    mode = _gauge("spore_bundle_info", "The mode in which a bundle runs, always 1.", ("bundle", "mode"))
    given_up: dict[str, dict[str, int]] = {}
    for edge in reading.edges:
        of_receiver = given_up.setdefault(edge.receiver, {})
        for reason, count in edge.lost.items():
            of_receiver[reason] = of_receiver.get(reason, 0) + count
    for actor in reading.actors:
        labels = (actor.bundle, actor.name)
        handled.add_metric(labels, actor.handled)
        failed.add_metric(labels, actor.failed)
        for reason in Loss:
            if reason is not Loss.FAILED:
                at_links = given_up.get(actor.name, {}).get(reason, 0)
                lost.add_metric((*labels, reason.value), actor.lost.get(reason, 0) - at_links)
        queued.add_metric(labels, actor.queued)
        capacity.add_metric(labels, actor.capacity)
        blocked.add_metric(labels, actor.blocked)
        held.add_metric(labels, actor.held)
        for reason, count in actor.skipped.items():
            skipped.add_metric((*labels, reason), count)
        restarts.add_metric(labels, actor.restarts)
        running.add_metric(labels, int(actor.state == "running"))
        _add_times(handling, labels, actor.handling)
        _add_times(waiting, labels, actor.waiting)
    for bundle, name in sorted({(actor.bundle, actor.mode.value) for actor in reading.actors}):
        mode.add_metric((bundle, name), 1)
    yield from (handled, failed, lost, queued, capacity, blocked, held, skipped, restarts, running, handling, waiting)
    yield mode


def _of_edges(reading: Reading) -> Iterator[Metric]:
    sent = _counter("spore_edge_messages", "Messages that a sender has sent to a receiver.", EDGE)
    lost = _counter(
        "spore_edge_messages_lost", "Messages that the receiver's policy gave up before they left.", (*EDGE, "reason")
    )
    encoded = _counter("spore_edge_encoded_bytes", "Bytes written as frames, those written again included.", EDGE)
    saved = _counter(
        "spore_edge_saved_bytes",
        "Bytes that messages passed by reference would have taken as frames: an estimate.",
        EDGE,
    )
    denied = _gauge("spore_edge_denied", "Whether the receiver takes nothing from the sender.", EDGE)
    outstanding = _gauge("spore_edge_outstanding_messages", "Messages sent by relay and not acknowledged.", EDGE)
    for edge in reading.edges:
        labels = (edge.sender, edge.port, edge.receiver, edge.route.value)
        sent.add_metric(labels, edge.messages)
        for reason, count in edge.lost.items():
            lost.add_metric((*labels, reason), count)
        encoded.add_metric(labels, edge.encoded_bytes)
        saved.add_metric(labels, edge.saved_bytes)
        outstanding.add_metric(labels, edge.outstanding)
        denied.add_metric(labels, int(bool(edge.denied)))
    yield from (sent, lost, encoded, saved, outstanding, denied)


def _of_processes(reading: Reading) -> Iterator[Metric]:
    label = ("process",)
    answers = _gauge("spore_process_answers", "Whether the process has said in time what it has counted.", label)
    cpu = _counter("spore_process_cpu_seconds", "User and system time.", label)
    memory = _gauge("spore_process_resident_memory_bytes", "Memory, what it shares with others included.", label)
    restarts = _counter("spore_process_restarts", "How often it has died and was started again.", label)
    letters = _counter("spore_process_dead_letters", "Messages that were not handled, or not to their end.", label)
    reconnects = _counter("spore_process_relay_reconnects", "Connections to the relay that were lost.", label)
    unread = _counter(
        "spore_process_unread_frames",
        "Frames of plain senders that could not be read, by reason.",
        ("process", "reason"),
    )
    denied = _gauge("spore_process_denied_links", "Links from the process and to it that are refused.", label)
    for process in reading.processes:
        answers.add_metric((process.name,), int(process.answers))
        if process.cpu_s is not None and process.resident_bytes is not None:
            cpu.add_metric((process.name,), process.cpu_s)
            memory.add_metric((process.name,), process.resident_bytes)
        if process.answers:
            restarts.add_metric((process.name,), process.restarts)
            letters.add_metric((process.name,), process.dead_letters)
            reconnects.add_metric((process.name,), process.reconnects)
            denied.add_metric((process.name,), len(process.denied))
            for reason, count in process.unread.items():
                unread.add_metric((process.name, reason), count)
    yield from (answers, cpu, memory, restarts, letters, reconnects, denied, unread)


def _of_shadows(reading: Reading) -> Iterator[Metric]:
    label = ("bundle",)
    compared = _counter("spore_shadow_compared_messages", "Messages of a bundle held against those of its twin.", label)
    different = _counter("spore_shadow_different_messages", "Of these, how many were different.", label)
    skipped = _counter("spore_shadow_skipped_messages", "Messages that the twin did not get.", label)
    for shadow in reading.shadows:
        compared.add_metric((shadow.bundle,), shadow.compared)
        different.add_metric((shadow.bundle,), shadow.different)
        skipped.add_metric((shadow.bundle,), shadow.skipped)
    yield from (compared, different, skipped)


def _of_feeds(reading: Reading) -> Iterator[Metric]:
    read = _counter("spore_feed_read", "What a feed has read.", ("feed",))
    skipped = _counter("spore_feed_skipped", "Of it, what became no message, by reason.", ("feed", "reason"))
    for feed in reading.feeds:
        read.add_metric((feed.name,), feed.read)
        for reason, count in feed.skipped.items():
            skipped.add_metric((feed.name, reason), count)
    yield from (read, skipped)


def _of_ended(reading: Reading) -> Iterator[Metric]:
    """Of what is there no more. An actor's own counters have begun anew, or are gone."""
    failed = _counter("spore_ended_messages_failed", "Messages at which actors failed that are there no more.", ("of",))
    lost = _counter("spore_ended_messages_lost", "Messages that they lost, by reason.", ("of", "reason"))
    restarts = _counter("spore_ended_restarts", "How often they were restarted.", ("of",))
    for ended in reading.ended:
        name = f"bundle {ended.name}" if ended.several else ended.name
        failed.add_metric((name,), ended.failed)
        restarts.add_metric((name,), ended.restarts)
        for reason, count in ended.lost.items():
            lost.add_metric((name, reason), count)
    yield from (failed, lost, restarts)


def _findings(reading: Reading) -> Iterator[Metric]:
    """All kinds at all levels, so that an alert need not know which can be."""
    found = _gauge("spore_findings", "What an operator has to know, as `spore monitor` says it.", ("kind", "level"))
    counts = Counter((finding.kind, finding.level) for finding in findings_of(reading))
    for kind in Kind:
        for level in Level:
            found.add_metric((kind.value, level.value), counts[kind, level])
    yield found


def _counter(name: str, what: str, labels: Iterable[str]) -> CounterMetricFamily:
    return CounterMetricFamily(name, what, labels=tuple(labels))


def _gauge(name: str, what: str, labels: Iterable[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, what, labels=tuple(labels))


def _add_times(summary: SummaryMetricFamily, labels: tuple[str, ...], sampled: Sampled) -> None:
    summary.add_metric(labels, count_value=sampled.count, sum_value=sampled.total_ns / 1e9)
