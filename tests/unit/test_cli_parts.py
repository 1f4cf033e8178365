"""Parts of the command line that are hard to see from outside."""

import io
import json
import resource
import signal
import sys
from functools import partial
from types import SimpleNamespace

import pytest
import trio
from rich.console import Console

import spore.cli
from spore.cli import files, progress
from spore.cli.modules import load_messages
from spore.cli.record import record
from spore.errors import UsageError
from spore.feeds import Account, Feed, feed_of
from spore.feeds import open as opening
from spore.services.messages import GasPrice


def bar(monkeypatch, *, terminal):
    """What a job of 4 s shows that advances once a second."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    shown = []
    console = Console(file=out, force_terminal=terminal, width=80)
    with progress.LateProgress("decoding", 4_000, console=console) as late:
        for _ in range(4):
            now[0] += 1
            late.advance(1_000)
            shown.append(bool(late._bar))
    return shown, out.getvalue()


def test_progress_shows_after_two_seconds(monkeypatch):
    """A short job prints nothing; a long one gets a bar."""
    shown, text = bar(monkeypatch, terminal=True)
    assert shown == [False, True, True, True]
    assert "decoding" in text


def test_progress_is_for_people_only(monkeypatch):
    """Where stderr is no terminal there is no bar at all."""
    assert bar(monkeypatch, terminal=False) == ([False] * 4, "")


def test_progress_need_not_be_in_bytes():
    """Shares and counts are shown as such."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    with progress.LateProgress("recording", 10, in_bytes=False, console=console) as late:
        late._show_at = 0
        late.advance(5)
    assert "recording" in out.getvalue()
    assert "bytes" not in out.getvalue()


@pytest.mark.parametrize("writing", [files.open_output, partial(files.open_recording, overwrite=False)])
def test_a_file_that_cannot_be_written_is_named_and_not_left(writing, tmp_path):
    """By the name that was asked for, whichever write it was that did not fit."""
    to = tmp_path / "out"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught, writing(to) as file:
            file.write(bytes(200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(to)
    assert list(tmp_path.iterdir()) == []


def test_a_users_module_that_lacks_something_is_named_with_it(tmp_path, monkeypatch):
    """The module is there, but not what it imports: both are in the error."""
    (tmp_path / "lacking.py").write_text("import nothing_of_that_name\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    with pytest.raises(UsageError, match="--module lacking: there is no module nothing_of_that_name"):
        load_messages(["lacking"])


def test_a_defect_of_the_command_line_itself_is_not_taken_for_a_missing_extra(monkeypatch):
    """Only what the extra brings is asked for; another missing module is a defect and shows itself."""
    monkeypatch.setitem(sys.modules, "spore.cli.app", None)
    with pytest.raises(ModuleNotFoundError, match=r"spore\.cli\.app"):
        spore.cli.main()


class Endless(Feed):
    """A live feed that tells one thing and then nothing more, and is told to stop while it waits."""

    name = "endless"
    account = Account(read=1, used=1)

    @classmethod
    def from_spec(cls, rest, options):
        return cls()

    async def batches(self):
        yield [GasPrice(1, 2, 3, 4)]
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep_forever()


def test_a_live_feed_is_recorded_until_a_signal(tmp_path, monkeypatch, capsys):
    """It has no end of its own, so being stopped is no failure, and what came by then is kept."""
    monkeypatch.setitem(opening._SCHEMES, "endless", "endless_feed:Endless")
    monkeypatch.setitem(sys.modules, "endless_feed", SimpleNamespace(Endless=Endless))
    record("endless:", to=tmp_path / "a.frames", json=True)
    assert json.loads(capsys.readouterr().out)["messages"] == 1
    assert list(feed_of(str(tmp_path / "a.frames")).messages()) == [GasPrice(1, 2, 3, 4)]
