"""Who is let in: tokens that last, codes that work once, and the sessions of browsers that had either.

Rule: a token is shown by a client in a header, or typed into the form of the page. It is never part of an address, a line or a cookie: those are seen by
others. What stands in an address is a code, which works once and not for long; what stands in a cookie is a session, which ends with the server.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from hashlib import sha256

from spore.relay.token import matching

__all__ = ["CODE_S", "SESSION_S", "Entrance"]

CODE_S = 300.0
"""So long a code works. Source: RFC 6749, section 4.1.2, has ten minutes as the most for codes of this kind."""
SESSION_S = 12 * 3_600.0
"""So long a browser stays in: a working day."""
MAX_CODES = 16
MAX_SESSIONS = 64
"""Of either, the oldest one makes room. They are given to who runs the server, or knows a token, and to nobody else."""
BYTES = 24


class Entrance:
    """Knows who may come in.

    Args:
        tokens: any of them lets a client in; two while one replaces the other.
        clock: seconds that only go on.
    """

    def __init__(self, tokens: tuple[str, ...] = (), *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens = tokens
        self._clock = clock
        self._codes: dict[bytes, float] = {}
        """Until when each works, by its digest: so that comparing them tells nothing."""
        self._sessions: dict[bytes, float] = {}

    @property
    def has_tokens(self) -> bool:
        return bool(self._tokens)

    def new_code(self) -> str:
        """A code that lets one browser in, once, within `CODE_S`."""
        return _new(self._codes, self._clock() + CODE_S, MAX_CODES)

    def redeem(self, code: str) -> str | None:
        """The session that a code is good for; None if it is none, was used, or is too old."""
        until = self._codes.pop(_digest(code), None)
        if until is None or until < self._clock():
            return None
        return self._new_session()

    def log_in(self, token: str) -> str | None:
        """The session that a token is good for; None if it is wrong."""
        return self._new_session() if self.knows_token(token) else None

    def knows_token(self, token: str) -> bool:
        """Whether it is one of the tokens."""
        return matching(self._tokens, token) > 0

    def knows_session(self, session: str) -> bool:
        """Whether a browser has it from here, and for less than `SESSION_S`."""
        until = self._sessions.get(_digest(session))
        return until is not None and until >= self._clock()

    def _new_session(self) -> str:
        return _new(self._sessions, self._clock() + SESSION_S, MAX_SESSIONS)


def _new(given: dict[bytes, float], until: float, most: int) -> str:
    while len(given) >= most:
        del given[next(iter(given))]
    made = secrets.token_urlsafe(BYTES)
    given[_digest(made)] = until
    return made


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
