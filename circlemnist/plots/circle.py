"""Pairs in the (s_n, s_p) plane and the decision circle, the paper's Fig. 5."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from circlemnist.evaluation.pair_plane import share_outside
from circlemnist.plots.style import Theme, shades, themed

COLUMNS = 3
# small shares show, though most of the pairs lie in few bins
EXPONENT = 0.35


def circle_figure(
    clouds: Sequence[tuple[str, NDArray[Any]]], m: float, title: str, theme: Theme
) -> Figure:
    """Draw densities over the plane with the circle s_n² + (s_p - 1)² = 2m² (Eq. 8, its boundary).

    Args:
        clouds: caption and (bins, bins) density of `pair_density` for each panel.
        m: margin; the radius of the circle about (0, 1) is √2·|m|.
        title: above the picture.

    A star marks the optimum, s_n = 0 and s_p = 1.
    """
    columns = min(len(clouds), COLUMNS)
    rows = math.ceil(len(clouds) / columns)
    size = (7.5, 7.0) if columns == 1 else (10, 1.2 + 3.8 * rows)
    with themed(theme):
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle(title)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, (caption, density) in zip(panels.flat, clouds, strict=False):
            _draw(axes, density, m, theme, named=len(clouds) == 1)
            beyond = 100 * share_outside(density, m)
            axes.set_title(f"{caption}\n{beyond:.1f} % beyond the circle", fontsize=11, pad=12)
        for axes in panels.flat[len(clouds) :]:
            axes.set_axis_off()
        for axes in panels[-1]:
            axes.set_xlabel("$s_n$, cosine to another class")
        for axes in panels[:, 0]:
            axes.set_ylabel("$s_p$, cosine within the class")
    return figure


def _draw(axes: Axes, density: NDArray[Any], m: float, theme: Theme, named: bool) -> None:
    axes.imshow(
        density,
        origin="lower",
        extent=(-1, 1, -1, 1),
        cmap=shades(theme.paper, theme.like, theme.ink),
        norm=PowerNorm(EXPONENT, vmin=0, vmax=max(float(density.max()), 1e-12)),
        interpolation="nearest",
    )
    radius = math.sqrt(2) * abs(m)
    axes.add_patch(Circle((0, 1), radius, fill=False, edgecolor=theme.unlike, linewidth=1.8))
    axes.plot(0, 1, marker="*", markersize=14, color=theme.unlike, clip_on=False, zorder=3)
    if named:
        axes.annotate(
            "optimum",
            (0, 1),
            xytext=(10, -5),
            textcoords="offset points",
            va="top",
            color=theme.unlike,
            fontsize=11,
            bbox={"facecolor": theme.paper, "edgecolor": "none", "alpha": 0.75, "pad": 1},
        )
    axes.set(xlim=(-1, 1), ylim=(-1, 1), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
