"""The tables of a journal's file."""

from __future__ import annotations

__all__ = ["APPLICATION_ID", "DEAD_TABLE", "DEATHS_TABLE", "LAYOUT", "LAYOUT_VERSION", "PAGE_SIZE"]

APPLICATION_ID = 0x53504F52
"""``SPOR`` in the file's header: whose file it is."""
LAYOUT_VERSION = 1
PAGE_SIZE = 16_384
"""Frames up to a quarter of a page lie within it; larger ones take pages of their own. An order book is 2,400 bytes."""

LAYOUT = f"""
BEGIN IMMEDIATE;
CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER NOT NULL);
CREATE TABLE frames (stream INTEGER, sequence INTEGER, frame BLOB NOT NULL, PRIMARY KEY (stream, sequence)) WITHOUT ROWID;
CREATE TABLE marks (stream TEXT, receiver TEXT, sequence INTEGER NOT NULL, PRIMARY KEY (stream, receiver)) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {LAYOUT_VERSION};
COMMIT;
"""
DEATHS_TABLE = """CREATE TABLE IF NOT EXISTS deaths
(stream TEXT, receiver TEXT, record TEXT NOT NULL, PRIMARY KEY (stream, receiver)) WITHOUT ROWID"""
"""What is known of the deaths of subscribers' processes. Older programs do not know this table, nor the next one, and need not: the
version of the layout is the same with and without them, and each is made when it is needed."""
DEAD_TABLE = """CREATE TABLE IF NOT EXISTS dead
(stream TEXT, receiver TEXT, sequence INTEGER, frame BLOB NOT NULL, deaths INTEGER NOT NULL, at_ns INTEGER NOT NULL,
PRIMARY KEY (stream, receiver, sequence)) WITHOUT ROWID"""
"""Messages that were set aside."""
