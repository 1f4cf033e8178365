"""``spore schema``: the catalogue of messages, for people, for tools and for the documentation."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from spore.cli.console import output_console
from spore.cli.modules import Modules, load_messages
from spore.cli.narrow import Fitting
from spore.errors import UsageError
from spore.message import catalogue

__all__ = ["markdown", "schema"]


def schema(*, json: bool = False, markdown: bool = False, module: Modules | None = None) -> None:
    """Show all messages: their type numbers, domains, fields and wire types, and the digest that covers them.

    Two ends can talk when they print the same digest.

    Parameters
    ----------
    json
        Print one JSON object: digest, records, enums, messages.
    markdown
        Print the tables of the reference documentation.
    """
    if json and markdown:
        raise UsageError("--json and --markdown exclude each other")
    known = catalogue(load_messages(module or []))
    if json:
        print(jsonlib.dumps(known, indent=2))
    elif markdown:
        print(_markdown(known))
    else:
        _show(known)


def _show(known: dict[str, Any]) -> None:
    console = output_console()
    table = Table("type", "message", "domain", "fields", box=None, pad_edge=False, header_style="bold")
    for entry in known["messages"]:
        fields = "\n".join(f"{field['name']}: {field['type']}" for field in entry["fields"])
        table.add_row(str(entry["type_id"]), entry["name"], entry["domain"], f"{fields}\n")
    for entry in known["records"]:
        fields = "\n".join(f"{field['name']}: {field['type']}" for field in entry["fields"])
        table.add_row("", entry["name"], "record", f"{fields}\n")
    for entry in known["enums"]:
        values = "\n".join(f"{name} = {value}" for name, value in entry["values"].items())
        table.add_row("", entry["name"], f"enum {entry['type']}", f"{values}\n")
    console.print(Fitting(table))
    console.print(f"digest {known['digest']}", soft_wrap=True, highlight=False)


def markdown(known: dict[str, Any]) -> str:
    """The catalogue as the tables of ``docs/reference/wire.md``."""
    return "\n".join(_lines(known))


_markdown = markdown


def _lines(known: dict[str, Any]) -> Iterator[str]:
    yield f"Schema digest: `{known['digest']}`"
    for entry in known["messages"]:
        yield f"\n### {entry['type_id']} {entry['name']} ({entry['domain']})\n"
        yield from _field_table(entry)
    yield "\n## Records"
    for entry in known["records"]:
        yield f"\n### {entry['name']}\n"
        yield from _field_table(entry)
    yield "\n## Enums\n"
    yield "| enum | type | values |\n|---|---|---|"
    for entry in known["enums"]:
        values = ", ".join(f"{value} {name}" for name, value in entry["values"].items())
        yield f"| {entry['name']} | {entry['type']} | {values} |"


def _field_table(entry: dict[str, Any]) -> Iterator[str]:
    yield "| field | type |\n|---|---|"
    for field in entry["fields"]:
        yield f"| {field['name']} | {field['type']} |"
