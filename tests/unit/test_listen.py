"""Who may look at a system by HTTP: over real sockets."""

from __future__ import annotations

import http.client
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from spore.errors import UsageError
from spore.observe.listen import Access, Place, open_site

TOKEN = "tøken"
NEEDED = "a token is needed, in the header Authorization: Bearer …\n"
HERE = Place("127.0.0.1", 0)


async def _hello(_: Request) -> Response:
    return PlainTextResponse("hello")


async def _breaks(_: Request) -> Response:
    raise ValueError("a defect")


APP = Starlette(routes=[Route("/", _hello), Route("/breaks", _breaks)])


def _get(url: str, path: str, context: ssl.SSLContext | None, headers: dict[str, str]) -> Any:
    kind, _, host = url.partition("://")
    if kind == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, context=context, timeout=10)
    else:
        connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


async def get(url: str, path: str = "/", *, context: ssl.SSLContext | None = None, **headers: str) -> Any:
    return await trio.to_thread.run_sync(partial(_get, url, path, context, headers))


@asynccontextmanager
async def site(access: Access | None = None, place: Place = HERE) -> AsyncIterator[str]:
    async with open_site(APP, place, access) as url:
        yield url


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:0", Place("127.0.0.1", 0)),
        ("localhost:80", Place("localhost", 80)),
        ("[::1]:9464", Place("::1", 9464)),
        ("0.0.0.0:65535", Place("0.0.0.0", 65_535)),
    ],
)
def test_an_address_is_read_as_people_write_it(text: str, place: Place) -> None:
    """And written the same."""
    assert Place.parse(text) == place
    assert str(place) == text
    assert place.is_loopback == (place.host != "0.0.0.0")


@pytest.mark.parametrize(
    "text", ["", "9464", ":9464", "host:", "host:http", "host:65536", "::1:9464", "http://host:80"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """With one that is."""
    with pytest.raises(UsageError, match=r"is nowhere to listen; write HOST:PORT, such as 127\.0\.0\.1:9464"):
        Place.parse(text)


@pytest.mark.parametrize("access", [Access(), Access(token=TOKEN)])
async def test_off_the_loopback_there_is_nothing_without_tls_and_a_token(access: Access) -> None:
    """It is said before anybody can connect."""
    with pytest.raises(UsageError, match="can be reached from other machines, so it needs TLS"):
        async with site(access, Place("0.0.0.0", 0)):
            pytest.fail("it was served")


async def test_a_place_that_is_taken_is_refused() -> None:
    """In a sentence."""
    async with site() as url:
        taken = Place.parse(url.removeprefix("http://"))
        with pytest.raises(UsageError, match=f"^cannot listen at {taken}: Address already in use$"):
            async with site(None, taken):
                pytest.fail("there are two")


async def test_a_site_is_there_for_the_length_of_its_block() -> None:
    """And goes although somebody keeps a connection open."""
    async with site() as url:
        assert (await get(url))[:2] == (200, "hello")
        lasting = http.client.HTTPConnection(url.removeprefix("http://"))
        await trio.to_thread.run_sync(lasting.connect)
    lasting.close()
    with pytest.raises(ConnectionRefusedError):
        await get(url)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example:80"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_a_page_of_another_site_has_no_access(headers: dict[str, str], status: int) -> None:
    """Neither under its own name, nor through the browser of somebody who has."""
    async with site() as url:
        assert (await get(url, **headers))[0] == status
        assert (await get(url, Origin=url))[0] == 200


async def test_who_does_not_know_the_token_is_told_nothing() -> None:
    """A client shows it in a header each time. In an address, where others could see it, it is worth nothing."""
    async with site(Access(token="secret")) as url:
        assert (await get(url))[0] == 401
        assert (await get(url, Authorization="Bearer secre"))[0] == 401
        assert (await get(url, Authorization="Basic secret"))[0] == 401
        assert (await get(url, Authorization="Bearer "))[0] == 401
        assert (await get(url, "/?token=secret"))[0] == 401
        assert (await get(url, Cookie="spore-token=secret"))[0] == 401
        assert (await get(url, Authorization="Bearer secret"))[:2] == (200, "hello")
        assert (await get(url, "/login", Accept="text/html"))[:2] == (401, NEEDED)


async def test_while_one_token_replaces_another_both_let_in() -> None:
    """Also one that is not ASCII, as clients write it; and nothing shows either."""
    access = Access(token=(TOKEN, "old"))
    assert "old" not in repr(access)
    async with site(access) as url:
        for token in (TOKEN.encode().decode("latin-1"), "old"):
            assert (await get(url, Authorization=f"Bearer {token}"))[0] == 200
        assert (await get(url, Authorization="Bearer older"))[0] == 401


async def test_with_tls_and_a_token_it_can_be_reached_from_anywhere(tmp_path: Path) -> None:
    """Whatever this machine is called there, and however many connect who do not speak TLS."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "cert", tmp_path / "key"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    access = Access(token="secret", certificate=certificate, key=key)
    async with site(access, Place("0.0.0.0", 0)) as url:
        assert url.startswith("https://0.0.0.0:")
        there = url.replace("0.0.0.0", "127.0.0.1")
        assert (await get(there, context=context, Authorization="Bearer secret"))[:2] == (200, "hello")
        assert (await get(there, context=context, Host="spore.example:9464"))[0] == 401
        async with AsyncExitStack() as stack:
            for number in range(300):  # half of them speak no TLS, half say nothing
                stranger = await stack.enter_async_context(
                    await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
                )
                await stranger.send_all(b"GET / HTTP/1.1\r\n\r\n" * (number % 2))
            assert (await get(there, context=context, Authorization="Bearer secret"))[:2] == (200, "hello")
    with pytest.raises(UsageError, match="TLS needs both a certificate and its key"):
        Access(certificate=certificate).check(HERE)
    with pytest.raises(UsageError, match="cannot be used"):
        Access(certificate=key, key=certificate).check(HERE)


async def test_a_defect_behind_it_is_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """And the next client is served."""
    with caplog.at_level(logging.WARNING):
        async with site() as url:
            assert (await get(url, "/breaks"))[0] == 500
            assert (await get(url))[0] == 200
    assert "a defect" in caplog.text
