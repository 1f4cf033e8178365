"""Every command with outputs that cannot say a character, are closed, are full, or that nobody reads: with real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPORE = f"{sys.executable} -m spore"
SYSTEM = """\
modules = ["loud"]

[[bundles]]
name = "core"
mode = "relay"
actors.loud = { type = "loud:Loud" }

[[feeds]]
source = "sim:seed=1,events=200"
to = "loud"
"""
LOUD = """\
import sys

import attrs
import spore


@attrs.define
class Loud(spore.Actor[object]):
    handled: int = 0

    def handle(self, message):
        self.handled += 1
        print("printed →", self.handled, flush=True)
        print("and on stderr →", self.handled, file=sys.stderr)
        if self.handled == 200:
            open("handled", "w").write("200")
"""
COMMANDS = (
    "--help",
    "--version",
    "schema",
    "schema --json",
    "check system.toml",
    "check system.toml --json",
    "decode two.frames",
    "replay sim:seed=1,events=200 --json",
    "replay sim:seed=1,events=200",
    "record sim:seed=1,events=200 --to new.frames --force",
    "loadtest --rate 100 --seconds 0.3 --json load.json --force",
)
"""Those that end by themselves, quickly."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    (folder / "system.toml").write_text(SYSTEM)
    (folder / "loud.py").write_text(LOUD)
    (folder / "run").mkdir()
    done = sh(folder, f"{SPORE} record sim:seed=1,events=200 --to two.frames")
    assert done.returncode == 0, done.stderr
    return folder


def sh(folder, line, **environment):
    environment = {
        **{name: value for name, value in os.environ.items() if name not in {"LC_ALL", "LANG", "PYTHONIOENCODING"}},
        "PYTHONPATH": f"{ROOT / 'src'}",
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "XDG_STATE_HOME": str(folder / "state"),
        **environment,
    }
    line = f"set -o pipefail\n{line}"
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, check=False, timeout=200
    )


def no_traceback(done):
    assert b"Traceback" not in done.stderr + done.stdout
    assert b"Exception ignored" not in done.stderr
    return True


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        *((command, {"PYTHONIOENCODING": "ascii"}) for command in COMMANDS),
        ("check system.toml", {"PYTHONIOENCODING": "latin-1"}),
        ("check system.toml", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    ],
)
def test_an_output_that_lacks_characters_has_others_in_their_place(folder, command, environment):
    """The exit code is that of an output that lacks none, and nothing beyond the encoding is written."""
    done = sh(folder, f"{SPORE} {command}", **environment)
    assert (done.returncode, done.stderr) in {(0, b""), (1, b"")}, done.stderr
    assert done.stdout.isascii() or environment.get("PYTHONIOENCODING") == "latin-1"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_standard_output_that_cannot_be_written_is_an_error_with_exit_code_2(folder, command):
    """Closed or full: one line says so, and no traceback."""
    for to, reason in ((">&-", b"Bad file descriptor"), (">/dev/full", b"No space left on device")):
        done = sh(folder, f"{SPORE} {command} {to}")
        assert no_traceback(done)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (2, b"spore: standard output: " + reason)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_has_gone_ends_a_command_with_141_and_without_a_word(folder, command):
    """As a shell reports SIGPIPE. Only what was measured is worth a line, which says where it is."""
    done = sh(folder, f"(sleep 0.1; {SPORE} {command}; echo $? >code) | true")
    assert no_traceback(done)
    assert (folder / "code").read_text() == "141\n"
    assert done.stderr == b"" or done.stderr.startswith(b"spore: the result is in load.json and in ")


def test_a_closed_standard_error_changes_nothing_but_that_nobody_is_told(folder):
    """Errors have their exit code, and are not written elsewhere."""
    done = sh(folder, f"{SPORE} check nowhere.toml 2>&-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert sh(folder, f"{SPORE} schema --json 2>&-").stdout == sh(folder, f"{SPORE} schema --json").stdout
    assert sh(folder, f"{SPORE} nonsense 2>&- >&- <&-").returncode == 2


def test_a_closed_standard_input_is_named(folder):
    """It is an error where it is to be read, and nothing where it is not."""
    done = sh(folder, f"{SPORE} decode - <&-")
    assert (done.returncode, done.stderr) == (2, b"spore: standard input: Bad file descriptor\n")
    assert sh(folder, f"{SPORE} check system.toml <&-").returncode == 0


@pytest.mark.parametrize(
    "outputs",
    [">&-", "2>&-", ">&- 2>&-", ">&- 2>&- <&-", ">/dev/full 2>/dev/full", "| true", "2>&1 | head -1", "| cat"],
)
def test_a_system_runs_to_its_end_whatever_becomes_of_its_outputs(folder, outputs):
    """Its actors print on both outputs, and all they are sent is handled; the exit code is the system's."""
    (folder / "handled").unlink(missing_ok=True)
    done = sh(folder, f"({SPORE} run system.toml; echo $? >code) {outputs}", PYTHONIOENCODING="ascii")
    assert no_traceback(done)
    assert (folder / "code").read_text() == "0\n"
    assert (folder / "handled").read_text() == "200"


@pytest.mark.long
def test_a_comparison_whose_table_cannot_be_printed_keeps_what_it_has_measured(folder):
    """The file is written, and the record that the dashboard shows; standard error says where they are."""
    options = "--feed sim:seed=1,events=200 --repeat 1 --seconds 0.1 --json compared.json"
    done = sh(folder, f"{SPORE} compare {options} >&-")
    assert no_traceback(done)
    assert done.returncode == 2
    said = done.stderr.decode().splitlines()[-2]
    assert said.startswith("spore: the result is in compared.json and in ")
    assert json.loads((folder / "compared.json").read_text())["identical"] is True
    record = Path(said.rpartition(" in ")[2]).read_text().splitlines()
    assert json.loads(record[-1])["event"] == "end"


def test_monitor_and_top_show_a_running_system_in_any_encoding(folder):
    """What they say of it is ASCII where nothing else can be said, and they end when nobody reads on."""
    (folder / "loud").mkdir(exist_ok=True)
    config = folder / "loud" / "quiet.toml"
    config.write_text(
        '[[bundles]]\nname = "core"\nmode = "shared_memory"\nactors.gen = { type = "SignalGeneratorActor" }\n'
    )
    line = f"""
: >lines; {SPORE} run {config} >lines & run=$!
until grep -qx runs lines; do sleep 0.05; done
{SPORE} monitor {config}; echo "monitor $?"
{SPORE} top {config} --once; echo "top $?"
({SPORE} top {config} --json; echo "alone $?" >&2) | true
kill $run; wait $run; echo "run $?"
"""
    done = sh(folder, line, PYTHONIOENCODING="ascii")
    assert no_traceback(done)
    assert done.stdout.isascii()
    assert {b"monitor 0", b"top 0", b"run 0"} <= set(done.stdout.splitlines())
    assert done.stderr == b"alone 141\n"
