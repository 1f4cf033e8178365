"""What a drawn program starts: actors of drawn forms with drawn options, wired to drawn others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tests.property.contract_actors import FORMS
from tests.property.contract_books import Account, Boom, Message, Place, Sender
from tests.property.contract_conduct import DIRECTIVES, Drawn
from tests.property.contract_sending import Sending

from spore import Actor, ActorRef, Bundle, Supervision
from spore.errors import ActorStopped, StartTimeout, UsageError

if TYPE_CHECKING:
    from tests.property.contract_world import World

__all__ = ["Starting"]

POLICIES = ("block", "block", "block", "block", "fail", "drop_oldest", "drop_newest", "conflate")
ACTORS = 10


class Starting(Sending):
    """The part of a program that starts actors."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.known: list[tuple[ActorRef[Any], Place]] = []
        """References that everybody has, of all bundles."""
        self.left = {"actors": ACTORS}
        """How many of each kind may still be made."""
        self.merging = self.chance(0.2)

    def supervision(self) -> Supervision:
        return Supervision(
            on_failure=self.pick(DIRECTIVES),
            max_restarts=self.pick((0, 1, 3, 50, 50)),
            within_s=self.pick((1.0, 60.0)),
            forgive_after=self.pick((1, 100)),
            backoff_s=self.pick((0.0, 0.0, 0.1, 1.0)),
            start_timeout_s=self.pick((0.3, 2.0, 60.0)),
            stop_timeout_s=self.pick((0.05, 0.3, 10.0)),
        )

    async def start(self, sender: Sender, account: Account) -> None:
        """Start an actor of a drawn form with drawn options, wired to drawn others."""
        bundle = account.bundle
        if not self.left["actors"] or bundle is None:
            return
        self.left["actors"] -= 1
        place = self._place(account, bundle)
        place.form, place.supervision = self.pick(sorted(FORMS)), self.supervision()
        overflow, merge = self.pick(POLICIES), None
        if self.merging and self.chance(0.5):
            place.merges, merge, self.waits_for_ever = True, "event_time", True
        ports, wired = self._wiring(account, bundle)
        trouble = self.trouble

        def factory(**fields: Any) -> Actor[Any]:
            place.cell = bundle._roster.cells[place.name]
            life = self.books.built(place, wired)
            if self.chance(trouble / 2):
                raise Boom("in a factory")
            conduct = Drawn(cast("World", self), account, life)
            actor: Actor[Any] = FORMS[place.form](lambda: conduct, **fields)
            return actor

        labels = [each.label for each in wired]
        self.books.say(
            "{} starts {} ({}, {}, {}) wired to {}", sender.name, place.label, place.form, overflow, merge, labels
        )
        try:
            with self.cutting():
                ref = await bundle.start(
                    factory,
                    name=place.name,
                    capacity=self.pick((1, 2, 3, 50)),
                    overflow=overflow,
                    key=self.key if overflow == "conflate" else None,
                    dispatch=self.pick((None, None, "inline", "queued")),
                    supervision=place.supervision,
                    merge=merge,
                    verify=0.5 if bundle._guards.verifier is not None and self.chance(0.5) else 0.0,
                    state=self.pick((None, None, None, 1)),
                    **ports,
                )
                self.known.append((ref, place))
        except (Boom, StartTimeout, ActorStopped, UsageError) as error:
            self.books.say("{} was not started: {}", place.label, repr(error))

    def _place(self, account: Account, bundle: Bundle) -> Place:
        """A place for which there are ports already, or of a name that is free again, or a new one."""
        promised = [place for place in account.places if place.promised and not place.form]
        if promised and self.chance(0.7):
            return promised[0]
        free = [place.name for place in account.places if not place.promised and place.name not in bundle._roster.cells]
        name = self.pick(free) if free and self.chance(0.3) else f"a{len(account.places)}"
        place = Place(name, account)
        account.places.append(place)
        return place

    def _wiring(self, account: Account, bundle: Bundle) -> tuple[dict[str, Any], list[Place]]:
        """For up to three fields: references, across bundles too, some to actors that are not there yet."""
        ports: dict[str, Any] = {}
        wired: list[Place] = []
        for field, most in (("out", 1), ("outs", 2), ("table", 2)):
            refs: list[ActorRef[Any]] = []
            for _ in range(self.chances.randrange(most + 1) or (most == 1)):
                if not self.known or self.chance(0.15):
                    promised = [place for place in account.places if place.promised and not place.form]
                    if not promised:
                        promised = [Place(f"a{len(account.places)}", account, promised=True)]
                        account.places += promised
                    ref, place = bundle.ref(promised[0].name), promised[0]
                else:
                    ref, place = self.pick(self.known)
                refs.append(ref)
                wired.append(place)
            if not refs:
                break
            ports[field] = {"out": refs[0], "outs": refs, "table": dict(enumerate(refs))}[field]
        return ports, wired

    def key(self, message: Message) -> int:
        if message.number % 7 == 0 and self.trouble:
            raise Boom("in a key")
        return message.number % 2
