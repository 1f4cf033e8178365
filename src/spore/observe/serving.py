"""What `[observe]` of a configuration has served beside a running system. Whatever becomes of it, the system goes on."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import trio

from spore.deploy import ObserveConfig
from spore.distribution import missing
from spore.errors import UsageError
from spore.observe.source import Source
from spore.relay.token import read_tokens

if TYPE_CHECKING:
    from spore.observe.listen import Access

__all__ = ["access_of", "need", "open_views"]

View: TypeAlias = AbstractAsyncContextManager[str]
"""Served inside; it yields where."""
_log = logging.getLogger("spore.observe")


@asynccontextmanager
async def open_views(
    observe: ObserveConfig, source: Source, say: Callable[[str], None], *, config: Path, control: Path
) -> AsyncIterator[None]:
    """Serve it for the length of a block.

    Args:
        observe: what is wanted.
        source: looks at the system.
        say: told where each is, in one line.
        config: the file that is run.
        control: where the system is reached, for the buttons of the dashboard.

    Cancellation: entering and leaving are checkpoints if there is something to serve.

    Raises:
        UsageError: if it cannot be served: nothing was.
    """
    views = list(_views(observe, source, config, control))
    if not views:
        yield
        return
    async with trio.open_nursery() as nursery:
        to_end = trio.Event()
        for name, view in views:
            say(f"{name}: {await nursery.start(_serve, name, view, to_end)}")
        yield
        to_end.set()


def _views(observe: ObserveConfig, source: Source, config: Path, control: Path) -> Iterator[tuple[str, View]]:
    """What is wanted, by name."""
    if observe.metrics is not None:
        try:
            from spore.observe.listen import Place, open_site  # noqa: PLC0415 - an extra
            from spore.observe.metrics import metrics_app  # noqa: PLC0415
        except ModuleNotFoundError as error:
            need(error, "metrics in [observe]", "metrics")
        site = open_site(metrics_app(source), Place.parse(observe.metrics), _access(observe, config), name="metrics")
        yield "metrics", _at("/metrics", site)
    if observe.dashboard is not None:
        try:
            from spore.observe.dashboard import Board, ConfigButtons, open_dashboard  # noqa: PLC0415 - an extra
            from spore.observe.listen import Place  # noqa: PLC0415
        except ModuleNotFoundError as error:
            need(error, "dashboard in [observe]", "dashboard")
        board = Board(source, name=str(config), buttons=ConfigButtons(config, control))
        yield "dashboard", open_dashboard(board, Place.parse(observe.dashboard), access=_access(observe, config))


@asynccontextmanager
async def _at(path: str, site: View) -> AsyncIterator[str]:
    async with site as url:
        yield f"{url}{path}"


def _access(observe: ObserveConfig, config: Path) -> Access:
    files = {name: getattr(observe, name) for name in ("token_file", "certificate", "key")}
    return access_of(**{name: config.parent / file if file is not None else None for name, file in files.items()})


async def _serve(  # noqa: ASYNC114 - it is started where a nursery is closed in any case
    name: str, view: View, to_end: trio.Event, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    began = False
    try:
        async with view as address:
            began = True
            task_status.started(address)
            await to_end.wait()
    except Exception as error:
        if not began:
            raise
        _log.error("%s: nothing is served any more", name, exc_info=error)


def access_of(*, token_file: Path | None, certificate: Path | None, key: Path | None) -> Access:
    """Who is let in, from the files that say so, and the environment.

    Raises:
        UsageError: if the token's file is empty.
        OSError: if it cannot be read.
    """
    from spore.observe.listen import Access  # noqa: PLC0415 - an extra

    return Access(token=read_tokens(token_file) or None, certificate=certificate, key=key)


def need(error: ModuleNotFoundError, what: str, extra: str) -> NoReturn:
    """Say which extra is missing, if it is one.

    Raises:
        UsageError: if a package is missing.
        ModuleNotFoundError: if it is one of our own.
    """
    if (error.name or "").partition(".")[0] == "spore":
        raise error
    raise UsageError(missing(what, error.name, extra)) from None
