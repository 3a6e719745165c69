"""How a training went, from its first step; the similarities as in the paper's Fig. 4."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from circlemnist.catalog import title_of
from circlemnist.errors import UserError
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.evaluation.metrics import knn_accuracy, nearest_others
from circlemnist.plots.layout import Grid, drawn, heading
from circlemnist.plots.style import Array, Style, Theme, draw_grid, new_figure
from circlemnist.runs.checkpoint import load_checkpoint
from circlemnist.runs.history import Epoch
from circlemnist.runs.run import Run

# the lines of each panel: their columns in the values of steps, and their colours in a theme
PANELS = {
    "loss": {"loss": (1, "ink")},
    "cosine": {"mean_sp": (2, "same"), "mean_sn": (3, "different")},
}


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw the history of a run, and the 1-NN of its snapshots where it has any."""
    rows, one_nn = trained.history, None
    if not rows:
        raise UserError(
            f"{trained.run.name} has ended no epoch, which a history is of: go on with `resume` "
            f"{trained.run.folder}"
        )
    if trained.has_snapshots:
        frames, labels = trained.seen_snapshots
        shares = [
            knn_accuracy(labels[nearest_others(frame, 1, trained.similarity)[1]], labels, 1)
            for frame in frames
        ]
        one_nn = (trained.snapshots.steps / trained.steps_an_epoch, np.array(shares))
    title, steps = heading(trained, "training"), steps_of(trained.run)
    return history_figure(rows, steps, one_nn, title, style.theme)


def draw_groups(groups: Sequence[Group], style: Style) -> Figure:
    """Draw the cosines of every run of a group on common axes, and its loss on its own scale."""
    grid, theme = Grid(groups), style.theme
    datasets = dict.fromkeys(drawn(title_of(group.runs[0].dataset)) for group in grid.groups)
    title = f"{', '.join(datasets)}, training{grid.selection}"
    with new_figure(title, theme, grid.width, 1.3 + grid.rows * (0.85 * grid.side + 0.4)) as figure:
        size, ratios = (2 * grid.rows, grid.columns), [2, 1] * grid.rows
        panels = figure.subplots(*size, sharex=True, squeeze=False, height_ratios=ratios)
        upper, lower = panels[::2].ravel(), panels[1::2].ravel()
        for place, group in enumerate(grid.groups):
            cosine, loss = upper[place], lower[place]
            runs = [steps_of(report.run) for report in group.runs]
            _draw_panel(cosine, "cosine", runs, theme)
            _draw_panel(loss, "loss", runs, theme)
            cosine.set_title(grid.caption(group), fontsize=11)
            cosine.set_yticks((-1, 0, 1))
            cosine.tick_params(labelleft=place % grid.columns == 0)
            loss.tick_params(axis="y", labelsize=9)
            loss.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
            for axes in (cosine, loss) if place % grid.columns else ():
                axes.set_ylabel("")
        for axes in upper[len(grid.groups) :]:
            axes.set_axis_off()
        grid.finish(lower, "epoch")
        figure.legend(handles=_legend_lines(theme), loc="outside lower center", ncols=3)
    return figure


def steps_of(run: Run) -> Array:
    """Return the values of a run's steps, about 50 an epoch; without its checkpoint its epochs'.

    A row (N, 4) has the epochs before the step, the loss, mean s_p and mean s_n.
    """
    if run.checkpoint_file.exists():
        points = load_checkpoint(run.checkpoint_file).get("points", [])
        if points:
            return np.asarray(points)[:, :4]
    return np.array([(r.epoch, r.loss, r.mean_sp, r.mean_sn) for r in run.history()]).reshape(-1, 4)


def history_figure(
    rows: Sequence[Epoch],
    steps: Array,
    one_nn: tuple[Array, Array] | None,
    title: str,
    theme: Theme,
) -> Figure:
    """Draw loss, mean similarities and learning rate over the epochs, and 1-NN where it is known.

    Args:
        steps: as `steps_of` returns them.
        one_nn: (T,) epochs, of any fraction, and (T,) shares 0-1 at them.
    """
    with new_figure(title, theme, 8, 7) as figure:
        panels = figure.subplots(4 if one_nn else 3, 1, sharex=True)
        for axes, name in zip(panels, PANELS, strict=False):
            _draw_panel(axes, name, [steps], theme)
        epochs, rates = zip(*((row.epoch, row.lr) for row in rows), strict=True)
        _draw_curve(panels[2], np.array(epochs), np.array(rates), theme.ink, "lr")
        panels[2].set_ylabel("lr")
        handles = _legend_lines(theme)[:2]
        names: dict[str, Any] = {"handlelength": 0, "labelcolor": "linecolor"}
        panels[1].legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), **names)
        if one_nn:
            _draw_curve(panels[3], one_nn[0], 100 * one_nn[1], theme.ink, "1nn")
            panels[3].set_ylabel("1-NN, %,\nof a sample")
        panels[-1].set_xlabel("epoch")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.align_ylabels()
    return figure


def _legend_lines(theme: Theme) -> list[Line2D]:
    names = (("mean $s_p$", theme.same), ("mean $s_n$", theme.different), ("loss", theme.ink))
    return [Line2D([], [], color=color, linewidth=1.8, label=name) for name, color in names]


def _draw_panel(axes: Axes, name: str, runs: Sequence[Array], theme: Theme) -> None:
    """Draw a panel's columns of every run; a loss that is positive and falls far to a log scale."""
    for steps in runs:
        for line, (column, color) in PANELS[name].items():
            _draw_curve(axes, steps[:, 0], steps[:, column], getattr(theme, color), line)
    losses = np.concatenate([steps[:, 1] for steps in runs])
    if name == "cosine":
        axes.set_ylim(-1.05, 1.05)
    elif len(losses) and losses.min() > 0 and losses.max() > 20 * losses.min():
        axes.set_yscale("log")
    axes.set_ylabel(name)


def _draw_curve(axes: Axes, epochs: Array, values: Array, color: str, name: str) -> None:
    """Draw values, with a dot at each while they are few."""
    width, size = (1.8, 4) if len(epochs) < 40 else (1.2, 0)
    axes.plot(
        epochs, values, color=color, linewidth=width, marker="o", markersize=size, label=f"_{name}"
    )
    draw_grid(axes)
