"""A worker whose parent has gone ends without a word, and leaves nothing open."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from spore.deploy.links import Links

ROOT = Path(__file__).parents[2]
WORKER = """
import sys

import attrs
import trio

from spore.migration.worker import serve


@attrs.frozen
class Job:
    path: tuple[str, ...]


@attrs.frozen
class Done:
    number: int


async def work(job, say):
    print("printed, which is no part of the result")
    for number in range(HOW_OFTEN):
        say(event="progress", number=number)
        await trio.sleep(0)
    return Done(number)


sys.exit(serve(Job, work))
"""


@pytest.fixture
def worker():
    def worker(often):
        return subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", "-c", WORKER.replace("HOW_OFTEN", str(often))],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return worker


def test_a_worker_whose_events_nobody_reads_ends_without_a_traceback(worker):
    """Its exit code is 1."""
    with worker(1_000_000) as process:
        process.stdin.write(b'{"path": []}\n')
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"printed, which is no part of the result\n"
        process.stdin.close()
    assert process.returncode == 1


def test_a_worker_that_has_done_its_job_leaves_no_file_open(worker):
    """No warning is written."""
    with worker(3) as process:
        process.stdin.write(b'{"path": []}\n')
        process.stdin.flush()
        assert len(process.stdout.read().splitlines()) == 4
        assert process.stderr.read() == b"printed, which is no part of the result\n"
        process.stdin.close()
    assert process.returncode == 0


async def test_a_way_to_another_process_is_named_after_its_node(monkeypatch):
    """Who reads that there is none knows what to start."""
    ways = []
    monkeypatch.setattr(Links, "_client", lambda self, connect, there, **_: ways.append(there))

    class Engine:
        connect = staticmethod(partial(print))

    async with trio.open_nursery() as nursery:
        links = Links("here", None, nursery, Engine())
        links.to("bundle 'market'", "alpha")
    assert ways == ["way to bundle 'market', because node 'alpha' is not started or cannot be reached"]
