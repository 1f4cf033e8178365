"""Settings of services: what they may be, and the one place where money leaves decimals for integers.

USD are written as decimals and become integers of 8 decimals exactly or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs

from spore.errors import SettingError

__all__ = ["BPS", "MAX_MONEY_E8", "MS", "from_choices", "token_name", "usd", "usd_e8", "usd_table", "whole"]

MS = 1_000_000
"""Nanoseconds in a millisecond."""
BPS = 10_000
"""Basis points in one."""
MAX_MONEY_E8 = 2**63 - 1
"""The most that a field of USD can say."""

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def whole(low: int, high: int = 2**63 - 1) -> Validator:
    """A validator: an integer between these two, both included."""

    def check(_instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if type(value) is not int or not low <= value <= high:
            raise SettingError(attribute.name, value, f"must be an integer from {low} to {high}")

    return check


def from_choices(*choices: str) -> Validator:
    """A validator: one of these words."""

    def check(_instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in choices:
            raise SettingError(attribute.name, value, f"must be one of {', '.join(choices)}")

    return check


def token_name(_instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator: a token's symbol or address."""
    if not isinstance(value, str) or not value:
        raise SettingError(attribute.name, value, "must be a token's symbol, or its address such as 0xc02a…")


def usd(_instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator: an amount of USD of at most 8 decimals, 0 or more."""
    usd_e8(attribute.name, value)


def usd_table(_instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator: prices in USD above 0 by a token's symbol or address."""
    if not isinstance(value, dict):
        raise SettingError(attribute.name, value, "must be a table of prices by symbol or address")
    for token, price in value.items():
        key = f"{attribute.name}.{token}"
        if not isinstance(token, str) or not token:
            raise SettingError(key, token, "must be a token's symbol, or its address such as 0xc02a…")
        if usd_e8(key, price) == 0:
            raise SettingError(key, price, "a price must be above 0")


def usd_e8(name: str, value: object) -> int:
    """USD with 8 decimals, as an integer.

    Raises:
        SettingError: if the value is not a decimal or an integer, has more than 8 decimals, is below 0 or too large.
    """
    if not isinstance(value, Decimal) and type(value) is not int:
        raise SettingError(name, value, f'must be a decimal amount of USD, such as Decimal("{value}")')
    amount = Decimal(value)
    if not amount.is_finite() or amount < 0 or amount > Decimal(MAX_MONEY_E8).scaleb(-8):
        raise SettingError(name, value, f"must be from 0 to {MAX_MONEY_E8 // 10**8} USD")
    scaled = amount.scaleb(8)
    if scaled != int(scaled):
        raise SettingError(name, value, "has more than the 8 decimals that USD are counted in")
    return int(scaled)
