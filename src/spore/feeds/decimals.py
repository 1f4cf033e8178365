"""Decimal text, as exchanges write prices and sizes, to integers with 8 decimals: exactly, or not at all."""

from __future__ import annotations

import re

from spore.feeds.evm_words import shown

__all__ = ["DecimalsError", "e8"]

_FORM = re.compile(r"([0-9]{1,40})(?:\.([0-9]{0,8})(0*)([0-9]*))?", re.ASCII)
_REMEMBERED = 1 << 16
_LIMIT = 1 << 63


class DecimalsError(Exception):
    """A number, well written, that 64 bits with 8 decimals cannot hold exactly. The reason is its text."""


def e8(text: object) -> int:
    """A decimal number without a sign or an exponent, times 10**8.

    Raises:
        ValueError: if the text is no such number.
        DecimalsError: if it has more decimals than 8 that are not 0, or is 2**63 or more.
    """
    try:
        return _known[text]
    except (KeyError, TypeError):
        value = _read(text)
    if len(_known) >= _REMEMBERED:
        _known.clear()
    _known[text] = value
    return value


_known: dict[object, int] = {}
"""What was read before. Prices and sizes repeat, and looking one up costs a tenth of reading it."""


def _read(text: object) -> int:
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f'{shown(text)} is no decimal number in a string, such as "2681.62"')
    whole, decimals, _, rest = found.groups(default="")
    if rest:
        raise DecimalsError("a number with more than 8 decimals")
    value = int(whole + decimals.ljust(8, "0"))
    if value >= _LIMIT:
        raise DecimalsError("a number that does not fit 64 bits with 8 decimals")
    return value
