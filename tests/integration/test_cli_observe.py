"""A real system, looked at as people do: scraped, in a terminal, and by its traces."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.test_cli_control import FED, Run, system

OBSERVED = f"""{FED}
[observe]
metrics = "127.0.0.1:0"
"""
PIPELINE = """\
[[bundles]]
name = "core"
mode = "MODE"
actors.market_data = {{ type = "MarketDataActor" }}
actors.signal_generator = {{ type = "SignalGeneratorActor" }}
actors.execution = {{ type = "ExecutionActor" }}

[[feeds]]
source = "sim:seed=1,events=300"
to = "market_data"

[observe]
traces = "WHERE"
trace_every = 30
"""


def scrape(url: str) -> dict[str, float]:
    """Each sample, written as Prometheus writes it."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        text = answer.read().decode()
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def until(line: str, process: subprocess.Popen[str]) -> str:
    """The first line that begins so, without that."""
    for said in process.stdout:
        if said.startswith(line):
            return said.removeprefix(line).strip()
    raise AssertionError(process.stderr.read())


def at(run: Run) -> str:
    return next(line.removeprefix("metrics: ") for line in run.lines if line.startswith("metrics: "))


def handled(run: Run, url: str, count: int) -> dict[str, float]:
    """What is scraped once the actor has handled so many messages."""
    while (found := scrape(url)).get("spore_actor_messages_handled_total actor=writer bundle=core") != count:
        assert run.popen.poll() is None
    return found


@pytest.mark.long
def test_what_is_scraped_is_what_the_system_has_counted_and_what_top_shows():
    """From the run itself and from outside of it; a process that is started again has counted from nothing, and it shows."""
    with system(OBSERVED) as run:
        config = str(run.config)
        outside = run.start([sys.executable, "-m", "spore", "metrics", config, "--listen", "127.0.0.1:0"])
        url = until("metrics: ", outside)
        found, other = handled(run, at(run), 500), handled(run, url, 500)
        changing = re.compile(r"cpu_seconds|memory")
        assert {name: value for name, value in found.items() if not changing.search(name)} == {
            name: value for name, value in other.items() if not changing.search(name)
        }
        assert found["spore_edge_messages_total port=to receiver=writer route=relay sender=feeds[0]"] == 500
        code, lines, err = run.do("top", config, "--once", "--json")
        (row,) = json.loads(lines[0])["actors"]
        assert (code, err) == (0, "")
        assert (row["name"], row["handled"], row["pid"]) == ("writer", 500, run.pid("actor 'writer'"))
        code, lines, err = run.do("top", config, "--filter", "nobody")
        assert (code, err, lines[-1]) == (0, "", "0 of 1 actor")
        os.kill(row["pid"], signal.SIGKILL)
        process = "spore_process_restarts_total process=actor 'writer'"
        while (found := scrape(url)).get(process) != 1 or found.get(
            "spore_process_answers process=actor 'writer'"
        ) != 1:
            assert run.popen.poll() is None
        assert found["spore_actor_messages_handled_total actor=writer bundle=core"] == 0
        run.popen.send_signal(signal.SIGTERM)
        _, err = run.popen.communicate(timeout=60)
        assert (run.popen.returncode, err) == (0, "")
        assert scrape(url) == {"spore_up": 0}
        outside.send_signal(signal.SIGINT)
        assert outside.communicate(timeout=60)[1] == ""
        assert outside.returncode == 130
        assert run.do("top", config, "--once")[0] == 2


