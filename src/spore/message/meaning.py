"""What two canonical texts of a message mean differently, in words: which field, and how.

The texts may come from a file or from another program, so nothing is taken for granted: what cannot be read is compared as
a whole. The first text is what *was* (recorded, or defined before), the second what *is* (here, or now).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias, Union

import attrs

__all__ = ["changes", "name_in", "type_changes"]

MAX_DEPTH = 64
"""Deeper texts are compared as a whole; nobody nests records so deep, and a damaged text may."""


@attrs.frozen
class _Plain:
    text: str


@attrs.frozen
class _Wrapped:
    how: str
    item: _Type


@attrs.frozen
class _Fields:
    fields: tuple[tuple[str, _Type], ...]


@attrs.frozen
class _Members:
    form: str
    names: tuple[tuple[int, str], ...]


_Type: TypeAlias = Union[_Plain, _Wrapped, _Fields, _Members]


def name_in(text: str) -> str:
    """The name of the message that a canonical text describes, or ``?``."""
    return next(iter(text.split(" ")[1:2]), "?")


def changes(was: str, now: str) -> tuple[str, ...]:
    """In what two canonical texts differ, one sentence each; empty if they are equal."""
    if was == now:
        return ()
    try:
        (number, name, domain, layout), (number_now, name_now, domain_now, layout_now) = _parts(was), _parts(now)
        found = [
            f"its {what} was {before} and is {after}"
            for what, before, after in (
                ("type number", number, number_now),
                ("name", name, name_now),
                ("domain", domain, domain_now),
            )
            if before != after
        ]
        found += _changes("", _parse(layout), _parse(layout_now))
    except ValueError:
        found = []
    return tuple(found) or (f"it was {was!r} and is {now!r}",)


def type_changes(was: str, now: str) -> tuple[str, ...]:
    """The same for the texts of two wire types, such as records."""
    try:
        found = tuple(_changes("", _parse(was), _parse(now)))
    except ValueError:
        found = ()
    return found if found or was == now else (f"it was {was} and is {now}",)


def _changes(path: str, was: _Type, now: _Type) -> Iterator[str]:
    match was, now:
        case (_Fields(), _Fields()):
            yield from _field_changes(path, dict(was.fields), dict(now.fields))
        case (_Members(), _Members()) if was.form == now.form:
            yield from _member_changes(path, dict(was.names), dict(now.names))
        case (_Wrapped(), _Wrapped()) if was.how == now.how:
            yield from _changes(f"{path}[]" if was.how == "list of" else path, was.item, now.item)
        case _ if was != now:
            yield f"{path or 'it'} was {_show(was)} and is {_show(now)}"


def _field_changes(path: str, was: dict[str, _Type], now: dict[str, _Type]) -> Iterator[str]:
    places_was, places_now = list(was), list(now)
    gone, new = [name for name in was if name not in now], [name for name in now if name not in was]
    for name in list(gone):
        place = places_was.index(name)
        other = places_now[place] if place < len(places_now) else None
        if other in new and now[other] == was[name]:
            yield f"field {place + 1} was {_join(path, name)} and is {_join(path, other)}"
            gone.remove(name)
            new.remove(other)
    for name in gone:
        yield f"field {places_was.index(name) + 1} was {_join(path, name)}, {_show(was[name])}, which is not there any more"
    for name in new:
        yield f"field {places_now.index(name) + 1} is {_join(path, name)}, {_show(now[name])}, which was not there"
    both = [name for name in was if name in now]
    for before, after in zip(both, (name for name in now if name in was), strict=True):
        if before != after:
            yield f"{_join(path, before)} was field {places_was.index(before) + 1} and is field {places_now.index(before) + 1}"
    for name in both:
        yield from _changes(_join(path, name), was[name], now[name])


def _member_changes(path: str, was: dict[int, str], now: dict[int, str]) -> Iterator[str]:
    for value in sorted({*was, *now}):
        before, after = was.get(value), now.get(value)
        if before is None:
            yield f"member {value} of {path or 'it'} is {after}, which was not there"
        elif after is None:
            yield f"member {value} of {path or 'it'} was {before}, which is not there any more"
        elif before != after:
            yield f"member {value} of {path or 'it'} was {before} and is {after}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _show(wire: _Type) -> str:
    match wire:
        case _Plain():
            return wire.text
        case _Wrapped():
            return f"{wire.how} {_show(wire.item)}"
        case _Fields():
            return f"a record of {', '.join(name for name, _ in wire.fields) or 'nothing'}"
        case _:
            return f"an enum of {wire.form}: {', '.join(f'{name}={value}' for value, name in wire.names)}"


def _parts(text: str) -> tuple[str, str, str, str]:
    number, name, domain, layout = text.split(" ", 3)
    return number, name, domain, layout


def _parse(text: str) -> _Type:
    reader = _Reader(text)
    wire = reader.wire(0)
    if reader.at != len(text):
        raise ValueError(text)
    return wire


@attrs.define
class _Reader:
    """Reads what `spore.message.wire` writes. Raises ValueError at anything else."""

    text: str
    at: int = 0

    def take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise ValueError(self.text)
        self.at = found.end()
        return found

    def has(self, words: str) -> bool:
        found = self.text.startswith(words, self.at)
        self.at += len(words) if found else 0
        return found

    def wire(self, depth: int) -> _Type:
        if depth > MAX_DEPTH:
            raise ValueError(self.text)
        for how in ("list of", "optional"):
            if self.has(f"{how} "):
                return _Wrapped(how, self.wire(depth + 1))
        if self.has("enum "):
            form = self.take(_WORD)[0]
            self.take(_OPEN)
            return _Members(form, tuple(self.members()))
        if self.has("{"):
            return _Fields(tuple(self.fields(depth)))
        return _Plain(self.take(_WORD)[0])

    def fields(self, depth: int) -> Iterator[tuple[str, _Type]]:
        if self.has("}"):
            return
        while True:
            name = self.take(_NAME)[1]
            yield name, self.wire(depth + 1)
            if self.has("}"):
                return
            self.take(_COMMA)

    def members(self) -> Iterator[tuple[int, str]]:
        while not self.has("}"):
            found = self.take(_MEMBER)
            yield int(found[2]), found[1]
            self.has(", ")


_WORD = re.compile(r"[a-z0-9]+")
_NAME = re.compile(r"(\w+): ")
_MEMBER = re.compile(r"([^=,{}]+)=(-?\d{1,80})")
_OPEN = re.compile(r" \{")
_COMMA = re.compile(r", ")
