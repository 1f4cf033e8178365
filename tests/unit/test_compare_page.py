"""`spore compare --html`: the page is made of what was found, or it is said beforehand why it cannot be."""

from __future__ import annotations

import sys

import pytest
from tests.made_up_comparison import comparison

from spore.cli import compare as command
from spore.cli.compare_page import page_maker
from spore.errors import UsageError
from spore.migration.compare import JUDGED
from spore.migration.verdict import verdict_of


@pytest.fixture
def runs(monkeypatch):
    """How often modes were compared."""
    found = []

    async def compare(*specs, **options):
        found.append(specs)
        return comparison()

    monkeypatch.setattr(command, "compare_modes", compare)
    return found


def test_the_page_is_written_and_its_address_told(runs, tmp_path, capsys):
    """It says what was played, and what measures it again."""
    to = tmp_path / "result.html"
    assert command.compare(feed=("sample", "sim:seed=1,events=9"), seconds=0.5, html=to) == 0
    page = to.read_text(encoding="utf-8")
    assert "sample + sim:seed=1,events=9" in page
    assert "spore compare --feed sample --feed sim:seed=1,events=9 --repeat 3 --seconds 0.5" in page
    assert to.as_uri() in capsys.readouterr().out


def test_a_name_that_is_no_text_is_shown_all_the_same():
    """A file can have one, and then the runs were not in vain."""
    found = comparison()
    make_page = page_maker(None, feed=("evm-logs:\udcff",), modes=JUDGED, repeat=1, seconds=1.0)
    assert b"evm-logs:\\udcff" in make_page(found, verdict_of(found))


def test_without_plotly_nothing_is_run(runs, tmp_path, monkeypatch):
    """It is said what to install."""

    class NoPlotly:
        def find_spec(self, name, path=None, target=None):
            if name == "plotly":
                raise ModuleNotFoundError("No module named 'plotly'", name=name)

    for name in [name for name in sys.modules if name.partition(".")[0] == "plotly" or ".migration.page" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NoPlotly(), *sys.meta_path])
    with pytest.raises(UsageError, match=r"needs plotly.+'spore-actors\[report\]'"):
        command.compare(html=tmp_path / "result.html")
    assert runs == []
    assert list(tmp_path.iterdir()) == []


def test_one_file_cannot_be_both(runs, tmp_path):
    """The page would take the place of the JSON."""
    with pytest.raises(UsageError, match="give each a file of its own"):
        command.compare(html=tmp_path / "result", json=tmp_path / "result")
    assert runs == []
