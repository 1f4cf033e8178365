"""The files of the page, which are in the packages: this one's own, and plotly's script. No path of a request is one of the disk."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import trio

from spore.distribution import needs

with needs("dashboard"):
    from plotly.offline import get_plotlyjs
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["NAMES", "StaticFiles"]

KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
OWN = files("spore.observe.dashboard").joinpath("static")
NAMES = frozenset(file.name for file in OWN.iterdir() if file.name.rpartition(".")[2] in KINDS)
PLOTLY = "plotly.js"


class StaticFiles:
    """Answers with a file. A browser that has the same one already is told so."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[bytes, str]] = {}
        """By name: what is in it, and its tag."""

    async def answer(self, request: Request) -> Response:
        """The file of the path's name; without one, the page.

        Cancellation: a checkpoint the first time.
        """
        name = request.path_params.get("name") or "index.html"
        if name not in NAMES and name != PLOTLY:
            return Response("there is no such file", status_code=404, media_type="text/plain")
        if name not in self._found:
            self._found[name] = await trio.to_thread.run_sync(_read, name)
        data, tag = self._found[name]
        headers = {"etag": tag, "cache-control": "no-cache"}  # asked for again each time, and seldom sent again
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, headers={**headers, "content-type": KINDS[name.rpartition(".")[2]]})


def _read(name: str) -> tuple[bytes, str]:
    data = get_plotlyjs().encode() if name == PLOTLY else OWN.joinpath(name).read_bytes()
    return data, f'"{hashlib.sha256(data).hexdigest()[:20]}"'
