"""The reference application: market data → signals → orders. A service knows neither trio's loop nor the mode in which it runs.

Read in this order: `messages` (what is said), `amm` (the arithmetic), `market_data` with `pool_book`, `prices` and `quote_board` (from
events to opportunities), `signal_generator` with `standing`, `momentum` and `loans` (from opportunities to signals and orders),
`paper_execution`; then `actors`, which runs them, and `lines`, which writes down what came out.
"""

from spore.services.actors import ExecutionActor, MarketDataActor, SignalGeneratorActor
from spore.services.lines import line_of
from spore.services.market_data import MarketDataProcessor
from spore.services.paper_execution import PaperExecution
from spore.services.relay_service import RelayServiceAdapter, TlvService
from spore.services.signal_generator import SignalGenerator

__all__ = [
    "ExecutionActor",
    "MarketDataActor",
    "MarketDataProcessor",
    "PaperExecution",
    "RelayServiceAdapter",
    "SignalGenerator",
    "SignalGeneratorActor",
    "TlvService",
    "line_of",
]
