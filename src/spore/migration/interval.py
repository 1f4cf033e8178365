"""A measure over the repeats: its mean, and the interval that the true mean lies in with 95 % confidence.

Strategy: Student's t, because a comparison has three to ten repeats. Of so few a bootstrap is too sure of itself, and an interval of
the median, which asks nothing of how values are spread, takes six. What is above zero (times, rates, sizes, ratios of them) is taken in
logarithms: noise multiplies such values, and then the mean of the ratios is the ratio of the means. A ratio is of the two modes in
one repeat, so that what slows down both cancels out.

Source: A. Georges, D. Buytaert, L. Eeckhout, Statistically Rigorous Java Performance Evaluation, OOPSLA 2007, section 3.2; P. J.
Fleming, J. J. Wallace, How Not To Lie With Statistics, CACM 29 (3), 1986, for the geometric mean.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

import attrs

__all__ = ["CONFIDENCE_PERCENT", "Spread", "ratio_change", "spread"]

CONFIDENCE_PERCENT = 95
T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""Student's t with 1, 2, … 30 degrees of freedom, two-sided. With more it is less, and the last one errs on the safe side.

Source: NIST/SEMATECH e-Handbook of Statistical Methods, section 1.3.6.7.2."""


@attrs.frozen
class Spread:
    """A measure over the repeats."""

    value: float
    """The mean: the geometric one of values above zero."""
    low: float
    """From here to ``high`` lies the true mean with 95 % confidence. One repeat has no interval: all three are the same."""
    high: float


def spread(values: Iterable[float]) -> Spread:
    """The mean of some values, of which there is at least one, with its interval."""
    found = tuple(values)
    if len(set(found)) == 1:
        return Spread(found[0], found[0], found[0])
    if min(found) <= 0:
        return _student(found)
    mean = _student([math.log(each) for each in found])
    return Spread(math.exp(mean.value), math.exp(mean.low), math.exp(mean.high))


def ratio_change(pairs: Iterable[tuple[float, float]]) -> Spread:
    """By how many percent the second value of a pair is above the first: below 0, it is lower.

    Args:
        pairs: before and after of each repeat, above zero.
    """
    ratio = spread(after / before for before, after in pairs)
    return Spread(*(100 * each - 100 for each in (ratio.value, ratio.low, ratio.high)))


def _student(values: Sequence[float]) -> Spread:
    mean = statistics.fmean(values)
    error = statistics.stdev(values) / math.sqrt(len(values))
    reach = T_975[min(len(values) - 1, len(T_975)) - 1] * error
    return Spread(mean, mean - reach, mean + reach)
