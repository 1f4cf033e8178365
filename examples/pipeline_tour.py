"""The reference pipeline on a recorded session, bundled and relayed: the same signals, to the last bit.

Bundled, market data, signal generator and execution share this process and hand each other messages by reference; relayed,
each is a process of its own, and a relay carries every message between them as frames. Which of the two is one word.
"""

import sys

import trio

from spore.deploy import Mode, load_config
from spore.migration import digest, play
from spore.samples import PIPELINE


async def main() -> int:
    config = load_config(PIPELINE)
    print("The recorded session of four Uniswap V2 pairs, through market data → signals → orders:\n")
    digests = set()
    for mode in (Mode.SHARED_MEMORY, Mode.RELAY):
        played = await play("sample", config=config, mode=mode)
        signals, orders = played.recording.signals, played.recording.executed()
        digests.add((digest(signals), digest(orders)))
        print(f"  mode = {str(mode)!r:16} {played.processes} process{'' if played.processes == 1 else 'es'}")
        print(f"    {played.messages:,} events, {len(signals):,} signals, {len(played.recording.orders):,} orders")
        print(f"    {played.messages / played.seconds:,.0f} events a second, {played.lost} messages lost")
        print(f"    sha256 of the signals  {digest(signals)}")
        print(f"    sha256 of the orders   {digest(orders)}\n")
    print("The same signals and orders." if len(digests) == 1 else "THE MODES DIFFER.")
    return len(digests) - 1


if __name__ == "__main__":
    sys.exit(trio.run(main))
