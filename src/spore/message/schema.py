"""The schema: what all messages of a registry look like, its digest, and how two of them differ.

Two ends exchange digests in their handshake. When those differ, they exchange the texts, and
`Schema.differences` names the messages at fault.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from spore.message.registry import MessageType, Registry
from spore.message.wire import Enumeration, Record, parts

__all__ = ["Difference", "Schema", "catalogue"]


@attrs.frozen
class Difference:
    """One message that two ends do not agree on."""

    type_id: int
    name: str
    here: str | None
    """The canonical text at this end, None where the message is unknown here."""
    there: str | None

    def __str__(self) -> str:
        if self.here is None:
            return f"{self.name} ({self.type_id}) is known only there: {self.there}"
        if self.there is None:
            return f"{self.name} ({self.type_id}) is known only here: {self.here}"
        return f"{self.name} ({self.type_id}) differs: here {self.here}, there {self.there}"


@attrs.frozen
class Schema:
    """The canonical texts of some messages by type number. It is plain data: it can be sent and stored."""

    texts: Mapping[int, str]

    @classmethod
    def of(cls, messages: Registry | Iterable[MessageType]) -> Schema:
        return cls({entry.type_id: entry.text for entry in messages})

    @property
    def digest(self) -> str:
        """SHA-256, in hex, over the canonical texts in the order of their numbers, one a line."""
        lines = "".join(f"{self.texts[number]}\n" for number in sorted(self.texts))
        return hashlib.sha256(lines.encode()).hexdigest()

    def differences(self, there: Schema) -> tuple[Difference, ...]:
        """What differs between this end and another, by type number; empty when the digests agree."""
        found = []
        for number in sorted({*self.texts, *there.texts}):
            ours, theirs = self.texts.get(number), there.texts.get(number)
            if ours != theirs:
                # Texts from another end may be anything; a canonical one is "number name domain fields".
                name = next(iter((ours or theirs or "").split(" ")[1:]), "?")
                found.append(Difference(number, name, ours, theirs))
        return tuple(found)


def catalogue(messages: Iterable[MessageType]) -> dict[str, Any]:
    """All messages, and the records and enums that they use, as JSON-ready data for people and tools.

    Shape: ``{"digest", "records": [{"name", "fields"}], "enums": [{"name", "type", "values"}],
    "messages": [{"type_id", "name", "domain", "fields": [{"name", "type"}]}]}``.
    """
    entries = tuple(messages)
    nested = {
        part.name: part
        for entry in entries
        for part in parts(entry.layout)
        if isinstance(part, (Record, Enumeration)) and part is not entry.layout
    }
    named = [nested[name] for name in sorted(nested)]
    return {
        "digest": Schema.of(entries).digest,
        "records": [{"name": x.cls.__name__, "fields": _fields(x)} for x in named if isinstance(x, Record)],
        "enums": [_enum(x) for x in named if isinstance(x, Enumeration)],
        "messages": [
            {"type_id": x.type_id, "name": x.name, "domain": x.domain.label, "fields": _fields(x.layout)}
            for x in entries
        ],
    }


def _fields(record: Record) -> list[dict[str, str]]:
    return [{"name": field.name, "type": field.wire.name} for field in record.fields]


def _enum(wire: Enumeration) -> dict[str, Any]:
    values = {wire.members[value].name: value for value in sorted(wire.members)}
    return {"name": wire.cls.__name__, "type": wire.integer.form, "values": values}
