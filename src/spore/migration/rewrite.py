"""Another mode for a bundle in the text of a configuration: one line of difference, with comments and layout kept.

Strategy: tomlkit edits, and the parser that reads configurations has the last word. What comes out differs from the text in one
line, and means the same but for that mode; or it is refused, and a person has to do it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from spore.deploy.config import Mode
from spore.deploy.strict import among
from spore.distribution import needs
from spore.errors import UsageError

with needs("cli"):
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

__all__ = ["with_mode"]

_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)
_BUNDLE = re.compile(r"^[ \t]*\[\[[ \t]*(?:bundles|\"bundles\"|'bundles')[ \t]*\]\]", re.MULTILINE)


def with_mode(text: str, bundle: str, mode: Mode) -> str:
    """The text of a configuration with another mode for one of its bundles.

    Args:
        text: TOML that `spore.deploy.load_config` reads.
        bundle: the bundle's name.
        mode: its mode.

    Raises:
        UsageError: if there is no such bundle, or its mode cannot be changed in one line.
    """
    meant = _parsed(text)
    names = [each["name"] for each in meant["bundles"]]
    if bundle not in names:
        raise UsageError(f"there is no bundle {bundle!r}; {among(bundle, names)}")
    number = names.index(bundle)
    if meant["bundles"][number]["mode"] == mode:
        return text
    meant["bundles"][number]["mode"] = mode.value
    for edited in _edits(text, number, mode):
        if _lines_changed(text, edited) == 1 and _means(edited, meant):
            return edited
    raise UsageError(
        f"the mode of bundle {bundle!r} cannot be changed in one line as the file is written; "
        f'write mode = "{mode}" there yourself'
    )


def _edits(text: str, number: int, mode: Mode) -> Iterator[str]:
    """What tomlkit makes of the whole text; then of each bundle's own table, because tomlkit brings tables that stand apart together."""
    yield from _edited(text, number, mode)
    for header in _BUNDLE.finditer(text):
        start = header.start()
        next_table = _TABLE.search(text, header.end())
        end = next_table.start() if next_table is not None else len(text)
        for table in _edited(text[start:end], 0, mode):
            yield text[:start] + table + text[end:]


def _edited(text: str, number: int, mode: Mode) -> Iterator[str]:
    try:
        document: Any = tomlkit.parse(text)
        document["bundles"][number]["mode"] = mode.value
        yield tomlkit.dumps(document)
    except (TOMLKitError, LookupError, TypeError, ValueError):
        return  # what is no whole TOML by itself, as a piece of a text that looks like a table


def _lines_changed(text: str, edited: str) -> int:
    before, after = text.split("\n"), edited.split("\n")
    if len(before) != len(after):
        return max(len(before), len(after))
    return sum(old != new for old, new in zip(before, after, strict=True))


def _means(edited: str, meant: dict[str, Any]) -> bool:
    try:
        return _parsed(edited) == meant
    except tomllib.TOMLDecodeError:
        return False


def _parsed(text: str) -> dict[str, Any]:
    return tomllib.loads(text, parse_float=str)  # as it is written: 1.0 is not 1.00 here, and nan is nan
