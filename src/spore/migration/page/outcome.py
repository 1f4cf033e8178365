"""What came out of each mode: counts and digests, and where they part, the first difference field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spore.migration.compare import BUNDLED, JUDGED, RELAYED, Comparison
from spore.migration.divergence import Divergence, parts
from spore.migration.page.charts import columns
from spore.migration.page.markup import Markup, joined, tag
from spore.migration.page.words import exactly
from spore.migration.verdict import Verdict

__all__ = ["difference", "outcome"]


def outcome(comparison: Comparison, verdict: Verdict) -> Markup:
    """What came out of a run for throughput, and what was lost and encoded on the way."""
    names = (*(mode for mode in comparison.modes if mode not in JUDGED), RELAYED, BUNDLED)
    first = {mode: comparison.repeats[0].full[mode].result for mode in names}
    modes = {mode: verdict.modes[mode] for mode in names}
    rows = [
        ("processes", [each.processes for each in first.values()]),
        ("events in", [each.messages for each in first.values()]),
        ("signals out", [each.signals for each in first.values()]),
        ("orders and reports out", [each.orders for each in first.values()]),
        ("messages encoded", [each.encoded_messages for each in first.values()]),
        ("bytes encoded", [each.encoded_bytes for each in first.values()]),
        ("messages lost, in all runs", [each.lost for each in modes.values()]),
    ]
    if comparison.sustained:
        found = [each.sustained_rate for each in modes.values()]
        rows.append(("highest rate that was sustained, events a second", [each or 0 for each in found]))
    digests = {mode: tag("code", each, class_="digest") for mode, each in verdict.digest.items()}
    if len(set(verdict.digest.values())) == 1:
        every = "both modes" if len(names) == len(JUDGED) else f"all {len(names)} modes"
        said = joined([f"SHA-256 of all signals, orders and reports, in {every}: ", digests[BUNDLED]])
    else:
        said = joined(["SHA-256 of all signals, orders and reports: ", *_each(names, digests)])
    return joined(
        [
            columns(
                "What went in and came out, of the first run for throughput",
                ("what", *names),
                [(name, *(exactly(each, f"{each:,}") for each in values)) for name, values in rows],
            ),
            tag("p", said),
        ]
    )


def _each(names: Sequence[str], digests: Mapping[str, Markup]) -> list[str]:
    pieces = [piece for mode in names for piece in (", ", mode, " ", digests[mode])]
    return pieces[1:]


def difference(found: Divergence) -> Markup:
    """The first message that is not the same, with the event that caused it, and a short input that shows it."""
    pieces = [
        tag(
            "p",
            f"Number {found.index + 1:,} of the {found.stream}, ",
            tag("code", found.kind),
            ", is the first message that is not the same. What comes after it may only follow from it.",
        ),
        columns(
            "The values that differ",
            ("field", found.left, found.right),
            [
                (tag("code", each.path) if each.path else "the whole message", each.left, each.right)
                for each in found.fields
            ],
        ),
    ]
    if found.event is not None:
        pieces.append(
            columns(
                f"The event behind it: {type(found.event).__name__}",
                ("field", "value"),
                [(tag("code", name), value) for name, value in parts(found.event)],
            )
        )
    pieces += [tag("p", said) for said in found.prefix.sentences()] if found.prefix is not None else []
    return joined(pieces)
