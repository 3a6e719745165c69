"""The confusion matrix: counts, and the accuracy of each class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.style import Array, Style, Theme, draw_frame, heading, new_figure, shades

SWITCH = 0.67  # of the deepest shade, with which ink and paper contrast alike in both themes


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw what the nearest training image takes each test image for."""
    report = trained.report
    arrays, names = report.arrays, report.config.class_names
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (arrays.labels[report.seen], arrays.neighbor_labels[report.seen, 0]), 1)
    title = heading(trained, f"1-NN of {report.counted}")
    return confusion_figure(counts, names, title, style.theme)


def confusion_figure(counts: Array, names: Sequence[str], title: str, theme: Theme) -> Figure:
    """Draw counts (C, C) by class, in rows, and by predicted class; colour is for mistakes."""
    mistakes = counts * (1 - np.eye(len(counts), dtype=int))
    most = max(int(mistakes.max()), 1)
    totals = counts.sum(1)
    centred: dict[str, Any] = {"ha": "center", "va": "center"}
    with new_figure(title, theme, 8, 7.4) as figure:
        axes = figure.add_subplot()
        axes.imshow(mistakes, cmap=shades(theme.paper, theme.different), vmin=0, vmax=most)
        for (row, column), count in np.ndenumerate(counts):
            if row == column and totals[row]:
                text = f"{count:,}\n{100 * count / totals[row]:.1f} %"
                axes.text(column, row, text, fontsize=10, color=theme.same, **centred)
            elif count:
                color = theme.ink if count < SWITCH * most else theme.paper
                axes.text(column, row, f"{count:,}", fontsize=12, color=color, **centred)
        slant: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(len(names)), names, **(slant if max(map(len, names)) > 3 else {}))
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="class of the nearest training image", ylabel="class")
        axes.tick_params(length=0)
        draw_frame(axes, theme.faint, 0.8)
    return figure
