"""The watchdog: says which actor holds the loop, while it does so.

A thread looks on from outside, because a handler that does not return lets nothing inside the loop run. It asks
the loop to answer; when no answer comes in time, it looks at the stack of the loop's thread, where the innermost
method of an actor is the one to name. The actors pay nothing for it.
"""

from __future__ import annotations

import logging
import sys
import threading
from types import FrameType

import trio

from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.log import about

__all__ = ["watch_for_stalls"]

_log = logging.getLogger("spore.stall")


async def watch_for_stalls(bundle: str, after_s: float) -> None:
    """Warn, once for each stall, when the loop has not answered for ``after_s`` seconds of real time.

    Cancellation: a checkpoint; the thread has ended when this returns.
    """
    watchdog = _Watchdog(bundle, after_s, trio.lowlevel.current_trio_token(), threading.get_ident())
    thread = threading.Thread(target=watchdog.look_on, name=f"watchdog of {bundle}", daemon=True)
    thread.start()
    try:
        await trio.sleep_forever()
    finally:
        watchdog.end()
        thread.join()


class _Watchdog:
    def __init__(self, bundle: str, after_s: float, token: trio.lowlevel.TrioToken, loop_thread: int) -> None:
        self._ended = threading.Event()
        self._answered = threading.Event()
        self._bundle = bundle
        self._after_s = after_s
        self._token = token
        self._loop_thread = loop_thread

    def end(self) -> None:
        """Let the thread end now, whatever it waits for."""
        self._ended.set()
        self._answered.set()

    def look_on(self) -> None:
        """Ask the loop to answer, over and over, until the end."""
        while not self._ended.is_set():
            self._answered.clear()
            try:
                self._token.run_sync_soon(self._answered.set)
            except trio.RunFinishedError:
                return
            if not self._answered.wait(self._after_s) and not self._ended.is_set():
                self._warn()
                self._answered.wait()
            self._ended.wait(self._after_s / 2)

    def _warn(self) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # the only way to see another thread's stack
        actor, where = _innermost_actor(frame)
        who = f"actor {type(actor).__qualname__} at {where}" if actor is not None else f"something at {where}"
        fields = about(bundle=self._bundle)
        _log.warning(
            "bundle %s: the loop has stood still for %g s, held by %s", self._bundle, self._after_s, who, extra=fields
        )


def _innermost_actor(frame: FrameType | None) -> tuple[Actor[object] | None, str]:
    where = "an unknown place"
    innermost = frame
    while frame is not None:
        place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if frame is innermost:
            where = place
        holder = frame.f_locals.get("self")
        if isinstance(holder, Actor):
            return holder, place
        frame = frame.f_back
    return None, where
