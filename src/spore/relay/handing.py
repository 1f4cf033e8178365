"""Handing over: what has arrived over a link, handled by an idle actor in one go, as far as that can be.

Invariant: a message leaves `Incoming.arrived` when its handler is called, so that whatever the handler does to the link finds there what
nobody has handled, and nothing else.
"""

from __future__ import annotations

from typing import Any

from trio.lowlevel import enable_ki_protection

from spore.codec import UnknownTlv
from spore.nursery_bundle.cell import TooDeep
from spore.nursery_bundle.inbound import Inbound
from spore.nursery_bundle.policy import Loss
from spore.nursery_bundle.whose import calls_actor
from spore.relay.control import Advance, Idle
from spore.relay.incoming import Incoming

__all__ = ["NO_MESSAGES", "Handing"]

NO_MESSAGES = frozenset({Advance, Idle, UnknownTlv, type(None)})
"""What has a place among the messages of a link, and is none."""


class Handing(Inbound):
    """One sender's way to one actor, for many messages at once."""

    @enable_ki_protection
    @calls_actor("cell")
    def handle_arrived(self, link: Incoming, most: int) -> int:
        """Have a plain handler of an idle actor handle the messages that have arrived, in order, and mark them as done.

        It stops where an actor would be asked for more than to handle: at what is no message, is awaited or has a trace, at the message that
        is to be timed, at an actor that is no longer idle, and when something is overfull. `Inbound.handle` and a queue know what to do then.

        Args:
            link: from where; something has arrived there.
            most: so many messages at most.

        Returns:
            How many were taken from the link. They were handled, or have failed; the last one is `unfinished` if that is set.
        """
        edge = self._edge
        cell = edge.cell
        handle = cell.idle
        arrived = link.arrived
        most = min(most, len(arrived), edge.left - 1)
        if handle is None or not self._plain or most < 1:
            return 0
        overfull, popleft = self.overfull, arrived.popleft
        first = number = arrived[0][0]
        last = first + most
        arrival: Any = None
        message: Any = None
        unfinished = 0
        cell.idle = None
        try:
            while number < last and arrived:
                arrival = popleft()
                _, message, company = arrival
                if company is not None or message.__class__ in NO_MESSAGES:
                    arrived.appendleft(arrival)
                    break
                number += 1
                value = handle(message)
                if value is not None and value.__class__ is not cell.finished and cell.returned(value, message):
                    self.unfinished = cell.adopted[1] if cell.adopted is not None else None
                    unfinished = 1
                    break
                if cell.ready is None or overfull:
                    break
        except TooDeep:
            number -= 1
            arrived.appendleft(arrival)
        except Exception as error:  # noqa: BLE001 - the supervisor's
            cell.fail(error, message)
        except BaseException:
            number -= 1
            cell.lose(message, Loss.CANCELLED)
            raise
        finally:
            edge.count(number - first)
            link.done_all(first, number - first - unfinished)
            cell.idle = cell.ready
        return number - first
