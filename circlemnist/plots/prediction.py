"""Pictures that were predicted: as given, as the network saw them, and their nearest images."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from circlemnist.data.datasets import CLASS_NAMES, DISPLAY_NAMES
from circlemnist.evaluation.predict import PredictedPicture, Predictor
from circlemnist.evaluation.report import OperatingPoint
from circlemnist.plots.draw import save
from circlemnist.plots.kinds import WIDTH
from circlemnist.plots.neighbors import Tile, tiles_figure
from circlemnist.plots.style import THEMES

NEIGHBORS = 6


def draw_predictions(
    predictor: Predictor,
    pictures: Sequence[PredictedPicture],
    point: OperatingPoint,
    theme: str,
    out: Path,
) -> None:
    """Draw a row for each predicted picture into a file, of a `STILL` suffix.

    Raises:
        UserError: the file cannot be written.
    """
    name = predictor.run.name.replace("$", r"\$")  # which would begin a formula
    title = (
        f"{DISPLAY_NAMES[predictor.dataset]}, run {name}\n"
        f"known above a typicality of {point.threshold:.2f}: {100 * point.false_accepts:.2g} % "
        f"false accepts, {100 * point.false_rejects:.2g} % false rejects"
    )
    class_names, sign = CLASS_NAMES[predictor.dataset], predictor.similarity.sign
    rows = []
    for picture in pictures:
        prediction = picture.prediction
        verdict, frame = ("known", "right") if prediction.known else ("unknown", "wrong")
        votes = f"{prediction.name}  {prediction.agree}/{prediction.of}"
        row = [
            Tile(np.asarray(picture.picture)),
            Tile(np.asarray(picture.pixels), f"{votes}\n{verdict}", frame),
        ]
        for index, label, similarity in zip(
            picture.indices[:NEIGHBORS].tolist(),
            picture.labels.tolist(),
            picture.similarities.tolist(),
            strict=False,
        ):
            caption = f"{class_names[label]}\n{sign * similarity:.2f}"
            row.append(Tile(predictor.gallery_images[index], caption))
        rows.append(row)
    columns = ("as given", "as seen", "nearest")
    with warnings.catch_warnings():
        # a run may have any name: a box stands for each letter that the font lacks
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        save(tiles_figure(rows, columns, title, THEMES[theme], 1.2, 9), out, WIDTH)
