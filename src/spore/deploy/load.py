"""Reading a configuration: TOML, strictly. Everything that is wrong with a file is said at once, with the path of its key."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import attrs

from spore.deploy.config import Secret, SystemConfig
from spore.deploy.shards import divided, division_problems
from spore.deploy.strict import Found, Problem, key, structure
from spore.errors import ConfigError

__all__ = [
    "MAX_NAME_BYTES",
    "config_of",
    "load_config",
    "name_problem",
    "names_in",
    "parse_config",
    "raw_of",
    "said",
    "seen_from",
]

MAX_NAME_BYTES = 200
"""Of a name, in UTF-8. Source: `spore.relay.Limits`, because names of actors travel."""


def load_config(path: str | Path) -> SystemConfig:
    """Read a file.

    Raises:
        ConfigError: with every problem of it.
        OSError: if it cannot be read.
    """
    return seen_from(parse_config(Path(path).read_bytes(), source=str(path)), Path(path).absolute().parent)


def seen_from(config: SystemConfig, folder: Path) -> SystemConfig:
    """The same, with the files that nodes and the relay name as seen from a folder, because processes may stand elsewhere."""

    def at(file: str | None) -> str | None:
        return None if file is None else str(folder / file)

    def secret(found: Secret | None) -> Secret | None:
        return None if found is None else attrs.evolve(found, file=at(found.file))

    nodes = {
        name: attrs.evolve(
            node,
            password=secret(node.password),
            token=secret(node.token),
            credentials=at(node.credentials),
            ca=at(node.ca),
            certificate=at(node.certificate),
            key=at(node.key),
        )
        for name, node in config.nodes.items()
    }
    relay = attrs.evolve(config.relay, socket=at(config.relay.socket))
    return attrs.evolve(config, nodes=nodes, relay=relay)


def parse_config(data: bytes, *, source: str) -> SystemConfig:
    """A configuration from the bytes of a file.

    Raises:
        ConfigError: with every problem of it.
    """
    return config_of(raw_of(data, source=source), source=source)


def raw_of(data: bytes, *, source: str) -> Mapping[str, Any]:
    """The bytes of a file as plain data.

    Raises:
        ConfigError: if they are no TOML.
    """
    try:
        return tomllib.loads(data.decode(), parse_float=_decimal)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(source, (f"line {line}: is not UTF-8, as TOML has to be",)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(source, (f"is not TOML: {error}",)) from None


def config_of(raw: Mapping[str, Any], *, source: str = "configuration") -> SystemConfig:
    """A configuration from plain data, as TOML is read.

    Raises:
        ConfigError: with every problem of it.
    """
    found = list(names_in(raw))
    config: SystemConfig | None = None
    try:
        config = structure(raw, SystemConfig)
    except Problem as problem:
        found += problem.found
    if config is not None and not found:
        found += division_problems(config)
    if found or config is None:
        raise ConfigError(source, said(found))
    return divided(config)


def said(found: list[Found]) -> tuple[str, ...]:
    """Problems as sentences, each with its path, and each once: what is wrong with a shard is wrong with all of them."""
    return tuple(dict.fromkeys(f"{path}: {sentence}" if path else sentence for path, sentence in found))


def name_problem(name: str) -> str | None:
    """Why something cannot be a name, which travels on the wire and stands in logs; None if it can."""
    if not name:
        return "a name cannot be empty"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"a name has at most {MAX_NAME_BYTES} bytes, and this has {len(name.encode())}"
    if any(unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"} for character in name):
        return "a name has no control characters"
    return None


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond what a decimal can have
        raise tomllib.TOMLDecodeError(f"{text} is too large or too small for a number") from None


def names_in(raw: Mapping[str, Any]) -> Iterator[Found]:
    """What is wrong with the names that a file gives. Data of other shapes than expected is left to `structure`."""
    bundles = raw.get("bundles")
    first_bundle: dict[str, str] = {}
    first_actor: dict[str, str] = {}
    listed: list[Any] = bundles if isinstance(bundles, list) else []
    for number, bundle in enumerate(listed):
        if not isinstance(bundle, Mapping):
            continue
        at = f"bundles[{number}]"
        name = bundle.get("name")
        if isinstance(name, str):
            if reason := name_problem(name):
                yield f"{at}.name", reason
            elif name in first_bundle:
                yield f"{at}.name", f"{name!r} is the name of {first_bundle[name]} already"
            first_bundle.setdefault(name, at)
        actors = bundle.get("actors")
        if not isinstance(actors, Mapping):
            continue
        if not actors:
            yield f"{at}.actors", "a bundle needs at least one actor"
        for actor in actors:
            place = f"{at}.actors.{key(actor)}"
            if reason := name_problem(actor):
                yield place, reason
            elif actor in first_actor:
                yield (
                    place,
                    f"{actor!r} is the name of {first_actor[actor]} already; names of actors are unique in a file",
                )
            first_actor.setdefault(actor, place)
    if isinstance(bundles, list) and not bundles:
        yield "bundles", "a system needs at least one bundle"
