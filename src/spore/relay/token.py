"""The token that clients have to know: it is in a file or in the environment, never on a command line that others can see."""

from __future__ import annotations

import os
from pathlib import Path

from spore.errors import UsageError

__all__ = ["TOKEN_VARIABLE", "read_token"]

TOKEN_VARIABLE = "SPORE_TOKEN"  # noqa: S105 - where the token is, not what


def read_token(file: Path | None) -> str | None:
    """The token in a file, or in the environment; None where there is neither.

    Raises:
        UsageError: if the file is empty.
    """
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    token = file.read_text().strip()
    if not token:
        raise UsageError(f"{file}: there is no token in it")
    return token
