"""Type numbers that are not an application's are refused where a message is defined, and the error names those that are."""

import pytest
from tests.shared_data import SHARED_DATA

import spore
from spore.errors import DefinitionError
from spore.message import APPLICATION, REGISTRY, Domain, Registry, TraceContext, message_type
from spore.message.numbers import ROOM, number_problem
from spore.services import messages

TAKEN = {
    1: "Trade", 2: "Quote", 3: "OrderBook", 9: "VolumeUpdate", 11: "PoolSwap", 12: "PoolMint", 13: "PoolBurn",
    15: "PoolState", 16: "PoolSync", 17: "QuoteUpdate", 18: "GasPrice", 32: "ArbitrageSignal", 33: "MomentumSignal",
    34: "LiquidationSignal", 40: "OrderRequest", 43: "OrderCancel", 45: "ExecutionReport", 100: "Heartbeat",
    102: "Error", 108: "TraceContext", 110: "RecoveryRequest", 111: "RecoveryResponse", 112: "SequenceSync",
}  # fmt: skip
"""As the wire format lists them."""


def define(number, domain, *, name="Mine", registry=REGISTRY):
    return spore.message(type_id=number, domain=domain, registry=registry)(
        type(name, (), {"__annotations__": {"value": spore.U64}})
    )


def domain_of(number):
    return next(domain for domain in Domain if any(number in each for each in domain.type_ranges))


def refusal(number, domain, **options):
    with pytest.raises(DefinitionError) as caught:
        define(number, domain, **options)
    return str(caught.value)


@pytest.mark.parametrize("number", TAKEN)
def test_a_number_that_the_protocol_gives_away_is_refused(number):
    """Whether Spore declares its message or not."""
    said = refusal(number, domain_of(number))
    assert f"Mine: type number {number} is " in said
    assert f"for {TAKEN[number]}; an application's own numbers are 120–199 in any domain" in said


@pytest.mark.parametrize("name", messages.__all__)
def test_the_reference_applications_numbers_are_reserved(name):
    """By the table, and not because the application was imported before."""
    entry = REGISTRY.by_name(name)
    if entry is None:
        pytest.skip("a record, an enum or a union")
    assert number_problem(entry.type_id, "Mine", entry.domain, shared=True) is not None
    assert number_problem(entry.type_id, name, entry.domain, shared=True) is None


@pytest.mark.parametrize("number", [200, 229, 230, 231, 240, 254])
@pytest.mark.parametrize("own", [False, True])
def test_the_links_numbers_are_refused_in_every_registry(number, own):
    """A link takes what comes with them for its own, whichever registry its ends have."""
    said = refusal(number, Domain.SYSTEM, registry=Registry() if own else REGISTRY)
    assert f"type number {number} is one of the link's own, 200–254" in said
    assert "an application's own numbers are 120–199" in said


@pytest.mark.parametrize("number", [108, 118, 119])
def test_what_spore_puts_into_frames_is_refused_in_every_registry(number):
    """A trace context travels beside any message, and a recording of any messages has a head."""
    assert "is Spore's, for " in refusal(number, Domain.SYSTEM, registry=Registry())


def test_a_number_added_by_hand_is_checked_as_well():
    """The registry checks, not the decorator alone."""
    entry = message_type(define(19, Domain.MARKET_DATA, registry=Registry()))
    for number in (2, 230):
        with pytest.raises(DefinitionError):
            REGISTRY.add(type(entry)(number, domain_of(number), entry.cls, entry.layout))
    assert entry.cls not in REGISTRY


@pytest.mark.parametrize("domain", Domain)
def test_an_applications_numbers_are_good_in_every_domain(domain):
    """All of them, and a frame of such a message says its domain."""
    registry = Registry(shared=True)
    for number in [*APPLICATION, *(number for numbers in ROOM[domain] for number in numbers)]:
        made = define(number, domain, name=f"Message{number}", registry=registry)
        frame = spore.codec.encode(made(7), sequence=1, timestamp_ns=2)
        assert (frame[4], frame[32]) == (domain, number)
        assert spore.codec.decode(frame, registry).message == made(7)


def test_a_team_can_declare_the_protocols_messages_in_its_own_layout():
    """Under the protocol's name, where the reference application is left out."""
    registry = Registry(shared=True)
    made = define(11, Domain.MARKET_DATA, name="PoolSwap", registry=registry)
    assert registry.by_type(11).cls is made


def test_a_registry_of_its_own_has_the_domains_numbers_for_itself():
    """The reference application is not in it."""
    assert message_type(define(17, Domain.MARKET_DATA, registry=Registry())).type_id == 17


def test_the_trace_contexts_number_is_its_own():
    """It is registered like any other message."""
    assert REGISTRY.by_type(108).cls is TraceContext


@pytest.mark.skipif(not (SHARED_DATA.parent / "wire-format.md").exists(), reason="the wire format is not at hand")
def test_every_number_that_the_wire_format_lists_is_reserved():
    """Its paragraph is read, so that the table here cannot lag behind."""
    text = (SHARED_DATA.parent / "wire-format.md").read_text()
    paragraph = text.split("Types that are taken:")[1].split("\n\n")[0].replace("\n", " ").rstrip(". ")
    listed = dict(each.strip().split(" ") for each in paragraph.split("·"))
    assert {int(number): name for number, name in listed.items()} == TAKEN
