"""Who gets what from the dashboard's server, asked as a browser asks, and as nobody should."""

import json
import socket

import pytest
import trio
from tests.controlled import TEXT, running, short_folder
from tests.made_up_system import MadeUpSystem

from spore.deploy.control_socket import socket_path
from spore.observe import listen
from spore.observe.dashboard import Board, ConfigButtons, open_dashboard
from spore.observe.listen import Access, Place
from spore.observe.runs import Runs

HERE = Place("127.0.0.1", 0)


class Browser:
    """Asks a server."""

    def __init__(self, address):
        self.site, _, self.code = address.partition("/?code=")
        self.host = self.site.rstrip("/").removeprefix("http://")
        self.cookie = ""

    async def enter(self):
        """As a person does who opens the address."""
        status, headers, _ = await self.ask(f"/?code={self.code}")
        assert (status, headers["location"]) == (303, "/")
        self.cookie = headers["set-cookie"].partition(";")[0]
        return headers["set-cookie"]

    async def ask(self, path, *, method="GET", body=b"", **headers):
        """The status of the answer, its headers and its body."""
        named = {"host": self.host, "connection": "close", "content-length": str(len(body))}
        named |= {"cookie": self.cookie} if self.cookie else {}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]
        port = int(self.host.rpartition(":")[2])
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all("\r\n".join(lines).encode() + body)
            data = b"".join([chunk async for chunk in stream])
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *more = head.decode().split("\r\n")
        named = (line.split(": ", 1) for line in more)
        return int(first.split()[1]), {name.lower(): value for name, value in named}, rest

    async def press(self, what, **headers):
        return await self.ask(
            f"/do/{what}", method="POST", **{"body": b"{}", "content_type": "application/json", **headers}
        )


@pytest.fixture
def config(monkeypatch):
    with short_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        path = folder / "system.toml"
        path.write_text(TEXT)
        yield path


@pytest.fixture
async def served(config, nursery):
    """A dashboard with buttons."""
    board = Board(
        MadeUpSystem(), name="system.toml", runs=Runs(config.parent), buttons=ConfigButtons(config, socket_path(config))
    )
    async with open_dashboard(board, HERE) as address:
        yield Browser(address)


async def test_the_page_may_load_nothing_but_what_the_server_has(served):
    """The browser is told so, and that no other page may frame it."""
    status, headers, body = await served.ask("/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"http" not in body
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "frame-ancestors 'none'" in policy
    status, headers, _ = await served.ask("/main.js")
    assert status == 200
    assert (await served.ask("/main.js", if_none_match=headers["etag"]))[0] == 304


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/app.py", "/..%2fapp.py", "/static/main.js", "/etc/passwd", "/app.py", "//"]
)
async def test_a_path_outside_is_none(served, path):
    """There is nothing but the files of the page, by their names."""
    status, _, body = await served.ask(path)
    assert status == 404
    assert b"import" not in body


async def test_another_origin_is_refused(served):
    """By its name, by that of a host which is not this one, and by what the browser says of a request without either."""
    assert (await served.ask("/events", origin="http://evil.example"))[0] == 403
    assert (await served.ask("/events", host="evil.example"))[0] == 421
    assert (await served.ask("/main.js", sec_fetch_site="cross-site", sec_fetch_mode="no-cors"))[0] == 403
    assert (await served.ask("/", sec_fetch_site="cross-site", sec_fetch_mode="navigate"))[0] == 200
    await served.enter()
    assert (await served.press("drain", origin="http://evil.example"))[0] == 403
    assert (await served.press("drain", sec_fetch_site="same-site", sec_fetch_mode="cors"))[0] == 403


async def test_a_button_does_nothing_for_a_browser_that_was_not_let_in(served, config):
    """Nor if it is no page that asks. For one that was, the system is drained."""
    async with running(config) as system:
        status, _, body = await served.press("drain")
        assert status == 401
        assert b"open the address with a code" in body
        assert (await served.press("drain", cookie="spore-session=guessed"))[0] == 401
        assert (await served.press("drain", authorization=f"Bearer {served.code}"))[0] == 401
        await served.enter()
        assert (await served.press("drain", content_type="text/plain"))[0] == 415
        assert (await served.press("drain", body=b"[]"))[0] == 400
        assert (await served.press("drain", body=b" " * 5_000))[0] == 400
        assert (await served.ask("/do/drain"))[0] == 405
        assert not system.drained.is_set()
        status, _, body = await served.press("drain")
        assert (status, body) == (200, b"the system handles what was sent, and ends")
        assert system.drained.is_set()


