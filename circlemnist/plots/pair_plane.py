"""Pairs in the (s_n, s_p) plane and the loss's decision boundary, the paper's Fig. 5."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.evaluation.pair_plane import Boundary, boundary_of, pair_density, share_beyond
from circlemnist.plots.panels import (
    Grid,
    best_groups,
    duration,
    group_caption,
    heading,
    number_lowest,
    sample,
    sample_in_words,
    snapshot_captions,
)
from circlemnist.plots.style import Array, Style, Theme, new_figure, shades

PANELS, COLUMNS = 6, 3  # of a run over its epochs
SNAPSHOT_BINS, GROUP_BINS = 80, 100
# small shares show, though most of the pairs lie in few bins
EXPONENT = 0.35
SN, SP = "$s_n$, cosine to another class", "$s_p$, cosine within the class"


@dataclass(frozen=True)
class Cloud:
    """A panel of the picture.

    Attributes:
        caption: what the pairs are of.
        density: (bins, bins) float, of `pair_density`.
        boundary: of the loss that moved the pairs.
    """

    caption: str
    density: Array
    boundary: Boundary

    @property
    def title(self) -> str:
        share = 100 * share_beyond(self.density, self.boundary)
        return f"{self.caption}\n{share:.1f} % outside the {self.boundary.name}"


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw where all pairs of the test split lie; with snapshots, how they moved there."""
    embeddings, labels = trained.test_points
    density = pair_density(trained.directions(embeddings), labels)
    boundary = boundary_of(trained.config)
    clouds = [Cloud(f"after {duration(trained)}", density, boundary)]
    counted = f"pairs of {trained.report.counted}"
    if trained.has_snapshots:
        seen = ~np.isin(trained.snapshots.labels, trained.config.unseen_classes)
        clouds = [*_snapshot_clouds(trained, seen, boundary), *clouds]
        counted += f", at first of {seen.sum()}"
    return circle_figure(clouds, heading(trained, counted), style.theme)


def draw_groups(groups: Sequence[Group], style: Style) -> Figure:
    """Draw where the pairs of each group's first run lie; a colour is the same density in all."""
    groups, which = best_groups(groups)
    grid = Grid(len(groups))
    clouds = []
    for group in groups:
        trained = EvaluatedRun(group.runs[0].run)
        embeddings, labels = trained.test_points
        chosen = sample(len(labels))
        directions = trained.directions(embeddings[chosen])
        density = pair_density(directions, labels[chosen], GROUP_BINS)
        clouds.append(Cloud(group_caption(group, grid), density, boundary_of(trained.config)))
    images = sample_in_words(groups, [group.runs[0].images for group in groups])
    return circle_figure(clouds, f"pairs of {images}{which}", style.theme, grid)


def _snapshot_clouds(trained: EvaluatedRun, seen: Array, boundary: Boundary) -> list[Cloud]:
    snapshots, captions = trained.snapshots, snapshot_captions(trained)
    embeddings = F.normalize(torch.from_numpy(snapshots.embeddings[:, seen]).float(), dim=-1)
    labels = torch.from_numpy(snapshots.labels[seen])
    times = np.unique(np.linspace(0, len(captions) - 1, PANELS).round().astype(int))[:-1]
    return [
        Cloud(captions[time], pair_density(embeddings[time], labels, SNAPSHOT_BINS), boundary)
        for time in times
    ]


def circle_figure(
    clouds: Sequence[Cloud], title: str, theme: Theme, grid: Grid | None = None
) -> Figure:
    """Draw densities over the plane with the decision boundary: of Circle Loss, a circle (Eq. 8).

    A star marks the optimum, s_n = 0 and s_p = 1.

    Args:
        grid: of the panels of groups, whose colours are comparable; None for those of one run.
    """
    columns = grid.columns if grid else min(len(clouds), COLUMNS)
    rows = math.ceil(len(clouds) / columns)
    size = (7.5, 7.0) if columns == 1 else (10, 1.2 + 3.8 * rows)
    if grid:
        size = grid.width, 0.6 + rows * (grid.side + 0.4)
    highest = max(float(cloud.density.max()) for cloud in clouds) if grid else None
    with new_figure(title, theme, *size) as figure:
        if grid:
            figure.set_layout_engine("compressed")  # which knows that planes are square
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, cloud in zip(panels.flat, clouds, strict=False):
            _draw_cloud(axes, cloud, theme, highest)
        for axes in panels.flat[len(clouds) :]:
            axes.set_axis_off()
        if grid:
            number_lowest(panels.flat[: len(clouds)], grid)
            figure.supxlabel(SN, fontsize=12)
            figure.supylabel(SP, fontsize=12)
            return figure
        for axes in panels[-1]:
            axes.set_xlabel(SN)
        for axes in panels[:, 0]:
            axes.set_ylabel(SP)
        if len(clouds) == 1:
            _name_optimum(panels[0, 0], theme)
    return figure


def _draw_cloud(axes: Axes, cloud: Cloud, theme: Theme, highest: float | None) -> None:
    if highest is None:
        highest = float(cloud.density.max())
    axes.imshow(
        cloud.density,
        origin="lower",
        extent=(-1, 1, -1, 1),
        cmap=shades(theme.paper, theme.same, theme.ink),
        norm=PowerNorm(EXPONENT, vmin=0, vmax=max(highest, 1e-12)),
        interpolation="nearest",
    )
    for line in cloud.boundary.lines():
        axes.plot(*line.T, color=theme.different, linewidth=1.8)
    axes.plot(0, 1, marker="*", markersize=14, color=theme.different, clip_on=False, zorder=3)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes.set_title(cloud.title, fontsize=11, pad=12)


def _name_optimum(axes: Axes, theme: Theme) -> None:
    axes.annotate(
        "optimum",
        (0, 1),
        xytext=(10, -5),
        textcoords="offset points",
        va="top",
        color=theme.different,
        fontsize=11,
        bbox={"facecolor": theme.paper, "edgecolor": "none", "alpha": 0.75, "pad": 1},
    )
