"""Every exception that Spore raises on purpose, in one tree.

Strategy: a subclass exists only where a caller would act differently, and the facts of a failure are
fields, so that a program never has to parse the sentence that a person reads.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

__all__ = [
    "ActorError",
    "ActorStopped",
    "AmountError",
    "AskError",
    "AskFailed",
    "AskTimeout",
    "CodecError",
    "ConfigError",
    "ControlError",
    "ConversionError",
    "Damage",
    "DecodeError",
    "DefinitionError",
    "EncodeError",
    "FeedError",
    "JournalError",
    "JournalFailed",
    "JournalFull",
    "LinkDenied",
    "MailboxFull",
    "NatsRefused",
    "NothingRuns",
    "OptionError",
    "RelayError",
    "RelayRefused",
    "RestartLimit",
    "RollbackFailed",
    "RunFailed",
    "SchemaMismatch",
    "SettingError",
    "SporeError",
    "StartTimeout",
    "SwitchFailed",
    "UnitFailed",
    "UsageError",
    "first_cause",
]


class SporeError(Exception):
    """The root: ``except SporeError`` catches whatever Spore itself found wrong. It can be pickled, facts and all."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(cls: type[SporeError], args: tuple[object, ...], facts: dict[str, object]) -> SporeError:
    error = cls.__new__(cls, *args)  # not by the constructor, which would make the sentence anew from the facts
    error.__dict__.update(facts)
    return error


class UsageError(SporeError):
    """A call that the caller's own code got wrong, such as feeding a decoder that has seen the end."""


class OptionError(UsageError, ValueError):
    """An option of a call has a value that it cannot have."""


class DefinitionError(SporeError, TypeError):
    """A class cannot be a message. Raised while the module that defines it is imported.

    Attributes:
        message: the name of the class.
        field: the field at fault, or None where the whole class is.
        reason: what is wrong and what would be right.
    """

    def __init__(self, message: str, reason: str, *, field: str | None = None) -> None:
        self.message = message
        self.field = field
        self.reason = reason
        super().__init__(f"{message}.{field}: {reason}" if field else f"{message}: {reason}")


class ConversionError(SporeError, ValueError):
    """JSON-ready data does not describe a message.

    Attributes:
        message: the name of the message that was asked for.
        problems: one sentence for each thing that is wrong, each with the path of its key.
    """

    def __init__(self, message: str, problems: tuple[str, ...]) -> None:
        self.message = message
        self.problems = problems
        super().__init__(f"not a {message}: " + "; ".join(problems))


class ConfigError(SporeError):
    """A configuration that cannot work. Nothing of it was run.

    Attributes:
        source: the file, or whatever else it came from.
        problems: one sentence for each thing that is wrong, each with the path of its key.
    """

    def __init__(self, source: str, problems: tuple[str, ...]) -> None:
        self.source = source
        self.problems = problems
        count = "" if len(problems) == 1 else f" ({len(problems)} problems)"
        super().__init__(f"{source}{count}: " + "\n  ".join(("", *problems) if count else problems))


class UnitFailed(SporeError):
    """A process of a running system has ended, and is not started again.

    Attributes:
        unit: the bundle or actor that it ran, or ``relay``.
        reason: what happened.
    """

    def __init__(self, unit: str, reason: str) -> None:
        self.unit = unit
        self.reason = reason
        super().__init__(f"unit {unit!r}: {reason}")


class SwitchFailed(SporeError):
    """A bundle was not switched to another mode. The system is as it was.

    Attributes:
        bundle: its name.
        step: in which step; see `spore.deploy.STEPS`.
        reason: what was in the way.
    """

    def __init__(self, bundle: str, step: str, reason: str) -> None:
        self.bundle = bundle
        self.step = step
        self.reason = reason
        super().__init__(f"bundle {bundle!r} is as it was: {step}: {reason}")


class RollbackFailed(SporeError):
    """A bundle's mode was changed in the running system and not in its configuration, and could not be changed back.

    Attributes:
        bundle: which one.
        reason: why, and what to do.
    """

    def __init__(self, bundle: str, reason: str) -> None:
        self.bundle = bundle
        self.reason = reason
        super().__init__(f"bundle {bundle!r}: {reason}")


