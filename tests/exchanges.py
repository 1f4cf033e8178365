"""Recordings of small exchanges, for tests that need a feed of quotes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

__all__ = ["two_exchanges"]


def two_exchanges(folder: Path) -> str:
    """A feed of two exchanges, venues 20 and 21, whose price falls and rises, at the one a little later than at the other."""
    files = [_quotes(folder / f"{name}.gz", later) for name, later in (("spot", 0), ("perp", 7))]
    return f"binance:{','.join(map(str, files))}?first_venue=20"


def _quotes(path: Path, later: int) -> Path:
    with gzip.open(path, "wt", compresslevel=1) as file:
        for number in range(600):
            price = 2_000 + abs((number - later) % 400 - 200)
            data = {"u": number, "s": "ETHUSDT", "b": f"{price}.0", "B": "3.0", "a": f"{price}.1", "A": "3.0"}
            line = {"stream": "ethusdt@bookTicker", "data": data}
            file.write(f"{1_700_000_000_000_000_000 + number * 10**9 + later} {json.dumps(line)}\n")
    return path
