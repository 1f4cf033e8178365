"""Coverage-guided fuzzing of the decoder: ``python -m tests.fuzz.decoder -runs=1000000``.

Every input is used twice: raw, as a stream, and as the payload behind a header that is right, so that it reaches
TLVs and fields instead of ending at the checksum. Both are fed whole and in two uneven chunks. What must hold:

- only frames, a wish for more, or a DecodeError that lies within the input; the same for whole and for chunks;
- what is accepted re-encodes to the same bytes, and the reference codec agrees;
- the decoder keeps no more than what it was fed and did not take, and memory does not grow with the inputs.

Other arguments are libFuzzer's. The corpus begins with frames of every message and heads of every form, and lives
in a temporary folder unless one is given.
"""

import atexit
import contextlib
import os
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]
import attrs

with atheris.instrument_imports(include=["spore.codec", "spore.message"]):
    from tests.property.rich import RICH

    from spore.codec import Decoder, Flags, Frame, UnknownTlv, decode, emit, encode, encode_frame
    from spore.codec import compile as compiled
    from spore.codec.walk import read_message
    from spore.errors import DecodeError
    from spore.message import (
        Array,
        Blob,
        Boolean,
        Domain,
        Enumeration,
        FixedBytes,
        Int,
        Option,
        Record,
        Text,
        WireType,
        layout_of,
        message_type,
    )

MAX_FRAME_SIZE = 4_096
"""More than any input can be, so that a size that is allowed is waited for, and others are refused."""
CHECK_EVERY = 10_000
WARM_UP = 100_000
MOST_GROWTH_MB = 16
"""What resident memory may grow by after the warm-up; libFuzzer's own corpus takes a few of them."""


class Finding(Exception):
    """Something that must hold does not."""


@attrs.define
class Tally:
    """What has happened so far."""

    runs: int = 0
    """How many inputs there will be; 0 where nobody said."""
    inputs: int = 0
    frames: int = 0
    messages: Counter[str] = attrs.field(factory=Counter)
    errors: Counter[str] = attrs.field(factory=Counter)
    rss_after_warm_up: float = 0.0
    rss_at_most: float = 0.0

    def count(self) -> None:
        self.inputs += 1
        if self.inputs % CHECK_EVERY == 0 or self.inputs == self.runs:
            self.check_memory()

    def check_memory(self) -> None:
        rss = resident_mb()
        self.rss_at_most = max(self.rss_at_most, rss)
        if self.inputs <= WARM_UP:
            self.rss_after_warm_up = rss
        elif rss > self.rss_after_warm_up + MOST_GROWTH_MB:
            raise Finding(f"resident memory grew from {self.rss_after_warm_up:.1f} to {rss:.1f} MB")

    def lines(self) -> Iterator[str]:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield f"inputs   {self.inputs:,}"
        yield f"frames   {self.frames:,}"
        yield f"messages {', '.join(f'{name} {count:,}' for name, count in self.messages.most_common()) or 'none'}"
        yield f"errors   {', '.join(f'{name} {count:,}' for name, count in self.errors.most_common()) or 'none'}"
        yield (
            f"memory   {self.rss_after_warm_up:.1f} MB after {min(self.inputs, WARM_UP):,} inputs, "
            f"{self.rss_at_most:.1f} MB at most after that (allowed: {MOST_GROWTH_MB} MB more), peak {peak:.1f} MB"
        )


TALLY = Tally()


def resident_mb() -> float:
    """Resident memory now, in MB. Linux; elsewhere the peak so far."""
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fuzz_one(data: bytes) -> None:
    """One input: raw, and as a payload in the domain that its first byte chooses."""
    check(data)
    if data:
        check(wrapped(data[1:], data[0] % 4 + 1))
    TALLY.count()
    if TALLY.inputs == TALLY.runs:
        # libFuzzer leaves from C when the runs are done: nothing that Python does at exit would be done.
        print(*TALLY.lines(), sep="\n", flush=True)


def wrapped(payload: bytes, domain: int) -> bytes:
    """A frame around a payload, right in all that the header says."""
    head = b"\xef\xbe\xad\xde" + bytes((domain, 1, 0, 0)) + bytes(16) + len(payload).to_bytes(4, "little")
    return head + crc32(head + payload).to_bytes(4, "little") + payload


def check(stream: bytes) -> None:
    """All that must hold for any bytes at all."""
    frames, error, left = read((stream,))
    middle = len(stream) * 3 // 7
    in_chunks = read((stream[:middle], stream[middle:]))
    if in_chunks != (frames, error, left):
        raise Finding(f"in chunks it is {in_chunks}, and whole it was {(frames, error, left)}")
    taken = b"".join([encode_frame(frame) for frame in frames])
    if not stream.startswith(taken) or (error is None and len(taken) + left != len(stream)):
        raise Finding(f"it re-encodes as {taken.hex()}")
    if error is not None and not len(taken) <= error[1] <= len(stream):
        raise Finding(f"the error {error} lies outside")
    TALLY.frames += len(frames)
    TALLY.errors[error[0] if error else "more wanted" if left else "none"] += 1
    for frame in frames:
        check_frame(frame)


