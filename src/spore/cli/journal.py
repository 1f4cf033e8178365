"""``spore journal``: look into a relay's journal, and let go of what holds it full."""

from __future__ import annotations

import json as jsonlib
import sys
from itertools import starmap
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import App, Parameter

from spore.cli.app import BAD_INPUT, FAILED
from spore.cli.files import open_recording
from spore.cli.journal_facts import facts, lines
from spore.cli.journal_lines import Lines, Reading
from spore.cli.modules import Modules, load_messages
from spore.deploy.strict import among
from spore.errors import UsageError
from spore.feeds.frames import SUFFIX
from spore.relay.journal_contents import Contents, KeptLink, open_contents
from spore.relay.journal_forget import open_forgetting

__all__ = ["journal"]

Directory: TypeAlias = Annotated[Path, Parameter(name="DIR")]
Link: TypeAlias = Annotated[
    int | None, Parameter(help="Only what one sender has sent: the number of its link, as `list` shows it.")
]
From: TypeAlias = Annotated[
    int, Parameter(name="--from", help="Begin with this number. Each link counts its messages from 1.")
]
Limit: TypeAlias = Annotated[int | None, Parameter(help="At most so many messages.")]

journal = App(
    name="journal",
    help="Look into a relay's journal, while the relay runs or not, and let go of what holds it full.",
    help_epilogue="Exit codes: 0 done · 1 the journal cannot be read or written, or a part of it is damaged · 2 bad input, usage, or nothing confirmed · 130 interrupted.",
)


@journal.command(name="list")
def list_(directory: Directory, /, *, json: bool = False) -> None:
    """List the streams of a journal: how much is in them, since when, and how far each subscriber is.

    The subscriber that is furthest behind is the one that keeps messages from being forgotten.

    Parameters
    ----------
    directory
        The directory of `spore relay --journal`.
    json
        Print one JSON object: journal, bytes, streams, with links and subscribers.
    """
    with open_contents(directory) as contents:
        found = facts(contents)
    if json:
        print(jsonlib.dumps(found))
    else:
        print("\n".join(lines(found)))


@journal.command
def show(
    directory: Directory,
    stream: str | None = None,
    /,
    *,
    link: Link = None,
    start: From = 0,
    limit: Limit = None,
    dead: bool = False,
    module: Modules | None = None,
) -> int:
    """Show the messages of a stream as JSON, one a line, as `spore decode` does; those of several senders by the time at which they were
    sent.

    Examples: `spore journal show DIR fills --limit 10` · `spore journal show DIR --dead`

    Parameters
    ----------
    directory
        The directory of `spore relay --journal`.
    stream
        The stream; may be left out with --dead.
    dead
        Show messages that were set aside because processes died of them: stream, link, sender, subscriber, sequence, deaths, and the
        message.
    """
    registry = load_messages(module or [])
    with open_contents(directory) as contents:
        reading = Reading(contents, _links(contents, stream, link, needed=not dead), start, limit)
        plain = Lines(contents, registry)
        found = map(plain.dead, reading.dead()) if dead else starmap(plain.message, reading.frames())
        for line in found:
            print(jsonlib.dumps(line))
        return _told(reading)


@journal.command
def export(
    directory: Directory,
    stream: str | None = None,
    /,
    *,
    to: Path,
    link: Link = None,
    start: From = 0,
    limit: Limit = None,
    dead: bool = False,
    force: bool = False,
    json: bool = False,
) -> int:
    """Write the messages of a stream to a file of frames, which `spore decode` and `spore replay` read.

    The file says what each message meant to its sender, so that it is read with that meaning or refused. What is damaged in the journal is
    left out, and said.

    Parameters
    ----------
    directory
        The directory of `spore relay --journal`.
    stream
        The stream; may be left out with --dead.
    to
        The file to write. Its name ends in .frames.
    dead
        Write messages that were set aside because processes died of them.
    force
        Replace the file if it is there.
    json
        Print the summary as JSON.
    """
    if to.suffix != SUFFIX:
        raise UsageError(f"--to {to}: the name must end in {SUFFIX}, by which a recording is known as a feed")
    with open_contents(directory) as contents:
        reading = Reading(contents, _links(contents, stream, link, needed=not dead), start, limit)
        with open_recording(to, overwrite=force) as file:
            meaning, count, size = None, 0, 0
            for digest, frame in reading.recorded(dead=dead):
                if digest != meaning:
                    meaning = digest
                    size += file.write(reading.head(digest))
                size += file.write(frame)
                count += 1
    if json:
        print(jsonlib.dumps({"file": str(to), "messages": count, "bytes": size, "damaged": reading.damaged}))
    else:
        print(f"{to}: {count:,} messages in {size:,} bytes")
    return _told(reading)


