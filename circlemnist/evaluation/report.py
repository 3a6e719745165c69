"""What `eval` keeps in a run: `eval.json`, `embeddings.npz`, and the gallery in `gallery.npz`."""

import json
from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circlemnist.catalog import CATALOG, is_folder
from circlemnist.config import Config
from circlemnist.errors import SettingError, UserError
from circlemnist.evaluation.metrics import SIMILARITIES
from circlemnist.runs.arrays import read_npz, write_npz
from circlemnist.runs.checkpoint import checksum
from circlemnist.runs.files import atomic_write, write_text, writing
from circlemnist.runs.run import Run

Array = NDArray[Any]
MOST_REJECTED = 0.03  # of the known images, where no rate is asked for


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold of typicality: an image that is more typical of some class is known.

    Attributes:
        far: the allowed false-accept rate, 0-1, of images whose class the gallery lacks.
        threshold: of the typicality, 0-1.
        false_accepts: the estimated share of those that are accepted, `far` or less.
        false_rejects: the share of validation images that are rejected.
    """

    far: float
    threshold: float
    false_accepts: float
    false_rejects: float


@dataclass(frozen=True)
class Arrays:
    """The arrays of `embeddings.npz`: a row for each image of the test split, in its order."""

    embeddings: Array  # (N, D) float32, unit rows if they are compared by cosine
    labels: Array  # (N,) int64
    neighbors: Array  # (N, K) int32, indices of the nearest training images, nearest first
    neighbor_labels: Array  # (N, K) int64; the first is the 1-NN prediction
    neighbor_similarities: Array  # (N, K) float32, descending


@dataclass(frozen=True)
class Gallery:
    """The arrays of `gallery.npz`: the training images that a run compares with."""

    embeddings: Array  # (G, D) float32, unit rows if they are compared by cosine
    labels: Array  # (G,) int64
    subspaces: Array  # (C, K, F) float16, of `class_subspaces`
    images: Array | None = None  # (G, 28, 28) uint8; None where they were not read


@dataclass(frozen=True)
class Report:
    """The evaluation of a run's network, as in `eval.json` and `embeddings.npz`."""

    run: Run
    config: Config
    dataset: str
    split_name: str  # the images that were evaluated: "test", or "validation"
    similarity: str  # of embeddings, a key of `SIMILARITIES`
    unseen: tuple[int, ...]  # classes that were left out of training, ascending
    checkpoint: str | None  # SHA-256 of the one that was evaluated, hexadecimal
    metrics: dict[str, float]  # shares as 0-1, `mean_sp` and `mean_sn` as cosines
    per_image: Arrays | None = None  # None where it was not read
    _: KW_ONLY
    gallery: int | None = None  # number of training images compared with, where it is known
    known: tuple[OperatingPoint, ...] = ()  # thresholds of "its class is in the gallery"

    @property
    def arrays(self) -> Arrays:
        assert self.per_image is not None
        return self.per_image

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which images (N,) are of the classes that were trained on."""
        return ~np.isin(self.arrays.labels, self.unseen)

    @property
    def labels(self) -> Array:
        """The labels (S,) int64 of the images of seen classes."""
        return np.asarray(self.arrays.labels[self.seen])

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which of these images (S,) 1-NN classifies correctly."""
        return np.asarray(self.arrays.neighbor_labels[self.seen, 0] == self.labels)

    @property
    def counted(self) -> str:
        """The images of seen classes, in words: "10,000 test images"."""
        seen = " of seen classes" if self.unseen else ""
        return f"{int(self.seen.sum()):,} {self.split_name} images{seen}"

    @property
    def all_images(self) -> str:
        """The images of all classes, in words."""
        unseen = f", {int((~self.seen).sum()):,} of unseen classes" if self.unseen else ""
        return f"{len(self.arrays.labels):,} {self.split_name} images{unseen}"

    @property
    def evaluated_on(self) -> str:
        """Images and gallery, in words."""
        gallery = "" if self.gallery is None else f", against {self.gallery:,} training images"
        return f"{Path(self.dataset).name}, {self.counted}{gallery}"

    def same_images(self, other: "Report") -> bool:
        """Tell whether both are of the same images, against as many training images."""
        same = self.dataset == other.dataset and self.evaluated_on == other.evaluated_on
        return same and np.array_equal(self.labels, other.labels)

    def fits(self, labels: Array) -> bool:
        """Tell whether a gallery of these labels (G,) has as many images as its own."""
        return self.gallery in (None, len(labels))

    def to_json(self) -> str:
        """Return the text of `eval.json`."""
        content = {
            "run": self.run.name,
            "dataset": self.dataset,
            "images": self.split_name,
            "similarity": self.similarity,
            "unseen": self.unseen,
            "checkpoint": self.checkpoint,
            "gallery": self.gallery,
            **({"known": [asdict(point) for point in self.known]} if self.known else {}),
            "metrics": self.metrics,
        }
        return json.dumps(content, indent=2)


