"""The confusion matrix: counts, and the accuracy of each class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.layout import drawn_names, heading
from circlemnist.plots.style import Array, Style, Theme, draw_frame, new_figure, shades

MOST = 40  # classes: of more those with the most mistakes
FONT = 12  # points, of counts; smaller among more than ten classes
SWITCH = 0.67  # share of the deepest shade where text turns from ink to paper


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw test images by their class and that of the nearest training image."""
    report = trained.report
    arrays, names = report.arrays, drawn_names(report.config)
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (arrays.labels[report.seen], arrays.neighbor_labels[report.seen, 0]), 1)
    shown = f"1-NN of {report.counted}"
    if len(names) > MOST:
        shown += f", the {MOST} of {len(names):,} classes with the most mistakes"
    return confusion_figure(counts, names, heading(trained, shown), style.theme)


def confusion_figure(counts: Array, names: Sequence[str], title: str, theme: Theme) -> Figure:
    """Draw counts (C, C) by class, in rows, and by predicted class; colour is for mistakes.

    Of many classes those with the most mistakes are drawn.
    """
    mistakes, totals = counts * (1 - np.eye(len(counts), dtype=int)), counts.sum(1)
    worst = np.sort(np.argsort(-mistakes.sum(0) - mistakes.sum(1), kind="stable")[:MOST])
    names, totals = [names[label] for label in worst], totals[worst]
    counts, mistakes = (table[np.ix_(worst, worst)] for table in (counts, mistakes))
    most = max(int(mistakes.max()), 1)
    centred: dict[str, Any] = {"ha": "center", "va": "center"}
    size = min(10 / len(names), 1.0) ** 0.7  # of letters; the figure grows for the rest
    side = 8 * size * max(len(names) / 10, 1.0)
    with new_figure(title, theme, side, side - 0.6) as figure:
        axes = figure.add_subplot()
        axes.imshow(mistakes, cmap=shades(theme.paper, theme.different), vmin=0, vmax=most)
        for (row, column), count in np.ndenumerate(counts):
            if row == column and totals[row]:
                share = 100 * count / totals[row]
                text = f"{count:,}\n{share:.1f} %" if size == 1 else f"{share:.0f}"
                axes.text(column, row, text, fontsize=10 * size**0.5, color=theme.same, **centred)
            elif count:
                color = theme.ink if count < SWITCH * most else theme.paper
                axes.text(
                    column, row, f"{count:,}", fontsize=FONT * size**0.5, color=color, **centred
                )
        slant: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(len(names)), names, **(slant if max(map(len, names)) > 3 else {}))
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="class of the nearest training image", ylabel="class")
        axes.tick_params(length=0, labelsize=FONT * size**0.5)
        draw_frame(axes, theme.faint, 0.8)
    return figure
