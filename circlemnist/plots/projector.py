"""The test embeddings of a run as a folder for TensorBoard's embedding projector."""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from circlemnist.config import SIDE
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.style import Array
from circlemnist.runs.files import atomic_folder, writing

CONFIG = f"""embeddings {{
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
  sprite {{
    image_path: "sprite.png"
    single_image_dim: {SIDE}
    single_image_dim: {SIDE}
  }}
}}
"""


def write_projector(trained: EvaluatedRun, out: Path | None = None) -> Path:
    """Write the test embeddings, the images, and their classes and those of the nearest images.

    Args:
        out: a folder, made where it is not there; None for `projector` in the run.

    Raises:
        UserError: the run, the data or the device is not usable, or the folder cannot be written.
    """
    report = trained.report
    arrays, names = report.arrays, report.config.class_names
    images = trained.dataset.test.images.numpy()
    pairs = zip(arrays.labels, arrays.neighbor_labels[:, 0], strict=True)
    rows = [f"{names[label]}\t{names[nearest]}\n" for label, nearest in pairs]
    path = out or trained.run.folder / "projector"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(path) as folder:
            # as many digits as give a float32 back
            np.savetxt(folder / "vectors.tsv", arrays.embeddings, fmt="%.9g", delimiter="\t")
            (folder / "metadata.tsv").write_text("class\tnearest\n" + "".join(rows), "utf-8")
            # the projector lays the colour of a class over it, which dark ink stands out from
            side = math.ceil(math.sqrt(len(images)))
            Image.fromarray(255 - sheet(images, side, side)).save(
                folder / "sprite.png", optimize=True
            )
            (folder / "projector_config.pbtxt").write_text(CONFIG, "utf-8")
    return path


def sheet(images: Array, rows: int, columns: int) -> Array:
    """Return images (N, 28, 28) uint8 as one, (28 rows, 28 columns), row by row; the rest is 0."""
    full = np.zeros((rows * columns, SIDE, SIDE), np.uint8)
    full[: len(images)] = images
    grid = full.reshape(rows, columns, SIDE, SIDE).swapaxes(1, 2)
    return grid.reshape(rows * SIDE, columns * SIDE)
