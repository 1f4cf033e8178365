"""One encoder and one decoder for each message class, compiled once from its layout.

Strategy: neighbouring fields of fixed size become one `struct` call (in a message of fixed size, the
frame's header too), and everything else straight-line code without a loop over fields. Compiled code
handles only what is plainly right; on anything else it raises one of `NOT_PLAIN`, and the caller asks
the reference codec of `walk`, which either finds the exact error or accepts the value after all. So
compiled code may refuse too much, but must never accept more than `walk` or answer differently.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Protocol
from zlib import crc32

import attrs

from spore.codec.frame import Frame
from spore.codec.header import FLAGS, MAGIC, SUMMED_SIZE, VERSION
from spore.codec.tlv import STANDARD_HEAD_SIZE, STANDARD_MAX
from spore.message import (
    Array,
    Blob,
    Boolean,
    Enumeration,
    FixedBytes,
    Int,
    MessageType,
    Option,
    Record,
    Text,
    WireType,
    message_type,
    open_twin,
)

__all__ = ["NOT_PLAIN", "Codec", "FrameReader", "FrameWriter", "Misfit", "codec_of"]


class Misfit(Exception):  # noqa: N818 - it never leaves the codec
    """A value or some bytes that the compiled code leaves to the reference codec."""


NOT_PLAIN = (Misfit, struct.error, AttributeError, LookupError, OverflowError, TypeError, ValueError)


class FrameWriter(Protocol):
    """Encodes one message as a whole frame."""

    def __call__(self, message: Any, sequence: int, timestamp_ns: int, source: int, flags: int, /) -> bytes: ...


FrameReader = Callable[[bytes, int], "tuple[Frame, int] | None"]
"""``(data, at)`` → the frame that begins at an index and the index behind it; None if it is not plainly right."""


@attrs.frozen
class Codec:
    """The compiled functions of one message class. All raise one of `NOT_PLAIN` on what is not plainly right."""

    entry: MessageType
    write_value: Callable[[Any], bytes]
    """The bytes of the message's fields."""
    read_value: Callable[[bytes, int, int], Any]
    """``(data, start, stop)`` → the message that is exactly those bytes."""
    value_size: Callable[[Any], int]
    """The bytes that the message's fields would take."""
    write_frame: FrameWriter | None
    """A whole frame in one go; None where the message has no fixed size that fits a standard TLV."""
    read_frame: FrameReader | None
    """The reverse; None where `write_frame` is."""


def codec_of(cls: type) -> Codec:
    """The compiled codec of a message class; compiled when it is first asked for.

    Raises:
        TypeError: if it is no message class.
    """
    codec = _CODECS.get(cls)
    if codec is None:
        entry = message_type(cls)
        layout = entry.layout
        fits = layout.size is not None and layout.size <= STANDARD_MAX
        codec = _CODECS[cls] = Codec(
            entry,
            write_value=_Writer().value_function(layout),
            read_value=_Reader().message_function(layout),
            value_size=_Sizer().function(layout),
            write_frame=_Writer().frame_function(entry) if fits else None,
            read_frame=_Reader().frame_function(entry) if fits else None,
        )
    return codec


_CODECS: dict[type, Codec] = {}

_CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i8": "b", "i16": "h", "i32": "i", "i64": "q"}


class _FixedFrame:
    """The constants in the frames of a message whose size is fixed and fits a standard TLV."""

    def __init__(self, entry: MessageType) -> None:
        size = entry.layout.size or 0
        self.payload_size = STANDARD_HEAD_SIZE + size
        self.prefix = struct.pack("<IBB", MAGIC, entry.domain, VERSION)
        """The bytes before the source."""
        self.sizes = struct.pack("<IBB", self.payload_size, entry.type_id, size)
        """The payload's size and, behind the checksum, the TLV's head."""
        self.tlv_head = entry.type_id | size << 8
        self.parts = struct.Struct(f"<{SUMMED_SIZE}sI{self.payload_size}s")
        """The summed part of the header, the checksum, the payload."""


