"""The table of exit codes is about every command that there is."""

from pathlib import Path

from spore.cli.app import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "exit-codes.md"


def test_the_table_of_exit_codes_has_a_row_for_each_command():
    """And none for another."""
    rows = [line.split("`")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `spore ")]
    assert sorted(rows) == sorted(f"spore {command}" for command in COMMANDS)
