"""What it takes from a system to be watched: `spore run` as it is, and with the dashboard, a page that is open, and metrics.

hop p99      from `tell` in one actor of a bundle to the handler of the other, each message timed, at 10,000 messages a second
throughput   messages through the same two, fed as fast as they are taken, in a second of the CPU time of the bundle's process: of one core,
             whatever else the machine does
by the clock the same in a second; where feed, relay and bundle fill all cores, what a browser takes is missing there

The page is headless Chromium where there is one, and else a client that reads the events; metrics are scraped once a second. All are on
this machine, and so take of its cores what they need: that counts as well. Each sample is a fresh `spore run`, in turns without and with
all of this, and the turns take turns; what comes in its first seconds, in which the page is loaded, does not count.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bench.measure import Case, Expectation, Result, arguments, conclude, progress_line

RATE = 10_000
SETTLE_S = 5.0
SECONDS = 5.0
MOST_P99 = 1.10
LEAST_THROUGHPUT = 0.97
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SYSTEM = """\
modules = ["bench.observe_actors"]

[[bundles]]
name = "core"
mode = "shared_memory"
actors.head = { type = "bench.observe_actors:Head" }
actors.end = { type = "bench.observe_actors:End", config = { path = "FIGURES", settle_s = SETTLE } }

[[feeds]]
source = "sim:seed=1,events=1000000000"
to = "head"
"""
OBSERVED = """
[observe]
dashboard = "127.0.0.1:0"
metrics = "127.0.0.1:0"
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = arguments(__doc__)
    parser.set_defaults(rounds=10)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of each sample (default {SECONDS:g})")
    options = parser.parse_args(argv)
    samples: dict[str, list[float]] = {}
    try:
        with progress_line() as progress:
            for number in range(1, options.rounds + 1):
                turns = (False, True) if number % 2 else (True, False)
                for paced in (True, False):
                    for watched in turns:
                        name = "watched" if watched else "alone"
                        progress(f"round {number} of {options.rounds}: {name}, {'paced' if paced else 'unpaced'}")
                        for figure, value in sample(options.seconds, watched=watched, paced=paced).items():
                            samples.setdefault(f"{figure}: {name}", []).append(value)
    except KeyboardInterrupt:
        return 130
    page = "headless Chromium" if CHROMIUM else "a client that reads the events"
    return conclude(
        options, f"observe: {RATE:,} messages a second, watched by {page}", results_of(samples), EXPECTATIONS
    )


def sample(seconds: float, *, watched: bool, paced: bool) -> dict[str, float]:
    """One `spore run`: the figures of it by name."""
    with tempfile.TemporaryDirectory(prefix="spore-bench-") as folder, ExitStack() as stack:
        figures = Path(folder) / "figures.json"
        config = Path(folder) / "system.toml"
        text = SYSTEM.replace("FIGURES", str(figures)).replace("SETTLE", f"{SETTLE_S}")
        config.write_text(text + f"rate = {RATE}\n" * paced + OBSERVED * watched)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        command = [sys.executable, "-m", "spore", "run", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
            assert run.stdout is not None
            for line in run.stdout:
                if line.startswith("dashboard: "):
                    stack.enter_context(open_page(line.split()[1]))
                elif line.startswith("metrics: "):
                    stack.enter_context(scraped(line.split()[1]))
                elif line == "runs\n":
                    break
            enough = threading.Timer(SETTLE_S + seconds, run.send_signal, [signal.SIGTERM])
            enough.start()
            for _ in run.stdout:
                pass
            enough.cancel()
        if run.returncode:
            raise RuntimeError(f"spore run has ended with {run.returncode}")
        found = json.loads(figures.read_text())
    if paced:
        return {"hop p50": found["p50"], "hop p99": found["p99"], "paced": found["rate"]}
    return {"throughput": found["cpu_rate"], "by the clock": found["rate"]}


@contextmanager
def open_page(address: str) -> Iterator[None]:
    """The page in a browser, for the length of a block."""
    if CHROMIUM is None:
        with reading(address.partition("?")[0] + "events"):
            yield
        return
    with tempfile.TemporaryDirectory(prefix="spore-bench-", ignore_cleanup_errors=True) as folder:
        options = ["--headless=new", "--disable-gpu", f"--user-data-dir={folder}", "--remote-debugging-port=0"]
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [CHROMIUM, *options, address]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            try:
                yield
            finally:
                browser.terminate()  # and not killed: it ends its own processes


@contextmanager
def reading(url: str) -> Iterator[None]:
    """A client that reads events, for the length of a block."""
    script = "import sys, urllib.request\nfor _ in urllib.request.urlopen(sys.argv[1]): pass"
    with subprocess.Popen([sys.executable, "-c", script, url], stderr=subprocess.DEVNULL) as client:
        try:
            yield
        finally:
            client.kill()


@contextmanager
def scraped(url: str) -> Iterator[None]:
    """Metrics read once a second, for the length of a block."""
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(1.0):
            with suppress(OSError):
                urllib.request.urlopen(url, timeout=5).read()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def results_of(samples: Mapping[str, Sequence[float]]) -> dict[str, Result]:
    """All samples of each figure; watched beside alone."""
    results = {}
    for figure, unit in (
        ("hop p50", "ns"),
        ("hop p99", "ns"),
        ("paced", "msg/s"),
        ("throughput", "msg/s"),
        ("by the clock", "msg/s"),
    ):
        for name, baseline in (("alone", None), ("watched", f"{figure}: alone")):
            case = Case(f"{figure}: {name}", unit=unit, baseline=baseline)
            results[case.name] = Result(case, tuple(samples[case.name]))
    return results


EXPECTATIONS = [
    Expectation(
        f"watched, the 99th percentile of the hop is at most {MOST_P99 - 1:.0%} higher",
        "hop p99: watched",
        ("hop p99: alone",),
        limit=MOST_P99,
    ),
    Expectation(
        f"watched, throughput is at most {1 - LEAST_THROUGHPUT:.0%} lower",
        "throughput: watched",
        ("throughput: alone",),
        limit=LEAST_THROUGHPUT,
        at_least=True,
    ),
]


if __name__ == "__main__":
    sys.exit(main())