async def test_a_rollback_changes_the_system_and_its_file(served, config):
    """As the command does, and says how to undo it; what fails leaves both as they were."""
    await served.enter()
    async with running(config) as system:
        status, _, body = await served.press("rollback", body=b'{"bundle": "nobody"}')
        assert status == 409
        assert b"there is no bundle 'nobody'" in body
        system.refuse()
        status, _, body = await served.press("rollback", body=b'{"bundle": "core"}')
        assert status == 409
        assert config.read_text() == TEXT
        system.failing = lambda to: None
        status, _, body = await served.press("rollback", body=b'{"bundle": "core"}')
        assert status == 200
        assert b"to undo this: spore rollback core" in body
        assert system.mode("core").value == "relay"
    assert config.read_text() == TEXT.replace('"shared_memory" ', '"relay" ')


async def test_a_code_lets_one_browser_in_once(served):
    """It gets a cookie that no script reads and no other site sends, with neither the code nor a token in it; and the address is without the code."""
    assert (await served.ask(f"/?code={served.code}", method="HEAD"))[1].get(
        "set-cookie"
    ) is None  # what only looks does not use it up
    cookie = await served.enter()
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert served.code not in cookie
    served.cookie = ""
    status, headers, _ = await served.ask(f"/?code={served.code}")
    assert (status, headers.get("set-cookie")) == (303, None)
    assert (await served.press("drain"))[0] == 401


async def test_with_a_token_nothing_is_shown_to_a_browser_that_does_not_know_it(config, nursery):
    """It gets a form to type it in, which lets in with either of two tokens; what is wrong there does not come back in the answer."""
    board = Board(MadeUpSystem(), name="x", runs=Runs(config.parent))
    async with open_dashboard(board, HERE, access=Access(token=("right", "old"))) as address:
        browser = Browser(address)
        assert "right" not in address
        for path in ("/", "/events", "/main.js"):
            assert (await browser.ask(path))[0] == 401
        status, headers, body = await browser.ask("/", accept="text/html")
        assert (status, b'type="password"' in body) == (401, True)
        assert "form-action 'self'" in headers["content-security-policy"]
        form = {"method": "POST", "content_type": "application/x-www-form-urlencoded"}
        status, _, body = await browser.ask("/login", body=b"token=wr%3Cong", **form)
        assert (status, b"This token is wrong." in body, b"wr" in body.replace(b"wrong", b"")) == (401, True, False)
        assert (await browser.ask("/login", body=b"token=right", origin="http://evil.example", **form))[0] == 403
        assert (await browser.ask("/login", body=b"x" * 5_000, **form))[0] == 413
        assert (await browser.ask("/login", body=b"\xff=%ff&token", **form))[0] in {400, 401}
        for token in (b"right", b"old"):
            status, headers, _ = await browser.ask("/login", body=b"token=" + token, **form)
            assert (status, headers["location"]) == (303, "/")
            assert token.decode() not in headers["set-cookie"]
            cookie = headers["set-cookie"].partition(";")[0]
            assert (await browser.ask("/main.js", cookie=cookie))[0] == 200
        await browser.enter()
        assert (await browser.ask("/main.js"))[0] == 200
        browser.cookie = ""
        status, _, body = await browser.ask(f"/?code={browser.code}")
        assert (status, b"used already" in body) == (401, True)


async def test_a_browser_that_does_not_read_slows_nobody_and_keeps_nobody(config, monkeypatch):
    """Others get every look meanwhile; and the server ends, though that one is still there."""
    monkeypatch.setattr(listen, "STUCK_MS", 200)
    board = Board(MadeUpSystem(count=4_000), name="x", runs=Runs(config.parent))
    with trio.fail_after(20):
        async with open_dashboard(board, HERE) as address:
            port = int(address.rstrip("/").rpartition(":")[2])
            stuck = socket.socket()
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            stuck.connect(("127.0.0.1", port))
            request = f"GET /events HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()
            stuck.sendall(request)
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(request)
                seen = b""
                async for chunk in stream:
                    seen += chunk
                    if seen.count(b"data: ") == 3:
                        break
        stuck.close()


async def test_the_events_are_whole_and_go_on(served):
    """Each is JSON; the first tells everything, and the next what is new."""
    port = int(served.host.rpartition(":")[2])
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(f"GET /events HTTP/1.0\r\nhost: {served.host}\r\n\r\n".encode())
        data = b""
        async for chunk in stream:
            data += chunk
            if data.count(b"\n\n") == 2:
                break
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"content-type: text/event-stream" in head
    first, second = (json.loads(event.removeprefix(b"data: ")) for event in body.split(b"\n\n")[:2])
    assert first["actors"]["whole"]
    assert first["source"] == {"name": "system.toml", "buttons": True, "state": "live", "text": "", "hint": ""}
    assert second["totals"]["handled"] > first["totals"]["handled"]
