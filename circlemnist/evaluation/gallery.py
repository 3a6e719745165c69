"""The training images that a run compares with: its `gallery.npz`."""

import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circlemnist.config import SIDE
from circlemnist.errors import UserError
from circlemnist.runs.arrays import read_npz, write_npz
from circlemnist.runs.checkpoint import checksum
from circlemnist.runs.files import atomic_write, writing
from circlemnist.runs.run import Run


@dataclass(frozen=True)
class Gallery:
    """Images to compare with."""

    embeddings: NDArray[Any]  # (G, D) float32, unit rows if they are compared by cosine
    labels: NDArray[Any]  # (G,) int64
    subspaces: NDArray[Any]  # (C, K, F) float16, of `class_subspaces`
    images: NDArray[Any] | None = None  # (G, 28, 28) uint8; None where they were not read

    def check(self, classes: int) -> None:
        """Raise ValueError where shapes, types or labels are not as promised."""
        size = len(self.labels)
        whole = (
            self.embeddings.dtype == np.float32
            and self.embeddings.ndim == 2
            and self.labels.dtype == np.int64
            and self.labels.shape == (len(self.embeddings),)
            and size > 0
            and np.isfinite(self.embeddings).all()
            and 0 <= self.labels.min() <= self.labels.max() < classes
            and self.subspaces.dtype == np.float16
            and self.subspaces.ndim == 3
            and len(self.subspaces) == classes
            and np.isfinite(self.subspaces).all()
        )
        images = self.images
        if images is not None:
            whole &= images.dtype == np.uint8 and images.shape == (size, SIDE, SIDE)
        if not whole:
            raise ValueError("not a gallery")


def save_gallery(run: Run, gallery: Gallery, checkpoint: str | None) -> None:
    """Keep a gallery in a run, whole.

    Args:
        checkpoint: SHA-256 of the checkpoint whose embeddings they are.

    Raises:
        UserError: the folder cannot be written.
    """
    with writing(run.gallery_file), atomic_write(run.gallery_file) as temporary:
        arrays = {"checkpoint": np.array(checkpoint or ""), **vars(gallery)}
        write_npz(temporary, arrays, packed=("labels", "images"))


def load_gallery(run: Run, images: bool = False) -> Gallery:
    """Return the gallery kept in a run.

    Args:
        images: read the images, too, which takes longer.

    Raises:
        UserError: there is none of its checkpoint, or the file is damaged.
    """
    mend = f"`eval {run.folder}` writes it"
    if not run.gallery_file.exists():
        raise UserError(f"{run.folder.name} has no gallery to compare with: {mend}")
    names = ["embeddings", "labels", "subspaces", *(["images"] if images else [])]
    try:
        arrays = read_npz(run.gallery_file, ["checkpoint", *names])
        measured = str(arrays.pop("checkpoint"))
        gallery = Gallery(**arrays)
        gallery.check(len(run.config().class_names))
    except (ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{run.gallery_file} is damaged or of an older version: {mend} again"
        ) from error
    if measured != checksum(run.checkpoint_file):
        raise UserError(f"{run.gallery_file} is of another checkpoint: {mend} again")
    return gallery
