"""A live feed that breaks off: what it has told cannot be had again, so it is kept."""

import importlib
import json
from contextlib import asynccontextmanager

import pytest

from spore.cli.app import run
from spore.errors import FeedError
from spore.feeds import Account
from spore.feeds.frames import FramesFeed
from spore.feeds.simulator import SimFeed


class Breaking:
    """A live feed: some batches, and then an error."""

    name = "live"
    progress = None

    def __init__(self, batches):
        self.account = Account()
        self._batches = batches

    async def batches(self):
        for batch in self._batches:
            yield batch
        raise FeedError("live", "the node has gone")


@pytest.fixture
def messages():
    return list(SimFeed.from_spec("seed=1,events=30", {}).messages())


@pytest.fixture
def feed(monkeypatch, messages):
    """Have every feed be this one, and return what sets how many batches of ten it has."""

    def feed(count):
        @asynccontextmanager
        async def open_feed(*_):
            yield Breaking([messages[10 * number : 10 * number + 10] for number in range(count)])

        for module in ("spore.cli.record", "spore.migration.play"):  # which are the names of functions, too
            monkeypatch.setattr(importlib.import_module(module), "open_feed", open_feed)

    return feed


def test_a_recording_keeps_the_whole_batches_and_ends_with_exit_code_2(feed, messages, tmp_path, capsys):
    """The summary says how many there are, and standard error why there are no more."""
    feed(2)
    assert run(["record", "live", "--to", str(tmp_path / "a.frames")]) == 2
    assert list(FramesFeed.from_spec(str(tmp_path / "a.frames"), {}).messages()) == messages[:20]
    out, err = capsys.readouterr()
    assert "20 messages" in out
    assert err == "spore: live: the node has gone\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.frames"]


def test_a_recording_of_nothing_is_none(feed, tmp_path):
    """A feed that fails at once leaves the file of that name as it was."""
    feed(0)
    assert run(["record", "live", "--to", str(tmp_path / "a.frames")]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_replay_keeps_what_came_out_and_ends_with_exit_code_2(feed, tmp_path, capsys):
    """Signals are written, and the summary is printed."""
    feed(2)
    assert run(["replay", "live", "--signals", str(tmp_path / "signals"), "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["messages"] == 20
    assert err == "spore: live: the node has gone\n"
    assert (tmp_path / "signals").exists()
