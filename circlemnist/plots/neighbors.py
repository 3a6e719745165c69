"""Images beside their nearest training images: the hardest test images, or predicted digits."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from circlemnist.catalog import title_of
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.predict import PredictedDigit, Predictor
from circlemnist.evaluation.report import OperatingPoint
from circlemnist.plots.draw import save
from circlemnist.plots.kinds import WIDTH
from circlemnist.plots.layout import drawn, drawn_names, heading, without_formulas
from circlemnist.plots.style import THEMES, Array, Style, Theme, draw_frame, new_figure, shades

QUERIES, NEIGHBORS = 8, 7
PREDICTED_NEIGHBORS = 6
LONGEST = 12  # letters of a name below an image


@dataclass(frozen=True)
class Tile:
    """An image with a caption below."""

    image: Array  # uint8, (H, W) of ink or (H, W, 3) of colours
    caption: str = ""
    frame: str = ""  # "right", or "wrong" in thick dashes, or "query"


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw the hardest test images, a row each, with their nearest training images."""
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
        words = dict.fromkeys(
            (names[arrays.labels[query]], names[arrays.neighbor_labels[query, 0]])
        )
        row = [Tile(test[query], ("\n→ " if long else " → ").join(words), "query")]
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


def draw_predictions(
    predictor: Predictor,
    digits: Sequence[PredictedDigit],
    point: OperatingPoint,
    theme: str,
    out: Path,
) -> None:
    """Draw a row for each predicted digit into a file, of a `STILL` suffix.

    Raises:
        UserError: the file cannot be written.
    """
    name = without_formulas(predictor.run.name)
    title = (
        f"{drawn(title_of(predictor.dataset))}, run {name}\n"
        f"known above a typicality of {point.threshold:.2f}: {100 * point.false_accepts:.2g} % "
        f"false accepts, {100 * point.false_rejects:.2g} % false rejects"
    )
    class_names, sign = drawn_names(predictor.config, LONGEST), predictor.similarity.sign
    rows = []
    for digit in digits:
        prediction = digit.prediction
        verdict, frame = ("known", "right") if prediction.known else ("unknown", "wrong")
        votes = f"{class_names[prediction.label]}  {prediction.agree}/{prediction.of}"
        pixels = np.asarray(digit.pixels)
        row = [Tile(np.asarray(digit.picture)), Tile(pixels, f"{votes}\n{verdict}", frame)]
        for place, index in enumerate(digit.indices[:PREDICTED_NEIGHBORS].tolist()):
            name, similarity = class_names[digit.labels[place]], digit.similarities[place]
            caption = f"{name}\n{sign * similarity:.2f}"
            row.append(Tile(predictor.gallery_images[index], caption))
        rows.append(row)
    columns = ("as given", "as seen", "nearest")
    with warnings.catch_warnings():
        # a run may have any name: a box stands for each letter that the font lacks
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = tiles_figure(rows, columns, title, THEMES[theme], 1.2, 9)
        for axes, digit in zip(figure.axes[:: len(rows[0])], digits, strict=True):
            for other in digits:
                if other.picture is digit.picture:
                    draw_box(axes, other, THEMES[theme], 1.6 if other is digit else 0.6)
        save(figure, out, WIDTH)


def draw_box(axes: Axes, digit: PredictedDigit, theme: Theme, width: float) -> None:
    """Draw the box of a digit on its picture, in dashes where it is unknown."""
    wide, high = digit.picture.size
    left, top, right, bottom = np.multiply(digit.prediction.box or (0, 0, 1, 1), (wide, high) * 2)
    color, line = (theme.same, "-") if digit.prediction.known else (theme.different, "--")
    look: dict[str, Any] = {"color": color, "linestyle": line, "linewidth": width, "fill": False}
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, **look))
