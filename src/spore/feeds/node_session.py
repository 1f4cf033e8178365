"""One connection to an Ethereum node: JSON-RPC texts in, JSON-RPC texts out. Sans-IO.

It first asks for the chain's number and subscribes heads and logs; only once it is sure to hear of new blocks does it
let the follower ask for the newest, so that none can appear in between unheard.

Source: JSON-RPC 2.0 specification; Ethereum JSON-RPC specification; go-ethereum's "Real-time events" for
``eth_subscribe``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from spore.feeds.chain_follower import ChainFollower
from spore.feeds.chain_requests import BlockRequest, Request
from spore.feeds.evm import SWAP, SYNC
from spore.feeds.evm_words import entry, quantity, shown
from spore.feeds.pools import Pools

__all__ = ["ADDRESS_LIMIT", "NodeSession", "Outgoing"]

ADDRESS_LIMIT = 1_000
"""How many addresses a filter may name: go-ethereum's default for ``rpc.logquerylimit``."""
PENDING_LIMIT = 1_024
"""Requests that may wait for an answer. The follower has some twenty at once; more are of a node that answers none."""
_HEADS, _LOGS, _CHAIN = "newHeads", "logs", "eth_chainId"


@attrs.frozen
class Outgoing:
    """A text to send."""

    text: str
    attempt: int
    """How many like it have led nowhere; the more, the longer it should wait."""


class NodeSession:
    """Keeps a follower informed over one connection.

    Every method raises ValueError, with what is wrong, where the node's answers make no sense.
    """

    def __init__(self, follower: ChainFollower, pools: Pools) -> None:
        self._follower = follower
        self._chain_id = pools.chain_id
        self._filter = _filter_of([f"0x{pool.address.hex()}" for pool in pools])
        self._pending: dict[int, Request | str] = {}
        self._subscriptions: dict[str, str] = {}
        self._asked = 0
        self._outgoing: list[Outgoing] = []
        self._ask(_CHAIN, _CHAIN, [])
        self._ask(_HEADS, "eth_subscribe", [_HEADS])
        self._ask(_LOGS, "eth_subscribe", [_LOGS, self._filter])

    def take_outgoing(self) -> list[Outgoing]:
        """What to send, in this order."""
        for request in self._follower.take_requests():
            if isinstance(request, BlockRequest):
                number = "latest" if request.number is None else hex(request.number)
                self._ask(request, "eth_getBlockByNumber", [number, False])
            else:
                self._ask(request, "eth_getLogs", [self._filter | {"blockHash": f"0x{request.block_hash.hex()}"}])
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    @property
    def ready(self) -> bool:
        """Whether the subscriptions stand."""
        return len(self._subscriptions) == 2 and _CHAIN not in self._pending.values()

    def receive(self, text: str | bytes) -> None:
        """The node has sent a text."""
        try:
            message = entry(json.loads(text), "JSON-RPC message")
        except RecursionError:
            raise ValueError("JSON that is nested too deeply") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"what the node sends is no JSON: {shown(text)}: {error.msg}") from None
        if "method" in message:
            self._receive_notification(message)
        else:
            self._receive_answer(message)

    def _receive_notification(self, message: dict[str, Any]) -> None:
        if message["method"] != "eth_subscription":
            raise ValueError(f"method: {shown(message['method'])}, and nothing but eth_subscription was asked for")
        params = entry(message.get("params"), "params of a notification")
        subscription = params.get("subscription")
        kind = self._subscriptions.get(subscription) if type(subscription) is str else None
        if not self.ready:
            return  # the newest block is asked for later, and knows of whatever this says
        if kind is None:
            raise ValueError(f"subscription: {shown(subscription)} was never given")
        if kind == _HEADS:
            self._follower.take_head(params.get("result"))
        else:
            self._follower.take_log(params.get("result"))

    def _receive_answer(self, message: dict[str, Any]) -> None:
        error, number = message.get("error"), message.get("id")
        request = self._pending.pop(number, None) if type(number) is int else None
        if request is None:
            said = f"the node says: {_reason(error)}" if error is not None else f"id: {shown(number)} was never asked"
            raise ValueError(said)
        if error is not None:
            if isinstance(request, str):
                raise ValueError(f"the node refuses {_METHOD[request]}: {_reason(error)}")
            self._follower.refuse(request, _reason(error))
        elif "result" not in message:
            raise ValueError(f"the answer {shown(message)} has neither result nor error")
        elif isinstance(request, str):
            self._receive_beginning(request, message)
        else:
            self._follower.answer(request, message["result"])

    def _receive_beginning(self, request: str, message: dict[str, Any]) -> None:
        result = message["result"]
        if request == _CHAIN:
            chain_id = quantity({_CHAIN: result}, _CHAIN)
            if chain_id != self._chain_id:
                raise ValueError(f"the node is on chain {chain_id}, and the list of pools on chain {self._chain_id}")
        elif type(result) is str and result not in self._subscriptions:
            self._subscriptions[result] = request
        else:
            raise ValueError(f"{shown(result)} is no subscription, or one that was given before")
        if self.ready:
            self._follower.connected()

    def _ask(self, request: Request | str, method: str, params: list[Any]) -> None:
        if len(self._pending) >= PENDING_LIMIT:
            raise ValueError(f"the node has not answered {PENDING_LIMIT} requests")
        self._asked += 1
        self._pending[self._asked] = request
        text = json.dumps({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})
        self._outgoing.append(Outgoing(text, 0 if isinstance(request, str) else request.attempt))


_METHOD = {_CHAIN: _CHAIN, _HEADS: f"eth_subscribe of {_HEADS}", _LOGS: f"eth_subscribe of {_LOGS}"}


def _filter_of(addresses: Sequence[str]) -> dict[str, Any]:
    """All events of the pools, so that each is accounted for; of too many pools, the events that are used."""
    return {"address": list(addresses)} if len(addresses) <= ADDRESS_LIMIT else {"topics": [[SYNC, SWAP]]}


def _reason(error: object) -> str:
    if type(error) is dict and type(error.get("message")) is str:
        return f"{shown(error['message'])[1:-1]} (code {shown(error.get('code'))})"
    return shown(error)
