"""The short input that shows a difference, kept as a feed under a name that says what is in it, and told."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs

from spore.cli.files import open_recording
from spore.cli.record import recorded
from spore.feeds.frames import SUFFIX
from spore.migration.compare import Comparison
from spore.migration.shrink import Prefix

__all__ = ["keep_prefix", "prefix_lines"]

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
    frames = recorded(found.prefix.messages)
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


def prefix_lines(prefix: Prefix) -> Iterator[str]:
    """What was found, in sentences."""
    if prefix.messages:
        events = len(prefix.messages)
        first = (
            f"The first of {prefix.whole:,} events shows"
            if events == 1
            else f"The first {events:,} of {prefix.whole:,} events show"
        )
        yield f"{first} a difference, in {prefix.differed} of {prefix.pairs} runs of both modes."
    elif prefix.pairs:
        yield f"It has not come again: in {prefix.pairs} runs of both modes over that input, or a part of it, they agreed."
    if prefix.ended is not None:
        yield f"The search for a shorter input ended early: {prefix.ended}."
    if prefix.file is not None:
        yield f"Kept as a feed: --feed {prefix.file}"