@journal.command
def forget(
    directory: Directory,
    /,
    *,
    subscriber: str | None = None,
    stream: str | None = None,
    link: Link = None,
    before: int | None = None,
    dead: bool = False,
    number: int | None = None,
    yes: bool = False,
    json: bool = False,
) -> int:
    """Forget a subscriber that will not come again, or messages that nobody is to have. A relay that runs notices within a second.

    Without --yes it says what would be forgotten, and does nothing (exit code 2). A subscriber that is connected is known again at
    once, and one that comes again later begins with the first message that is there.

    Examples: `spore journal forget DIR --subscriber old-desk --yes` · `spore journal forget DIR --stream fills --before 12000 --yes` · `spore
    journal forget DIR --dead --stream fills --yes`

    Parameters
    ----------
    directory
        The directory of `spore relay --journal`.
    subscriber
        Forget how far this subscriber is, in all streams or in one. With --dead, forget its dead letters.
    stream
        Only in this stream.
    before
        Forget the messages of the stream whose numbers are below this one, whoever has not read them.
    dead
        Forget dead letters.
    number
        With --dead: only the message with this number.
    yes
        Do it.
    json
        Print what was, or would be, forgotten as JSON.
    """
    if sum((dead, before is not None, subscriber is not None and not dead)) != 1:
        raise UsageError("give one of --subscriber NAME, --before NUMBER (with --stream) and --dead")
    if before is not None and stream is None:
        raise UsageError(f"--before {before}: give the --stream whose messages are meant")
    if number is not None and not dead:
        raise UsageError(f"--number {number} is for --dead; --before NUMBER forgets messages of a stream")
    with open_contents(directory) as contents:
        links = _links(contents, stream, link, needed=False)
        if dead:
            letters = [
                letter
                for letter in contents.dead(links)
                if number in {None, letter.sequence} and subscriber in {None, letter.subscriber}
            ]
            links = [each for each in links if each.number in {letter.link for letter in letters}]
            what, count = "dead letters", len(letters)
        elif before is not None:
            what, count = f"messages before {before}", sum(contents.before(each, before) for each in links)
        else:
            links, what, count = _followed_by(contents, links, subscriber or "")
    if yes:
        with open_forgetting(directory) as forgetting:
            for each in links if dead or before is not None else ():
                if dead:
                    forgetting.dead(each, number, subscriber)
                else:
                    forgetting.before(each, before or 0)
            if not dead and before is None:
                forgetting.subscriber(links, subscriber or "")
    if json:
        streams = sorted({each.stream for each in links})
        print(jsonlib.dumps({"forgotten": yes, "what": what, "count": count, "streams": streams}))
    else:
        print(f"{'forgotten' if yes else 'to be forgotten'}: {count:,} {what}" if count else f"there are no {what}")
    if yes or not count:
        return 0
    print("spore: nothing was forgotten; add --yes to do it", file=sys.stderr)
    return BAD_INPUT


def _links(contents: Contents, stream: str | None, link: int | None, *, needed: bool) -> list[KeptLink]:
    if stream is None and needed:
        known = sorted({each.stream for each in contents.links()})
        raise UsageError(f"{contents.path}: name the stream; {among('', known)}")
    return contents.links(stream, link)


def _followed_by(contents: Contents, links: list[KeptLink], subscriber: str) -> tuple[list[KeptLink], str, int]:
    """The links of which a subscriber is known, and what it holds back there."""
    known = {name for each in links for name in each.marks}
    if subscriber not in known:
        raise UsageError(f"{contents.path}: there is no subscriber {subscriber!r}; {among(subscriber, sorted(known))}")
    mine = [each for each in links if subscriber in each.marks]
    behind = sum(contents.behind(each, subscriber) for each in mine)
    streams = ", ".join(repr(name) for name in sorted({each.stream for each in mine}))
    return mine, f"positions of {subscriber!r} in {streams}, which is {behind:,} messages behind", len(mine)


def _told(reading: Reading) -> int:
    for where in reading.damaged:
        print(f"spore: {where}", file=sys.stderr)
    return FAILED if reading.damaged else 0
