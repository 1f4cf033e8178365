"""Type numbers: which domain owns which, which are taken, and which an application can have for good.

Strategy: a number that the protocol or Spore gives to a message belongs to that message's *name*, so that a team can still
declare the protocol's own messages in its own layout, and nothing else can be taken for them. All that is enforced where a
message is defined, because nobody notices on a link.
"""

from __future__ import annotations

import enum

__all__ = ["APPLICATION", "ROOM", "Domain", "domain_of_type", "number_problem"]


class Domain(enum.IntEnum):
    """The relay domains of the wire format; each owns ranges of type numbers."""

    MARKET_DATA = 1
    SIGNAL = 2
    EXECUTION = 3
    SYSTEM = 4

    @property
    def label(self) -> str:
        """The name in catalogues and JSON, such as ``market_data``."""
        return self.name.lower()

    @property
    def type_ranges(self) -> tuple[range, ...]:
        """The type numbers of this domain. Source: the table of ranges in the wire format."""
        return _RANGES[self]


LINK = range(200, 255)
"""A link takes frames with these for its own control messages, whatever a user has declared."""
APPLICATION = range(120, 200)
"""No domain owns these: an application may use them in every domain, and Spore never will."""
ROOM = {
    Domain.MARKET_DATA: (range(19, 20),),
    Domain.SIGNAL: (range(39, 40), range(60, 80)),
    Domain.EXECUTION: (range(50, 60),),
    Domain.SYSTEM: (),
}
"""The numbers in the domains' own ranges that Spore leaves to applications for good, as well."""
_RANGES = {
    Domain.MARKET_DATA: (range(1, 20),),
    Domain.SIGNAL: (range(20, 40), range(60, 80)),
    Domain.EXECUTION: (range(40, 60),),
    Domain.SYSTEM: (range(80, 120), LINK),
}
_PROTOCOL = {
    1: "Trade", 2: "Quote", 3: "OrderBook", 9: "VolumeUpdate", 11: "PoolSwap", 12: "PoolMint", 13: "PoolBurn",
    15: "PoolState", 16: "PoolSync", 17: "QuoteUpdate", 18: "GasPrice", 32: "ArbitrageSignal", 33: "MomentumSignal",
    34: "LiquidationSignal", 40: "OrderRequest", 43: "OrderCancel", 45: "ExecutionReport", 100: "Heartbeat",
    102: "Error", 110: "RecoveryRequest", 111: "RecoveryResponse", 112: "SequenceSync",
}  # fmt: skip
"""Source: "Types that are taken" in the wire format."""
_REFERENCE = {
    4: "PoolListed", 5: "InstrumentListed", 6: "LoanPosition", 10: "ChainReorg", 14: "TransactionEnd",
    20: "PoolEvaluation", 21: "VenueOpportunity", 22: "PriceTick", 23: "MarketSnapshot",
}  # fmt: skip
"""Spore's reference application has added these. Its numbers are reserved whether it is imported or not."""
_EVERYWHERE = {108: "TraceContext", 118: "SchemaHead", 119: "SchemaLine"}
"""Spore puts these into frames itself, beside the messages of any registry."""


def domain_of_type(type_id: int) -> Domain | None:
    """The domain whose range holds a type number, or None for a number that no domain owns."""
    return next((domain for domain, ranges in _RANGES.items() if any(type_id in r for r in ranges)), None)


def number_problem(type_id: int, name: str, domain: Domain, *, shared: bool, link: bool = False) -> str | None:
    """Why a message cannot have a type number; None if it can.

    Args:
        type_id: the number.
        name: the message's.
        domain: the message's.
        shared: whether its registry is the one that Spore's own messages are in, too.
        link: whether its registry is the link's own.
    """
    if type_id in LINK and not link:
        reason = f"is one of the link's own, {_span(LINK)}, and over a link the message would be taken for one of those"
        return f"type number {type_id} {reason}; {_room(domain)}"
    if type_id not in APPLICATION and not any(type_id in r for r in _RANGES[domain]):
        allowed = " or ".join(_span(r) for r in _RANGES[domain] if r is not LINK or link)
        reason = f"type number {type_id} lies outside {domain.label}, whose numbers are {allowed}"
        return reason if link else f"{reason}; {_room(domain)}"
    holder = _EVERYWHERE.get(type_id)
    whose = "Spore's, for" if holder is not None or type_id in _REFERENCE else "the protocol's, for"
    if holder is None and shared:
        holder = _PROTOCOL.get(type_id) or _REFERENCE.get(type_id)
    if holder is not None and holder != name:
        return f"type number {type_id} is {whose} {holder}; {_room(domain)}"
    return None


def _room(domain: Domain) -> str:
    own = ", ".join(_span(r) for r in ROOM[domain])
    return f"an application's own numbers are {_span(APPLICATION)} in any domain" + (
        f", and {own} in {domain.label}" if own else ""
    )


def _span(numbers: range) -> str:
    return str(numbers.start) if len(numbers) == 1 else f"{numbers.start}–{numbers.stop - 1}"
