"""What it costs to keep frames in order on disk: SQLite and LMDB, and what each way of syncing costs.

append   a batch of 100 frames of 256 bytes, durable to the degree that the name says
read     10,000 frames back by sequence, as a late receiver catches up; for each frame
trim     the older half of 10,000, as when everyone has acknowledged it
file     bytes on disk for each frame: of 10,000 that came; and of 10,000 that are left of ten times as many
         that came and were trimmed in between

After a crash of the process all of them have everything that was appended. After a crash of the machine, that is so
with FULL and with sync alone; NORMAL and no metasync may lack the last batches; no sync may leave an unreadable file.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from time import perf_counter_ns

from bench.journal_peers import PEERS, Engine, Record
from bench.measure import Case, Run, arguments, run_bench

FRAME_SIZE = 256
BATCH = 100
KEPT = 10_000
STREAM = 1

Open = Callable[[Path], Engine]


def main(argv: Sequence[str] | None = None) -> int:
    parser = arguments(__doc__)
    parser.add_argument("--directory", type=Path, help="on the disk to measure (default: where temporary files go)")
    options = parser.parse_args(argv)
    tempfile.tempdir = options.directory and str(options.directory)
    cases = []
    for group, make, unit, per in (
        ("append", appending, "µs/batch", 1_000),
        ("read", reading, "ns/frame", KEPT),
        ("trim", trimming, "µs", 1_000),
        ("file", growing, "bytes/frame", 1),
        ("file in the long run", turning_over, "bytes/frame", 1),
    ):
        first = f"{group}: {next(iter(PEERS))}"
        for name, engine in PEERS.items():
            case = f"{group}: {name}"
            cases.append(Case(case, make(engine), unit=unit, per=per, baseline=None if case == first else first))
    return run_bench(options, "journal: frames of 256 bytes", cases)


def batches(count: int, begin: int = 0) -> Iterator[list[Record]]:
    """So many batches, each behind the last."""
    frame = bytes(range(256)) * (FRAME_SIZE // 256)
    for first in range(begin, begin + count * BATCH, BATCH):
        yield [(STREAM, sequence, frame) for sequence in range(first, first + BATCH)]


@contextmanager
def _open(engine: Open, *, full: bool = False) -> Iterator[tuple[Engine, Path]]:
    with tempfile.TemporaryDirectory(prefix="spore-bench-") as name, closing(engine(Path(name))) as journal:
        if full:
            for batch in batches(KEPT // BATCH):
                journal.append(batch)
        yield journal, Path(name)


def appending(engine: Open) -> Run:
    def run(iterations: int) -> float:
        with _open(engine) as (journal, _):
            began = perf_counter_ns()
            for batch in batches(iterations):
                journal.append(batch)
            return (perf_counter_ns() - began) / iterations

    return run


def reading(engine: Open) -> Run:
    def run(iterations: int) -> float:
        with _open(engine, full=True) as (journal, _):
            began = perf_counter_ns()
            for _ in range(iterations):
                found = journal.read(STREAM)
            took = perf_counter_ns() - began
            assert [sequence for sequence, _ in found] == list(range(KEPT))
            return took / iterations

    return run


def trimming(engine: Open) -> Run:
    def run(iterations: int) -> float:
        took = 0
        for _ in range(iterations):
            with _open(engine, full=True) as (journal, _):
                began = perf_counter_ns()
                journal.trim(STREAM, KEPT // 2 - 1)
                took += perf_counter_ns() - began
                assert len(journal.read(STREAM)) == KEPT // 2
        return took / iterations

    return run


def growing(engine: Open) -> Run:
    return lambda iterations: [_size_after(engine, 0) for _ in range(iterations)][-1]


def turning_over(engine: Open) -> Run:
    return lambda iterations: [_size_after(engine, 9 * KEPT) for _ in range(iterations)][-1]


def _size_after(engine: Open, more: int) -> float:
    with _open(engine, full=True) as (journal, directory):
        for batch in batches(more // BATCH, KEPT):
            journal.append(batch)
            journal.trim(STREAM, batch[-1][1] - KEPT)
        # Blocks, not lengths: a mapped file may have holes.
        return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file()) / KEPT


if __name__ == "__main__":
    sys.exit(main())
