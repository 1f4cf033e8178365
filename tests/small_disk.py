"""A small disk of one's own: ``python small_disk.py SIZE FOLDER COMMAND …`` runs a command that sees one at a folder, and nobody else does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

__all__ = ["PROGRAM", "skip_unless_mountable"]

PROGRAM = __file__
MOUNTED = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'
IN_A_NAMESPACE = ("unshare", "--map-root-user", "--mount")


def skip_unless_mountable() -> None:
    """Skip a test where that cannot be."""
    if shutil.which("unshare") is None or subprocess.run([*IN_A_NAMESPACE, "true"], check=False).returncode:
        pytest.skip("this system lets nobody mount a small disk of his own (unshare --map-root-user --mount)")


if __name__ == "__main__":
    os.execvp(IN_A_NAMESPACE[0], [*IN_A_NAMESPACE, "sh", "-c", MOUNTED, "sh", *sys.argv[1:]])
