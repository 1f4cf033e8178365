"""The short input that shows a difference, kept as a feed under a name that says what is in it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import attrs

from spore.cli.files import open_recording
from spore.cli.record import recorded
from spore.codec import schema_head
from spore.feeds.frames import SUFFIX
from spore.message import Schema, message_type
from spore.migration.compare import Comparison

__all__ = ["keep_prefix"]

DIGITS = 12
"""Of the hash in the name: as many as people copy, and more than two inputs will ever share."""


def keep_prefix(comparison: Comparison, folder: Path) -> Comparison:
    """Write the prefix that a comparison has found, if it has found one, and note where.

    The name is made of what is in the file, so that nothing is ever replaced: a file that is there already is the same one. Where
    none can be written, that is said on stderr; the difference is worth telling all the same.
    """
    found = comparison.divergence
    if found is None or found.prefix is None or not found.prefix.messages:
        return comparison
    entries = {message_type(message) for message in found.prefix.messages}
    frames = schema_head(Schema.of(entries)) + recorded(found.prefix.messages)
    path = folder / f"difference-{hashlib.sha256(frames).hexdigest()[:DIGITS]}{SUFFIX}"
    try:
        if not path.exists():
            with open_recording(path, overwrite=False) as file:
                file.write(frames)
    except OSError as error:
        print(f"spore: {path}: {error.strerror}, so the input that shows the difference is not kept", file=sys.stderr)
        return comparison
    prefix = attrs.evolve(found.prefix, file=str(path))
    return attrs.evolve(comparison, divergence=attrs.evolve(found, prefix=prefix))
