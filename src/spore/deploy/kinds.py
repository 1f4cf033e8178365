"""Actor classes by name, and what can be told from a class alone: what it handles, its ports, its settings."""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable, Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from spore.deploy.strict import Found, Problem, among, arguments, built, invalid, structure_fields
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.ref import ActorRef

__all__ = ["Anything", "Kind", "Port", "covers", "find_kind", "kind_of", "overlap", "registered"]

SERVICES = "spore.services"
"""Actors that this package exports are known by their bare names."""
Anything = None
"""In place of message classes: whatever there is, because the annotation does not say more."""
Classes = tuple[type, ...] | None


@attrs.frozen
class Port:
    """A field of an actor that holds a reference."""

    name: str
    required: bool
    sends: Classes
    """The classes of messages that go there."""


@attrs.frozen
class Kind:
    """What is known of an actor's class."""

    path: str
    """``package.module:Class``: how any process finds it."""
    make: Callable[..., Actor[Any]]
    handles: Classes
    ports: Mapping[str, Port] = attrs.field(factory=dict)
    settings: Mapping[str, tuple[Any, bool]] = attrs.field(factory=dict)
    """The fields that are no ports: for each the type, and whether it has to be given."""
    inner: type | None = None
    """The class of its field ``inner``, which is built from the same configuration."""

    @property
    def keys(self) -> dict[str, tuple[Any, bool]]:
        """What `config` can say."""
        inner = arguments(self.inner) if self.inner is not None else {}
        return {**self.settings, **inner}

    def problems(self, config: Mapping[str, Any]) -> list[Found]:
        """What is wrong with a configuration of such an actor."""
        types_ = {name: kind for name, (kind, _) in self.keys.items()}
        values, found = structure_fields(config, types_, [name for name, (_, must) in self.keys.items() if must])
        for cls in (self.inner, self.make):
            if isinstance(cls, type) and attrs.has(cls):
                found += invalid(cls, values)
        found = list(dict.fromkeys(found))
        if not found:
            try:
                self._values(config)
            except Problem as problem:
                found += problem.found
        return found

    def factory(self, config: Mapping[str, Any]) -> Callable[..., Actor[Any]]:
        """What builds such an actor, with everything in it fresh each time. It takes the ports by name.

        Raises:
            Problem: when it is called, if the configuration does not fit.
        """

        def make(**ports: Any) -> Actor[Any]:
            return self.make(**self._values(config), **ports)

        make.__name__ = self.path.rpartition(":")[2]
        return make

    def _values(self, config: Mapping[str, Any]) -> dict[str, Any]:
        keys = self.keys
        values, found = structure_fields(config, {name: kind for name, (kind, _) in keys.items()}, ())
        if found:
            raise Problem(found)
        if self.inner is None:
            return values
        inside = arguments(self.inner)
        own = {name: value for name, value in values.items() if name not in inside}
        own["inner"] = built(self.inner, {name: value for name, value in values.items() if name in inside})
        return own


def registered() -> dict[str, type[Actor[Any]]]:
    """The actor classes that are known by their bare names."""
    module = importlib.import_module(SERVICES)
    exported = ((name, getattr(module, name)) for name in getattr(module, "__all__", ()))
    return {name: cls for name, cls in exported if isinstance(cls, type) and issubclass(cls, Actor)}


def find_kind(type_name: str) -> Kind:
    """An actor class by its registered name or as ``package.module:Class``.

    Raises:
        Problem: with a sentence that says what there is.
    """
    if ":" not in type_name:
        known = registered()
        if type_name in known:
            return kind_of(known[type_name])
        hint = f"{among(type_name, known)} Otherwise write" if known else "write"
        raise _problem(f"there is no registered type {type_name!r}; {hint} package.module:Class")
    module_name, _, name = type_name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and module_name.startswith(f"{error.name}"):
            raise _problem(f"there is no module {error.name!r} here or among the installed packages") from None
        raise _problem(f"module {module_name!r} cannot be imported: {type(error).__name__}: {error}") from error
    cls = getattr(module, name, None)
    if not isinstance(cls, type) or not issubclass(cls, Actor):
        actors = [n for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, Actor) and c is not Actor]
        what = "is no actor" if cls is not None else "is not there"
        raise _problem(f"{name!r} {what} in module {module_name!r}; {among(name, actors)}")
    return kind_of(cls)


