"""Pairs in the (s_n, s_p) plane and the decision circle, the paper's Fig. 5."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from circlemnist.evaluation.pair_plane import pair_density, share_outside
from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.plots.captions import heading, snapshot_captions
from circlemnist.plots.style import Array, Blank, Style, Theme, shades

PANELS, COARSE = 6, 80  # over the epochs, and the bins of a sample
COLUMNS = 3
# small shares show, though most of the pairs lie in few bins
EXPONENT = 0.35


def draw(trained: TrainedRun, style: Style) -> Figure:
    """Draw where all pairs of the test split lie; with snapshots, how they moved there."""
    density = pair_density(*trained.test_points)
    clouds = [(f"after {len(trained.history)} epochs", density)]
    counted = f"pairs of {trained.evaluation.counted}"
    if trained.has_snapshots:
        clouds = [*_earlier_clouds(trained), *clouds]
        counted += f", at first of {len(trained.snapshots.labels)}"
    return circle_figure(clouds, trained.config.m, Blank(heading(trained, counted), style.theme))


def _earlier_clouds(trained: TrainedRun) -> list[tuple[str, Array]]:
    seen, captions = trained.snapshots, snapshot_captions(trained)
    embeddings, labels = torch.from_numpy(seen.embeddings).float(), torch.from_numpy(seen.labels)
    times = np.linspace(0, len(seen.steps) - 1, PANELS).round().astype(int)[:-1]
    return [(captions[t], pair_density(embeddings[t], labels, COARSE)) for t in times]


def circle_figure(clouds: Sequence[tuple[str, Array]], m: float, blank: Blank) -> Figure:
    """Draw densities over the plane with the circle s_n² + (s_p - 1)² = 2m² (Eq. 8, its boundary).

    Args:
        clouds: caption and (bins, bins) density of `pair_density` for each panel.
        m: margin; the radius of the circle about (0, 1) is √2·|m|.

    A star marks the optimum, s_n = 0 and s_p = 1.
    """
    columns = min(len(clouds), COLUMNS)
    rows = math.ceil(len(clouds) / columns)
    with blank.figure(*((7.5, 7.0) if columns == 1 else (10, 1.2 + 3.8 * rows))) as figure:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, (caption, density) in zip(panels.flat, clouds, strict=False):
            _draw_cloud(axes, density, m, blank.theme, named=len(clouds) == 1)
            outside = 100 * share_outside(density, m)
            axes.set_title(f"{caption}\n{outside:.1f} % outside the circle", fontsize=11, pad=12)
        for axes in panels.flat[len(clouds) :]:
            axes.set_axis_off()
        for axes in panels[-1]:
            axes.set_xlabel("$s_n$, cosine to another class")
        for axes in panels[:, 0]:
            axes.set_ylabel("$s_p$, cosine within the class")
    return figure


def _draw_cloud(axes: Axes, density: Array, m: float, theme: Theme, named: bool) -> None:
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
