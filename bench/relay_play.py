"""One run of one contender: a relay, a receiver and a sender in fresh processes, and what came of it.

All subscribers live in the one receiver: with a process for each there would be more processes than a small machine
has cores, and its scheduler would be measured. A child says and is told things by lines on its standard output and
input; it prepares, waits to be let go, and in the end waits until the CPU time of all has been read.

CPU time is that of all threads of all three processes, from the moment the sender starts until the last message was
taken, divided by all messages, those of the warm-up included: they cost the same.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from pkgutil import resolve_name
from threading import Timer
from typing import IO, Any

import attrs

from bench.relay_contender import Contender
from bench.relay_load import Load, Sink, Source, percentile, quote
from spore.codec import decode, encode

__all__ = ["PERCENTILES", "Outcome", "play"]

PATIENCE_S = 30.0
"""How much longer than its load a run may take before it is given up."""
_PR_SET_PDEATHSIG = 1


@attrs.frozen(kw_only=True)
class Outcome:
    """What one run has shown."""

    messages: int
    """Sent, and taken by every subscriber."""
    cpu_s: float
    late_ns: Mapping[float, float]
    """Of a paced load: by percentile, how long after it was due a message was taken. By the slowest subscriber."""
    rate_hz: float
    """Of another: messages a second, each taken by every subscriber. By the slowest subscriber."""


PERCENTILES = (50, 99, 99.9)


def play(contender: Contender, load: Load) -> Outcome:
    """Let one contender carry one load.

    Raises:
        RuntimeError: if a process of its fails, or takes too long.
        ValueError: if messages were lost.
    """
    with tempfile.TemporaryDirectory(prefix="spore-bench-") as directory, ExitStack() as children:
        path = Path(directory) / "relay"

        def start(role: str) -> _Child:
            return children.enter_context(_child(role, contender, path, load))

        receiver, sender = start("receive"), start("send")
        parts = [receiver, sender]
        if contender.has_relay:
            relay = start("relay")
            parts.append(relay)
            relay.go()
            relay.hear()
        receiver.go()
        receiver.hear()
        sender.go()
        sender.hear()
        before = [part.cpu_ns() for part in parts]
        sent = sender.hear()["sent"]
        taken = receiver.hear()
        cpu_ns = sum(part.cpu_ns() for part in parts) - sum(before)
    if taken["counts"] != [sent] * load.subscribers:
        raise ValueError(f"{contender.name}: {sent} messages were sent, and the subscribers took {taken['counts']}")
    late = taken["late_ns"]
    return Outcome(
        messages=sent,
        cpu_s=cpu_ns / 1e9,
        late_ns={percent: max(of_one[i] for of_one in late) for i, percent in enumerate(PERCENTILES) if late},
        rate_hz=min(taken["rates_hz"]),
    )


class _Child:
    """A process of the run, as the bench sees it."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self._name = name
        self._process = process

    def go(self) -> None:
        """Let it go, when it is prepared."""
        self.hear()
        self._input.write("\n")
        self._input.flush()

    @property
    def _input(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin

    def hear(self) -> dict[str, Any]:
        """What it says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended with status {self._process.wait()}, or was ended: it took too long")
        said: dict[str, Any] = json.loads(line)
        return said

    def cpu_ns(self) -> int:
        """Nanoseconds of CPU that all its threads have used."""
        # What clock_getcpuclockid(3) would return. /proc counts in hundredths of a second.
        return time.clock_gettime_ns((~self._process.pid << 3) | 2)


@contextmanager
def _child(role: str, contender: Contender, path: Path, load: Load) -> Iterator[_Child]:
    described = json.dumps(attrs.asdict(load))
    named = f"{type(contender).__module__}:{type(contender).__qualname__}"
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.relay_play", role, named, str(path), described, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,  # Ctrl-C is for the bench, which ends its children
    )
    watchdog = Timer(load.warm_s + load.run_s + PATIENCE_S, process.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield _Child(f"{contender.name}: {role}", process)
    finally:
        watchdog.cancel()
        process.kill()
        with process:
            pass


# What follows runs in the children.


def main() -> None:
    """Play one role."""
    role, named, path, described, parent = sys.argv[1:]
    _die_with(int(parent))
    contender, load = resolve_name(named)(), Load(**json.loads(described))
    sample = quote(load.frame_size, 0)
    frame = encode(sample, sequence=0, timestamp_ns=0)  # compiles the codec
    if len(frame) != load.frame_size or decode(frame).message != sample:
        raise AssertionError(f"a frame of {len(frame)} bytes instead of {load.frame_size}")
    _say("prepared")
    sys.stdin.readline()
    if role == "relay":
        contender.relay(Path(path), lambda: _say("ready"))
    elif role == "receive":
        sinks = [Sink(load, number) for number in range(load.subscribers)]
        contender.receive(Path(path), sinks, lambda: _say("ready"))
        paced = load.rate_hz is not None
        _say(
            "done",
            counts=[sink.count for sink in sinks],
            late_ns=[[percentile(sink.measured_ns, percent) for percent in PERCENTILES] for sink in sinks if paced],
            rates_hz=[0 if paced else sink.rate_hz for sink in sinks],
        )
    else:
        source = Source(load, lambda: _say("started"))
        contender.send(Path(path), source)
        _say("sent", sent=source.sent)
    sys.stdin.read()


def _die_with(parent: int) -> None:
    """Never outlive the bench, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _say(what: str, **facts: object) -> None:
    print(json.dumps({"what": what, **facts}), flush=True)


if __name__ == "__main__":
    main()
