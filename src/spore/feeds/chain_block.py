"""The head of a block, as a node tells it: what links it to the one before, and what its gas costs."""

from __future__ import annotations

import attrs

from spore.feeds.evm_words import entry, fixed, quantity

__all__ = ["Block"]


@attrs.frozen(kw_only=True)
class Block:
    """A checked head."""

    number: int
    hash: bytes
    parent: bytes
    """The hash of the block before."""
    time_s: int
    base_fee_wei: int | None
    """None on chains and in blocks that have none (before EIP-1559)."""

    @classmethod
    def read(cls, head: object) -> Block:
        """Out of what a node's JSON says; what else it says is left alone.

        Raises:
            ValueError: naming the key.
        """
        fields = entry(head, "block")
        fee = fields.get("baseFeePerGas")
        return cls(
            number=quantity(fields, "number"),
            hash=fixed(fields, "hash", 32),
            parent=fixed(fields, "parentHash", 32),
            time_s=quantity(fields, "timestamp"),
            base_fee_wei=None if fee is None else quantity(fields, "baseFeePerGas", bits=128),
        )
