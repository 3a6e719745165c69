"""Digits that were predicted: in their pictures, as seen by the network, and the nearest images."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from circlemnist.catalog import title_of
from circlemnist.evaluation.predict import PredictedDigit, Predictor
from circlemnist.evaluation.report import OperatingPoint
from circlemnist.plots.draw import save
from circlemnist.plots.kinds import WIDTH
from circlemnist.plots.neighbors import LONGEST, Tile, tiles_figure
from circlemnist.plots.style import THEMES, Theme, drawn, drawn_names

NEIGHBORS = 6


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
    name = predictor.run.name.replace("$", r"\$")  # which would begin a formula
    title = (
        f"{drawn(title_of(predictor.dataset))}, run {name}\n"
        f"known above a typicality of {point.threshold:.2f}: {100 * point.false_accepts:.2g} % "
        f"false accepts, {100 * point.false_rejects:.2g} % false rejects"
    )
    class_names, sign = (drawn_names(predictor.config, LONGEST), predictor.similarity.sign)
    rows = []
    for digit in digits:
        prediction = digit.prediction
        verdict, frame = ("known", "right") if prediction.known else ("unknown", "wrong")
        votes = f"{prediction.name}  {prediction.agree}/{prediction.of}"
        pixels = np.asarray(digit.pixels)
        row = [Tile(np.asarray(digit.picture)), Tile(pixels, f"{votes}\n{verdict}", frame)]
        for index, label, similarity in zip(
            digit.indices[:NEIGHBORS].tolist(),
            digit.labels.tolist(),
            digit.similarities.tolist(),
            strict=False,
        ):
            caption = f"{class_names[label]}\n{sign * similarity:.2f}"
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