class ControlError(SporeError):
    """A running system does not answer, or not as it should.

    Attributes:
        config: the configuration that it runs.
        reason: what is wrong.
    """

    def __init__(self, config: str, reason: str) -> None:
        self.config = config
        self.reason = reason
        super().__init__(f"{config}: {reason}")


class NothingRuns(ControlError):
    """No process runs that configuration."""

    def __init__(self, config: str) -> None:
        super().__init__(
            config,
            "nothing runs it; start it with `spore run` (a system that a program opens itself cannot be reached)",
        )


class ActorError(SporeError):
    """Something about one actor.

    Attributes:
        actor: its name.
    """

    def __init__(self, actor: str, reason: str) -> None:
        self.actor = actor
        self.reason = reason
        super().__init__(f"actor {actor!r}: {reason}")


class ActorStopped(ActorError):
    """The actor has ended, or is about to, and takes no more messages. What was sent was not accepted.

    `send` and `ask` raise it. A `tell` to such an actor becomes a dead letter instead, with the reason ``stopped``.
    """


class StartTimeout(ActorError):
    """An `on_start` took longer than `Supervision.start_timeout_s`. It was cancelled, and the actor was not started."""


class MailboxFull(ActorError):
    """The mailbox is full and its overflow policy is ``fail``. What was sent was not accepted."""


class AskError(ActorError):
    """An `ask` has no answer."""


class AskTimeout(AskError):
    """No answer came in time. The message may still be handled later."""


class AskFailed(AskError):
    """The handler raised, or the message was lost; the cause says which."""


class RestartLimit(ActorError):
    """The actor failed more often than its supervision allows; the cause is its last failure."""


class LinkDenied(ActorError):
    """The actor is in another process, and the two cannot talk: their messages differ, say. The reason names what."""


class RelayError(SporeError):
    """A connection to the relay, or of the relay's, cannot go on. A client comes again by itself."""


class RelayRefused(RelayError):
    """The relay has refused the client, and why.

    Attributes:
        reason: one word: ``protocol``, ``token``, ``certificate``, ``damage``, ``limit``, ``name``, ``schema``,
            ``replaced`` or ``silence``.
        text: what is wrong, for people.
    """

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        self.text = text
        super().__init__(f"the relay refuses this client ({reason}): {text}")


class NatsRefused(RelayError):
    """A NATS server cannot be worked with, and coming again does not change that.

    Attributes:
        server: ``host:port``.
        reason: one word: ``password``, ``certificate``, ``tls``, ``version``, ``jetstream``, ``permission``, ``payload``
            or ``name``.
        text: what is wrong and what would be right, for people.
    """

    def __init__(self, server: str, reason: str, text: str) -> None:
        self.server = server
        self.reason = reason
        self.text = text
        super().__init__(f"NATS server {server} ({reason}): {text}")


class CodecError(SporeError):
    """Messages and bytes do not fit together."""


class EncodeError(CodecError, ValueError):
    """A value has no wire form. Nothing was written.

    Attributes:
        message: the name of the message (or ``Frame`` for a value of the header).
        field: the path of the field, such as ``levels[3].price``; None where the whole message is at fault.
        value: the value as it was given.
        reason: what the wire form asks for.
    """

    def __init__(self, message: str, reason: str, *, field: str | None = None, value: object = None) -> None:
        self.message = message
        self.field = field
        self.value = value
        self.reason = reason
        super().__init__(f"{message}.{field} = {_short(value)}: {reason}" if field else f"{message}: {reason}")


class Damage(enum.Enum):
    """What is wrong with bytes that are not a frame: one member for each way to be damaged."""

    MAGIC = "magic"
    DOMAIN = "domain"
    VERSION = "version"
    FLAGS = "flags"
    SIZE = "size"
    CHECKSUM = "checksum"
    TLV = "tlv"
    """A TLV's head or value does not fit in the payload."""
    FORM = "form"
    """A TLV in a form that the format does not allow, such as an extended one that fits the standard form."""
    TYPE = "type"
    """A type number that cannot stand in a frame of this domain."""
    LENGTH = "length"
    """Bytes of a message are missing or left over."""
    VALUE = "value"
    """A field's bytes are no value of its type, such as a boolean of 2."""
    TRUNCATED = "truncated"
    """The stream ended inside a frame."""


