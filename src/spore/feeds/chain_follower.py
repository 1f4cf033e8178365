"""Follows a chain block by block: announcements and answers of a node in, requests and market messages out. Sans-IO.

Strategy: what heads and logs announce is only that a block exists, or exists no more. Its content is what the node
answers for it: its head, and `eth_getLogs` of its hash, so that a block's logs are complete when they are told, and
come from that very block. Blocks are told in order, each only if its parent is the one told before. So the order in
which announcements and answers arrive, and whether some arrive twice or never, changes when something is told but
not what.

Whatever contradicts the blocks that were told makes the follower ask for the block in question and, as far as the
answers differ, take back what it told, down to the block on which both branches agree.
"""

from __future__ import annotations

from typing import Any

import attrs

from spore.feeds.chain_block import Block
from spore.feeds.chain_requests import BlockRequest, LogsRequest, Request, last_index, log_of, what
from spore.feeds.chain_told import ToldBlocks
from spore.feeds.evm import REMEMBERED, LogDecoder
from spore.feeds.evm_words import array, entry, fixed, quantity
from spore.services.messages import GasPrice, MarketMessage

__all__ = ["AHEAD", "ATTEMPTS", "ChainFollower"]

AHEAD = 16
"""Blocks that are asked for at once while catching up, which bounds what is held."""
ATTEMPTS = 10
"""How often in a row answers may lead nowhere. A node behind a load balancer may not know yet what another one told."""


@attrs.define
class _Fetch:
    """A block on its way."""

    pending: Request
    block: Block | None = None
    logs: list[dict[str, Any]] | None = None


