"""The blocks that were told and may still be taken back: the last so many, linked by their hashes."""

from __future__ import annotations

from collections import deque

import attrs

from spore.feeds.chain_block import Block
from spore.feeds.evm import REMEMBERED

__all__ = ["ToldBlocks"]


@attrs.frozen
class _Told:
    block: Block
    last_log: int
    """The index of the last log that the node's answer had; -1 where it had none."""


class ToldBlocks:
    """A stretch of one branch."""

    def __init__(self) -> None:
        self._blocks: deque[_Told] = deque()
        self.forgotten = False
        """Whether blocks before these were told, and are not remembered any more."""

    def __bool__(self) -> bool:
        return bool(self._blocks)

    @property
    def last(self) -> Block:
        return self._blocks[-1].block

    def at(self, number: int) -> Block | None:
        """The block of a number, if it is remembered."""
        told = self._at(number)
        return None if told is None else told.block

    def lacks(self, number: int, log_index: int) -> bool:
        """Whether a block was told without a log that it must have."""
        told = self._at(number)
        return told is not None and log_index > told.last_log

    def add(self, block: Block, *, last_log: int) -> None:
        self._blocks.append(_Told(block, last_log))
        if len(self._blocks) > REMEMBERED:
            self._blocks.popleft()
            self.forgotten = True

    def drop_from(self, number: int) -> None:
        """Take a block back, and what came after it."""
        while self._blocks and self._blocks[-1].block.number >= number:
            self._blocks.pop()

    def _at(self, number: int) -> _Told | None:
        offset = number - self._blocks[0].block.number if self._blocks else -1
        return self._blocks[offset] if 0 <= offset < len(self._blocks) else None
