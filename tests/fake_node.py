"""A node without a network: a chain that grows and reorganises, and answers to JSON-RPC texts in whichever order."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.evm_chain import PAIRS, FakeBlock

__all__ = ["FakeNode", "Wire"]


class FakeNode:
    """Knows the blocks of its present branch only, as anvil does."""

    def __init__(self, chain: list[FakeBlock]) -> None:
        self.chain = chain
        self.chain_id = 31337

    def reorganise(self, depth: int, blocks: list[FakeBlock]) -> list[FakeBlock]:
        """Replace the last blocks, and return those that went."""
        gone = self.chain[len(self.chain) - depth :]
        self.chain = self.chain[: len(self.chain) - depth] + blocks
        return gone

    def result(self, method: str, params: list[Any]) -> dict[str, Any]:
        """The part of an answer that is not its number."""
        if method == "eth_chainId":
            return {"result": hex(self.chain_id)}
        if method == "eth_subscribe":
            return {"result": f"0x{params[0].encode().hex()}"}
        if method == "eth_getBlockByNumber":
            wanted = len(self.chain) - 1 if params[0] == "latest" else int(params[0], 16) - self.chain[0].number
            return {"result": self.chain[wanted].head() if 0 <= wanted < len(self.chain) else None}
        if method == "eth_getLogs":
            assert params[0]["address"] == list(PAIRS)
            found = [block for block in self.chain if block.hash == params[0]["blockHash"]]
            if not found:
                return {"error": {"code": -32000, "message": "unknown block"}}
            return {"result": [log for log in found[0].logs() if log["address"] in PAIRS]}
        raise AssertionError(method)


class Wire:
    """One connection to a fake node: requests wait here until somebody picks one to be answered."""

    def __init__(self, node: FakeNode, receive: Callable[[str], None]) -> None:
        self.node = node
        self.waiting: list[dict[str, Any]] = []
        self._receive = receive

    def send(self, text: str) -> None:
        request = json.loads(text)
        assert request["jsonrpc"] == "2.0"
        self.waiting.append(request)

    def answer(self, index: int = 0) -> None:
        """Answer a request by what the node knows now."""
        request = self.waiting.pop(index)
        answer = self.node.result(request["method"], request["params"])
        self._receive(json.dumps({"jsonrpc": "2.0", "id": request["id"]} | answer))

    def head(self, block: FakeBlock) -> None:
        self._notify("newHeads", block.head())

    def log(self, log: dict[str, Any]) -> None:
        self._notify("logs", log)

    def _notify(self, kind: str, result: dict[str, Any]) -> None:
        params = {"subscription": f"0x{kind.encode().hex()}", "result": result}
        self._receive(json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}))
