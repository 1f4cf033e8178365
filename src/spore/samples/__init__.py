"""Samples that ship with Spore: `UNISWAP_V2_SESSION`, a directory of input, and `PIPELINE`, the reference pipeline.

The session holds 3,346 logs of four Uniswap V2 pairs (two venues, two token pairs), recorded for Spore by running the published
``@uniswap/v2-core`` contracts on a local node; no other project's file is in it.

- ``logs.jsonl.gz``: objects as ``eth_getLogs`` gives them, one a line;
- ``pools.json``: the pairs and tokens;
- ``truth.jsonl.gz``: after each transaction that changed a pair, the reserves as the pairs' contracts report them, and for each
  direction that pays the best two-pool arbitrage that begins with WETH, with a bound on the profit that holds for
  real-valued amounts. 133 of them were then executed, and paid exactly that.
"""

from pathlib import Path

__all__ = ["PIPELINE", "UNISWAP_V2_SESSION"]

PIPELINE = Path(__file__).parent / "pipeline.toml"
UNISWAP_V2_SESSION = Path(__file__).parent / "uniswap_v2_session"
