"""Loans and their health: the share of its collateral that a loan may be worth, over what it is worth.

Strategy: loans are indexed by their tokens, so that a new price costs what its own loans cost. A loan is told once when it falls
below 1, and again only after it has been healthy or has changed.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

import spore
from spore.services.messages import LoanPosition, TokenPrice
from spore.services.prices import FRACTION_BITS
from spore.services.settings import BPS

__all__ = ["HEALTHY_E8", "Loan", "LoanBook", "LoanState"]

HEALTHY_E8 = 10**8
"""A health of 1."""
_MOST_HEALTH = 2**64 - 1


@spore.record
class LoanState:
    """A loan, and whether it has been told."""

    position: LoanPosition
    told: spore.Bool


@attrs.define(eq=False)
class Loan:
    """A loan as it stands."""

    position: LoanPosition
    told: bool = False


@attrs.define
class LoanBook:
    """All open loans.

    Args:
        limit: how many are followed.
        skipped: where those beyond are counted.
    """

    limit: int
    skipped: dict[str, int]
    prices: dict[bytes, int] = attrs.field(factory=dict, init=False)
    """``usd_q112`` of the tokens of loans, as far as they were told."""
    _loans: dict[tuple[int, bytes, bytes, bytes], Loan] = attrs.field(factory=dict, init=False)
    _by_token: dict[bytes, dict[Loan, None]] = attrs.field(factory=dict, init=False)

    def put(self, position: LoanPosition, *, told: bool = False) -> Loan | None:
        """A loan is new or has changed. None if it is closed, or, counted, if there is no room."""
        key = (position.venue, position.account, position.collateral_token, position.debt_token)
        old = self._loans.pop(key, None)
        if old is not None:
            for token in (position.collateral_token, position.debt_token):
                self._by_token[token].pop(old, None)
        if not position.debt_amount:
            return None
        if len(self._loans) >= self.limit:
            reason = "loan beyond loans_to_monitor"
            self.skipped[reason] = self.skipped.get(reason, 0) + 1
            return None
        loan = self._loans[key] = Loan(position, told)
        for token in (position.collateral_token, position.debt_token):
            self._by_token.setdefault(token, {})[loan] = None
        return loan

    def reprice(self, prices: tuple[TokenPrice, ...]) -> list[Loan]:
        """Take over new prices; the loans that they touch, each once."""
        touched: dict[Loan, None] = {}
        for price in prices:
            self.prices[price.token] = price.usd_q112
            touched |= self._by_token.get(price.token, {})
        return list(touched)

    def health_e8(self, position: LoanPosition) -> int | None:
        """``floor(1e8·collateral·threshold / debt)`` in USD; None while a price is not known."""
        collateral, debt = self._price_of(position)
        if not debt or collateral is None:
            return None
        allowed = position.collateral_amount * collateral * position.threshold_bps * HEALTHY_E8
        return min(allowed // (position.debt_amount * debt * BPS), _MOST_HEALTH)

    def bonus_usd_e8(self, position: LoanPosition) -> int:
        """What closing the whole loan pays on top of the debt. The debt's price must be known."""
        return (position.debt_amount * self.prices[position.debt_token] * position.bonus_bps // BPS) >> FRACTION_BITS

    def states(self) -> Iterator[LoanState]:
        """All loans as records."""
        return (LoanState(loan.position, loan.told) for loan in self._loans.values())

    def _price_of(self, position: LoanPosition) -> tuple[int | None, int | None]:
        return self.prices.get(position.collateral_token), self.prices.get(position.debt_token)
