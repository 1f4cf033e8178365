"""What stands behind the ``?`` of a feed: a fixed set of names, each with one form. Everything else is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spore.errors import UsageError

__all__ = ["check_options", "whole_number"]


def check_options(scheme: str, options: Mapping[str, str], known: Sequence[str]) -> None:
    """Refuse options that the feed does not have.

    Raises:
        UsageError: naming them and the ones that there are.
    """
    unknown = [name for name in options if name not in known]
    if unknown:
        allowed = f"its options are {', '.join(known)}" if known else "it has none"
        raise UsageError(f"{scheme}: there is no option {', '.join(map(repr, unknown))}; {allowed}")


def whole_number(scheme: str, options: Mapping[str, str], name: str, *, least: int = 0) -> int | None:
    """An option that is a number, or None where it is not given.

    Raises:
        UsageError: if it is no decimal number of at least ``least``, or does not fit 64 bits.
    """
    text = options.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 20 and least <= int(text) < 1 << 64:
        return int(text)
    raise UsageError(f"{scheme}: {name}={text!r} is no whole number of at least {least}")
