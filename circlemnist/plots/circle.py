"""Pairs in the (s_n, s_p) plane and the loss's decision boundary, the paper's Fig. 5."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.pair_plane import Boundary, boundary_of, pair_density, share_beyond
from circlemnist.plots.captions import heading, snapshot_captions, trained_for
from circlemnist.plots.style import Array, Blank, Style, Theme, shades

PANELS, COARSE = 6, 80  # over the epochs, and the bins of a sample
COLUMNS = 3
# small shares show, though most of the pairs lie in few bins
EXPONENT = 0.35


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw where all pairs of the test split lie; with snapshots, how they moved there."""
    embeddings, labels = trained.test_points
    density = pair_density(trained.directions(embeddings), labels)
    clouds = [(f"after {trained_for(trained)}", density)]
    counted = f"pairs of {trained.report.counted}"
    if trained.has_snapshots:
        of_seen = ~np.isin(trained.snapshots.labels, trained.config.unseen_classes)
        clouds = [*_earlier_clouds(trained, of_seen), *clouds]
        counted += f", at first of {of_seen.sum()}"
    blank = Blank(heading(trained, counted), style.theme)
    return circle_figure(clouds, boundary_of(trained.config), blank)


def _earlier_clouds(trained: EvaluatedRun, of_seen: Array) -> list[tuple[str, Array]]:
    seen, captions = trained.snapshots, snapshot_captions(trained)
    embeddings = F.normalize(torch.from_numpy(seen.embeddings[:, of_seen]).float(), dim=-1)
    labels = torch.from_numpy(seen.labels[of_seen])
    times = np.unique(np.linspace(0, len(seen.steps) - 1, PANELS).round().astype(int))[:-1]
    return [(captions[t], pair_density(embeddings[t], labels, COARSE)) for t in times]


def circle_figure(clouds: Sequence[tuple[str, Array]], boundary: Boundary, blank: Blank) -> Figure:
    """Draw densities over the plane with the decision boundary: of Circle Loss, a circle (Eq. 8).

    Args:
        clouds: caption and (bins, bins) density of `pair_density` for each panel.
        boundary: of the loss that made them.

    A star marks the optimum, s_n = 0 and s_p = 1.
    """
    columns = min(len(clouds), COLUMNS)
    rows = math.ceil(len(clouds) / columns)
    with blank.figure(*((7.5, 7.0) if columns == 1 else (10, 1.2 + 3.8 * rows))) as figure:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, (caption, density) in zip(panels.flat, clouds, strict=False):
            draw_cloud(axes, density, boundary, blank.theme)
            if len(clouds) == 1:
                _name_optimum(axes, blank.theme)
            beyond = f"{100 * share_beyond(density, boundary):.1f} % outside the {boundary.name}"
            axes.set_title(f"{caption}\n{beyond}", fontsize=11, pad=12)
        for axes in panels.flat[len(clouds) :]:
            axes.set_axis_off()
        for axes in panels[-1]:
            axes.set_xlabel("$s_n$, cosine to another class")
        for axes in panels[:, 0]:
            axes.set_ylabel("$s_p$, cosine within the class")
    return figure


def draw_cloud(
    axes: Axes, density: Array, boundary: Boundary, theme: Theme, most: float | None = None
) -> None:
    """Draw a density over the plane, the decision boundary and the optimum.

    Args:
        most: the density of the deepest colour; None for the most that there is.
    """
    deepest = float(density.max()) if most is None else most
    axes.imshow(
        density,
        origin="lower",
        extent=(-1, 1, -1, 1),
        cmap=shades(theme.paper, theme.like, theme.ink),
        norm=PowerNorm(EXPONENT, vmin=0, vmax=max(deepest, 1e-12)),
        interpolation="nearest",
    )
    for line in boundary.lines():
        axes.plot(*line.T, color=theme.unlike, linewidth=1.8)
    axes.plot(0, 1, marker="*", markersize=14, color=theme.unlike, clip_on=False, zorder=3)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), xticks=(-1, 0, 1), yticks=(-1, 0, 1))


def _name_optimum(axes: Axes, theme: Theme) -> None:
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
