"""A class can be defined again with the same content, and is refused with another one, naming what differs."""

import enum
import gc
import importlib
import subprocess
import sys
import textwrap
import weakref

import attrs
import pytest

import spore
from spore.codec import Decoder, decode, encode
from spore.errors import DefinitionError, EncodeError
from spore.message import REGISTRY, Domain, Registry

MODULE = """
import enum
import spore

class Way(enum.Enum):
    BUY = 1
    SELL = 2

@spore.record
class Rung:
    price: spore.PriceE8
    sides: tuple[Way, ...] = ()

@spore.message(type_id=150, domain=spore.Domain.MARKET_DATA)
class Ladder:
    event_time_ns: spore.TimestampNs
    levels: tuple[Rung, ...]

    def depth(self):
        return len(self.levels)
"""


def cell(registry, **fields):
    """What a notebook does that runs a cell: the class comes from the same place each time."""
    return spore.message(type_id=150, domain=Domain.MARKET_DATA, registry=registry)(
        type("Tick", (), {"__annotations__": fields, "__module__": "__main__"})
    )


def test_a_cell_that_is_run_twice():
    """The new class is the one that is decoded from then on, by a decoder that was there before, too."""
    registry = Registry()
    first = cell(registry, n=spore.U64)
    decoder = Decoder(registry=registry)
    frame = encode(first(5), sequence=0, timestamp_ns=0)
    decoder.feed(frame)
    assert type(next(iter(decoder)).message) is first
    second = cell(registry, n=spore.U64)
    assert second is not first
    assert registry.by_name("Tick").cls is second
    decoder.feed(frame)
    assert next(iter(decoder)).message == second(5)
    assert decode(frame, registry).message == second(5)
    assert encode(first(5), sequence=0, timestamp_ns=0) == frame
    assert first in registry
    assert second in registry
    assert len(registry) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"n": spore.U64, "price": spore.U64}, "price was u64"),
        ({"price": spore.PriceE8, "n": spore.U64}, "n was field 1 and is field 2"),
        ({"n": spore.U32, "price": spore.PriceE8}, "n was u64 and is u32"),
        ({"n": spore.U64, "cost": spore.PriceE8}, "field 2 was price and is cost"),
        ({"n": spore.U64}, "field 2 was price, price, which is not there any more"),
        ({"n": spore.U64, "price": spore.PriceE8, "m": spore.U8}, "field 3 is m, u8, which was not there"),
    ],
)
def test_another_content_is_refused(fields, said):
    """The error names the field, and the first definition stays."""
    registry = Registry()
    first = cell(registry, n=spore.U64, price=spore.PriceE8)
    with pytest.raises(DefinitionError) as caught:
        cell(registry, **fields)
    said = said.replace("price was u64", "price was price and is u64")
    assert "Tick: type number 150 is taken by __main__.Tick, which was defined with another content: " in str(
        caught.value
    )
    assert f"Tick: {said}" in str(caught.value)
    assert registry.by_type(150).cls is first


def test_a_module_that_is_reloaded(tmp_path, monkeypatch):
    """With its records and enums; what other modules hold of it can still be sent; with another content it is refused."""
    path = tmp_path / "reloaded_messages.py"
    path.write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("reloaded_messages")
    old, old_level = module.Ladder, module.Rung
    frame = encode(old(1, (old_level(2, (module.Way.BUY,)),)), sequence=0, timestamp_ns=0)
    decode(frame)
    path.write_text(MODULE.replace("return len", "return 10 + len"))
    importlib.invalidate_caches()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = importlib.reload(module)
    assert module.Ladder is not old
    assert decode(frame).message == module.Ladder(1, (module.Rung(2, (module.Way.BUY,)),))
    assert decode(frame).message.depth() in (1, 11)  # by the time stamp of the file the old code may be loaded
    assert encode(old(1, (old_level(2),)), sequence=0, timestamp_ns=0)
    assert old in REGISTRY
    path.write_text(MODULE.replace("SELL = 2", "SELL = 2  #\n    SHORT = 3"))
    importlib.invalidate_caches()
    with pytest.raises(DefinitionError, match=r"member 3 of levels\[\]\.sides\[\] is SHORT, which was not there"):
        importlib.reload(module)


