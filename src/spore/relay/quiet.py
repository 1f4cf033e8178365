"""What others cause to be logged: at most one line for each of them a minute, and then how much more there was, by reason.

Whoever wants to fill a disk, or to hide something between a thousand lines, only gets this one; and nothing is left unsaid.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

import attrs

__all__ = ["Quiet"]

EVERY_S = 60.0
LOOK_EVERY_S = 1.0
MAX_PEERS = 100
"""So many have lines of their own at a time; the rest share one."""
_OTHERS = "others"


@attrs.define
class _Heard:
    since_s: float
    more: Counter[str] = attrs.field(factory=Counter)
    """What was not logged since then, by reason."""
    last: str = ""


class Quiet:
    """One log, for one kind of thing.

    Args:
        log: where the lines go, as warnings.
    """

    def __init__(self, log: logging.Logger) -> None:
        self.counts: Counter[str] = Counter()
        """Everything, logged or not, by reason."""
        self._log = log
        self._heard: dict[str, _Heard] = {}
        self._look_again_s = 0.0

    def warn(
        self, now_s: float, peer: str, reason: str, text: str, *, extra: Mapping[str, object] | None = None
    ) -> None:
        """Log a line, unless there was one for this peer within the last minute.

        Args:
            now_s: by the clock that `on_time` is told, too.
            peer: who has caused it. One word of the peer's own choosing is no name for it: it could choose another each time.
            reason: as it is counted by.
            text: the line.
            extra: what goes with it, as for `logging.Logger.warning`.
        """
        self.counts[reason] += 1
        self.on_time(now_s)
        if peer not in self._heard and len(self._heard) >= MAX_PEERS:
            peer = _OTHERS
        heard = self._heard.get(peer)
        if heard is None:
            self._heard[peer] = _Heard(now_s)
            self._log.warning("%s", _shown(text), extra=extra)
        else:
            heard.more[reason] += 1
            heard.last = text

    def on_time(self, now_s: float) -> None:
        """Look at the clock: say how much more there was in minutes that are over."""
        if now_s < self._look_again_s:
            return
        self._look_again_s = now_s + LOOK_EVERY_S
        for peer, heard in tuple(self._heard.items()):
            if now_s - heard.since_s < EVERY_S:
                continue
            if heard.more:
                counts = ", ".join(f"{reason} {count:,}" for reason, count in heard.more.most_common())
                text = f"{peer}: {heard.more.total():,} more in a minute ({counts}), at last: {heard.last}"
                self._log.warning("%s", _shown(text))
                self._heard[peer] = _Heard(now_s)
            else:
                del self._heard[peer]


def _shown(text: str) -> str:
    """On one line, whatever characters somebody has put into a name."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
