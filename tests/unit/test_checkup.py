"""`spore check` says everything at once, whichever of its stages finds it, and nothing that is a consequence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.controlled import short_folder

from spore.cli.app import run
from spore.deploy.checkup import check_up

ROOT = Path(__file__).parents[2]
PARTS = {
    # an own stage each: types of keys, validators, names, shards, nodes, classes, settings, options, wires, feeds, modules, sockets
    "bundles[0].drain_timeout": ("", "drain_timeout = 1\n"),
    "relay.heartbeat": ("[relay]\nheartbeat = 2\n", ""),
    "monitor.max_lost": ("[monitor]\nmax_lost = -1\nmax_queue_share = 2\n", ""),
    "monitor.max_queue_share": ("", ""),
    "bundles[0].shards": ("", "shards = 2\n"),
    "bundles[0].node": ("", 'node = "alpha"\n'),
    "bundles[0].actors.typo.type": ("", 'actors.typo = { type = "MarketDataActr" }\n'),
    "bundles[0].actors.market.config.pools": (
        "",
        'actors.market = { type = "MarketDataActor", config = { pools = 1 }, wire = { signal = "gen" } }\n',
    ),
    "bundles[0].actors.market.wire.signal": ("", ""),
    "bundles[0].actors.gen.config.min_profit_usd": (
        "",
        'actors.gen = { type = "SignalGeneratorActor", config = { min_profit_usd = -1, max_gas_cost = "x" }, key = ["x"] }\n',
    ),
    "bundles[0].actors.gen.config.max_gas_cost": ("", ""),
    "bundles[0].actors.gen.key": ("", ""),
    "bundles[0].actors.gen.key[0]": ("", ""),
    "feeds[0].source": ('[[feeds]]\nsource = "nonsense"\nto = "nobody"\n', ""),
    "feeds[0].to[0]": ("", ""),
    "modules[0]": ('modules = ["no.such.module"]\n', ""),
    "control.socket": (f'[control]\nsocket = "{"x" * 120}"\n', ""),
    "observe.metrics": ('[observe]\nmetrics = "nowhere"\ncertificate = "a.pem"\n', ""),
    "observe.key": ("", ""),
}
"""For the path of each problem what the file has at its top and in its bundle."""


def file_with(parts):
    tables = sorted((PARTS[part][0] for part in parts), key=lambda text: text.startswith("["))
    bundle = '[[bundles]]\nname = "core"\nmode = "relay"\n'
    own = "".join(PARTS[part][1] for part in parts)
    keys = "".join(text for text in tables if not text.startswith("["))
    return (
        keys
        + bundle
        + (own if "actors.gen" in own else own + 'actors.gen = { type = "SignalGeneratorActor" }\n')
        + "".join(text for text in tables if text.startswith("["))
    )


def told(text, tmp_path, capsys):
    path = tmp_path / "system.toml"
    path.write_text(text)
    code = run(["check", str(path), "--json"])
    return code, json.loads(capsys.readouterr().out)["problems"]


def test_problems_of_all_stages_are_said_at_once(tmp_path, capsys):
    """Each has its path, and there is nothing else."""
    code, problems = told(file_with(PARTS), tmp_path, capsys)
    assert code == 2
    assert sorted({problem.partition(": ")[0] for problem in problems}) == sorted(PARTS)
    assert len(set(problems)) == len(problems)


@pytest.mark.parametrize("path", [path for path, parts in PARTS.items() if any(parts)])
def test_a_problem_is_said_whatever_else_is_wrong(path, tmp_path, capsys):
    """At the path at which it is said alone."""
    _, alone = told(file_with([path]), tmp_path, capsys)
    _, together = told(file_with(PARTS), tmp_path, capsys)
    assert alone
    assert {problem.partition(": ")[0] for problem in alone} <= {problem.partition(": ")[0] for problem in together}


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("", ["bundles"]),
        ("bundles = 1\n", ["bundles"]),
        ("[[bundles]]\n", ["bundles[0].actors", "bundles[0].mode", "bundles[0].name"]),
        ('[[bundles]]\nname = "a"\nmode = "rely"\nactors.x = { type = 1 }\nactors.y = {}\n', ["bundles[0].actors.x.type", "bundles[0].actors.y.type", "bundles[0].mode"]),
        ('bundles = [1, { name = "a", mode = "relay", actors = { x = 3 } }]\n', ["bundles[0]", "bundles[1].actors.x"]),
        ('system = 3\n[[bundles]]\nname = "a"\nmode = "relay"\nactors."a b" = { type = "Nope", capacity = 0 }\n', ["bundles[0].actors.'a b'.capacity", "bundles[0].actors.'a b'.type", "system"]),
    ],
)  # fmt: skip
def test_what_has_no_shape_is_told_and_its_consequences_are_not(text, paths):
    """Whatever the data are, each thing is said once and nothing is raised."""
    _, problems = check_up(text.encode(), Path("system.toml"))
    assert sorted(problem.partition(": ")[0] for problem in problems) == paths


def test_modules_are_found_in_the_folder_of_the_file(tmp_path):
    """From wherever one stands; and that folder's own comes before one of the same name where one stands."""
    with short_folder() as folder:
        (folder / "mine").mkdir()
        (folder / "elsewhere").mkdir()
        (folder / "mine" / "own_actors.py").write_text(
            "import attrs\nimport spore\n\n\n@attrs.define\nclass Own(spore.Actor[object]):\n    def handle(self, message):\n        pass\n"
        )
        (folder / "elsewhere" / "own_actors.py").write_text("raise ValueError('another one')\n")
        (folder / "mine" / "system.toml").write_text(
            'modules = "own_actors"\n[[bundles]]\nname = "core"\nmode = "relay"\nactors.own = { type = "own_actors:Own" }\n'
        )
        code = (
            "import sys\nsys.path[:] = [entry for entry in sys.path if entry]\nimport spore, trio\n\n"
            "async def main():\n    async with spore.open_system('../mine/system.toml'):\n        print('opened')\n\ntrio.run(main)"
        )
        environment = {"PYTHONPATH": str(ROOT / "src"), "XDG_RUNTIME_DIR": str(folder), "PATH": ""}
        for command in (["-m", "spore", "check", "../mine/system.toml"], ["-c", code]):
            done = subprocess.run(
                [sys.executable, *command],
                cwd=folder / "elsewhere",
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, ""), command
