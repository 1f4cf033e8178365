"""The figures of two runs of the benches against each other: what has changed, and whether it is more than noise.

A machine is faster on one day than on another, so of a case that has a baseline its ratio to that is compared, which was taken
within a round; only of the others the figure itself. A case has changed if its median has moved by more than `NOTEWORTHY` and
the middle halves of the two runs' rounds do not meet.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table

__all__ = ["Change", "changes", "main"]

NOTEWORTHY = 0.05
"""The least change that is told, as a share. Between two runs of the same code, most medians differ by less."""
MORE_IS_BETTER = ("msg/s", "events/s")

Row = Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Change:
    """A case in both runs."""

    case: str
    figure: str
    """What is compared: ``× baseline``, or the unit of the value itself."""
    before: float
    after: float
    apart: bool
    """Whether the middle halves of the rounds do not meet."""
    more_is_better: bool

    @property
    def share(self) -> float:
        """By how much it has grown: 0.1 is a tenth more."""
        return self.after / self.before - 1 if self.before else 0.0

    @property
    def verdict(self) -> str:
        if not self.apart or abs(self.share) < NOTEWORTHY:
            return ""
        return "better" if (self.share > 0) is self.more_is_better else "worse"


def changes(before: Sequence[Row], after: Sequence[Row]) -> Iterator[Change]:
    """The cases that both runs of a bench have, in the order of the later one."""
    known = {row["case"]: row for row in before}
    for row in after:
        old = known.get(row["case"])
        if old is None or old["unit"] != row["unit"]:
            continue
        compared = "ratios" if row["ratios"] and old["ratios"] and row["baseline"] == old["baseline"] else "samples"
        then, now = old[compared], row[compared]
        yield Change(
            case=row["case"],
            figure=f"× {row['baseline'].rpartition(': ')[2]}" if compared == "ratios" else row["unit"],
            before=statistics.median(then),
            after=statistics.median(now),
            apart=_apart(then, now),
            more_is_better=row["unit"] in MORE_IS_BETTER,
        )


def _apart(one: Sequence[float], other: Sequence[float]) -> bool:
    (low, high), (other_low, other_high) = _middle(one), _middle(other)
    return high < other_low or other_high < low


def _middle(samples: Sequence[float]) -> tuple[float, float]:
    if len(samples) == 1:
        return samples[0], samples[0]
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, high


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a folder with the JSON that `make bench` has kept")
    parser.add_argument("after", type=Path, help="another, with files of the same names")
    parser.add_argument("--require", action="store_true", help="exit with 1 if something has become worse")
    options = parser.parse_args(argv)
    names = sorted(path.name for path in options.after.glob("*.json") if (options.before / path.name).is_file())
    if not names:
        parser.error(
            f"no file is in both {options.before} and {options.after}; `make bench` keeps the figures to compare with"
        )
    found = {name: list(changes(_rows(options.before / name), _rows(options.after / name))) for name in names}
    console = Console(width=None if sys.stdout.isatty() else 140)
    for name, cases in found.items():
        console.print(_table(name.removesuffix(".json"), cases))
    verdicts = [each.verdict for cases in found.values() for each in cases]
    better, worse = verdicts.count("better"), verdicts.count("worse")
    console.print(
        f"{len(verdicts)} cases: {better} better, {worse} worse, {len(verdicts) - better - worse} as they were",
        style="bold red" if worse else "green",
        highlight=False,
    )
    return int(options.require and worse > 0)


def _rows(path: Path) -> list[Row]:
    found: list[Row] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _table(title: str, cases: Sequence[Change]) -> Table:
    table = Table("case", "figure", title=title, title_justify="left")
    for heading in ("before", "after", "change"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for each in cases:
        style = {"better": "green", "worse": "bold red"}.get(each.verdict)
        row = (f"{each.before:,.4g}", f"{each.after:,.4g}", f"{each.share:+.1%}", each.verdict)
        table.add_row(each.case, each.figure, *row, style=style)
    return table


if __name__ == "__main__":
    sys.exit(main())
