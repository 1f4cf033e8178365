"""What the processes that Spore starts find in their environment: what this one has, without the token.

It lets in whoever shows it, so it is for those who check it, and for nobody who runs somebody's code.
"""

from __future__ import annotations

import os

from spore.relay.token import TOKEN_VARIABLE

__all__ = ["child_environment"]


def child_environment() -> dict[str, str]:
    """For a process that is about to be started."""
    return {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