class _Source:
    """The lines of one function in the making, and the objects that it refers to."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {
            "Misfit": Misfit,
            "crc32": crc32,
            "from_bytes": int.from_bytes,
            "to_bytes": int.to_bytes,
        }
        self.lines: list[str] = []
        self.codes = ""
        self._count = 0

    def fresh(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def refer(self, prefix: str, thing: object) -> str:
        """A name for an object in the function's scope."""
        name = self.fresh(prefix)
        self.scope[name] = thing
        return name

    def refuse_if(self, condition: str) -> None:
        self.lines.append(f"if {condition}: raise Misfit")

    def take_struct(self) -> struct.Struct:
        """The struct of the fields gathered so far; the next field begins a new one."""
        gathered, self.codes = struct.Struct(f"<{self.codes}"), ""
        return gathered

    def build(self, signature: str, result: str) -> Any:
        body = "\n    ".join([*self.lines, f"return {result}"])
        exec(compile(f"def function({signature}):\n    {body}", "<compiled codec>", "exec"), self.scope)
        return self.scope["function"]


class _Writer(_Source):
    """Emits code that turns values into bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[str] = []
        self.parts: list[str] = []

    def value_function(self, wire: WireType) -> Callable[[Any], bytes]:
        """``function(value) -> bytes``. The class of the value is checked by the caller."""
        self.contents(wire, "value")
        self.flush()
        one = len(self.parts) == 1
        return self.build("value", self.parts[0] if one else f"b''.join(({', '.join(self.parts)}))")  # type: ignore[no-any-return]

    def frame_function(self, entry: MessageType) -> FrameWriter:
        """Header and fields in one struct, without the checksum; then that is put in between the two."""
        frame = _FixedFrame(entry)
        self.refuse_if("flags > 7")
        self.codes = "6sBBQQ6s"
        self.values = [repr(frame.prefix), "source", "flags", "sequence", "timestamp_ns", repr(frame.sizes)]
        self.contents(entry.layout, "value")
        pack = self.refer("pack", self.take_struct().pack)
        split = self.refer("split", struct.Struct(f"{SUMMED_SIZE}s{frame.payload_size}s").unpack)
        join = self.refer("join", frame.parts.pack)
        self.lines += [f"summed = {pack}({', '.join(self.values)})", f"head, payload = {split}(summed)"]
        return self.build(  # type: ignore[no-any-return]
            "value, sequence, timestamp_ns, source, flags", f"{join}(head, crc32(summed), payload)"
        )

    def flush(self) -> None:
        if self.codes or not self.parts:
            pack = self.refer("pack", self.take_struct().pack)
            self.parts.append(f"{pack}({', '.join(self.values)})")
            self.values = []

    def put(self, code: str, value: str) -> None:
        self.codes += code
        self.values.append(value)

    def put_count(self, of: str) -> None:
        self.put("H", f"len({of})")
        self.flush()

    def local(self, value: str) -> str:
        name = self.fresh("v")
        self.lines.append(f"{name} = {value}")
        return name

    def instance(self, value: str, cls: type) -> str:
        name = self.local(value)
        self.refuse_if(f"type({name}) is not {self.refer('cls', cls)}")
        return name

    def contents(self, wire: WireType, value: str) -> None:
        """Like `write`, for a record whose class is known to be right."""
        if isinstance(wire, Record):
            for field in wire.fields:
                self.write(field.wire, f"{value}.{field.name}")
        else:
            self.write(wire, value)

    def write(self, wire: WireType, value: str) -> None:
        match wire:
            case Int():
                self.integer(wire, value)
            case Boolean():
                name = self.local(value)
                self.refuse_if(f"{name} is not True and {name} is not False")
                self.put("?", name)
            case FixedBytes():
                name = self.local(value)
                self.refuse_if(f"len({name}) != {wire.size}")
                self.put(f"{wire.size}s", name)
            case Enumeration():
                self.integer(wire.integer, f"{self.instance(value, wire.cls)}._value_")
            case Record():
                self.contents(wire, self.instance(value, wire.cls))
            case Text():
                encoded = self.local(f"{self.instance(value, str)}.encode()")
                self.put_count(encoded)
                self.parts.append(encoded)
            case Blob():
                name = self.instance(value, bytes)
                self.put_count(name)
                self.parts.append(name)
            case Array():
                name = self.instance(value, tuple)
                self.put_count(name)
                self.parts.append(self.items(wire.item, name))
            case _:  # Option: nothing else is left
                name = self.local(value)
                item = self.call(wire.item, name)
                self.flush_if_any()
                self.parts.append(f"(b'\\0' if {name} is None else b'\\1' + {item})")

    def flush_if_any(self) -> None:
        if self.codes:
            self.flush()

    def integer(self, wire: Int, value: str) -> None:
        if wire.form in _CODES:
            self.put(_CODES[wire.form], value)
        else:
            signed = ", signed=True" if wire.signed else ""
            self.put(f"{wire.size}s", f"to_bytes({value}, {wire.size}, 'little'{signed})")

    def items(self, item: WireType, value: str) -> str:
        if isinstance(item, Int) and item.form in _CODES:
            pack = self.refer("pack", struct.pack)
            return f"{pack}('<%d{_CODES[item.form]}' % len({value}), *{value})"
        return f"b''.join([{self.call(item, 'item')} for item in {value}])"

    def call(self, wire: WireType, value: str) -> str:
        """An expression for the bytes of a nested value, its class checked."""
        writer = _Writer()
        if isinstance(wire, Record):
            writer.refuse_if(f"type(value) is not {writer.refer('cls', wire.cls)}")
        return f"{self.refer('write', writer.value_function(wire))}({value})"


class _Reader(_Source):
    """Emits code that turns bytes into values. In it ``at`` moves on and ``stop`` is where it must not pass."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.later: list[str] = []

    def message_function(self, layout: Record) -> Callable[[bytes, int, int], Any]:
        """``function(data, at, stop) -> message``, refusing bytes that are missing or left over."""
        if layout.size is not None:
            self.refuse_if(f"stop - at != {layout.size}")
            made = self.read(layout)
            self.flush(checked=True)
        else:
            made = self.read(layout)
            self.flush()
            self.refuse_if("at != stop")
        return self.build("data, at, stop", made)  # type: ignore[no-any-return]

    def frame_function(self, entry: MessageType) -> FrameReader:
        """Checks all that `decode` would, with the constants of the header compared as bytes."""
        frame = _FixedFrame(entry)
        self.scope |= {"FLAGS": FLAGS, "Frame": Frame, "OpenFrame": open_twin(Frame), "domain": entry.domain}
        cut = self.refer("cut", frame.parts.unpack_from)
        header = self.refer("unpack", struct.Struct("<6sBBQQI").unpack)
        self.lines += [
            f"head, checksum, payload = {cut}(data, at)",
            "if crc32(payload, crc32(head)) != checksum: return None",
            f"prefix, source, flags, sequence, timestamp_ns, size = {header}(head)",
        ]
        self.take("H")
        made = self.read(entry.layout)
        tlv_head = self.names[0]
        unpack = self.refer("unpack", self.take_struct().unpack)
        self.lines += [
            f"{', '.join(self.names)}, = {unpack}(payload)",
            f"if prefix != {frame.prefix!r} or size != {frame.payload_size} "
            f"or {tlv_head} != {frame.tlv_head} or flags > 7: return None",
            *self.later,
            "frame = OpenFrame()",
        ]
        values = {"flags": "FLAGS[flags]", "items": f"({made},)"}
        for name in ("domain", "source", "flags", "sequence", "timestamp_ns", "items"):
            self.lines.append(f"frame.{name} = {values.get(name, name)}")
        self.lines.append("frame.__class__ = Frame")
        return self.build("data, at", f"frame, at + {frame.parts.size}")  # type: ignore[no-any-return]

    def value_function(self, wire: WireType) -> Callable[..., Any]:
        """``function(data, at) -> value`` for a fixed size, else ``function(data, at, stop) -> (value, at)``."""
        made = self.read(wire)
        if wire.size is not None:
            self.flush(checked=True)
            return self.build("data, at", made)  # type: ignore[no-any-return]
        self.flush()
        return self.build("data, at, stop", f"{made}, at")  # type: ignore[no-any-return]

    def flush(self, *, checked: bool = False) -> None:
        """Emit one unpack for the fields gathered so far, and then what was to be made of them."""
        if self.codes:
            gathered = self.take_struct()
            unpack = self.refer("unpack", gathered.unpack_from)
            if not checked:
                self.refuse_if(f"at + {gathered.size} > stop")
            self.lines.append(f"{', '.join(self.names)}, = {unpack}(data, at)")
            if not checked:
                self.lines.append(f"at += {gathered.size}")
        self.lines += self.later
        self.names, self.later = [], []

    def take(self, code: str) -> str:
        self.codes += code
        self.names.append(self.fresh("n"))
        return self.names[-1]

    def take_count(self) -> str:
        count = self.take("H")
        self.flush()
        return count

    def read(self, wire: WireType) -> str:
        """An expression for the value, good once `flush` has been called."""
        match wire:
            case Int():
                return self.integer(wire)
            case Boolean():
                name = self.take("B")
                self.later.append(f"if {name} > 1: raise Misfit")
                return f"{name} == 1"
            case FixedBytes():
                return self.take(f"{wire.size}s")
            case Enumeration():
                return f"{self.refer('members', wire.members)}[{self.integer(wire.integer)}]"
            case Record():
                return self.record(wire)
            case Text():
                return f"str({self.counted_bytes()}, 'utf-8')"
            case Blob():
                return self.counted_bytes()
            case Array():
                return self.items(wire.item)
            case _:  # Option: nothing else is left
                return self.option(wire.item)

    def integer(self, wire: Int) -> str:
        if wire.form in _CODES:
            return self.take(_CODES[wire.form])
        if wire.bits == 128:
            low, high = self.take("Q"), self.take("q" if wire.signed else "Q")
            return f"({low} | {high} << 64 if {high} else {low})"
        signed = ", signed=True" if wire.signed else ""
        return f"from_bytes({self.take(f'{wire.size}s')}, 'little'{signed})"

    def record(self, wire: Record) -> str:
        fields = [(field.name, self.read(field.wire)) for field in wire.fields]
        made = self.fresh("made")
        self.later.append(f"{made} = {self.refer('twin', open_twin(wire.cls))}()")
        self.later += [f"{made}.{name} = {value}" for name, value in fields]
        self.later.append(f"{made}.__class__ = {self.refer('cls', wire.cls)}")
        return made

    def counted_bytes(self) -> str:
        count = self.take_count()
        name = self.fresh("raw")
        self.refuse_if(f"at + {count} > stop")
        self.lines += [f"{name} = data[at:at + {count}]", f"at += {count}"]
        return name

    def items(self, item: WireType) -> str:
        count = self.take_count()
        name = self.fresh("items")
        if item.size is not None:
            self.lines.append(f"end = at + {count} * {item.size}")
            self.refuse_if("end > stop")
            self.lines += [f"{name} = {self.fixed_items(item, count)}", "at = end"]
        else:
            read = self.refer("read", _Reader().value_function(item))
            self.lines += [
                f"{name} = []",
                f"for _ in range({count}):",
                f"    item, at = {read}(data, at, stop)",
                f"    {name}.append(item)",
                f"{name} = tuple({name})",
            ]
        return name

    def fixed_items(self, item: WireType, count: str) -> str:
        if isinstance(item, Int) and item.form in _CODES:
            unpack = self.refer("unpack", struct.unpack_from)
            return f"{unpack}('<%d{_CODES[item.form]}' % {count}, data, at)"
        read = self.refer("read", _Reader().value_function(item))
        return f"tuple([{read}(data, i) for i in range(at, end, {item.size})])"

    def option(self, item: WireType) -> str:
        tag = self.take("B")
        self.flush()
        name = self.fresh("option")
        read = self.refer("read", _Reader().value_function(item))
        self.refuse_if(f"{tag} > 1")
        if item.size is None:
            self.lines += [f"if {tag}: {name}, at = {read}(data, at, stop)", f"else: {name} = None"]
        else:
            self.refuse_if(f"at + {tag} * {item.size} > stop")
            self.lines += [f"{name} = {read}(data, at) if {tag} else None", f"at += {tag} * {item.size}"]
        return name


