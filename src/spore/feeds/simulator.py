"""``sim:seed=1,events=100000``: the messages of a `MarketModel`, as many as are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Self

from spore.errors import UsageError
from spore.feeds.feed import Account, RecordedFeed
from spore.feeds.market_model import MarketModel
from spore.feeds.options import check_options, whole_number
from spore.services.messages import MarketMessage

__all__ = ["SimFeed"]

_OPTIONS = ["seed", "events", "pools", "venues", "tx_swaps", "first_venue"]
_LIMITS = {"pools": (2, 65_536), "venues": (2, 4), "tx_swaps": (1, 1_000), "first_venue": (1, 65_000)}


class SimFeed(RecordedFeed):
    """A seeded market of many pools, for load. Each of its messages counts as read and used."""

    def __init__(self, model: MarketModel, *, events: int) -> None:
        self.name = f"sim:seed={model.seed},events={events}"
        self._model = model
        self._events = events
        self._account = Account()

    @classmethod
    def from_spec(cls, rest: str, options: Mapping[str, str]) -> Self:
        """What ``sim:seed=1,events=100000,pools=100,venues=2,tx_swaps=1,first_venue=1`` means. The first two must be given.

        Raises:
            UsageError: for anything else, for numbers beyond their limits, and for pools that do not divide among the venues.
        """
        check_options("sim", options, [])
        given: dict[str, str] = {}
        for part in rest.split(",") if rest else []:
            name, _, value = part.partition("=")
            if name in given:
                raise UsageError(f"sim: {name} is given twice")
            given[name] = value
        check_options("sim", given, _OPTIONS)
        if missing := [name for name in ("seed", "events") if name not in given]:
            raise UsageError(f"sim: {' and '.join(missing)} must be given, as in sim:seed=1,events=100000")
        numbers = {name: whole_number("sim", given, name) or 0 for name in given}
        for name, (least, most) in _LIMITS.items():
            if name in numbers and not least <= numbers[name] <= most:
                raise UsageError(f"sim: {name} is {least} to {most}, not {numbers[name]}")
        events = numbers.pop("events")
        model = MarketModel(**numbers)
        if model.pools % model.venues:
            raise UsageError(
                f"sim: {model.pools} pools do not divide among {model.venues} venues: each pair of tokens has one at each"
            )
        return cls(model, events=events)

    @property
    def account(self) -> Account:
        return self._account

    @property
    def progress(self) -> float | None:
        return self._account.read / self._events if self._events else 1.0

    def messages(self) -> Iterator[MarketMessage]:
        account, left = self._account, self._events
        for messages in self._model.transactions():
            told = messages if len(messages) <= left else messages[:left]
            left -= len(told)
            account.read += len(told)
            account.used += len(told)
            yield from told
            if not left:
                return
