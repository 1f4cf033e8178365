"""The examples in the documentation run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if "```python" in page.read_text()
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run_in_order(page, tmp_path):
    """A reader who types in a page's Python, block after block, sees no error."""
    text = page.read_text()
    lines = ["\n"] * text.count("\n")
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        at = text[: block.start(1)].count("\n")
        for offset, line in enumerate(block[1].splitlines(keepends=True)):
            lines[at + offset] = line  # where it stands in the page, for the line numbers of a traceback
    script = tmp_path / f"{page.stem}.py"
    script.write_text("".join(lines))
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))  # as at a prompt in a clone
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