@pytest.mark.long
def test_an_address_that_cannot_be_had_is_said_before_anything_runs():
    """In one line."""
    with system(OBSERVED) as run:
        taken = at(run).removeprefix("http://").removesuffix("/metrics")
        run.config.with_name("other.toml").write_text(run.config.read_text().replace("127.0.0.1:0", taken))
        other = str(run.config.with_name("other.toml"))
        said = (2, [], f"spore: cannot listen at {taken}: Address already in use\n")
        assert run.do("run", other) == said
        assert run.do("metrics", str(run.config), "--listen", taken) == said


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, run: Run, *command: str) -> None:
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            arguments = [sys.executable, "-m", "spore", *command]
            os.execve(sys.executable, arguments, {**run.environment, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"})
        self.shown = ""

    def until(self, pattern: str) -> None:
        """Read until something is shown that was not shown before."""
        seen = len(self.shown)
        while not re.search(pattern, self.shown[seen:], re.DOTALL):
            assert select.select([self.end], [], [], 60)[0], self.shown[seen:]
            data = os.read(self.end, 1 << 16).decode(errors="replace")
            self.shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data)

    def press(self, keys: str) -> None:
        os.write(self.end, keys.encode())

    def code(self) -> int:
        """Wait until it has ended."""
        try:
            while os.read(self.end, 1 << 16):
                pass
        except OSError:
            pass  # which is how a terminal ends
        os.close(self.end)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.long
def test_top_waits_for_a_system_that_is_started_again():
    """It says so, shows the new one, obeys keys, and Ctrl-C ends it."""
    with system(FED) as run:
        top = Terminal(run, "top", str(run.config))
        top.until(r"writer +\S+ +0 ")
        run.popen.send_signal(signal.SIGTERM)
        run.popen.communicate(timeout=60)
        top.until("nothing runs it.*waits")
        run.popen = run.start([sys.executable, "-m", "spore", "run", str(run.config)])
        run.lines.clear()
        run.begin()
        top.until(r"writer +\S+ +\d+ ")
        top.press("s/wri\n")
        top.until("sorted by waiting · only 'wri'")
        top.press("\x03")
        assert top.code() == 130
        assert "Traceback" not in top.shown


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """An OTLP endpoint, and what came there."""
    came: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            came.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", came
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def tree(came: list[ExportTraceServiceRequest]) -> list[object]:
    spans = [span for each in came for of in each.resource_spans for scope in of.scope_spans for span in scope.spans]

    def below(parent: bytes) -> list[object]:
        return sorted((span.name, below(span.span_id)) for span in spans if span.parent_span_id == parent)

    return below(b"")


@pytest.mark.long
def test_the_traces_of_a_feed_are_the_same_in_both_modes():
    """As an endpoint gets them, from one process or from three: one in thirty events begins one."""
    found = []
    for mode in ("shared_memory", "relay"):
        # Its name is short: sockets are in there.
        with collector() as (where, came), tempfile.TemporaryDirectory(prefix="spore-") as folder:
            run = Run(Path(folder), PIPELINE.replace("MODE", mode).replace("WHERE", where))
            try:
                _, err = run.popen.communicate(timeout=60)
            finally:
                run.close()
            assert (run.popen.returncode, err) == (0, "")
        found.append(tree(came))
    assert found[0] == found[1]
    assert len(found[0]) == 10
    assert any(children for _, children in found[0])


FAILING = """\
modules = ["tests.pipeline_feed"]

[[bundles]]
name = "core"
mode = "relay"
actors.writer = {{ type = "tests.pipeline_feed:Syncs", config = {{ path = "/" }}, supervision = {{ on_failure = "stop" }} }}

[[feeds]]
source = "count:1"
to = "writer"

[observe]
logs = "json"
"""


def test_logs_are_a_line_a_record_in_every_process():
    """As JSON where that is wanted; they name the part of the system, the actor that failed, and its message."""
    with tempfile.TemporaryDirectory(prefix="spore-") as folder:
        run = Run(Path(folder), FAILING)
        try:
            _, err = run.popen.communicate(timeout=60)
        finally:
            run.close()
    (line,) = err.splitlines()
    said = json.loads(line)
    assert said["text"].startswith("actor writer: stops after IsADirectoryError")
    assert (said["level"], said["part"], said["bundle"]) == ("warning", "actor 'writer'", "core")
    assert (said["actor"], said["message_type"]) == ("writer", "PoolSync")