class _Sizer(_Source):
    """Emits code that adds up what a value would take."""

    def function(self, wire: WireType) -> Callable[[Any], int]:
        return self.build("value", self.size(wire, "value"))  # type: ignore[no-any-return]

    def size(self, wire: WireType, value: str) -> str:
        """An expression for the bytes of a value."""
        if wire.size is not None:
            return str(wire.size)
        match wire:
            case Record():
                fixed = sum(field.wire.size or 0 for field in wire.fields)
                rest = [self.size(x.wire, f"{value}.{x.name}") for x in wire.fields if x.wire.size is None]
                return " + ".join([str(fixed), *rest])
            case Text():
                return f"{self.refer('size', _text_size)}({value})"
            case Array(item=item) if item.size is not None:
                return f"2 + len({value}) * {item.size}"
            case Array(item=item):
                return f"2 + sum([{self.nested(item, 'item')} for item in {value}])"
            case Option(item=item):
                return f"(1 if {value} is None else 1 + {self.nested(item, value)})"
            case _:
                return f"2 + len({value})"

    def nested(self, item: WireType, value: str) -> str:
        return str(item.size) if item.size is not None else f"{self.refer('size', _Sizer().function(item))}({value})"


def _text_size(text: str) -> int:
    return 2 + (len(text) if text.isascii() else len(text.encode()))
