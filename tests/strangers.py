"""What strangers send to a server: bytes drawn by chance around requests that would be right."""

from __future__ import annotations

import random
from collections.abc import Iterator

__all__ = ["drawn_http", "drawn_lines"]

HEADERS = (
    b"authorization: Bearer wrong",
    b"authorization: \xff\xfe",
    b"connection: keep-alive, Upgrade",
    b"content-length: -1",
    b"content-length: 3",
    b"content-length: 99999999999999999999",
    b"content-type: application/json",
    b"cookie: spore-session-1=x; =; \x22",
    b"expect: 100-continue",
    b"host: [",
    b"http2-settings: AAMAAABkAAQAoAAAAAIAAAAA",
    b"if-none-match: *",
    b"origin: null",
    b"range: bytes=0-",
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    b"sec-websocket-version: 13",
    b"transfer-encoding: chunked",
    b"transfer-encoding: gzip, chunked",
    b"upgrade: h2c",
    b"upgrade: websocket",
    b"x: " + b"y" * 3_000,
)
METHODS = (b"GET", b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"TRACE", b"PRI", b"get", b"\x00")
TARGETS = (
    *(
        b"/",
        b"/metrics",
        b"/events?x=%ff",
        b"/do/drain",
        b"/do/rollback",
        b"/login",
        b"/?code=x&code=",
        b"/?token=secret",
    ),
    *(b"*", b"http://elsewhere/", b"//", b"/%00", b"/..%2f", b"/" + b"a" * 9_000, b"/\xc3\xa9", b"elsewhere:443"),
)
BODIES = (
    b"",
    b"{}",
    b"0\r\n\r\n",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"zz\r\n",
    b"ffffffffffffffff\r\n",
    b"token=secre",
    b"\x00" * 5_000,
)
STARTS = (
    b"",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\r\n" * 9,
    b"SSH-2.0-x\r\n",
)


def drawn_http(count: int, *, host: bytes, seed: int = 8) -> Iterator[bytes]:
    """Connections, each as the bytes that a client sends before it closes its side."""
    draw = random.Random(seed)
    for _ in range(count):
        said = draw.choice(STARTS) if draw.random() < 0.1 else b""
        for _ in range(draw.choice((1, 1, 1, 2, 5))):
            version = draw.choice((b"1.1", b"1.1", b"1.0", b"2.0", b"9"))
            lines = [draw.choice(METHODS) + b" " + draw.choice(TARGETS) + b" HTTP/" + version]
            lines += [b"host: " + host] * (draw.random() < 0.9) + draw.choices(HEADERS, k=draw.randrange(5))
            said += b"\r\n".join(lines) + b"\r\n\r\n" + draw.choice(BODIES)
        yield _damaged(draw, said)


def drawn_lines(count: int, *, seed: int = 8) -> Iterator[bytes]:
    """The same of a control socket: nothing that would change a system."""
    draw = random.Random(seed)
    words = (
        *(
            b'{"do": "status"}',
            b'{"do": "statistics"}',
            b'{"do": "statistics", "first": 1e9}',
            b'{"do": "switch"}',
            b"[]",
        ),
        *(b'{"do": "switch", "bundle": "none", "to": "relay"}', b"null", b"1e999", b'"\\ud800"', b"{" * 500, b""),
        *(b'{"do": "statistics", "first": -1}', b'{"do": "statistics", "actors": ["\\u0000"]}', b"x" * 5_000, b"\xff"),
    )
    for _ in range(count):
        yield _damaged(draw, b"\n".join(draw.choices(words, k=draw.randrange(1, 4))) + b"\n" * draw.randrange(2))


def _damaged(draw: random.Random, said: bytes) -> bytes:
    """As it is, cut off, with other bytes in it, or nothing but those."""
    kind = draw.random()
    if kind < 0.3:
        return said[: draw.randrange(len(said) + 1)]
    if kind < 0.5 and said:
        changed = bytearray(said)
        for _ in range(draw.randrange(1, 4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        return bytes(changed)
    return draw.randbytes(draw.randrange(200)) if kind < 0.55 else said
