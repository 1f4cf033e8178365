"""The reference of the wire format says what the code does."""

import subprocess
import sys
from pathlib import Path

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "wire.md"


def test_the_catalogue_in_the_reference_is_the_one_of_the_code():
    """A message that was changed without `make docs` is found here."""
    command = [sys.executable, "-m", "spore", "schema", "--markdown"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    documented = REFERENCE.read_text().split("<!-- catalogue -->\n")[1]
    assert documented == printed
