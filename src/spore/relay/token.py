"""The token that clients have to know: it is in a file or in the environment, never on a command line that others can see.

A file may hold two tokens, a line each, for the time in which clients change from one to the other: the first line is the one that is
to stay, and the second one goes when nobody shows it any more.
"""

from __future__ import annotations

import os
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path

from spore.errors import UsageError

__all__ = ["MAX_TOKENS", "TOKEN_VARIABLE", "Showing", "Tokens", "as_tokens", "matching", "read_token", "read_tokens"]

TOKEN_VARIABLE = "SPORE_TOKEN"  # noqa: S105 - where the token is, not what
MAX_TOKENS = 2
"""The one that is to stay, and the one that is to go."""
Tokens = str | tuple[str, ...] | None
"""One token, two while one replaces the other, or none."""


def read_tokens(file: Path | None) -> tuple[str, ...]:
    """The tokens in a file, one a line, or in the environment; empty where there is neither.

    Raises:
        UsageError: if the file holds no token, or more than two.
        OSError: if it cannot be read.
    """
    if file is None:
        return _tokens(os.environ.get(TOKEN_VARIABLE, ""), f"the variable {TOKEN_VARIABLE}")
    tokens = _tokens(file.read_text(encoding="utf-8"), str(file))
    if not tokens:
        raise UsageError(f"{file}: there is no token in it")
    return tokens


def read_token(file: Path | None) -> str | None:
    """The token that is to stay: the first of `read_tokens`; None where there is none.

    Raises:
        UsageError: if the file holds no token, or more than two.
        OSError: if it cannot be read.
    """
    return next(iter(read_tokens(file)), None)


def as_tokens(given: Tokens) -> tuple[str, ...]:
    """What was given, as a tuple.

    Raises:
        UsageError: if a token is empty, or there are more than two.
    """
    if given is None:
        return ()
    tokens = (given,) if isinstance(given, str) else tuple(given)
    if not all(tokens):
        raise UsageError("a token is empty; leave it out to ask for none")
    if len(tokens) > MAX_TOKENS:
        raise UsageError(
            f"{len(tokens)} tokens, and {MAX_TOKENS} is the most: the one that is to stay, and the one that is to go"
        )
    return tokens


def matching(tokens: tuple[str, ...], shown: str) -> int:
    """Which of these tokens was shown: 1 for the first, 2 for the second, 0 for none.

    The time that it takes depends neither on where they differ, nor on how long they are, nor on which it was.
    """
    digest = _digest(shown)
    found = 0
    for number, token in reversed(tuple(enumerate(tokens, 1))):
        found += (number - found) * compare_digest(_digest(token), digest)
    return found


class Showing:
    """Which of its tokens a client shows."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = as_tokens(tokens or None) or ("",)
        self._at = 0
        self._refused = 0
        """How many were refused since one was taken."""
        self._taken = False

    @property
    def token(self) -> str:
        """The one that is shown; empty where there is none."""
        return self._tokens[self._at]

    @property
    def number(self) -> int:
        """Which one the relay has taken: 1 for the first; 0 before it has taken any, or without one."""
        return self._at + 1 if self._taken and self.token else 0

    def taken(self) -> None:
        """The relay has welcomed who has shown it."""
        self._taken = True
        self._refused = 0

    def show_another(self) -> bool:
        """The relay does not take it: show the next one. Return whether there is one that was not refused."""
        self._refused += 1
        self._at = (self._at + 1) % len(self._tokens)
        return self._refused < len(self._tokens)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def _tokens(text: str, where: str) -> tuple[str, ...]:
    lines = tuple(filter(None, map(str.strip, text.splitlines())))
    if len(lines) > MAX_TOKENS:
        raise UsageError(
            f"{where}: {len(lines)} lines, and {MAX_TOKENS} is the most: the token that is to stay, and below it the one that is to go"
        )
    return lines
