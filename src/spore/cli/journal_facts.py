"""The contents of a journal as facts, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from spore.relay.journal_contents import Contents, KeptLink

__all__ = ["facts", "lines"]


def facts(contents: Contents) -> dict[str, Any]:
    """What is in a journal, ready for JSON."""
    links = contents.links()
    dead = list(contents.dead(links))
    streams = []
    for name, group in groupby(links, key=lambda each: each.stream):
        mine = list(group)
        subscribers = sorted({subscriber for each in mine for subscriber in each.marks})
        streams.append({
            "stream": name,
            "messages": sum(each.messages for each in mine),
            "bytes": sum(each.bytes for each in mine),
            "oldest_ns": min((each.oldest_ns for each in mine if each.oldest_ns is not None), default=None),
            "newest_ns": max((each.newest_ns for each in mine if each.newest_ns is not None), default=None),
            "dead": sum(letter.stream == name for letter in dead),
            "links": [_link(each) for each in mine],
            "subscribers": [
                {
                    "subscriber": subscriber,
                    "behind": sum(contents.behind(each, subscriber) for each in mine),
                    "dead": sum((letter.stream, letter.subscriber) == (name, subscriber) for letter in dead),
                    "positions": {str(each.number): each.marks.get(subscriber) for each in mine},
                }
                for subscriber in subscribers
            ],
        })  # fmt: skip
    return {"journal": str(contents.path), "bytes": contents.used_bytes, "streams": streams}


def _link(link: KeptLink) -> dict[str, Any]:
    return {
        "link": link.number,
        "client": link.origin.name,
        "sender": link.origin.sender,
        "port": link.origin.port,
        "high": link.origin.high,
        "first": link.first,
        "last": link.last,
        "messages": link.messages,
        "bytes": link.bytes,
        "damaged": link.damaged,
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The same for people: a paragraph for each stream."""
    count = len(found["streams"])
    yield f"{found['journal']}: {count} stream{'' if count == 1 else 's'} in {found['bytes']:,} bytes"
    for stream in found["streams"]:
        times = f", {_time(stream['oldest_ns'])} to {_time(stream['newest_ns'])}" if stream["messages"] else ""
        aside = f"; {stream['dead']:,} set aside" if stream["dead"] else ""
        yield f"{stream['stream']}: {stream['messages']:,} messages in {stream['bytes']:,} bytes{times}{aside}"
        for link in stream["links"]:
            numbers = (
                f"{link['first']} to {link['last']}" if link["messages"] else f"none, forgotten up to {link['last']}"
            )
            damaged = "; a part of it is damaged" if link["damaged"] else ""
            urgent = ", high priority" if link["high"] else ""
            whose = f"{link['client']}/{link['sender']}{urgent}"
            yield f"  link {link['link']} from {whose}: {numbers}; {link['messages']:,} messages in {link['bytes']:,} bytes{damaged}"
        for each in stream["subscribers"]:
            where = ", ".join(f"{position or 0} of link {number}" for number, position in each["positions"].items())
            aside = f"; {each['dead']:,} set aside" if each["dead"] else ""
            yield f"  subscriber {each['subscriber']}: {each['behind']:,} behind, at {where}{aside}"


def _time(ns: int | None) -> str:
    return "–" if ns is None else datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
