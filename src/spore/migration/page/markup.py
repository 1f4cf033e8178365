"""HTML from Python: elements as calls. Text is escaped unless it is `Markup`, which nothing but an element makes."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

__all__ = ["Markup", "embedded", "joined", "tag"]

VOID = frozenset({"br", "meta"})
"""Elements that have no content, and no end."""


class Markup(str):
    """HTML: whatever in it came from outside is escaped."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str) -> Markup:
    """An element.

    Args:
        name: of the element.
        content: what is in it, one after the other.
        attributes: their values; ``class_`` stands for class and ``aria_label`` for aria-label.
    """
    head = "".join(f' {_named(key)}="{html.escape(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{head}>" if name in VOID else f"<{name}{head}>{joined(content)}</{name}>")


def joined(content: Iterable[str]) -> Markup:
    """Pieces of content, one after the other."""
    return Markup("".join(each if isinstance(each, Markup) else html.escape(each) for each in content))


def embedded(data: Any) -> Markup:
    """Data as a script of the page can read it: no text in it can end the element that holds it, or open a comment.

    Source: HTML Standard, section 4.12.1.3, restrictions for contents of script elements.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(f'<script type="application/json">{text}</script>')


def _named(attribute: str) -> str:
    return attribute.rstrip("_").replace("_", "-")
