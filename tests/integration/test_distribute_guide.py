"""The how-to of several nodes, followed line by line, with a real broker."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.controlled import short_folder
from tests.integration.test_migration_guide import Step, follow, steps_of
from tests.nats_servers import NEEDS_SERVER, free_port

pytestmark = [pytest.mark.long, NEEDS_SERVER]
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "distribute.md").read_text()
PORT = "4222"
"""That of the page. Somebody may have it, so the test takes another one."""


@pytest.fixture(scope="module")
def followed() -> Iterator[list[tuple[Step, tuple[int, str]]]]:
    with short_folder() as folder:
        port = str(free_port())
        shutil.copytree(ROOT / "examples", folder / "examples")
        for file in (folder / "examples" / "nodes").glob("*.toml"):
            file.write_text(file.read_text().replace(PORT, port))
        page = PAGE.replace("spore nats", f"spore nats --port {PORT}").replace(PORT, port)
        steps = steps_of(page)
        yield list(zip(steps, follow(steps, folder), strict=True))


def test_every_command_of_the_guide_does_what_the_guide_says(
    followed: list[tuple[Step, tuple[int, str]]],
) -> None:
    """From the broker to what it keeps for a node that comes later: no exit code but 0, and every line that is shown."""
    wrong = [
        f"$ {step.command}\nexit code {code}\n{printed}\n--- and the page shows\n{step.shown}"
        for step, (code, printed) in followed
        if code != 0 or not step.fits(printed)
    ]
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("name", ["two.toml", "durable.toml"])
def test_what_the_page_shows_of_a_file_stands_there(name: str) -> None:
    """Line by line."""
    lines = set((ROOT / "examples" / "nodes" / name).read_text().splitlines())
    shown = {
        "two.toml": PAGE.split("```toml\n")[1].split("```")[0],
        "durable.toml": PAGE.split("durable.toml` that is")[1].split("```toml\n")[1].split("```")[0],
    }
    assert set(shown[name].splitlines()) <= lines
