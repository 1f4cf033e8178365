"""Frozen, slotted classes whose instances are nevertheless cheap to build.

A frozen attrs class fills its slots one `object.__setattr__` at a time, which costs two to three times
as much as plain assignment. So each class gets an *open twin*: a bare class with the same slots that
allows assignment. An instance is filled while it is of the twin's class and then becomes frozen by a
change of `__class__`, before anybody else can hold a reference to it.
"""

from __future__ import annotations

import inspect
from typing import Any, TypeVar, dataclass_transform

import attrs

from spore.errors import DefinitionError

__all__ = ["OPEN_TWIN", "freeze", "open_twin"]

T = TypeVar("T")

OPEN_TWIN = "__spore_open_twin__"
"""The class attribute that holds the twin."""


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def freeze(cls: type[T]) -> type[T]:
    """Make a frozen, slotted, final attrs class out of a plain annotated one.

    Raises:
        DefinitionError: if the class inherits, is an attrs class already, has a field without an annotation, or is
            refused by attrs.
    """
    name = cls.__name__
    if cls.__bases__ != (object,):
        raise DefinitionError(name, "a message inherits from nothing; nest a record instead")
    if "self" in inspect.get_annotations(cls):
        raise DefinitionError(
            name, "Python's constructors call the instance by this name; choose another", field="self"
        )
    if attrs.has(cls):
        raise DefinitionError(name, "already an attrs class; drop the other decorator, this one makes it")
    own_init = "__init__" in cls.__dict__
    try:
        made = attrs.frozen(cls, auto_attribs=True, weakref_slot=False)
    except attrs.exceptions.UnannotatedAttributeError as error:
        raise DefinitionError(name, f"a field has no annotation: {error}") from error
    except ValueError as error:
        raise DefinitionError(name, str(error)) from error
    twin = type(f"open {name}", (), {"__slots__": made.__slots__})  # type: ignore[attr-defined]
    setattr(made, OPEN_TWIN, twin)
    if not own_init and _is_plain(made):
        made.__init__ = _cheap_init(made, twin)  # type: ignore[method-assign]
    made.__init_subclass__ = classmethod(_refuse_subclass)  # type: ignore[assignment, arg-type]
    return made


def open_twin(cls: type) -> type[Any]:
    """The class to fill before setting ``__class__`` to the frozen one."""
    twin: type[Any] = cls.__dict__[OPEN_TWIN]
    return twin


def _refuse_subclass(cls: type, **_kwargs: Any) -> None:
    raise DefinitionError(cls.__name__, "a message is final: what travels must be exactly the class that was declared")


def _is_plain(cls: type) -> bool:
    """Whether assignment is all that the constructor does; otherwise attrs's own constructor stays."""
    if hasattr(cls, "__attrs_post_init__") or hasattr(cls, "__attrs_pre_init__"):
        return False
    return all(
        field.init
        and not field.kw_only
        and field.converter is None
        and field.validator is None
        and field.alias == field.name
        and not (isinstance(field.default, attrs.Factory) and field.default.takes_self)  # type: ignore[arg-type]
        for field in attrs.fields(cls)
    )


def _cheap_init(cls: type, twin: type) -> Any:
    # Fields are public, so the names below that begin with an underscore can hide none of them.
    scope: dict[str, Any] = {"_cls": cls, "_twin": twin, "_set": object.__setattr__, "_absent": attrs.NOTHING}
    parameters = ["_self"]
    body = []
    for field in attrs.fields(cls):
        if field.default is attrs.NOTHING:
            parameters.append(field.name)
        elif isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
            scope[f"_make_{field.name}"] = field.default.factory
            parameters.append(f"{field.name}=_absent")
            body.append(f"if {field.name} is _absent: {field.name} = _make_{field.name}()")
        else:
            scope[f"_default_{field.name}"] = field.default
            parameters.append(f"{field.name}=_default_{field.name}")
    body.append("_set(_self, '__class__', _twin)")
    body += [f"_self.{field.name} = {field.name}" for field in attrs.fields(cls)]
    body.append("_self.__class__ = _cls")
    source = f"def __init__({', '.join(parameters)}):\n    " + "\n    ".join(body)
    exec(compile(source, f"<constructor of {cls.__qualname__}>", "exec"), scope)
    init = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    init.__annotations__ = dict(getattr(cls.__init__, "__annotations__", {}))  # type: ignore[misc]
    return init
