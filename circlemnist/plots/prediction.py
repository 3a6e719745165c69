"""Pictures that were predicted: as given, as the network saw them, and their nearest images."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from circlemnist.data.classes import CLASS_NAMES, DISPLAY_NAMES
from circlemnist.evaluation.predict import PredictedPicture, Predictor
from circlemnist.evaluation.report import OperatingPoint
from circlemnist.plots.draw import save
from circlemnist.plots.kinds import WIDTH
from circlemnist.plots.style import THEMES, Array, Blank, Theme, shades

NEIGHBORS = 6


@dataclass(frozen=True)
class Predicted:
    """Images, what they are taken for, and the nearest ones of the gallery.

    Attributes:
        pictures: (H, W, 3) uint8 each, as they were given.
        images: (N, 28, 28) uint8, as the network saw them.
        captions: the class of each, and how sure.
        known: whether each is known.
        neighbor_images: (N, K, 28, 28) uint8, nearest first.
        neighbor_captions: K of each, their class and how alike they are.
    """

    pictures: Sequence[Array]
    images: Array
    captions: Sequence[str]
    known: Sequence[bool]
    neighbor_images: Array
    neighbor_captions: Sequence[Sequence[str]]


def draw_seen(
    loaded: Predictor,
    shown: Sequence[PredictedPicture],
    point: OperatingPoint,
    theme: str,
    out: Path,
) -> None:
    """Draw what was seen of pictures into a file, of a `STILL` suffix.

    Raises:
        UserError: the file cannot be written.
    """
    names, similarity = CLASS_NAMES[loaded.dataset], loaded.similarity
    indices = np.stack([seen.indices[:NEIGHBORS].numpy() for seen in shown])
    predictions = [seen.prediction for seen in shown]
    predicted = Predicted(
        pictures=[np.asarray(seen.picture) for seen in shown],
        images=np.stack([seen.pixels for seen in shown]),
        captions=[
            f"{one.name}  {one.agree}/{one.of}\n{'known' if one.known else 'unknown'}"
            for one in predictions
        ],
        known=[one.known for one in predictions],
        neighbor_images=loaded.gallery_images[indices],
        neighbor_captions=[
            [
                f"{names[label]}\n{similarity.sign * alike:.2f}"
                for label, alike in zip(
                    seen.labels.tolist(), seen.similarities.tolist(), strict=True
                )
            ]
            for seen in shown
        ],
    )
    how = f"known above a typicality of {point.threshold:.2f}"
    how += f": {100 * point.false_accepts:.2g} % false accepts"
    name = loaded.run.name.replace("$", r"\$")  # which would begin a formula
    title = f"{DISPLAY_NAMES[loaded.dataset]}, run {name}\n"
    title += f"{how}, {100 * point.false_rejects:.2g} % false rejects"
    with warnings.catch_warnings():
        # a run may have any name: a box stands for each letter that the font lacks
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        save(prediction_figure(predicted, Blank(title, THEMES[theme])), out, WIDTH)


def prediction_figure(predicted: Predicted, blank: Blank) -> Figure:
    """Draw a row for each image; the frame of one that is unknown is in dashes."""
    theme = blank.theme
    rows, columns = predicted.neighbor_images.shape[:2]
    ink = shades(theme.paper, theme.ink)
    with blank.figure(8, 1.2 * rows + 1) as figure:
        panels = figure.subplots(rows, columns + 2, squeeze=False)
        for row in range(rows):
            _show(panels[row, 0], predicted.pictures[row], None, "")
            _show(panels[row, 1], predicted.images[row], ink, predicted.captions[row])
            _frame(panels[row, 1], predicted.known[row], theme)
            for column in range(columns):
                image = predicted.neighbor_images[row, column]
                caption = predicted.neighbor_captions[row][column]
                _show(panels[row, column + 2], image, ink, caption)
        for column, title in enumerate(("as given", "as seen", "nearest")):
            panels[0, column].set_title(title, fontsize=11)
    return figure


def _show(axes: Axes, image: Array, colors: Any, caption: str) -> None:
    axes.imshow(image, cmap=colors, vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(caption, fontsize=9, labelpad=3)


def _frame(axes: Axes, known: bool, theme: Theme) -> None:
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=theme.like if known else theme.unlike)
        spine.set(linestyle="-" if known else (0, (2, 1.2)), linewidth=1.8 if known else 2.6)