class DecodeError(CodecError, ValueError):
    """Bytes that are not what the wire format allows.

    Attributes:
        damage: which kind of damage it is.
        offset: where, in bytes from the start of the stream (or of the data that was given).
        reason: what is wrong there, and what would be right.
        message: the name of the message inside which it happened, if it was inside one.
        field: the path of that message's field, if it was inside one.
    """

    def __init__(
        self, damage: Damage, reason: str, *, offset: int, message: str | None = None, field: str | None = None
    ) -> None:
        self.damage = damage
        self.offset = offset
        self.reason = reason
        self.message = message
        self.field = field
        where = f"{message}.{field}: " if field else f"{message}: " if message else ""
        super().__init__(f"at byte {offset}: {where}{reason}")


class SchemaMismatch(CodecError, ValueError):
    """A message was recorded with another meaning than it has here. It was not read.

    Attributes:
        message: its name here.
        type_id: its type number.
        differences: what was, and what is: one sentence each, naming the field.
        offset: where the first frame with one begins, in bytes.
    """

    def __init__(self, message: str, type_id: int, differences: tuple[str, ...], *, offset: int) -> None:
        self.message = message
        self.type_id = type_id
        self.differences = differences
        self.offset = offset
        super().__init__(
            f"at byte {offset}: {message} ({type_id}) was recorded with another meaning: {'; '.join(differences)}; "
            "read it with the messages with which it was recorded"
        )


class JournalError(SporeError):
    """A journal cannot be opened, or cannot do what was asked. Nothing of what was asked has happened.

    Attributes:
        path: the file.
        reason: what is wrong with it, or with the call.
        stream: the stream that it is about, if it is about one.
        sequence: the sequence number that it is about, if it is about one.
    """

    def __init__(self, path: str, reason: str, *, stream: str | None = None, sequence: int | None = None) -> None:
        self.path = path
        self.reason = reason
        self.stream = stream
        self.sequence = sequence
        where = "" if stream is None else f"stream {stream!r}" + ("" if sequence is None else f", sequence {sequence}")
        super().__init__(f"journal {path}: {where}: {reason}" if where else f"journal {path}: {reason}")


class JournalFailed(JournalError):
    """The file cannot be used now: the disk fails, it is damaged, locked or gone. Where the cause goes away it works again."""


class JournalFull(JournalError):
    """There is no room, on the disk or within the journal's limit. It works again once there is."""


class FeedError(SporeError):
    """A source of events cannot be read, or not any further. What came before is good.

    Attributes:
        source: the file, or the node's address.
        reason: what is wrong, and what would be right.
        line: where, counted from 1, if it is a file of lines.
    """

    def __init__(self, source: str, reason: str, *, line: int | None = None) -> None:
        self.source = source
        self.reason = reason
        self.line = line
        super().__init__(f"{source}:{line}: {reason}" if line is not None else f"{source}: {reason}")


class RunFailed(SporeError):
    """A run of a comparison or a load test did not come to its end, so there is nothing to compare or to judge.

    Attributes:
        mode: in which mode.
        reason: what has become of it.
    """

    def __init__(self, mode: str, reason: str) -> None:
        self.mode = mode
        self.reason = reason
        super().__init__(f"a run in mode {mode!r} has failed: {reason}")


class AmountError(SporeError, ValueError):
    """An amount that a pool cannot trade, or a pool that nobody can trade with. Nothing was computed.

    Attributes:
        name: which of the values is at fault.
        value: the value.
        reason: what is wrong with it, and what would be right.
    """

    def __init__(self, name: str, value: int, reason: str) -> None:
        self.name = name
        self.value = value
        self.reason = reason
        super().__init__(f"{name} = {_short(value)}: {reason}")


class SettingError(SporeError, ValueError):
    """A setting that a service cannot work with.

    Attributes:
        setting: its name.
        value: as it was given.
        reason: what would be right.
    """

    def __init__(self, setting: str, value: object, reason: str) -> None:
        self.setting = setting
        self.value = value
        self.reason = reason
        super().__init__(f"{setting} = {_short(value)}: {reason}")


def first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error in a group which for a person is the error: the first that is more than what senders notice of an actor's end."""
    errors = list(_single(group))
    return next((error for error in errors if not isinstance(error, ActorStopped)), errors[0])


def _single(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group, and in the groups in it, in their order."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _single(each)
    else:
        yield error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"
