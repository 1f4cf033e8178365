"""The dashboard: a page that shows a running system, and what a comparison or a load test measures while it runs.

What happens once a second: a `spore.observe.source` is looked at, the look is put in plain words and held against those before, and each
open page is sent what it has not had yet. Nobody looks while no page is open; a page that is slow or gone costs nothing.

Read in this order: `sheet` (tables of which only changes are told), `told` (a look in plain values), `board`
(the last look, and who has had it), `events` (how pages get it), `buttons` and `press` (what a page can do), `guard` and `static`
(what it may load), `app` and `serve` (how it comes together). The page itself is in ``static``: ``main.js`` first, then a module a view.

It needs the packages of the extra ``dashboard``.
"""

from spore.observe.dashboard.board import Board
from spore.observe.dashboard.buttons import Buttons, ConfigButtons
from spore.observe.dashboard.serve import open_dashboard, serve_dashboard, with_code

__all__ = ["Board", "Buttons", "ConfigButtons", "open_dashboard", "serve_dashboard", "with_code"]
