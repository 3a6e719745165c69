"""How a training went, epoch by epoch; the similarities as in the paper's Fig. 4."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from circlemnist.catalog import title_of
from circlemnist.errors import UserError
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.evaluation.metrics import knn_accuracy, nearest_others
from circlemnist.plots.style import Array, Grid, Style, Theme, draw_grid, heading, new_figure, write
from circlemnist.runs.history import Epoch

# the columns of each panel, and their colours in a theme
PANELS = {
    "loss": {"loss": "ink"},
    "cosine": {"mean_sp": "same", "mean_sn": "different"},
    "lr": {"lr": "ink"},
}
NEAR = 0.4  # cosines whose names would overlap


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw the history of a run, and the 1-NN of its snapshots where it has any."""
    rows, one_nn = trained.history, None
    if not rows:
        raise UserError(
            f"{trained.run.name} has ended no epoch, which a history is of: go on with `resume` "
            f"{trained.run.folder}"
        )
    if trained.has_snapshots:
        snapshots = trained.snapshots
        seen = ~np.isin(snapshots.labels, trained.config.unseen_classes)
        labels = torch.from_numpy(snapshots.labels[seen])
        shares = [
            knn_accuracy(labels[nearest_others(embeddings, 1, trained.similarity)[1]], labels, 1)
            for embeddings in torch.from_numpy(snapshots.embeddings[:, seen]).float()
        ]
        one_nn = (snapshots.steps / trained.steps_an_epoch, np.array(shares))
    return history_figure(rows, one_nn, heading(trained, "training"), style.theme)


def draw_groups(groups: Sequence[Group], style: Style) -> Figure:
    """Draw the mean cosines and the loss of every run, those of a group in one panel."""
    grid = Grid(groups)
    datasets = dict.fromkeys(title_of(group.runs[0].dataset) for group in grid.groups)
    histories = [[report.run.history() for report in group.runs] for group in grid.groups]
    captions = [grid.caption(group) for group in grid.groups]
    title = f"{', '.join(datasets)}, training{grid.selection}"
    return histories_figure(histories, captions, grid, title, style.theme)


def history_figure(
    rows: Sequence[Epoch], one_nn: tuple[Array, Array] | None, title: str, theme: Theme
) -> Figure:
    """Draw loss, mean similarities and learning rate over the epochs, and 1-NN where it is known.

    Args:
        one_nn: (T,) epochs, of any fraction, and (T,) shares 0-1 at them.
    """
    with new_figure(title, theme, 8, 7) as figure:
        panels = figure.subplots(4 if one_nn else 3, 1, sharex=True)
        for axes, name in zip(panels, PANELS, strict=False):
            _draw_panel(axes, name, [rows], theme)
        last = rows[-1]
        gap = last.mean_sp - last.mean_sn
        # names of neighbouring lines stand apart
        sides = ("center", "center") if abs(gap) > NEAR else ("bottom", "top")
        for name, value, color, side in (
            ("mean $s_p$", last.mean_sp, theme.same, sides[gap < 0]),
            ("mean $s_n$", last.mean_sn, theme.different, sides[gap >= 0]),
        ):
            font = {"color": color, "va": side, "annotation_clip": False}
            write(panels[1], name, (last.epoch, value), (8, 0), **font)
        if one_nn:
            _draw_curve(panels[3], one_nn[0], 100 * one_nn[1], theme.ink, "1nn")
            panels[3].set_ylabel("1-NN, %,\nof a sample")
            draw_grid(panels[3])
        panels[-1].set_xlabel("epoch")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.align_ylabels()
    return figure


def histories_figure(
    histories: Sequence[Sequence[Sequence[Epoch]]],
    captions: Sequence[str],
    grid: Grid,
    title: str,
    theme: Theme,
) -> Figure:
    """Draw the cosines of each run of each group on common axes, and its loss on its own scale."""
    with new_figure(title, theme, grid.width, 1.3 + grid.rows * (0.85 * grid.side + 0.4)) as figure:
        size, ratios = (2 * grid.rows, grid.columns), [2, 1] * grid.rows
        panels = figure.subplots(*size, sharex=True, squeeze=False, height_ratios=ratios)
        upper, lower = panels[::2].ravel(), panels[1::2].ravel()
        for place, (runs, caption) in enumerate(zip(histories, captions, strict=True)):
            cosine, loss = upper[place], lower[place]
            _draw_panel(cosine, "cosine", runs, theme)
            _draw_panel(loss, "loss", runs, theme)
            cosine.set_title(caption, fontsize=11)
            cosine.set_yticks((-1, 0, 1))
            cosine.tick_params(labelleft=place % grid.columns == 0)
            loss.tick_params(axis="y", labelsize=9)
            loss.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
            if place % grid.columns:
                cosine.set_ylabel("")
                loss.set_ylabel("")
        for axes in upper[len(captions) :]:
            axes.set_axis_off()
        grid.finish(lower, "epoch")
        names = (("mean $s_p$", theme.same), ("mean $s_n$", theme.different), ("loss", theme.ink))
        lines = [Line2D([], [], color=color, linewidth=1.8, label=name) for name, color in names]
        figure.legend(handles=lines, loc="outside lower center", ncols=3)
    return figure


def _draw_panel(axes: Axes, name: str, runs: Sequence[Sequence[Epoch]], theme: Theme) -> None:
    """Draw a panel's columns of every run; a loss that is positive and falls far to a log scale."""
    for rows in runs:
        epochs = np.array([row.epoch for row in rows])
        for column, color in PANELS[name].items():
            values = np.array([getattr(row, column) for row in rows])
            _draw_curve(axes, epochs, values, getattr(theme, color), column)
    losses = [row.loss for rows in runs for row in rows]
    if name == "cosine":
        axes.set_ylim(-1.05, 1.05)
    elif name == "loss" and losses and min(losses) > 0 and max(losses) > 20 * min(losses):
        axes.set_yscale("log")
    axes.set_ylabel(name)
    draw_grid(axes)


def _draw_curve(axes: Axes, epochs: Array, values: Array, color: str, name: str) -> None:
    """Draw values, with a dot at each while they are few."""
    size = 4 if len(epochs) < 40 else 0
    axes.plot(
        epochs, values, color=color, linewidth=1.8, marker="o", markersize=size, label=f"_{name}"
    )
