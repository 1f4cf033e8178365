"""Where the recorded input is that may not be copied into the project."""

from pathlib import Path

import pytest

__all__ = ["SHARED_DATA", "needs_shared_data"]

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_shared_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="no recorded input at ../shared/data")
