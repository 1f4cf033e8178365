"""``spore run``: run what a configuration describes."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import trio

from spore.cli.check import import_beside
from spore.deploy import Plan, System, UnitKind, load_config, make_plan, run_plan
from spore.deploy.control import serve_control
from spore.deploy.control_socket import claim, socket_path
from spore.deploy.logs import Level, Logs, set_up_logs
from spore.deploy.nodes import own_node
from spore.deploy.reading import reading_of
from spore.deploy.truth import findings_of
from spore.errors import SporeError, first_cause
from spore.observe.serving import open_views
from spore.observe.source import SystemSource

__all__ = ["run"]

FAILED = 1
INTERRUPTED = 130
"""128 + SIGINT, as a shell reports it."""


def run(config: Path, /, *, node: str | None = None, log_json: bool = False, log_level: Level | None = None) -> int:
    """Run a system: a process for each bundle in shared_memory, for each actor in relay, for each feed, and for the relay.

    A process that dies is started again. SIGTERM and Ctrl-C end the system once everything that was sent has been handled;
    a second Ctrl-C ends it at once. While it runs, `spore monitor`, `spore switch` and `spore rollback` reach it by the same file,
    which one process at a time can run. A system whose feeds have ended ends by itself. Of a bundle in shadow mode it says the first
    difference to its twin, and in the end what was compared; the exit code does not depend on it. `[observe]` in the file has it serve
    metrics and the dashboard.

    Of a system with several nodes it runs the part of one. Feeds begin once all nodes are there. A node that ends waits until the others have
    acknowledged what it has sent, for as long as its bundles may take to drain; what was not acknowledged by then is said.

    In the end there is a line for each actor that has lost something, with how much and why. What an overflow policy gave up is among it, and
    does not count as lost.

    Exit codes: 0 ended, and every message was handled, or given up by an overflow policy · 1 a part has failed, or messages were lost · 2 the
    configuration cannot work · 130 interrupted.

    Parameters
    ----------
    config
        The file, in TOML.
    node
        Which of its nodes runs here; where it has several, it has to be said.
    log_json
        Write logs, on stderr, as JSON, an object a line; as `logs = "json"` in `[observe]` does.
    log_level
        Write what is at least so serious: debug, which has tracebacks, info, warning (the default), or error.
    """
    import_beside(config)
    loaded = load_config(config)
    observe = loaded.observe
    set_up_logs(Logs(form="json" if log_json else observe.logs, level=log_level or observe.log_level))
    plan = make_plan(loaded, apart=True, node=own_node(loaded, node), source=str(config))
    path = socket_path(config, loaded.control.socket, plan.node if plan.others else "")
    began = trio.Event()
    try:
        return trio.run(_run, plan, config, path, began)
    except Exception as error:
        cause = first_cause(error) if isinstance(error, ExceptionGroup) else error
        if not began.is_set() or not isinstance(cause, (SporeError, OSError)):
            raise
        print(f"spore: {cause}", file=sys.stderr)  # it is no fault of the input any more
        return FAILED


async def _run(plan: Plan, config: Path, control: Path, began: trio.Event) -> int:
    code = 0
    stop = trio.Event()
    runs = False
    system: System | None = None
    starting = trio.CancelScope()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:

            async def obey(signals: AsyncIterator[int]) -> None:
                nonlocal code
                async for number in signals:
                    if number == signal.SIGINT:
                        if code == INTERRUPTED:
                            _say("stops at once; what was not handled is lost")
                            nursery.cancel_scope.cancel()
                        code = INTERRUPTED
                    if not stop.is_set():
                        _say("handles what was sent, and ends" if runs else "ends before everything was there")
                    stop.set()
                    if not runs:
                        starting.cancel()

            nursery.start_soon(obey, signals)
            source = SystemSource(config=config)
            with starting:
                async with (
                    claim(control, config) as sock,
                    open_views(plan.config.observe, source, _say, config=config, control=control),
                    run_plan(plan, say=_say) as system,
                ):
                    runs = True
                    began.set()
                    source.system = system
                    here = {name for unit in plan.own for name in unit.senders}
                    for edge in (edge for edge in plan.edges if here & {edge.sender, edge.receiver}):
                        _say(f"{edge.sender}.{edge.port} → {edge.receiver}: {edge.route}")
                    _say("runs")
                    await _until_over(system, stop, sock)
            nursery.cancel_scope.cancel()
    found = findings_of(reading_of(system.plan, system.last), over=True) if system and system.last else ()
    for finding in found:
        _say(str(finding))
    _say("ended")
    return code or (FAILED if any(finding.loses for finding in found) else 0)


async def _until_over(system: System, stop: trio.Event, sock: socket.socket) -> None:
    """Take commands until it is to stop, or all its feeds have ended."""
    async with trio.open_nursery() as nursery:

        async def feeds() -> None:
            await system.wait_feeds()
            _say("the feeds have ended")
            stop.set()

        def drain() -> None:
            _say("was asked to end: handles what was sent, and ends")
            stop.set()

        nursery.start_soon(serve_control, sock, system, _say, drain)
        if any(unit.kind is UnitKind.FEED for unit in system.plan.own):
            nursery.start_soon(feeds)
        await stop.wait()
        nursery.cancel_scope.cancel()


def _say(line: str) -> None:
    print(line, flush=True)
