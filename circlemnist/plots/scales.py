"""Scales of pictures over settings and measures."""

import numpy as np
from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from circlemnist.plots.style import Array


def geometric(values: Array) -> bool:
    """Tell whether numbers are spaced by factors rather than by differences."""
    ordered = np.unique(values)
    if len(ordered) < 3 or ordered[0] <= 0:
        return False
    steps, factors = np.diff(ordered), np.diff(np.log(ordered))
    return bool(factors.std() / factors.mean() < steps.std() / steps.mean())


def make_log(axis: Axis) -> None:
    """Make an axis logarithmic, its numbers written out at 1, 2 and 5 of each decade."""
    (axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
