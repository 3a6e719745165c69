"""The hardest test images with their nearest training images, right and wrong framed apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.style import (
    Array,
    Style,
    Theme,
    draw_frame,
    drawn_names,
    heading,
    new_figure,
    shades,
)

QUERIES, NEIGHBORS = 8, 7
LONGEST = 12  # letters of a name below an image


@dataclass(frozen=True)
class Tile:
    """An image with a caption below."""

    image: Array  # uint8, (H, W) of ink or (H, W, 3) of colours
    caption: str = ""
    frame: str = ""  # "right", or "wrong" in thick dashes, or "query"


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw a row for each of the hardest test images: it, and its nearest training images."""
    report, dataset, similarity = trained.report, trained.dataset, trained.similarity
    arrays, names = report.arrays, drawn_names(report.config, LONGEST)
    same = arrays.neighbor_labels == arrays.labels[:, None]
    # images of unseen classes come last: the gallery has none of their classes
    order = np.lexsort((same.mean(1), same[:, :NEIGHBORS].sum(1), same[:, 0], ~report.seen))
    hardest = order[: min(QUERIES, int(report.seen.sum()))]
    # a long name leaves no room for the similarity beside it
    long = max(len(names[label]) for label in arrays.neighbor_labels[hardest, :NEIGHBORS].flat) > 3
    between, height = ("\n", 1.2) if long else ("  ", 1.05)
    test, train = dataset.test.images.numpy(), dataset.train.images.numpy()
    rows = []
    for query in hardest:
        row = [Tile(test[query], names[arrays.labels[query]], "query")]
        for place, neighbor in enumerate(arrays.neighbors[query, :NEIGHBORS]):
            name = names[arrays.neighbor_labels[query, place]]
            value = similarity.sign * arrays.neighbor_similarities[query, place]
            frame = "right" if same[query, place] else "wrong"
            row.append(Tile(train[neighbor], f"{name}{between}{value:.2f}", frame))
        rows.append(row)
    shown = f"the {len(hardest)} hardest {report.split_name} images"
    title = heading(trained, f"{shown}, and the nearest by {similarity.name}")
    return tiles_figure(rows, ("query", "nearest"), title, style.theme, height, 10)


def tiles_figure(
    rows: Sequence[Sequence[Tile]],
    names: Sequence[str],
    title: str,
    theme: Theme,
    height: float,
    font_size: int,
) -> Figure:
    """Draw rows of images, each `height` inches high, with names above the first columns."""
    frames = {
        "query": (theme.ink, 0.8, "-"),
        "right": (theme.same, 1.8, "-"),
        "wrong": (theme.different, 2.6, (0, (2, 1.2))),
    }
    with new_figure(title, theme, 8, height * len(rows) + 1) as figure:
        panels = figure.subplots(len(rows), len(rows[0]), squeeze=False)
        for axes, tile in zip(panels.flat, (tile for row in rows for tile in row), strict=True):
            axes.imshow(tile.image, cmap=shades(theme.paper, theme.ink), vmin=0, vmax=255)
            axes.set(xticks=[], yticks=[])
            axes.set_xlabel(tile.caption, fontsize=font_size, labelpad=3)
            if tile.frame:
                draw_frame(axes, *frames[tile.frame])
        for axes, name in zip(panels[0], names, strict=False):
            axes.set_title(name, fontsize=11)
    return figure