def point_at(points: Sequence[OperatingPoint], far: float | None = None) -> OperatingPoint:
    """Return the point for a false-accept rate, or for the next smaller rate that is kept.

    Args:
        far: None for the least rate that rejects no more than `MOST_REJECTED` of the digits.

    Raises:
        SettingError: it is not between their least rate and 1.
    """
    if far is None:
        lenient = [point for point in points if point.false_rejects <= MOST_REJECTED]
        return min(lenient or points[-1:], key=lambda point: point.far)
    fitting = [point for point in points if point.far <= far < 1]
    if not fitting:
        least = min(point.far for point in points)
        raise SettingError("far", f"must be ≥ {least:g} and < 1, not {far}")
    return max(fitting, key=lambda point: point.far)


def save_report(report: Report) -> None:
    """Write `eval.json` and `embeddings.npz`; raise UserError where they cannot be written."""
    run = report.run
    with writing(run.embeddings_file), atomic_write(run.embeddings_file) as temporary:
        np.savez(temporary, indices=np.arange(len(report.arrays.labels)), **vars(report.arrays))
    with writing(run.metrics_file):
        write_text(run.metrics_file, report.to_json() + "\n")


def load_report(run: Run, per_image: bool = True) -> Report | None:
    """Return the report in a run, with `embeddings.npz` if `per_image`.

    None where it is missing, or of another checkpoint.

    Raises:
        UserError: a file of it is damaged.
    """
    files = [run.embeddings_file, run.metrics_file] if per_image else [run.metrics_file]
    if not all(file.exists() for file in files):
        return None
    config = run.config()
    try:
        content = json.loads(run.metrics_file.read_text("utf-8"))
        arrays = None
        if per_image:
            arrays = Arrays(**read_npz(run.embeddings_file, [part.name for part in fields(Arrays)]))
            _check_lengths(arrays.embeddings, arrays.labels, arrays.neighbor_labels)
        report = Report(
            run,
            config,
            dataset=content["dataset"],
            split_name=content["images"],
            similarity=content["similarity"],
            unseen=tuple(int(label) for label in content.get("unseen", ())),
            checkpoint=content["checkpoint"],
            metrics={name: float(value) for name, value in content["metrics"].items()},
            per_image=arrays,
            gallery=content.get("gallery"),
            known=tuple(OperatingPoint(**row) for row in content.get("known", ())),
        )
        required = {"1nn", *["unseen/recall@1"] * bool(report.unseen)}
        known = report.dataset in CATALOG or is_folder(report.dataset)
        if not (required <= report.metrics.keys() and known and report.similarity in SIMILARITIES):
            raise ValueError("metrics are missing, or of an unknown data set")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{run.folder / ' or '.join(file.name for file in files)} is damaged: "
            f"run `eval {run.folder}` again"
        ) from error
    return report if checksum(run.checkpoint_file) in (None, report.checkpoint) else None


def check_unchanged(report: Report, checkpoint: str | None) -> None:
    """Raise UserError where the network is of another checkpoint, by its SHA-256."""
    if report.checkpoint != checkpoint:
        raise UserError(f"{report.run.name} has trained on since it was evaluated: try again")


def _check_lengths(*arrays: Array) -> None:
    if len({len(array) for array in arrays}) > 1 or not arrays[0].size:
        raise ValueError("arrays of different lengths, or empty ones")


def save_gallery(run: Run, gallery: Gallery, checkpoint: str | None) -> None:
    """Write `gallery.npz`, of the checkpoint with that SHA-256; raise UserError where it cannot."""
    with writing(run.gallery_file), atomic_write(run.gallery_file) as temporary:
        arrays = {"checkpoint": np.array(checkpoint or ""), **vars(gallery)}
        write_npz(temporary, arrays, packed=("labels", "images"))


def load_gallery(run: Run, images: bool = False) -> Gallery:
    """Return the gallery of a run, with its images if asked for, which takes longer.

    Raises:
        UserError: there is none of its checkpoint, or the file is damaged.
    """
    mend = f"`eval {run.folder}` writes it"
    if not run.gallery_file.exists():
        raise UserError(f"{run.folder.name} has no gallery to compare with: {mend}")
    names = ["embeddings", "labels", "subspaces", *(["images"] if images else [])]
    try:
        arrays = read_npz(run.gallery_file, ["checkpoint", *names])
        checkpoint = str(arrays.pop("checkpoint"))
        gallery = Gallery(**arrays)
        _check_lengths(gallery.embeddings, gallery.labels)
    except ValueError as error:
        raise UserError(
            f"{run.gallery_file} is damaged or of an older version: {mend} again"
        ) from error
    if checkpoint != checksum(run.checkpoint_file):
        raise UserError(f"{run.gallery_file} is of another checkpoint: {mend} again")
    return gallery
