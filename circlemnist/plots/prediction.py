"""Pictures that were predicted: as given, as the network saw them, and their nearest images."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from circlemnist.data.datasets import CLASS_NAMES, DISPLAY_NAMES
from circlemnist.evaluation.predict import PredictedPicture, Predictor
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
    shown: Sequence[PredictedPicture],
    point: OperatingPoint,
    theme: str,
    out: Path,
) -> None:
    """Draw predicted pictures into a file, of a `STILL` suffix.

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
    shown: Sequence[PredictedPicture],
    neighbors: Array,
    names: Sequence[str],
    sign: int,
    title: str,
    theme: Theme,
) -> Figure:
    """Draw a row for each picture; the frame of an unknown one is in dashes.

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
            draw_image(prepared, seen.pixels, ink, f"{votes}\n{verdict}", 9)
            frame_image(prepared, prediction.known, theme)
            captions = zip(seen.labels.tolist(), seen.similarities.tolist(), strict=True)
            for axes, image, (label, similarity) in zip(nearest, images, captions, strict=False):
                draw_image(axes, image, ink, f"{names[label]}\n{sign * similarity:.2f}", 9)
        for axes, name in zip(panels[0], ("as given", "as seen", "nearest"), strict=False):
            axes.set_title(name, fontsize=11)
    return figure
