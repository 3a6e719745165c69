"""Pairs in the pair plane and the loss's decision boundary, the paper's Fig. 5."""

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.evaluation.pair_plane import Boundary, beyond, boundary_of, middle, pair_density
from circlemnist.plots.layout import Grid, duration, heading, sample, snapshot_captions
from circlemnist.plots.style import Array, Style, Theme, new_figure, shades, write

PANELS, COLUMNS = 6, 3  # of a run over its epochs
SNAPSHOT_BINS, GROUP_BINS = 80, 100
EXPONENT = 0.35  # small shares show, though most of the pairs lie in few bins
SN, SP = "$s_n$, cosine to another class", "$s_p$, cosine to its own class"
Cloud = tuple[str, Array, Boundary]  # what the pairs are of, their density, the loss's boundary


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw where all pairs of the test split lie; with snapshots, how they moved there."""
    boundary, clouds = boundary_of(trained.config), []
    counted = f"pairs of {trained.report.counted}"
    if trained.has_snapshots:
        captions, (embeddings, labels) = snapshot_captions(trained), trained.seen_snapshots
        counted += f", at first of {len(labels)}"
        moving = F.normalize(embeddings, dim=-1)
        # the last of them is of the sample what the whole split shows
        for time in np.unique(np.linspace(0, len(captions) - 1, PANELS).round().astype(int))[:-1]:
            density = pair_density(moving[time], labels, SNAPSHOT_BINS)
            clouds.append((captions[time], density, boundary))
    embeddings, labels = trained.points(trained.report.seen)
    density = pair_density(trained.directions(embeddings), labels)
    clouds.append((f"after {duration(trained)}", density, boundary))
    return pair_plane_figure(clouds, heading(trained, counted), style.theme)


def draw_groups(groups: Sequence[Group], style: Style) -> Figure:
    """Draw where the pairs of each group's first run lie; a colour is the same density in all."""
    grid, clouds = Grid(groups), []
    for group in grid.groups:
        trained = EvaluatedRun(group.runs[0].run)
        embeddings, labels = trained.points(trained.report.seen)
        chosen = sample(len(labels))
        directions = trained.directions(embeddings[chosen])
        density = pair_density(directions, labels[chosen], GROUP_BINS)
        clouds.append((grid.caption(group), density, boundary_of(trained.config)))
    first_runs = [group.runs[0] for group in grid.groups]
    images = grid.images([(report.dataset, report.counted) for report in first_runs])
    return pair_plane_figure(clouds, f"pairs of {images}", style.theme, grid)


def pair_plane_figure(
    clouds: Sequence[Cloud], title: str, theme: Theme, grid: Grid | None = None
) -> Figure:
    """Draw densities over the plane with the decision boundary: of Circle Loss, a circle (Eq. 8).

    The boundary is where half of a pair's pull is left, or where a hinge lets a pair go.
    A star marks the optimum, s_n = 0 and s_p = 1.

    Args:
        grid: of the panels of groups, whose colours are comparable; None for those of one run.
    """
    columns = grid.columns if grid else min(len(clouds), COLUMNS)
    rows = -(-len(clouds) // columns)
    size = (6.4, 7.0) if columns == 1 else (10, 1.2 + 3.8 * rows)
    if grid:
        size = grid.width, 0.6 + rows * (grid.side + 0.65)
    peaks = [max(float(density.max()), 1e-12) for _, density, _ in clouds]
    with new_figure(title, theme, *size) as figure:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, (caption, density, boundary), peak in zip(
            panels.flat, clouds, peaks, strict=False
        ):
            axes.imshow(
                density,
                origin="lower",
                extent=(-1, 1, -1, 1),
                cmap=shades(theme.paper, theme.same, theme.ink),
                norm=PowerNorm(EXPONENT, vmin=0, vmax=max(peaks) if grid else peak),
                interpolation="nearest",
                label="_density",
            )
            for line in boundary.lines():
                axes.plot(*line.T, color=theme.different, linewidth=1.8, label="_boundary")
            star = {"markersize": 14, "clip_on": False, "zorder": 3}
            axes.plot(0, 1, "*", color=theme.different, **star)
            axes.set(xlim=(-1, 1), ylim=(-1, 1), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
            outside, about = beyond(density, boundary), "no boundary"
            if boundary.name != "none":
                about = f"{100 * outside.sum():.1f} % outside the {boundary.name}"
                # they may lie in a line at the edge, which looks empty
                about += "\nabout $s_n$ {:.2f}, $s_p$ {:.2f}".format(*middle(outside))
            axes.set_title(f"{caption}\n{about}", fontsize=11, pad=12)
        figure.supxlabel(SN, fontsize=12)
        figure.supylabel(SP, fontsize=12)
        for axes in panels.flat[len(clouds) :]:
            axes.set_axis_off()
        figure.set_layout_engine("compressed")  # which knows that planes are square
        if grid:
            grid.finish(panels.flat)
        elif len(clouds) == 1:
            font = {"color": theme.different, "fontsize": 11, "va": "top", "bbox": theme.box}
            write(axes, "optimum", (0, 1), (10, -5), **font)
    return figure
