"""What the build adds to pyproject.toml: the README as it is shown outside of a clone, where links need an address."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"\]\((?!https?://|#)([^)\s]+)\)")
"""A link in Markdown that is seen from the file's own folder."""


def shown_elsewhere(text: str, source: str) -> str:
    """A README with links that lead into the repository from anywhere.

    Args:
        text: the README.
        source: the address of the repository.
    """
    return LINK.sub(lambda link: f"]({source}/blob/main/{link[1]})", text)


class CustomMetadataHook(MetadataHookInterface):  # type: ignore[misc] # the build has hatchling, and the linters' environment has not
    """Sets ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called by hatchling with what pyproject.toml says of the project."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        readme = shown_elsewhere(text, metadata["urls"]["Source"])
        metadata["readme"] = {"content-type": "text/markdown", "text": readme}
