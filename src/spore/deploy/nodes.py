"""Nodes: what a configuration says of the machines that its bundles run on, held against each other."""

from __future__ import annotations

from collections.abc import Iterator

from spore.deploy.config import Mode, NodeConfig, SystemConfig
from spore.deploy.engine import options_of
from spore.deploy.load import name_problem
from spore.deploy.strict import Found, among, key
from spore.errors import UsageError

__all__ = ["node_label", "node_problems", "own_node", "run_label"]


def node_problems(config: SystemConfig) -> Iterator[Found]:
    """What is wrong with the nodes, and with who is said to run on them."""
    if wrong := name_problem(config.system):
        yield "system", wrong
    for name, settings in config.nodes.items():
        at = f"nodes.{key(name)}"
        if wrong := name_problem(name):
            yield at, wrong
        found = list(_contradictions(settings))
        yield from ((f"{at}.{path}", sentence) for path, sentence in found)
        if not any(path == "carrier" for path, _ in found):
            try:
                options_of(NodeConfig(carrier=settings.carrier) if found else settings, secrets=False)
            except UsageError as error:
                yield f"{at}.carrier", str(error)
    placed = list(config.places)
    named = [(f"{at}.node", bundle.node) for at, bundle in placed]
    named += [(f"feeds[{number}].node", feed.node) for number, feed in enumerate(config.feeds)]
    for at, node in named:
        if node is not None and node not in config.nodes:
            yield at, f"there is no node {node!r}; {among(node, config.nodes) if config.nodes else _EXAMPLE}"
    for at, bundle in placed:
        if bundle.mode is Mode.DISTRIBUTED and not config.nodes:
            yield f"{at}.mode", f"'distributed' goes through an engine, and no node names one; {_EXAMPLE}"
        elif bundle.node is None and len(config.nodes) > 1:
            yield (
                f"{at}.node",
                f"is missing: there are several nodes, and a bundle runs on one; {among('', config.nodes)}",
            )


def run_label(config: SystemConfig, node: str | None) -> str:
    """What tells the run of a node from those of other nodes of the file on the same machine; empty where there is one node.

    Raises:
        UsageError: as `own_node`.
    """
    own = own_node(config, node)
    return own if own is not None and len(config.nodes) > 1 else ""


def own_node(config: SystemConfig, node: str | None) -> str | None:
    """The node whose part is to run here, if it is one.

    Raises:
        UsageError: if there is none of that name, or it has to be said which one is meant.
    """
    if node is None and len(config.nodes) > 1:
        raise UsageError(
            f"the system has several nodes, and it was not said which one runs here; {among('', config.nodes)}"
        )
    if node is not None and node not in config.nodes:
        raise UsageError(f"there is no node {node!r}; {among(node, config.nodes) if config.nodes else _EXAMPLE}")
    return node


def node_label(config: SystemConfig, bundle: str) -> str:
    """The node on which a bundle runs, where that has to be said: empty where there is one only, or none, or no such bundle."""
    found = (config.node_of(each) for each in config.bundles if each.name == bundle)
    return next(found, "") if len(config.nodes) > 1 else ""


_EXAMPLE = 'write [nodes.NAME] carrier = "nats://HOST:PORT"'


def _contradictions(node: NodeConfig) -> Iterator[Found]:
    """Keys of one node that exclude or need each other."""
    if (node.user is None) is not (node.password is None):
        missing, there = ("password", "user") if node.password is None else ("user", "password")
        yield missing, f"is missing: there is a {there}, and neither is of use without the other"
    given = [name for name in ("user", "token", "credentials") if getattr(node, name) is not None]
    if len(given) > 1:
        yield given[1], f"cannot be had together with {given[0]}: one of them says who this is"
    if (node.certificate is None) is not (node.key is None):
        missing, there = ("key", "certificate") if node.key is None else ("certificate", "key")
        yield missing, f"is missing: there is a {there}, and neither is of use without the other"
