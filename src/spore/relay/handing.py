"""Handing over: a run of messages, straight from a link to the handler of an idle actor, as far as that can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import length_hint
from typing import Any

from trio.lowlevel import enable_ki_protection

from spore.nursery_bundle.cell import TooDeep
from spore.nursery_bundle.inbound import Inbound
from spore.nursery_bundle.policy import Loss
from spore.nursery_bundle.whose import calls_actor
from spore.relay.incoming import Incoming

__all__ = ["Handing"]


class Handing(Inbound):
    """One sender's way to one actor, for many messages at once."""

    taken = 0
    """How many messages the last `handle_run` has taken."""
    _run: tuple[Incoming, int, int, Iterator[Any]] | None = None
    """The run that is being handled: from where, its first number, how many messages, and those that are left."""

    def settle(self) -> None:
        """Mark as done what was handled of the run that is being handled now."""
        if self._run is not None:
            link, number, total, rest = self._run
            link.done_all(number, total - length_hint(rest) - 1)

    @enable_ki_protection
    @calls_actor("cell")
    def handle_run(self, link: Incoming, messages: Sequence[Any], number: int) -> None:
        """Have a plain handler of an idle actor handle messages, and mark them as done.

        It stops before the message that is to be timed, behind one after which the actor is no longer idle, or something is overfull, or the
        link is closed; `Inbound.handle` and a queue know what to do then. So many as `taken` says were handled, or have failed, or the
        process ends in the last of them. The last is `unfinished` if that is set, and is not done.

        Args:
            link: where they came from.
            messages: some that nothing accompanies.
            number: of the first.
        """
        edge = self._edge
        cell = edge.cell
        handle = cell.idle
        self.taken = 0
        if handle is None or not self._plain or edge.left == 1:
            return
        messages = messages[: edge.left - 1]
        overfull = self.overfull
        message: Any = None
        not_done = too_deep = 0
        rest = iter(messages)  # it knows how many are left, and to count them here would cost more
        self._run = link, number, len(messages), rest
        cell.idle = None
        try:
            for message in rest:
                value = handle(message)
                if value is not None and value.__class__ is not cell.finished and cell.returned(value, message):
                    self.unfinished = cell.adopted[1] if cell.adopted is not None else None
                    not_done = 1
                    break
                if cell.ready is None or overfull or not link.open:
                    break
        except TooDeep:
            too_deep = 1
        except Exception as error:  # noqa: BLE001 - the supervisor's
            cell.fail(error, message)
        except BaseException:
            not_done = 1
            cell.lose(message, Loss.CANCELLED)
            raise
        finally:
            self._run = None
            self.taken = taken = len(messages) - length_hint(rest) - too_deep
            edge.count(taken)
            link.done_all(number, taken - not_done)
            cell.idle = cell.ready
