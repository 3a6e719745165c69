"""Digits that were predicted: in their pictures, as seen by the network, and the nearest images."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from circlemnist.data.classes import CLASS_NAMES, DISPLAY_NAMES
from circlemnist.evaluation.predict import PredictedDigit, Predictor
from circlemnist.evaluation.report import OperatingPoint
from circlemnist.plots.draw import save
from circlemnist.plots.kinds import WIDTH
from circlemnist.plots.style import (
    THEMES,
    Array,
    Theme,
    draw_image,
    frame_image,
    new_figure,
    shades,
)

NEIGHBORS = 6


def draw_predictions(
    loaded: Predictor,
    shown: Sequence[PredictedDigit],
    point: OperatingPoint,
    theme: str,
    out: Path,
) -> None:
    """Draw predicted digits into a file, of a `STILL` suffix.

    Raises:
        UserError: the file cannot be written.
    """
    name = loaded.run.name.replace("$", r"\$")  # which would begin a formula
    title = (
        f"{DISPLAY_NAMES[loaded.dataset]}, run {name}\n"
        f"known above a typicality of {point.threshold:.2f}: {100 * point.false_accepts:.2g} % "
        f"false accepts, {100 * point.false_rejects:.2g} % false rejects"
    )
    indices = np.stack([seen.indices[:NEIGHBORS].numpy() for seen in shown])
    neighbors, sign = loaded.gallery_images[indices], loaded.similarity.sign
    names = CLASS_NAMES[loaded.dataset]
    with warnings.catch_warnings():
        # a run may have any name: a box stands for each letter that the font lacks
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        save(prediction_figure(shown, neighbors, names, sign, title, THEMES[theme]), out, WIDTH)


def prediction_figure(
    shown: Sequence[PredictedDigit],
    neighbors: Array,
    names: Sequence[str],
    sign: int,
    title: str,
    theme: Theme,
) -> Figure:
    """Draw a row for each digit, its box on its picture; the frame of an unknown one is in dashes.

    Args:
        neighbors: (N, K, 28, 28) uint8, the first K of the nearest images.
        names: of the classes.
        sign: of a similarity, to be what its name says.
    """
    rows, columns = neighbors.shape[:2]
    ink = shades(theme.paper, theme.ink)
    with new_figure(title, theme, 8, 1.2 * rows + 1) as figure:
        panels = figure.subplots(rows, columns + 2, squeeze=False)
        for seen, images, (given, prepared, *nearest) in zip(shown, neighbors, panels, strict=True):
            prediction = seen.prediction
            verdict = "known" if prediction.known else "unknown"
            votes = f"{prediction.name}  {prediction.agree}/{prediction.of}"
            draw_image(given, np.asarray(seen.picture), None, "", 9)
            for other in shown:
                if other.picture is seen.picture:
                    draw_box(given, other, theme, 1.6 if other is seen else 0.6)
            draw_image(prepared, seen.pixels, ink, f"{votes}\n{verdict}", 9)
            frame_image(prepared, prediction.known, theme)
            captions = zip(seen.labels.tolist(), seen.similarities.tolist(), strict=True)
            for axes, image, (label, similarity) in zip(nearest, images, captions, strict=False):
                draw_image(axes, image, ink, f"{names[label]}\n{sign * similarity:.2f}", 9)
        for axes, name in zip(panels[0], ("as given", "as seen", "nearest"), strict=False):
            axes.set_title(name, fontsize=11)
    return figure


def draw_box(axes: Axes, digit: PredictedDigit, theme: Theme, width: float) -> None:
    """Draw the box of a digit on its picture, in dashes where it is unknown."""
    wide, high = digit.picture.size
    left, top, right, bottom = np.multiply(digit.prediction.box or (0, 0, 1, 1), (wide, high) * 2)
    known = digit.prediction.known
    axes.add_patch(
        Rectangle(
            (left - 0.5, top - 0.5),
            right - left,
            bottom - top,
            fill=False,
            color=theme.same if known else theme.different,
            linestyle="-" if known else "--",
            linewidth=width,
        )
    )
