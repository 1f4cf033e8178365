"""The migration guide, followed line by line: one shell, its commands in order, and what it says that they print."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from tests.controlled import short_folder

from spore.cli.app import app_for

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "migrate.md").read_text()
MARK = "@@ ended with "
TOKEN = "a-token-that-lasts"


@attrs.frozen
class Step:
    """A command of the page, and what the page shows below it."""

    command: str
    shown: str

    def fits(self, printed: str) -> bool:
        """Whether that is what the page shows: … stands for anything within a line, and alone for any lines; how wide columns are does
        not matter. Where it shows nothing, anything is."""
        lines = [
            "(?:[^\n]*\n)*?" if line == "…" else "[^\n]*?".join(map(re.escape, line.split("…"))) + "\n"
            for line in squeezed(self.shown).splitlines()
        ]
        return not lines or re.fullmatch("".join(lines), f"{squeezed(printed)}\n") is not None


def is_load_test(step: Step) -> bool:
    return step.command.startswith("spore loadtest ")


def squeezed(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def steps_of(page: str) -> list[Step]:
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        assert block.startswith("$ ")
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            found.append(Step(command, shown.strip("\n")))
    return found


def follow(steps: list[Step], folder: Path) -> list[tuple[int, str]]:
    """Run the commands in one shell, as somebody does who types them in: for each the exit code, and what it has printed."""
    script = "".join(f"{step.command}\nprintf '\\n{MARK}%s\\n' $?\n" for step in steps)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),  # and not the folder that one stands in
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "120",
        "XDG_RUNTIME_DIR": str(folder),
        "SPORE_TOKEN": TOKEN,
    }
    shell = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = shell.communicate(timeout=200)
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)  # with what the page has left in the background
            shell.wait()
    parts = re.split(rf"\n?{MARK}(\d+)\n", printed)
    return [(int(code), said.strip("\n")) for said, code in zip(parts[0::2], parts[1::2], strict=False)]


@pytest.mark.long
def test_every_command_of_the_guide_does_what_the_guide_says():
    """From the recording of the input to the rollback that is rehearsed: each succeeds, and prints every line that is shown. A token of the
    operator's is in none, and not in the log, which others may read."""
    steps = [step for step in steps_of(PAGE) if not is_load_test(step)]
    with short_folder() as folder:
        for name in ("examples", "scripts"):
            shutil.copytree(ROOT / name, folder / name)
        followed = list(zip(steps, follow(steps, folder), strict=True))
        log = (folder / "migration" / "run.log").read_text()
    assert "ended" in log
    assert TOKEN not in log + "".join(printed for _, (_, printed) in followed)
    wrong = [
        f"$ {step.command}\nexit code {code}\n{printed}\n--- and the page shows\n{step.shown}"
        for step, (code, printed) in followed
        if code or not step.fits(printed)
    ]
    assert not wrong, "\n\n".join(wrong)


def test_the_load_tests_of_the_guide_are_called_as_they_can_be():
    """Whether this machine sustains a load right now is not what is tested; `test_cli_loadtest` shows what the command does."""
    tests = [shlex.split(step.command)[1:] for step in steps_of(PAGE) if is_load_test(step)]
    called = [app_for(words).parse_args(words, exit_on_error=False)[1].arguments for words in tests]
    assert [(call["mode"], call["rate"]) for call in called] == [("relayed", 200), ("bundled", 200)]
