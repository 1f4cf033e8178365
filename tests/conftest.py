"""Hypothesis profiles: how many examples, chosen by the environment variable SPORE_HYPOTHESIS.

A deadline would make a test depend on how busy the machine is, so none has one.
"""

import importlib
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in a shell's background jobs. Processes that tests start would inherit it, and never hear Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Commands that measure keep records, which are not to be among those of whoever runs the tests.
os.environ["XDG_STATE_HOME"] = str(Path(tempfile.gettempdir()) / f"spore-tests-{os.getuid()}")

# One example too large to draw is no finding: layouts with lists of lists draw long ones now and then.
_QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile("default", max_examples=200, deadline=None, suppress_health_check=_QUIET)
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=5_000)
settings.register_profile(
    "light", parent=settings.get_profile("default"), max_examples=25, derandomize=True, database=None,
    phases=(Phase.explicit, Phase.generate),
)  # fmt: skip
settings.load_profile(os.environ.get("SPORE_HYPOTHESIS", "default"))


def pytest_make_parametrize_id(val: object) -> str | None:
    """Names of cases without brackets, colons and escapes, so that each can be run by its name (as mutmut does)."""
    return plain_id(val) if isinstance(val, (str, bytes)) else None


def plain_id(value: object) -> str:
    """The words of a value, cut short."""
    return "_".join(re.findall(r"\w+", str(value)))[:40]


@pytest.fixture(autouse=True)
def long_tests_start_processes_that_are_not_measured(request: pytest.FixtureRequest) -> Iterator[None]:
    """Coverage in five processes makes a test that plays much take minutes, and shows nothing that a short one does not."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("long") is not None:
            for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def compiled_afresh() -> None:
    """Under mutmut, each test compiles the codecs that it uses.

    They are cached otherwise: a mutant of the compiler would never run in a test that finds them ready, and mutmut
    would not know which tests use the compiler.
    """
    if os.environ.get("MUTANT_UNDER_TEST"):
        decode = importlib.import_module("spore.codec.decode")
        importlib.import_module("spore.codec.compile")._CODECS.clear()
        importlib.import_module("spore.codec.encode")._WRITERS.clear()
        decode._KNOWN.__init__(decode.REGISTRY)
