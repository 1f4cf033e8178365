"""The values of Ethereum's JSON-RPC, checked one by one: quantities, hashes, addresses, and words of event data.

Source: Ethereum JSON-RPC specification, "Hex value encoding"; Solidity contract ABI specification, "Formal
specification of the encoding" (a static argument is one word of 32 bytes, big-endian).

Everything here raises ValueError with a sentence that names the key; whoever calls knows the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["UINT112_BITS", "array", "entry", "fixed", "four_uint112", "quantity", "shown", "two_uint112"]

UINT112_BITS = 112
"""Of a V2 pair's reserves, and so of every amount that moves through it (Uniswap V2 core, ``UniswapV2Pair._update``)."""


def entry(value: object, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: if it is none.
    """
    if type(value) is dict:
        return value
    raise ValueError(f"{shown(value)} is no {what}, which is a JSON object")


def array(value: object, what: str) -> list[Any]:
    """A JSON array.

    Raises:
        ValueError: if it is none.
    """
    if type(value) is list:
        return value
    raise ValueError(f"{shown(value)} is no {what}, which is a JSON array")


def quantity(fields: Mapping[str, Any], key: str, *, bits: int = 64) -> int:
    """A whole number such as ``0x1b4``.

    Raises:
        ValueError: if it is missing, none, or too large for ``bits``.
    """
    text = _field(fields, key)
    # int takes underscores, signs, spaces and digits of other scripts, too; letters and digits of ASCII leave none.
    if type(text) is not str or text[:2] != "0x" or len(text) > 66 or not (text.isascii() and text.isalnum()):
        raise ValueError(f"{key}: {shown(text)} is no quantity such as 0x1b4")
    try:
        value = int(text, 16)
    except ValueError:
        raise ValueError(f"{key}: {shown(text)} is no quantity such as 0x1b4") from None
    if value >> bits:
        raise ValueError(f"{key}: {shown(text)} does not fit {bits} bits")
    return value


def fixed(fields: Mapping[str, Any], key: str, size: int) -> bytes:
    """So many bytes in hex: a hash has 32, an address 20.

    Raises:
        ValueError: if they are missing, no hex, or more or fewer.
    """
    return _octets(_field(fields, key), key, size)


def two_uint112(data: object) -> tuple[int, int]:
    """The words of an event's data, where there are two.

    Raises:
        ValueError: if there are more or fewer, or one is no uint112.
    """
    octets = _octets(data, "data", 64)
    first, second = int.from_bytes(octets[:32], "big"), int.from_bytes(octets[32:], "big")
    if (first | second) >> UINT112_BITS:
        raise _too_large(first, second)
    return first, second


def four_uint112(data: object) -> tuple[int, int, int, int]:
    """The words of an event's data, where there are four. Written out, as the one above, because of what a loop costs.

    Raises:
        ValueError: if there are more or fewer, or one is no uint112.
    """
    octets = _octets(data, "data", 128)
    first, second = int.from_bytes(octets[:32], "big"), int.from_bytes(octets[32:64], "big")
    third, fourth = int.from_bytes(octets[64:96], "big"), int.from_bytes(octets[96:], "big")
    if (first | second | third | fourth) >> UINT112_BITS:
        raise _too_large(first, second, third, fourth)
    return first, second, third, fourth


def _too_large(*values: int) -> ValueError:
    word = next(index for index, value in enumerate(values) if value >> UINT112_BITS)
    return ValueError(f"data: word {word} is {values[word]:#x}, and an amount of a pair has {UINT112_BITS} bits")


def _octets(text: object, key: str, size: int) -> bytes:
    if type(text) is str and len(text) == 2 + 2 * size and text[:2] == "0x":
        try:
            octets = bytes.fromhex(text[2:])
        except ValueError:
            octets = b""
        if len(octets) == size:  # fromhex skips spaces, but then there are too few digits
            return octets
    raise ValueError(f"{key}: {shown(text)} is not 0x and {2 * size} hex digits")


def shown(value: object) -> str:
    """A value as an error shows it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"


def _field(fields: Mapping[str, Any], key: str) -> Any:
    try:
        return fields[key]
    except KeyError:
        raise ValueError(f"the key {key!r} is missing") from None
