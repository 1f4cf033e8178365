"""The runtime: supervised actors in one trio nursery, handing each other messages by reference. It knows no codec.

Read in this order: `policy` (the words), `actor` (what a user writes), `mailbox`, `cell` (one actor's place, and what
runs its handler), `dispatcher`, `ref` and `local` (how messages get there; `LocalRef.tell` is the hot path), `guards`,
`scales`, `merge`, `log`, `ports`, `wiring` and `roster`, `supervision` and `overseer`, `timers`, `watchdog`, `ending`, and `bundle`,
which puts them together.
"""

from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.bundle import Bundle, open_bundle
from spore.nursery_bundle.guards import Defect, Verifier
from spore.nursery_bundle.letters import DeadLetter, DeadLetters, LetterError
from spore.nursery_bundle.mailbox import Mailbox, MailboxStatistics
from spore.nursery_bundle.policy import Directive, Dispatch, Loss, Overflow, Supervision
from spore.nursery_bundle.ref import ActorRef
from spore.nursery_bundle.scales import SizeOf
from spore.nursery_bundle.statistics import (
    ActorState,
    ActorStatistics,
    BundleStatistics,
    EdgeStatistics,
    EndedStatistics,
    LastError,
    LetterStatistics,
    Sampled,
)
from spore.nursery_bundle.threads import ThreadPort, open_thread_port
from spore.nursery_bundle.timers import Timer

__all__ = [
    "Actor",
    "ActorRef",
    "ActorState",
    "ActorStatistics",
    "Bundle",
    "BundleStatistics",
    "DeadLetter",
    "DeadLetters",
    "Defect",
    "Directive",
    "Dispatch",
    "EdgeStatistics",
    "EndedStatistics",
    "LastError",
    "LetterError",
    "LetterStatistics",
    "Loss",
    "Mailbox",
    "MailboxStatistics",
    "Overflow",
    "Sampled",
    "SizeOf",
    "Supervision",
    "ThreadPort",
    "Timer",
    "Verifier",
    "open_bundle",
    "open_thread_port",
]
