"""``python -m spore`` is the command ``spore``."""

from spore.cli import main

main()
