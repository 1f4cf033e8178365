"""What errors carry."""

import pickle

import pytest

import spore
from spore.errors import (
    ActorStopped,
    ConversionError,
    Damage,
    DecodeError,
    DefinitionError,
    EncodeError,
    JournalError,
    JournalFull,
    UsageError,
    first_cause,
)


@pytest.mark.parametrize(
    "error",
    [
        UsageError("so"),
        DefinitionError("Quote", "no wire form", field="price"),
        ConversionError("Quote", ("one", "two")),
        EncodeError("Quote", "needs an integer", field="price", value=1.5),
        DecodeError(Damage.VALUE, "a bool is 0 or 1", offset=7, message="Quote", field="live"),
        ActorStopped("desk", "it has stopped"),
        JournalError("/a/journal", "is there with other bytes", stream="quotes", sequence=7),
        JournalFull("/a/journal", "the disk is full"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_pickling_with_its_facts(error):
    """What goes wrong in another process can be told here: sentence, facts and class."""
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.__dict__) == (type(error), str(error), error.__dict__)


def test_a_field_cannot_be_called_self():
    """The name belongs to the constructor, and the refusal says so."""
    with pytest.raises(DefinitionError, match="choose another"):

        @spore.record
        class Odd:
            self: spore.U8


def test_the_first_cause_is_no_consequence():
    """What senders notice of an actor's end is told only where there is nothing else to tell."""
    cause, stopped = ValueError("no price"), ActorStopped("desk", "its bundle has ended")
    assert first_cause(ExceptionGroup("", [stopped, ExceptionGroup("", [cause])])) is cause
    assert first_cause(ExceptionGroup("", [ExceptionGroup("", [stopped])])) is stopped
