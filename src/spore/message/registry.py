"""Which messages there are: domains, type numbers, and the registry that keeps them apart."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cached_property
from typing import Protocol
from weakref import WeakSet

import attrs

from spore.errors import DefinitionError
from spore.message.meaning import changes, type_changes
from spore.message.numbers import Domain, domain_of_type, number_problem
from spore.message.wire import Enumeration, Record, parts

__all__ = ["MESSAGE_TYPE", "REGISTRY", "Domain", "MessageType", "Registry", "domain_of_type", "message_type"]

MESSAGE_TYPE = "__spore_message__"
"""The class attribute that holds a message's `MessageType`."""


@attrs.frozen
class MessageType:
    """What is known of a message class: its number, its domain and its layout."""

    type_id: int
    domain: Domain
    cls: type
    layout: Record

    @property
    def name(self) -> str:
        return self.cls.__name__

    @cached_property
    def text(self) -> str:
        """One canonical line, the same on every machine; the schema digest is taken over these."""
        return f"{self.type_id} {self.name} {self.domain.label} {self.layout.text}"


class Watcher(Protocol):
    """Who remembers what it has found in a registry."""

    def forget(self, type_id: int) -> None:
        """The message of this number was defined again."""


@attrs.define(eq=False, repr=False)
class Registry:
    """A set of messages with distinct numbers and distinct names.

    Most programs use the one registry that `spore.message` fills. In a registry of its own an application has the numbers of
    the domains for itself, but for those that Spore puts into its frames: the link's (200–254), 108, 118 and 119.
    """

    _shared: bool = attrs.field(default=False, kw_only=True, alias="shared")
    """Whether Spore's own messages are in it, or may be: then the numbers of all of them are reserved."""
    _link: bool = attrs.field(default=False, kw_only=True, alias="link")
    """Whether it is the link's own."""
    _by_type: dict[int, MessageType] = attrs.field(factory=dict, init=False)
    _by_name: dict[str, MessageType] = attrs.field(factory=dict, init=False)
    _nested: dict[str, Record | Enumeration] = attrs.field(factory=dict, init=False)
    _replaced: WeakSet[type] = attrs.field(factory=WeakSet, init=False, repr=False)
    _watchers: WeakSet[Watcher] = attrs.field(factory=WeakSet, init=False, repr=False)

    def __repr__(self) -> str:
        return f"<Registry: {len(self._by_type):,} messages>"  # short: it stands in the signature of `message`

    def add(self, entry: MessageType) -> None:
        """Register a message.

        A class that is defined again with the same content takes the place of the one before: a module that is reloaded, or
        is ``__main__`` too, a cell of a notebook that is run twice. What is decoded from then on is of the new class;
        messages of the old one can still be sent.

        Raises:
            DefinitionError: if its number is reserved or lies outside its domain, or its number or name is taken: by another
                class, or by the same one with another content, and then the error names what differs.
        """
        problem = number_problem(entry.type_id, entry.name, entry.domain, shared=self._shared, link=self._link)
        if problem is not None:
            raise DefinitionError(entry.name, problem)
        for taken, what in (
            (self._by_type.get(entry.type_id), f"type number {entry.type_id}"),
            (self._by_name.get(entry.name), f"the name {entry.name}"),
        ):
            if taken is not None and (problem := _not_again(taken, entry)) is not None:
                raise DefinitionError(entry.name, f"{what} is taken by {_place(taken.cls)}{problem}")
        self._claim_nested_names(entry)
        before = self._by_type.get(entry.type_id)
        self._by_type[entry.type_id] = entry
        self._by_name[entry.name] = entry
        if before is not None:
            self._replaced.add(before.cls)
            for watcher in tuple(self._watchers):
                watcher.forget(entry.type_id)

    def watch(self, watcher: Watcher) -> None:
        """Have somebody told, for as long as it lives, of messages that are defined again."""
        self._watchers.add(watcher)

    def _claim_nested_names(self, entry: MessageType) -> None:
        """Records and enums stand in the catalogue by name, so two different ones must not share it."""
        claims: dict[str, Record | Enumeration] = {}
        for part in parts(entry.layout):
            if isinstance(part, (Record, Enumeration)):
                name = part.cls.__name__
                holder = claims.setdefault(name, part)
                before = self._nested.get(name, part)
                if holder.cls is part.cls and before.cls is not part.cls and not _is_again(before, part):
                    holder = before
                if holder.cls is not part.cls:
                    reason = f"the name {name} is taken by {_place(holder.cls)}{_nested_changes(holder, part)}"
                    raise DefinitionError(entry.name, reason)
        self._nested |= claims

    def by_type(self, type_id: int) -> MessageType | None:
        return self._by_type.get(type_id)

    def by_name(self, name: str) -> MessageType | None:
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[MessageType]:
        """All messages, by type number."""
        return iter([self._by_type[number] for number in sorted(self._by_type)])

    def __len__(self) -> int:
        return len(self._by_type)

    def __contains__(self, cls: object) -> bool:
        """Whether a class is one of the messages, or was, until it was defined again."""
        return isinstance(cls, type) and (
            cls in self._replaced or any(entry.cls is cls for entry in self._by_type.values())
        )


def _not_again(taken: MessageType, entry: MessageType) -> str | None:
    """What stands in the way of taking a class for one that was defined before; None if nothing does."""
    if taken.name != entry.name:
        return ""
    differences = changes(taken.text, entry.text)
    if not _same_source(taken.cls, entry.cls):
        return "" if differences else ", which is the same message; import it from there"
    if not differences:
        return None
    again = "; ".join(f"{entry.name}: {each}" for each in differences)
    return f", which was defined with another content: {again}. Another content needs another type number and name, or a new process"


def _is_again(before: Record | Enumeration, part: Record | Enumeration) -> bool:
    return before.text == part.text and _same_source(before.cls, part.cls)


def _nested_changes(before: Record | Enumeration, part: Record | Enumeration) -> str:
    """What differs, if the two seem to be one class that was defined again."""
    if _place(before.cls) != _place(part.cls) or before.text == part.text:
        return ""
    return f", which was defined with another content: {'; '.join(type_changes(before.text, part.text))}"


def _same_source(one: type, other: type) -> bool:
    """Whether two classes come from one piece of source text, as far as anybody can tell."""
    if one.__qualname__ != other.__qualname__:
        return False
    files = {_file(one), _file(other)}
    return one.__module__ == other.__module__ or None in files or len(files) == 1


def _file(cls: type) -> str | None:
    """The file of a class's module; None for a notebook's, and for a module that nobody can find."""
    path = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return os.path.realpath(path) if path is not None else None


def _place(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


REGISTRY = Registry(shared=True)
"""The registry that `spore.message` fills unless it is given another one."""


def message_type(message: object) -> MessageType:
    """The `MessageType` of a message or of its class.

    Raises:
        TypeError: if it is no message.
    """
    cls = message if isinstance(message, type) else type(message)
    entry = cls.__dict__.get(MESSAGE_TYPE)
    if not isinstance(entry, MessageType):
        raise TypeError(f"{cls.__qualname__} is not a message; declare it with @spore.message(type_id=…, domain=…)")
    return entry
