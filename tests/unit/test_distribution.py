"""The distribution: its name, what it needs, and how people are told to install it."""

import importlib.util
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest
from tests.lowest import BOUND, lowest

import spore
from spore.cli.app import run
from spore.distribution import DISTRIBUTION, EXTRAS, install

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXTS = [
    ROOT / "README.md",
    ROOT / "Makefile",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("src/**/*")),
    *sorted(ROOT.glob("examples/**/*")),
    *sorted(ROOT.glob("scripts/*")),
    *sorted(ROOT.glob("config/*.toml")),
]
INSTALLS = re.compile(
    r"""(?:pip|pipx|uv)(?: tool)?(?: pip)? (?:install|add)\s+(?:-\w+ |--[\w-]+ )*['"]?(?P<what>[^\s'"`)]+)"""
)
EXTRA = re.compile(r"spore\[[\w,]+\]")


def texts():
    return (
        (path, path.read_text())
        for path in TEXTS
        if path.suffix in {".md", ".py", ".toml", ".js", ".html", ".sh", ""} and path.is_file()
    )


def test_the_name_is_the_same_everywhere():
    """In pyproject.toml and in the one constant that every message uses."""
    assert PROJECT["name"] == DISTRIBUTION
    assert install("cli", "nats") == f"pip install '{DISTRIBUTION}[cli,nats]'"


def test_every_line_that_says_how_to_install_names_this_distribution():
    """In the pages, in messages, in examples; or the clone that one stands in. Nobody is told to install another project."""
    found = [(path, each["what"]) for path, text in texts() for each in INSTALLS.finditer(text)]
    named = [(path, what) for path, what in found if re.match(r"spore\b", what)]
    assert len(named) > 5
    for path, what in named:
        assert re.match(rf"{DISTRIBUTION}(\[|$)", what), f"{path}: {what}"
    for path, text in texts():
        assert not EXTRA.findall(text), f"{path}: {EXTRA.findall(text)}: an extra is of {DISTRIBUTION}"


def test_extras_that_people_are_told_to_install_exist():
    """Each of them is declared, and what the code says of a package is true."""
    declared = PROJECT["optional-dependencies"]
    for path, text in texts():
        for named in re.findall(rf"{DISTRIBUTION}\[([\w,]+)\]", text):
            assert set(named.split(",")) <= set(declared), path
    names = {"hdrh": "hdrhistogram", "nats": "nats-py", "opentelemetry": "opentelemetry-api"}
    for module, extra in EXTRAS.items():
        name = names.get(module, module.replace("_", "-"))
        assert any(BOUND.fullmatch(each)["name"] == name for each in declared[extra]), module


def test_every_requirement_has_a_lower_bound_that_can_be_installed():
    """One for each package, whichever extras it is in."""
    assert f"attrs=={BOUND.fullmatch(PROJECT['dependencies'][0])['version']}" in lowest()
    assert "cyclopts==4.1" in lowest()


def test_the_version_is_the_packages(capsys):
    """`spore --version` prints it, and the build reads it."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", spore.__version__)
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == spore.__version__


def test_the_readme_has_links_that_lead_somewhere_wherever_it_is_shown(monkeypatch):
    """Each file that it links to is there, and the build gives every link the address of the repository."""
    text = (ROOT / "README.md").read_text()
    hook = types.ModuleType("hatchling.metadata.plugin.interface")  # which only the build has
    hook.MetadataHookInterface = object
    for name in ("hatchling", "hatchling.metadata", "hatchling.metadata.plugin"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, hook.__name__, hook)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    links = build.LINK.findall(text)
    assert len(links) > 10
    for link in links:
        assert (ROOT / link.partition("#")[0]).is_file(), link
    shown = build.shown_elsewhere(text, PROJECT["urls"]["Source"])
    assert build.LINK.findall(shown) == []


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("spore.migration.latency", "hdrh", "cli"),
        ("spore.migration.resources", "psutil", "cli"),
        ("spore.migration.rewrite", "tomlkit", "cli"),
        ("spore.migration.page", "plotly", "report"),
        ("spore.observe.listen", "h11", "dashboard"),
        ("spore.observe.metrics", "prometheus_client", "metrics"),
        ("spore.observe.dashboard", "starlette", "dashboard"),
        ("spore.observe.tracing", "opentelemetry", "traces"),
        ("spore.feeds.node_link", "trio_websocket", "live"),
        ("spore.relay.nats", "nats", "nats"),
    ],
)
def test_a_module_whose_extra_is_missing_says_how_to_install_it(module, package, extra):
    """It stays an error of the import, with the name of what is missing."""
    code = f"""
import sys
sys.modules[{package!r}] = None
try:
    import {module}
except ModuleNotFoundError as error:
    print(error.name.partition(".")[0], error, sep="|")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    name, _, said = done.stdout.strip().partition("|")
    assert name == package, done.stderr
    assert said.endswith(f"is not installed: {install(extra)}")


def test_without_the_extra_a_command_says_what_to_install_with_exit_code_2():
    """Whatever the command line needs is missing, and at whichever moment that is noticed."""
    for package in ("cyclopts", "rich", "hdrh", "psutil", "tomlkit"):
        code = f"import sys; sys.modules[{package!r}] = None; sys.argv = ['spore', '--help']; from spore.cli import main; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, ""), package
        assert done.stderr.endswith(f"which is not installed: {install('cli')}\n")