def read(chunks: tuple[bytes, ...]) -> tuple[list[Frame], tuple[str, int] | None, int]:
    """The frames of a stream, its error by kind and place, and how many bytes wait for more."""
    decoder = Decoder(registry=RICH, max_frame_size=MAX_FRAME_SIZE)
    frames: list[Frame] = []
    fed = 0
    try:
        for chunk in chunks:
            decoder.feed(chunk)
            fed += len(chunk)
            frames += decoder
            if decoder.buffered != fed - decoder.offset or decoder.buffered >= MAX_FRAME_SIZE:
                raise Finding(f"{decoder.buffered} bytes are kept of {fed}")
    except DecodeError as error:
        return frames, (error.damage.value, error.offset), 0
    return frames, None, decoder.buffered


def check_frame(frame: Frame) -> None:
    """A frame that was accepted has values that the reference codec reads, and is found again by `decode`."""
    if decode(encode_frame(frame), registry=RICH) != frame:
        raise Finding(f"{frame} does not come back")
    for item in frame.items:
        if isinstance(item, UnknownTlv):
            TALLY.messages["unknown"] += 1
            continue
        layout = layout_of(type(item))
        TALLY.messages[layout.cls.__name__] += 1
        value = compiled.codec_of(type(item)).write_value(item)
        if read_message(layout, value, 0, len(value), offset=0) != item:
            raise Finding(f"the reference codec reads something else than {item}")


def seeds() -> Iterator[bytes]:
    """An input for every message, as a payload and raw, with one and with two of everything that can be there."""
    for entry in RICH:
        for many in (0, 1, 2):
            message = example(entry.layout, many)
            frame = encode(message, sequence=1, timestamp_ns=2)
            yield bytes([entry.domain - 1]) + frame[32:]
            yield frame + encode_frame(Frame(Domain.SYSTEM, 99, Flags(7), 1, 2, (UnknownTlv(9, b"abc"),)))
    # Heads at the edge of what is allowed, which chance would take long to build.
    for head in ("ff00090001", "ff0009ff00", "ff00090000", "ff00ff0001", "ff01090001", "ff00000001", "0000", "09ff"):
        raw = bytes.fromhex(head)
        yield b"\0" + raw + bytes(int.from_bytes(raw[3:], "little") if len(raw) == 5 else raw[1])


def example(wire: WireType, many: int) -> Any:
    """A value of a wire type: all zero and empty, or with something of everything."""
    match wire:
        case Int():
            return wire.high if many == 2 else many
        case Boolean():
            return many > 0
        case FixedBytes():
            return bytes([many]) * wire.size
        case Text():
            return "é" * many
        case Blob():
            return b"\xff" * many
        case Enumeration():
            members = list(wire.cls)
            return members[many % len(members)]
        case Array():
            return (example(wire.item, many - 1),) * many if many else ()
        case Option():
            return example(wire.item, many) if many else None
        case Record():
            return wire.cls(**{field.name: example(field.wire, many) for field in wire.fields})


def instrument_compiled_codecs() -> None:
    """Compiled codecs are built by exec, past the import hook, so their functions are instrumented one by one."""
    build = emit.Source.build

    def instrumented(self: Any, signature: str, result: str) -> Any:
        return atheris.instrument_func(build(self, signature, result))

    emit.Source.build = instrumented  # type: ignore[method-assign]
    for entry in RICH:
        compiled.codec_of(message_type(entry.cls).cls)


def fuzz(arguments: list[str], corpus: Path) -> None:
    """Fuzz until the runs are done or something is found; never returns."""
    instrument_compiled_codecs()
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    options = {"max_len": "512", "rss_limit_mb": "1024", "verbosity": "0", "artifact_prefix": str(corpus.parent) + "/"}
    options |= {name: value for name, _, value in (x[1:].partition("=") for x in arguments if x.startswith("-"))}
    folders = [argument for argument in arguments if not argument.startswith("-")]
    TALLY.runs = max(0, int(options.get("runs", 0)))
    atexit.register(lambda: print(*TALLY.lines(), sep="\n", flush=True))  # a finding leaves by way of Python
    atheris.Setup([sys.argv[0], *(f"-{k}={v}" for k, v in options.items()), *(folders or [str(corpus)])], fuzz_one)
    atheris.Fuzz()


def main(arguments: list[str]) -> int:
    """Fuzz in a process of its own, because libFuzzer ends the one that it is in; 0 if nothing was found."""
    with tempfile.TemporaryDirectory(prefix="spore-fuzz-") as folder:
        child = os.fork()
        if not child:
            fuzz(arguments, Path(folder))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
