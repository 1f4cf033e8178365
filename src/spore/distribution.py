"""What Spore is called where it is installed from, its version, and the command that installs one of its extras.

The distribution is not named as the package is, because another project has that name where packages are installed from.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["DISTRIBUTION", "VERSION", "extra_of", "install", "missing", "needs"]

DISTRIBUTION = "spore-actors"
"""The name of the distribution, as in pyproject.toml. The package that it brings is imported as ``spore``."""
VERSION = "0.1.0"
"""``spore.__version__``; the build reads it here."""


EXTRAS = {
    "cyclopts": "cli",
    "rich": "cli",
    "hdrh": "cli",
    "psutil": "cli",
    "tomlkit": "cli",
    "starlette": "dashboard",
    "h11": "dashboard",
    "plotly": "report",
    "prometheus_client": "metrics",
    "nats": "nats",
    "trio_websocket": "live",
    "opentelemetry": "traces",
}
"""For each package that only an extra brings, as it is imported, that extra; where several do, the one for most readers."""


def install(*extras: str) -> str:
    """The command that installs Spore with some of its extras."""
    return f"pip install '{DISTRIBUTION}[{','.join(extras)}]'"


def missing(what: str, module: str | None, *extras: str) -> str:
    """The sentence for a part that cannot be used because an extra was not installed.

    Args:
        what: the part.
        module: the module that it could not import.
        extras: what brings it.
    """
    return f"{what} needs {module}, which is not installed: {install(*extras)}"


def extra_of(error: ModuleNotFoundError) -> str | None:
    """The extra that brings what could not be imported; None if it is nothing that an extra brings."""
    return EXTRAS.get((error.name or "").partition(".")[0])


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around imports that an extra is needed for: where one fails, the error says how to install it.

    Args:
        extra: its name.

    Raises:
        ModuleNotFoundError: with the module's name, as the import raises it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if extra_of(error) is None:
            raise
        sentence = missing("this part of Spore", error.name, extra)
        raise ModuleNotFoundError(sentence, name=error.name) from None
