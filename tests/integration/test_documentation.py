"""The examples in the documentation run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if "```python" in page.read_text()
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run_in_order(page, monkeypatch):
    """A reader who types in a page's Python, block after block, sees no error."""
    text = page.read_text()
    namespace = {"__name__": "__main__"}
    # The messages that a page declares must not stay behind for the next page.
    with monkeypatch.context() as patch:
        registry = __import__("spore.message.registry", fromlist=["REGISTRY"]).REGISTRY
        for name in ("_by_type", "_by_name", "_nested"):
            patch.setattr(registry, name, dict(getattr(registry, name)))
        for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            lines_before = text[: block.start(1)].count("\n")
            exec(compile("\n" * lines_before + block[1], str(page), "exec"), namespace)