class ChainFollower:
    """One walk along a chain, over as many connections as it takes.

    Every method raises ValueError, with what is wrong, where the node says what cannot be. After that the follower is
    of no use any more.
    """

    def __init__(
        self,
        decoder: LogDecoder,
        *,
        first: int | None = None,
        last: int | None = None,
        count: int | None = None,
        confirmations: int = 0,
    ) -> None:
        """
        Args:
            decoder: makes messages of the logs.
            first: the block to begin with; by default the newest that has its confirmations.
            last: the block to end with.
            count: how many blocks to tell, instead of ``last``.
            confirmations: how many blocks must stand on a block before it is told.
        """
        self._decoder = decoder
        self._first = first
        self._last = last if first is None or count is None else first + count - 1
        self._count = count
        self._confirmations = confirmations
        self._told = ToldBlocks()
        self._tip = -1
        """The highest block that is said to exist."""
        self._fetching: dict[int, _Fetch] = {}
        self._newest: BlockRequest | None = None
        self._probe: BlockRequest | None = None
        """Asks for a block that was told, to see whether it still stands. Nothing is told meanwhile."""
        self._unlinked = False
        """Whether the probe is there because a block did not fit the one before."""
        self._taken_back = False
        """Whether blocks were taken back that nobody was told of yet."""
        self._attempts = 0
        self._announced_logs: dict[bytes, int] = {}
        """The highest log index that was announced for a block that is not told yet."""
        self._requests: list[Request] = []
        self._messages: list[MarketMessage] = []

    @property
    def done(self) -> bool:
        """Whether the last block was told."""
        return self._last is not None and bool(self._told) and self._told.last.number >= self._last

    def take_requests(self) -> list[Request]:
        """What to ask the node, in this order."""
        requests, self._requests = self._requests, []
        return requests

    def take_messages(self) -> list[MarketMessage]:
        """What to hand on."""
        messages, self._messages = self._messages, []
        return messages

    def connected(self) -> None:
        """A connection is new, and announcements come: whatever was asked before is not answered any more."""
        self._start_over()

    def check(self) -> None:
        """Ask whether there is anything new, because nothing was heard for long."""
        if self._newest is None:
            self._newest = BlockRequest(None, self._attempts)
            self._requests.append(self._newest)

    def take_head(self, head: object) -> None:
        """A head was announced."""
        block = Block.read(head)
        self._announced(block.number, block.hash)
        wanted = self._next <= block.number <= self._horizon and block.number not in self._fetching
        if wanted and self._probe is None:
            self._ask_logs(block)
        self._advance()

    def take_log(self, log: object) -> None:
        """A log was announced, or that it is removed."""
        fields = entry(log, "log")
        number, block_hash = quantity(fields, "blockNumber"), fixed(fields, "blockHash", 32)
        log_index = quantity(fields, "logIndex", bits=32)
        told = self._told.at(number)
        if fields.get("removed", False) is not False:
            if told is not None and told.hash == block_hash:
                self._doubt(number)
            return
        if told is not None and told.hash == block_hash:
            if self._told.lacks(number, log_index):
                self._take_back(number)
                self._settle()
        elif number >= self._next:
            highest = max(log_index, self._announced_logs.pop(block_hash, -1))
            self._announced_logs[block_hash] = highest
            if len(self._announced_logs) > 2 * AHEAD:
                del self._announced_logs[next(iter(self._announced_logs))]
        self._announced(number, block_hash)
        self._advance()

    def answer(self, request: Request, result: object) -> None:
        """The node has answered."""
        if request is self._newest:
            self._newest = None
            self._answer_newest(Block.read(result))
        elif isinstance(request, BlockRequest) and request is self._probe:
            self._answer_probe(request, result)
        elif self._is_pending(request):
            if isinstance(request, LogsRequest):
                self._answer_logs(request, result)
            else:
                self._answer_block(request, result)
        self._advance()

    def refuse(self, request: Request, reason: str) -> None:
        """The node has answered that it cannot."""
        if request is self._newest or request is self._probe or self._is_pending(request):
            self._try_again(f"{what(request)}: {reason}")

    # What answers say

    def _answer_newest(self, block: Block) -> None:
        if self._first is None:
            self._first = max(0, block.number - self._confirmations)
            if self._count is not None:
                self._last = self._first + self._count - 1
        self._announced(block.number, block.hash)

    def _answer_block(self, request: BlockRequest, result: object) -> None:
        if result is None:
            self._try_again(f"{what(request)}: there is none, and it was announced")
            return
        block = Block.read(result)
        if block.number != request.number:
            raise ValueError(f"{what(request)}: the answer is block {block.number}")
        self._ask_logs(block)

    def _answer_logs(self, request: LogsRequest, result: object) -> None:
        fetch = self._fetching[request.number]
        if result is None or fetch.block is None:
            self._try_again(f"{what(request)}: there is no such block, and it was announced")
            return
        logs = [log_of(fetch.block, log) for log in array(result, "list of logs")]
        announced = self._announced_logs.get(request.block_hash, -1)
        if announced > last_index(logs):
            self._try_again(f"{what(request)}: log {announced} is missing, and it was announced")
            return
        fetch.logs = logs

    def _answer_probe(self, request: BlockRequest, result: object) -> None:
        number = request.number
        told = None if number is None else self._told.at(number)
        if told is None or number is None:
            raise AssertionError("only blocks that were told are probed")
        if result is None:
            self._try_again(f"{what(request)}: there is none, and a later one was announced")
            return
        block = Block.read(result)
        if block.number != number:
            raise ValueError(f"{what(request)}: the answer is block {block.number}")
        self._probe = None
        if block.hash == told.hash:
            self._settle()
            if self._unlinked:
                self._try_again(f"block {number + 1} is not a child of block {number}, which the node says stands")
            return
        self._take_back(number)
        if not self._told or block.parent == self._told.last.hash:
            self._settle()
        else:
            self._doubt(self._told.last.number)

    # Forward

    @property
    def _next(self) -> int:
        if self._told:
            return self._told.last.number + 1
        return 0 if self._first is None else self._first

    @property
    def _horizon(self) -> int:
        """The last block that may be asked for."""
        if self._first is None or self.done:
            return -1
        horizon = min(self._tip - self._confirmations, self._next + AHEAD - 1)
        return horizon if self._last is None else min(horizon, self._last)

    def _announced(self, number: int, block_hash: bytes) -> None:
        self._tip = max(self._tip, number)
        told = self._told.at(number)
        if told is not None and told.hash != block_hash and self._probe is None:
            self._doubt(number)

    def _advance(self) -> None:
        while self._probe is None and not self.done:
            fetch = self._fetching.get(self._next)
            if fetch is None or fetch.block is None or fetch.logs is None:
                break
            if self._told and fetch.block.parent != self._told.last.hash:
                self._doubt(self._told.last.number, unlinked=True)
                return
            del self._fetching[fetch.block.number]
            self._tell(fetch.block, fetch.logs)
        if self._probe is None:
            for number in range(self._next, self._horizon + 1):
                if number not in self._fetching:
                    request = BlockRequest(number, self._attempts)
                    self._fetching[number] = _Fetch(request)
                    self._requests.append(request)

    def _ask_logs(self, block: Block) -> None:
        request = LogsRequest(block.number, block.hash, self._attempts)
        self._fetching[block.number] = _Fetch(request, block)
        self._requests.append(request)

    def _tell(self, block: Block, logs: list[dict[str, Any]]) -> None:
        self._settle()
        decoder = self._decoder
        messages: list[MarketMessage] = []
        time_ns = decoder.enter_block(number=block.number, block_hash=block.hash, time_s=block.time_s)
        if block.base_fee_wei is not None:
            messages.append(GasPrice(time_ns, block.number, block.base_fee_wei, 0))
        for log in logs:
            messages += decoder.decode(log)
        messages += decoder.end()
        self._messages += messages
        self._told.add(block, last_log=last_index(logs))
        self._announced_logs.pop(block.hash, None)
        self._attempts = 0

    # Back

    def _doubt(self, number: int, *, unlinked: bool = False) -> None:
        """Find out whether a block that was told still stands."""
        self._forget_requests()
        self._unlinked = unlinked
        self._probe = BlockRequest(number, self._attempts)
        self._requests.append(self._probe)

    def _take_back(self, number: int) -> None:
        self._forget_requests()
        self._told.drop_from(number)
        self._taken_back = True
        if not self._told and self._told.forgotten:
            raise ValueError(f"a reorganisation of more than {REMEMBERED} blocks; is it another chain?")
        if self._next == 0:
            raise ValueError("the first block of the chain is another one; is it another chain?")

    def _settle(self) -> None:
        """Both branches agree on the last block that is left: say so, if anything was taken back."""
        if self._taken_back:
            self._messages += self._decoder.roll_back(self._next - 1)
            self._taken_back = False

    def _try_again(self, reason: str) -> None:
        self._attempts += 1
        if self._attempts > ATTEMPTS:
            raise ValueError(f"{reason} (asked {self._attempts} times)")
        self._start_over()

    def _start_over(self) -> None:
        self._newest = None
        self._forget_requests()
        self._tip = -1
        self._newest = BlockRequest(None, self._attempts)
        self._requests.append(self._newest)

    def _forget_requests(self) -> None:
        self._fetching.clear()
        self._probe = None
        self._requests = [request for request in self._requests if request is self._newest]

    def _is_pending(self, request: Request) -> bool:
        fetch = None if request.number is None else self._fetching.get(request.number)
        return fetch is not None and fetch.pending is request
