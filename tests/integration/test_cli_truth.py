"""What real systems say of themselves at their end, and to who looks: lines and exit codes."""

import os
import resource
import signal

import pytest
from tests.controlled import short_folder
from tests.integration.test_cli_control import Run, system

pytestmark = pytest.mark.long

DROPS = """\
modules = ["tests.pipeline_feed"]

[[bundles]]
name = "core"
mode = "shared_memory"
drain_timeout_s = 0.5
actors.splits = {{ type = "tests.truth_actors:Splits", wire = {{ out = "last" }} }}
actors.last = {{ type = "tests.truth_actors:LAST }}

[[feeds]]
source = "count:200"
to = "splits"
"""
DOWN = """\
modules = ["tests.pipeline_feed"]

[[bundles]]
name = "core"
mode = "shared_memory"
actors.splits = {{ type = "tests.truth_actors:Splits", wire = {{ out = "last" }} }}
actors.last = {{ type = "tests.truth_actors:Sleeps" }}

[[feeds]]
source = "count:0…"
to = "splits"
"""

RELAYED = DOWN.replace("shared_memory", "relay")


def ended(text: str) -> tuple[int, list[str]]:
    """A run of a system to its end: its exit code, and its last lines."""
    with short_folder() as folder:
        run = Run(folder, text)
        try:
            out, err = run.popen.communicate(timeout=60)
        finally:
            run.close()
    assert "Traceback" not in err
    lines = out.splitlines()
    return run.popen.returncode, lines[lines.index("the feeds have ended") + 1 :]


@pytest.mark.parametrize("mode", ["shared_memory", "relay"])
def test_a_drain_that_times_out_says_how_many_of_which_actor_and_ends_with_1(mode):
    """What was handled and what was not is all that was sent."""
    last = 'Sleeps", capacity = 500, dispatch = "queued", config = { seconds = 0.02 }'
    code, lines = ended(
        DROPS.replace("LAST", last.replace("{", "{{").replace("}", "}}")).replace("shared_memory", mode)
    )
    assert code == 1
    *lost, end = lines
    assert end == "ended"
    assert lost
    assert all(line.startswith("actor 'last': ") for line in lost)


def test_what_fails_is_lost_and_what_a_policy_gives_up_is_not():
    """Each is named; the exit code is about the first."""
    code, lines = ended(DROPS.replace("LAST", 'Fails", supervision = {{ on_failure = "resume" }}'))
    assert (code, lines) == (
        1,
        ["actor 'last': 20 messages not handled to the end, because its handler raised", "ended"],
    )
    code, (given_up, end) = ended(
        DROPS.replace("LAST", 'Sleeps", capacity = 1, overflow = "drop_oldest", dispatch = "queued"')
    )
    assert (code, end) == (0, "ended")
    assert given_up.startswith("actor 'last': ")
    assert given_up.endswith(" dropped oldest)")


def test_a_monitor_that_is_started_after_a_crash_says_so():
    """Not healthy, with what happened and when; counted from now on, all is well."""
    with system(DOWN) as run:
        os.kill(run.pid("bundle 'core'"), signal.SIGKILL)
        while not run.lines[-1].startswith("bundle 'core': runs as process") or len(run.lines) < 8:
            run.lines.append(run.popen.stdout.readline().rstrip("\n"))
        code, lines, _ = run.do("monitor", str(run.config))
        assert code == 1
        text = "\n".join(lines)
        assert (
            "the process of bundle 'core': its process was killed by SIGKILL, and was started again, without the state of its actors ("
            in text
        )
        assert "  the process of bundle 'core': max_restarts is 0, and this was 1" in lines
        code, lines, _ = run.do("monitor", str(run.config), "--from-now")
        assert (code, lines[-1]) == (0, "healthy")
        code, lines, _ = run.do("top", "--once", str(run.config))
        assert code == 0
        assert any(line.startswith("the process of bundle 'core': restarted once, without the state") for line in lines)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs limits of other processes, as Linux has")
def test_a_process_for_which_there_are_no_files_left_is_started_when_there_are():
    """The system goes on meanwhile, says what is wrong, and is told of as not healthy afterwards."""
    with system(RELAYED) as run:
        supervisor, writer = run.popen.pid, run.pid("actor 'last'")
        limits = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
        os.kill(writer, signal.SIGSTOP)  # so that it dies only when there is no file left
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{supervisor}/fd")) - 4, limits[1]))
        os.kill(writer, signal.SIGKILL)
        said = until(run, "actor 'last': its process cannot be started: Too many open files; tried again in ")
        assert any(line.startswith("actor 'last': its process was killed by SIGKILL; starts again in") for line in said)
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, limits)
        until(run, "actor 'last': runs as process ")
        code, lines, _ = run.do("monitor", str(run.config))
        assert code == 1
        text = "\n".join(lines)
        assert "actor 'last'" in text
        assert "its process could not be started: Too many open files" in text


def until(run: Run, begins: str) -> list[str]:
    """What a system says until it says that."""
    said = [""]
    while not said[-1].startswith(begins):
        line = run.popen.stdout.readline()
        assert line, run.popen.stderr.read()
        said.append(line.rstrip("\n"))
    return said
