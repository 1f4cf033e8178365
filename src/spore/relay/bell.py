"""A bell: how one task of the journal's tells another that there may be something to do."""

from __future__ import annotations

import trio

__all__ = ["Bell"]


class Bell:
    """Rung as often as one likes, and heard once."""

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """Have whoever listens go on."""
        self._rung.set()

    async def heard(self) -> None:
        """Wait until it is rung, or was since the last time.

        Cancellation: always a checkpoint.
        """
        await self._rung.wait()
        self._rung = trio.Event()
