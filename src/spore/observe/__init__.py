"""What is known of a running system, shown: as metrics, in a terminal, in a browser, as logs and traces.

Nothing here is on the way of a message: whoever looks asks the system, and what is counted there is counted anyway.

Read in this order: `source` (a look at a system, from inside or from outside), `rates` (what has changed between two looks), `warn` (what a person
should look at), `metrics` (a look as Prometheus reads it), `rows` (a look as a table), `entrance` and `admission` (who is let in by HTTP),
`http_exchange`, `http_connection` and `listen` (how, and where), `serving` (what a configuration asks for), `records` and `runs` (what commands that measure tell of themselves), `dashboard` (a page in a browser), and for itself
`tracing`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spore.observe.dashboard import serve_dashboard

__all__ = ["serve_dashboard"]


def __getattr__(name: str) -> object:
    """`serve_dashboard` is imported when it is first asked for: it needs an extra."""
    if name == "serve_dashboard":
        from spore.observe.dashboard import serve_dashboard  # noqa: PLC0415

        return serve_dashboard
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
