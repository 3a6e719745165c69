"""Query digits with their nearest gallery images, right and wrong framed differently."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from circlemnist.plots.style import Theme, shades, themed

Array = NDArray[Any]


def neighbors_figure(
    queries: Array,
    query_names: Sequence[str],
    neighbors: Array,
    neighbor_names: Sequence[Sequence[str]],
    right: Array,
    cosines: Array,
    title: str,
    theme: Theme,
) -> Figure:
    """Draw a row for each query: its image, then its nearest gallery images.

    Args:
        queries: (Q, 28, 28) uint8.
        query_names: Q names of classes.
        neighbors: (Q, K, 28, 28) uint8, nearest first.
        neighbor_names: Q rows of K names.
        right: (Q, K) bool, of the query's class; the others are framed by dashes.
        cosines: (Q, K) float, to the query.
        title: above the picture.
    """
    rows, columns = right.shape
    # a long name leaves no room for the cosine beside it
    long = max(len(name) for row in neighbor_names for name in row) > 3
    with themed(theme):
        figure = Figure(figsize=(8, (1.2 if long else 1.05) * rows + 1), layout="constrained")
        figure.suptitle(title)
        panels = figure.subplots(rows, columns + 1, squeeze=False)
        for row in range(rows):
            first = panels[row, 0]
            _show(first, queries[row], query_names[row], theme)
            _frame(first, theme.ink, "-", 0.8)
            for column in range(columns):
                axes = panels[row, column + 1]
                between = "\n" if long else "  "
                caption = f"{neighbor_names[row][column]}{between}{cosines[row, column]:.2f}"
                _show(axes, neighbors[row, column], caption, theme)
                if right[row, column]:
                    _frame(axes, theme.like, "-", 1.8)
                else:
                    _frame(axes, theme.unlike, (0, (2, 1.2)), 2.6)
        panels[0, 0].set_title("query", fontsize=11)
        panels[0, 1].set_title("nearest", fontsize=11)
    return figure


def _show(axes: Axes, image: Array, caption: str, theme: Theme) -> None:
    axes.imshow(image, cmap=shades(theme.paper, theme.ink), vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(caption, fontsize=10, labelpad=3)


def _frame(axes: Axes, color: str, style: Any, width: float) -> None:
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=color, linestyle=style, linewidth=width)