def kind_of(make: Callable[..., Actor[Any]]) -> Kind:
    """What can be told of a class. Of another factory nothing can: it handles anything, and is wired by hand.

    Raises:
        Problem: if its annotations cannot be read.
    """
    path = f"{getattr(make, '__module__', '?')}:{getattr(make, '__qualname__', '?')}"
    if not isinstance(make, type):
        return Kind(path, make, Anything)
    cls: type = make
    try:
        handles = _classes(_handled(cls))
        fields = arguments(cls) if attrs.has(cls) else {}
        inner = fields.get("inner", (None, False))[0]
        ports, settings = {}, {}
        for name, (annotation, required) in fields.items():
            sends, is_port = _port(annotation)
            if is_port:
                ports[name] = Port(name, required, sends)
            else:
                settings[name] = (annotation, required)
        if isinstance(inner, type) and attrs.has(inner):
            del settings["inner"]
            arguments(inner)
            return Kind(path, make, handles, ports, settings, inner)
    except NameError as error:
        raise _problem(
            f"the annotations of {path} cannot be read: {error}; import what they name, at run time"
        ) from None
    return Kind(path, make, handles, ports, settings)


def overlap(sent: Classes, handled: Classes) -> bool | None:
    """Whether some message of the ones can be one of the others; None where the annotations leave it open."""
    if sent is None or handled is None:  # which is what `Anything` is
        return None
    return any(issubclass(a, b) or issubclass(b, a) for a in sent for b in handled)


def covers(handled: Classes, sent: Classes) -> bool:
    """Whether every message of the ones is one of the others, as far as annotations tell."""
    if sent is None or handled is None:
        return False
    return all(any(issubclass(a, b) for b in handled) for a in sent)


def _problem(sentence: str) -> Problem:
    return Problem([("", sentence)])


def _handled(cls: type, given: Mapping[Any, Any] | None = None) -> Any:
    """The ``M`` of ``Actor[M]`` among the bases of a class."""
    for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin, args = get_origin(base) or base, get_args(base)
        if origin is Actor:
            argument = args[0] if args else Any
            return (given or {}).get(argument, _evaluated(argument, cls.__module__))
        if isinstance(origin, type) and issubclass(origin, Actor):
            names = getattr(origin, "__parameters__", ())
            bound = {name: (given or {}).get(arg, arg) for name, arg in zip(names, args, strict=False)}
            return _handled(origin, bound)
    return Any


def _evaluated(annotation: Any, module: str) -> Any:
    """An annotation with the strings in it replaced by what they name."""
    holder = type("_", (), {"__annotations__": {"M": annotation}, "__module__": module})
    return get_type_hints(holder)["M"]


def _classes(annotation: Any) -> Classes:
    """The classes of a union; `Anything` where one of its members is no class, or is the class of all."""
    members = get_args(annotation) if get_origin(annotation) in {Union, types.UnionType} else (annotation,)
    if any(member in {Any, object} or not isinstance(member, type) for member in members):
        return Anything
    return members


def _port(annotation: Any) -> tuple[Classes, bool]:
    """What goes to a port with such an annotation, and whether it is one."""
    if get_origin(annotation) in {Union, types.UnionType}:
        inside = [_port(member) for member in get_args(annotation) if member is not types.NoneType]
        return next((found for found in inside if found[1]), (Anything, False))
    if (get_origin(annotation) or annotation) is not ActorRef:
        return Anything, False
    return _classes(next(iter(get_args(annotation)), Any)), True
