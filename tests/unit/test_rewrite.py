"""Another mode in the text of a configuration: one line, whatever the layout."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spore.deploy import Mode
from spore.errors import UsageError
from spore.migration.rewrite import with_mode

DECOY = 'note = """\n[[bundles]]\nmode = "shared_memory"\n"""'
SPACES = st.sampled_from(["", " ", "   ", "\t"])
COMMENTS = st.sampled_from(["", "", " # mode = 'relay'", "# ü [[bundles]]", '\t# "or"'])
MODES = st.sampled_from(["shared_memory", "relay", "distributed"])
ELSEWHERE = ['[relay]\nheartbeat_s = 1.50\nmode = "shared_memory"\n', "", "# nothing\n\n", f"[other]\n{DECOY}\n"]


def changed(before, after):
    """The lines that differ."""
    old, new = before.split("\n"), after.split("\n")
    assert len(old) == len(new)
    return [(one, other) for one, other in zip(old, new, strict=True) if one != other]


@st.composite
def assignments(draw, key, value):
    """``key = value`` as people write it."""
    key = draw(st.sampled_from([key, f'"{key}"', f"'{key}'"]))
    value = draw(st.sampled_from([f'"{value}"', f"'{value}'"]))
    return f"{key}{draw(SPACES)}={draw(SPACES)}{value}"


@st.composite
def bundles_as_tables(draw, name, mode):
    """``[[bundles]]``, its keys in any order, its actors in tables of their own, dotted or inline."""
    lines = [draw(assignments("name", name)), draw(assignments("mode", mode)), "drain_timeout_s = 1.0"]
    actors = draw(st.sampled_from(["table", "dotted", "inline", "decoy"]))
    if actors == "dotted":
        lines.append(f'actors . {name}_a.type = "m:C"')
    elif actors == "inline":
        lines.append(f'actors = {{ {name}_a = {{ type = "m:C", config = {{ mode = "shared_memory" }} }} }}')
    indent = draw(SPACES)
    text = [f"{indent}[[{draw(SPACES)}bundles{draw(SPACES)}]]{draw(COMMENTS)}"]
    text += [f"{indent}{line}{draw(COMMENTS)}" for line in draw(st.permutations(lines))]
    if actors in {"table", "decoy"}:
        text += [f"[bundles.actors.{name}_a]{draw(COMMENTS)}", 'type = "m:C"']
        text += [f"[bundles.actors.{name}_a.config]", 'mode = "shared_memory"', *([DECOY] if actors == "decoy" else [])]
    return "\n".join(text) + "\n" + draw(st.sampled_from(["", "\n", "# between\n"]))


@st.composite
def inline_bundles(draw, modes):
    """``bundles = [{…}, {…}]``, on one line or several."""
    between = draw(st.sampled_from([" ", "\n", "\n  # next\n\t"]))
    tables = []
    for number, mode in enumerate(modes):
        keys = [draw(assignments("name", f"b{number}")), draw(assignments("mode", mode))]
        keys.append(f'actors = {{ a{number} = {{ type = "m:C" }} }}')
        tables.append("{" + draw(SPACES) + ", ".join(draw(st.permutations(keys))) + draw(SPACES) + "}")
    return f"bundles = [{between}" + f",{between}".join(tables) + f"{between}]{draw(COMMENTS)}\n"


@st.composite
def layouts(draw):
    modes = draw(st.lists(MODES, min_size=1, max_size=3))
    head = draw(st.sampled_from(["", "# mode = 'relay'\n", 'modules = "a"\n']))
    if draw(st.booleans()):
        text = head + draw(inline_bundles(modes)) + draw(st.sampled_from(ELSEWHERE))
    else:
        parts = [draw(bundles_as_tables(f"b{number}", mode)) for number, mode in enumerate(modes)]
        places = draw(st.permutations(ELSEWHERE[:1] + [""] * len(parts)))
        text = head + "".join(f"{part}{other}" for part, other in zip(parts, places, strict=False))
        text += draw(st.sampled_from(["", ELSEWHERE[3]]))
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return text, draw(st.integers(0, len(modes) - 1))


@given(layouts(), st.sampled_from([Mode.RELAY, Mode.SHARED_MEMORY]))
def test_one_line_differs_and_the_meaning_but_for_the_mode_is_the_same(layout, mode):
    """In whatever order, indentation, quotes, tables and line ends the file is written, and whatever looks like a mode."""
    text, number = layout
    edited = with_mode(text, f"b{number}", mode)
    meant = tomllib.loads(text)
    assert len(changed(text, edited)) == (meant["bundles"][number]["mode"] != mode)
    meant["bundles"][number]["mode"] = str(mode)
    assert tomllib.loads(edited) == meant


def test_comments_and_spaces_of_the_line_stay():
    """As a person has aligned them."""
    text = '[[bundles]]\nname = "a"\nmode =   \'shared_memory\'      # or "relay"\nactors.x.type = "m:C"\n'
    assert changed(text, with_mode(text, "a", Mode.RELAY)) == [
        ("mode =   'shared_memory'      # or \"relay\"", 'mode =   "relay"      # or "relay"')
    ]


def test_an_unknown_bundle_is_refused_with_what_could_be_meant():
    """As everywhere."""
    with pytest.raises(UsageError, match="there is no bundle 'coer'; did you mean 'core'"):
        with_mode('[[bundles]]\nname = "core"\nmode = "relay"\nactors.x.type = "m:C"\n', "coer", Mode.RELAY)


def test_what_cannot_be_done_in_one_line_is_left_to_a_person():
    """With the line that is to be there."""
    text = '[[bundles]]\nname = "core"\nmode = """\\\n  relay"""\nactors.x.type = "m:C"\n'
    with pytest.raises(UsageError, match=r'cannot be changed in one line .* write mode = "shared_memory" there'):
        with_mode(text, "core", Mode.SHARED_MEMORY)
