"""Laws of plans, for any wiring."""

from hypothesis import example, given
from hypothesis import strategies as st

from spore.deploy.cycles import closing, cyclic_groups
from spore.nursery_bundle.wiring import groups_in_order

ACTORS = tuple("abcdefg")
PAIRS = st.lists(st.tuples(st.sampled_from(ACTORS), st.sampled_from(ACTORS)), max_size=20, unique=True)


def reaches(start, goal, pairs):
    seen, ahead = set(), [start]
    while ahead:
        name = ahead.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            ahead += [receiver for sender, receiver in pairs if sender == name]
    return False


@given(pairs=PAIRS, processes=st.lists(st.integers(0, 3), min_size=len(ACTORS), max_size=len(ACTORS)))
@example(pairs=[("a", "a")], processes=[0] * len(ACTORS))
@example(pairs=[("a", "b"), ("b", "c"), ("c", "a")], processes=[0, 0, 1, 0, 0, 0, 0])
def test_without_the_closing_edges_no_message_comes_back_through_the_relay(pairs, processes):
    """And only relayed edges that are part of a cycle close one."""
    process = dict(zip(ACTORS, processes, strict=True))
    references = [pair for pair in pairs if process[pair[0]] == process[pair[1]] and pair[0] != pair[1]]
    relayed = [pair for pair in pairs if pair not in references]
    closes = closing(ACTORS, references=references, relayed=relayed)
    assert closes <= set(relayed)
    assert all(reaches(receiver, sender, pairs) for sender, receiver in closes)
    rest = [pair for pair in pairs if pair not in closes]
    for sender, receiver in rest:
        if (sender, receiver) in relayed:
            assert not reaches(receiver, sender, rest)


@given(pairs=PAIRS)
def test_the_groups_of_cycles_are_those_whose_members_reach_each_other(pairs):
    """Nobody else is in one."""
    grouped = {name: group for group in cyclic_groups(ACTORS, pairs) for name in group}
    for one in ACTORS:
        comes_back = any(reaches(receiver, one, pairs) for sender, receiver in pairs if sender == one)
        assert (one in grouped) == comes_back
        for other in grouped.get(one, ()):
            assert reaches(one, other, pairs)


@given(pairs=PAIRS)
def test_senders_come_before_receivers(pairs):
    """Unless they are of one group."""
    groups = groups_in_order(ACTORS, lambda name: [receiver for sender, receiver in pairs if sender == name])
    place = {name: number for number, group in enumerate(groups) for name in group}
    assert sorted(place) == list(ACTORS)
    assert all(place[sender] <= place[receiver] for sender, receiver in pairs)
