"""Which messages there are: domains, type numbers, and the registry that keeps them apart."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from functools import cached_property

import attrs

from spore.errors import DefinitionError
from spore.message.wire import Enumeration, Record, parts

__all__ = ["MESSAGE_TYPE", "REGISTRY", "Domain", "MessageType", "Registry", "domain_of_type", "message_type"]

MESSAGE_TYPE = "__spore_message__"
"""The class attribute that holds a message's `MessageType`."""


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


_RANGES = {
    Domain.MARKET_DATA: (range(1, 20),),
    Domain.SIGNAL: (range(20, 40), range(60, 80)),
    Domain.EXECUTION: (range(40, 60),),
    Domain.SYSTEM: (range(80, 120), range(200, 255)),
}


def domain_of_type(type_id: int) -> Domain | None:
    """The domain whose range holds a type number, or None for a number that no domain owns."""
    return next((domain for domain, ranges in _RANGES.items() if any(type_id in r for r in ranges)), None)


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


@attrs.define(eq=False, repr=False)
class Registry:
    """A set of messages with distinct numbers and distinct names.

    Most programs use the one registry that `spore.message` fills; a test may make its own.
    """

    _by_type: dict[int, MessageType] = attrs.field(factory=dict, init=False)
    _by_name: dict[str, MessageType] = attrs.field(factory=dict, init=False)
    _nested: dict[str, type] = attrs.field(factory=dict, init=False)

    def __repr__(self) -> str:
        return f"<Registry: {len(self._by_type):,} messages>"  # short: it stands in the signature of `message`

    def add(self, entry: MessageType) -> None:
        """Register a message.

        Raises:
            DefinitionError: if its number lies outside its domain, or its number or name is taken.
        """
        ranges = entry.domain.type_ranges
        if not any(entry.type_id in r for r in ranges):
            allowed = " or ".join(f"{r.start}–{r.stop - 1}" for r in ranges)
            reason = f"type number {entry.type_id} lies outside {entry.domain.label}, whose numbers are {allowed}"
            raise DefinitionError(entry.name, reason)
        for taken, what in (
            (self._by_type.get(entry.type_id), f"type number {entry.type_id}"),
            (self._by_name.get(entry.name), f"the name {entry.name}"),
        ):
            if taken is not None:
                holder = f"{taken.cls.__module__}.{taken.cls.__qualname__}"
                raise DefinitionError(entry.name, f"{what} is taken by {holder}")
        self._claim_nested_names(entry)
        self._by_type[entry.type_id] = entry
        self._by_name[entry.name] = entry

    def _claim_nested_names(self, entry: MessageType) -> None:
        """Records and enums stand in the catalogue by name, so two different ones must not share it."""
        claims: dict[str, type] = {}
        for part in parts(entry.layout):
            if isinstance(part, (Record, Enumeration)):
                holder = self._nested.get(part.cls.__name__) or claims.setdefault(part.cls.__name__, part.cls)
                if holder is not part.cls:
                    reason = f"the name {part.cls.__name__} is taken by {holder.__module__}.{holder.__qualname__}"
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
        return isinstance(cls, type) and any(entry.cls is cls for entry in self._by_type.values())


REGISTRY = Registry()
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