def test_a_record_that_is_defined_again_with_another_content():
    """Used by another message than before, it is refused by its name, with what differs."""
    registry = Registry()

    def level(hint):
        return spore.record(type("Level", (), {"__annotations__": {"price": hint}, "__module__": "__main__"}))

    def book(name, number, record):
        return spore.message(type_id=number, domain=Domain.SIGNAL, registry=registry)(
            type(name, (), {"__annotations__": {"level": record}, "__module__": "__main__"})
        )

    book("One", 60, level(spore.U64))
    book("Two", 61, level(spore.U64))
    with pytest.raises(DefinitionError) as caught:
        book("Three", 62, level(spore.PriceE8))
    assert str(caught.value).endswith("with another content: price was u64 and is price")


def test_a_message_that_still_has_the_old_record_says_so():
    """Who runs only the record's cell again is told what to run next."""
    registry = Registry()

    def level():
        return spore.record(type("Level", (), {"__annotations__": {"price": spore.U64}, "__module__": "__main__"}))

    book = spore.message(type_id=60, domain=Domain.SIGNAL, registry=registry)(
        type("Book", (), {"__annotations__": {"level": level()}, "__module__": "__main__"})
    )
    with pytest.raises(EncodeError, match="this Level is of another definition; define Book again, too"):
        encode(book(level()(1)), sequence=0, timestamp_ns=0)


def test_two_modules_that_declare_one_message_are_told(tmp_path, monkeypatch):
    """Two files are two sources: which one's class is decoded would be a matter of chance."""
    for name in ("one_ladder", "two_ladders"):
        (tmp_path / f"{name}.py").write_text(
            MODULE.replace("150", "151").replace("Ladder", "Ladder1").replace("Way", "Way1").replace("Rung", "Rung1")
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("one_ladder")
    with pytest.raises(DefinitionError, match=r"taken by one_ladder\.Ladder1, which is the same message; import it"):
        importlib.import_module("two_ladders")


def test_two_classes_of_one_module_that_declare_one_message_are_told():
    """They have one name, and stand in different places: neither is the other one defined again."""
    registry = Registry()

    class Bids:
        @spore.message(type_id=60, domain=Domain.SIGNAL, registry=registry)
        class Level:
            price: spore.U64

    with pytest.raises(DefinitionError, match=r"taken by .*Bids\.Level, which is the same message; import it"):

        class Asks:
            @spore.message(type_id=60, domain=Domain.SIGNAL, registry=registry)
            class Level:
                price: spore.U64


def test_a_module_that_is_main_too(tmp_path):
    """`python app.py`, which a part of it imports as `app`: both have the class, and it is decoded as the module's."""
    (tmp_path / "app.py").write_text(
        textwrap.dedent("""
        import spore

        @spore.message(type_id=150, domain=spore.Domain.MARKET_DATA)
        class Tick:
            n: spore.U64

        if __name__ == "__main__":
            import app
            frame = spore.codec.encode(Tick(5), sequence=0, timestamp_ns=0)
            assert spore.codec.decode(frame).message == app.Tick(5)
            print("fine")
        """)
    )
    done = subprocess.run([sys.executable, "app.py"], cwd=tmp_path, capture_output=True, check=False, text=True)
    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_a_decoder_that_is_gone_is_not_kept():
    """The registry only tells those that live."""
    registry = Registry()
    tick = cell(registry, n=spore.U64)
    decoder = Decoder(registry=registry)
    decoder.feed(encode(tick(1), sequence=0, timestamp_ns=0))
    list(decoder)
    gone = weakref.ref(decoder._known)
    del decoder
    gc.collect()
    assert gone() is None


def test_an_enum_of_the_same_members_is_the_same_content():
    """Its class is a new one each time."""
    registry = Registry()

    def define():
        side = enum.Enum("Side", {"BUY": 1}, module="__main__", qualname="Side")
        return spore.message(type_id=60, domain=Domain.SIGNAL, registry=registry)(
            type("Order", (), {"__annotations__": {"side": side}, "__module__": "__main__"})
        ), side

    define()
    order, side = define()
    frame = encode(order(side.BUY), sequence=0, timestamp_ns=0)
    assert decode(frame, registry).message == order(side.BUY)
    assert attrs.fields(order).side.type is side
