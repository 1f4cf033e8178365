"""What `[observe]` of a configuration has served beside a running system. Whatever becomes of it, the system goes on."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import trio

from spore.deploy import ObserveConfig
from spore.errors import UsageError
from spore.observe.source import Source
from spore.relay.token import read_token

if TYPE_CHECKING:
    from spore.observe.listen import Access, App, Place

__all__ = ["access_of", "need", "open_views"]

_log = logging.getLogger("spore.observe")


@asynccontextmanager
async def open_views(
    observe: ObserveConfig, folder: Path, source: Source, say: Callable[[str], None]
) -> AsyncIterator[None]:
    """Serve it for the length of a block.

    Args:
        observe: what is wanted.
        folder: the folder of the configuration.
        source: looks at the system.
        say: told where each is, in one line.

    Cancellation: entering and leaving are checkpoints if there is something to serve.

    Raises:
        UsageError: if it cannot be served: nothing was.
    """
    if observe.metrics is None:
        yield
        return
    try:
        from spore.observe.listen import Place  # noqa: PLC0415 - an extra
        from spore.observe.metrics import metrics_app  # noqa: PLC0415
    except ModuleNotFoundError as error:
        need(error, "metrics in [observe]", "metrics")
    access = access_of(
        token_file=_beside(folder, observe.token_file),
        certificate=_beside(folder, observe.certificate),
        key=_beside(folder, observe.key),
    )
    async with trio.open_nursery() as nursery:
        to_end = trio.Event()
        app = metrics_app(source)
        url = await nursery.start(partial(_serve, app, Place.parse(observe.metrics), access, to_end))
        say(f"metrics: {url}/metrics")
        yield
        to_end.set()


async def _serve(
    app: App,
    place: Place,
    access: Access,
    to_end: trio.Event,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    from spore.observe.listen import open_site  # noqa: PLC0415 - an extra

    began = False
    try:
        async with open_site(app, place, access) as url:
            began = True
            task_status.started(url)
            await to_end.wait()
    except Exception as error:
        if not began:
            raise
        _log.error("%s: nothing is served there any more", place, exc_info=error)


def access_of(*, token_file: Path | None, certificate: Path | None, key: Path | None) -> Access:
    """Who is let in, from the files that say so, and the environment.

    Raises:
        UsageError: if the token's file is empty.
        OSError: if it cannot be read.
    """
    from spore.observe.listen import Access  # noqa: PLC0415 - an extra

    return Access(token=read_token(token_file), certificate=certificate, key=key)


def need(error: ModuleNotFoundError, what: str, extra: str) -> NoReturn:
    """Say which extra is missing, if it is one.

    Raises:
        UsageError: if a package is missing.
        ModuleNotFoundError: if it is one of our own.
    """
    if (error.name or "").partition(".")[0] == "spore":
        raise error
    raise UsageError(f"{what} needs {error.name}, which is not installed: pip install 'spore[{extra}]'") from None


def _beside(folder: Path, file: Path | None) -> Path | None:
    return folder / file if file is not None else None
