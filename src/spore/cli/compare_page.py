"""The result of a comparison as a page: what only the command line knows of it, and the extra that it needs."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from spore.distribution import VERSION, missing
from spore.errors import UsageError
from spore.migration.compare import JUDGED, Comparison
from spore.migration.verdict import Verdict

__all__ = ["page_maker"]


def page_maker(
    config: Path | None, *, feed: tuple[str, ...], modes: tuple[str, ...], repeat: int, seconds: float
) -> Callable[[Comparison, Verdict], bytes]:
    """What makes the page of a comparison with these options.

    Raises:
        UsageError: without plotly.
    """
    try:
        from spore.migration.page import About, render  # noqa: PLC0415 - what it needs may be missing
    except ModuleNotFoundError as error:
        if error.name != "plotly":
            raise
        raise UsageError(missing("--html", "plotly", "report")) from None
    about = About(feed=" + ".join(feed), command=_command(config, feed, modes, repeat, seconds), machine=_machine())
    return lambda comparison, verdict: render(comparison, verdict, about).encode(errors="backslashreplace")


def _command(config: Path | None, feed: tuple[str, ...], modes: tuple[str, ...], repeat: int, seconds: float) -> str:
    words = ["spore", "compare", *([str(config)] if config is not None else [])]
    for each in feed:
        words += ["--feed", each]
    if modes != JUDGED:
        words += ["--modes", ",".join(modes)]
    return shlex.join([*words, "--repeat", str(repeat), "--seconds", f"{seconds:g}"])


def _machine() -> str:
    return (
        f"{platform.system()} {platform.release()} on {platform.machine()}, {len(os.sched_getaffinity(0))} CPUs, "
        f"{platform.python_implementation()} {platform.python_version()}, Spore {VERSION}, "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    )
