"""What was measured of a run, and its files: `eval.json` and `embeddings.npz`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circlemnist.config import CLASSES, Config
from circlemnist.data.classes import CLASS_NAMES
from circlemnist.errors import SettingError, UserError
from circlemnist.evaluation.metrics import SIMILARITIES
from circlemnist.runs.arrays import read_npz
from circlemnist.runs.checkpoint import checksum
from circlemnist.runs.files import atomic_write, write_text, writing
from circlemnist.runs.run import Run

Array = NDArray[Any]
MOST_REJECTED = 0.03  # of the known images, where no rate is asked for


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold of typicality: an image that is more typical of some class is known.

    Attributes:
        far: the false-accept rate that was allowed, 0-1, of images whose class the gallery lacks.
        threshold: of the typicality, 0-1.
        false_accepts: the estimated share of those that it takes for known, `far` or less.
        false_rejects: the share of validation images that it takes for unknown.
    """

    far: float
    threshold: float
    false_accepts: float
    false_rejects: float


@dataclass(frozen=True)
class Arrays:
    """What is kept of each image of the test split, in its order, as `embeddings.npz`."""

    embeddings: Array  # (N, D) float32, unit rows if they are compared by cosine
    labels: Array  # (N,) int64
    neighbors: Array  # (N, K) int32, indices of the nearest training images, nearest first
    neighbor_labels: Array  # (N, K) int64; the first is the 1-NN prediction
    neighbor_similarities: Array  # (N, K) float32, descending

    def check(self) -> None:
        """Raise ValueError where shapes, types or labels are not as promised."""
        n, k = self.neighbors.shape
        expected = {
            "embeddings": ("f", (n, self.embeddings.shape[-1])),
            "labels": ("i", (n,)),
            "neighbors": ("i", (n, k)),
            "neighbor_labels": ("i", (n, k)),
            "neighbor_similarities": ("f", (n, k)),
        }
        for name, (kind, shape) in expected.items():
            array = getattr(self, name)
            if (array.dtype.kind, array.shape) != (kind, shape) or array.size == 0:
                raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
            if kind == "f" and not np.isfinite(array).all():
                raise ValueError(f"{name} is not finite")
            if "labels" in name and not 0 <= array.min() <= array.max() < CLASSES:
                raise ValueError(f"{name} are not classes")

    def only_nearest(self) -> "Arrays":
        """Return the labels and the nearest image of each alone, without the embeddings."""
        parts = (self.neighbors, self.neighbor_labels, self.neighbor_similarities)
        return Arrays(self.embeddings[:, :0], self.labels, *(part[:, :1].copy() for part in parts))


@dataclass(frozen=True)
class Report:
    """What a run's embedder makes of the test split, as in `eval.json` and `embeddings.npz`."""

    run: Run
    config: Config
    dataset: str
    measured: str  # which of its images: "test", or "held-out training"
    similarity: str  # how embeddings are compared, a key of `SIMILARITIES`
    unseen: tuple[int, ...]  # classes that were left out of training, ascending
    checkpoint: str | None  # SHA-256 of the one that was evaluated, hexadecimal
    metrics: dict[str, float]  # shares as 0-1, `mean_sp` and `mean_sn` as cosines
    per_image: Arrays | None = None  # None where it was not read
    _: KW_ONLY
    gallery: int | None = None  # how many training images were compared with, where it is known
    known: tuple[OperatingPoint, ...] = ()  # thresholds of "its class is in the gallery"

    @property
    def arrays(self) -> Arrays:
        """What is kept of each image, of a report that was read with it."""
        assert self.per_image is not None
        return self.per_image

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which images (N,) are of the classes that were trained on."""
        return ~np.isin(self.arrays.labels, self.unseen)

    @property
    def labels(self) -> Array:
        """The labels (S,) int64 of the images of these classes."""
        labels: Array = self.arrays.labels[self.seen]
        return labels

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which of these images (S,) 1-NN classifies correctly."""
        correct: Array = self.arrays.neighbor_labels[self.seen, 0] == self.labels
        return correct

    @property
    def counted(self) -> str:
        """How many images of seen classes were measured, and which, in words."""
        seen = " of seen classes" if self.unseen else ""
        return f"{int(self.seen.sum()):,} {self.measured} images{seen}"

    @property
    def counted_all(self) -> str:
        """How many images there are of all classes, in words."""
        unseen = f", {int((~self.seen).sum()):,} of unseen classes" if self.unseen else ""
        return f"{len(self.arrays.labels):,} {self.measured} images{unseen}"

    @property
    def images(self) -> tuple[str, str]:
        """The data set, and which of its images were measured, in words."""
        return self.dataset, self.counted

    @property
    def measured_on(self) -> str:
        """Images and gallery, in words."""
        gallery = "" if self.gallery is None else f", against {self.gallery:,} training images"
        return ", ".join(self.images) + gallery

    def same_images(self, other: "Report") -> bool:
        """Tell whether both are of the same images, compared with as many."""
        same = self.measured_on == other.measured_on
        return same and np.array_equal(self.labels, other.labels)

    def fits(self, labels: Array) -> bool:
        """Tell whether a gallery of labels (G,) has as many images as were compared with."""
        return self.gallery in (None, len(labels))

    def without_embeddings(self) -> "Report":
        """Return what comparing many runs needs, in little memory."""
        return replace(self, per_image=self.arrays.only_nearest())

    def to_json(self) -> str:
        """Return what was measured, of what and how, as an object; shares as 0-1."""
        content = {
            "run": self.run.name,
            "dataset": self.dataset,
            "images": self.measured,
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
        SettingError: it is not between the least rate that is kept and 1.
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
    """Write a report into its run.

    Raises:
        UserError: the folder cannot be written.
    """
    run = report.run
    with writing(run.embeddings_file), atomic_write(run.embeddings_file) as temporary:
        np.savez(temporary, indices=np.arange(len(report.arrays.labels)), **vars(report.arrays))
    with writing(run.metrics_file):
        write_text(run.metrics_file, report.to_json() + "\n")


def load_report(run: Run, per_image: bool = True) -> Report | None:
    """Return the report kept in a run, or None where it has none of its checkpoint.

    Where the checkpoint is gone, its report is what there is.

    Args:
        per_image: read `embeddings.npz`, too.

    Raises:
        UserError: a file of it is damaged.
    """
    files = [run.embeddings_file, run.metrics_file] if per_image else [run.metrics_file]
    if not all(file.exists() for file in files):
        return None
    config, arrays = run.config(), None
    with _undamaged(run, " or ".join(file.name for file in files)):
        content = _read(run)
        if per_image:
            names = [part.name for part in fields(Arrays)]
            arrays = Arrays(**read_npz(run.embeddings_file, names))
            arrays.check()
        if checksum(run.checkpoint_file) not in (None, content["checkpoint"]):
            return None
        return Report(run, config, **content, per_image=arrays)


def check_unchanged(report: Report, checkpoint: str | None) -> None:
    """Raise UserError where a run has trained on since it was evaluated.

    Args:
        checkpoint: SHA-256 of the one that its network is taken from.
    """
    if report.checkpoint != checkpoint:
        raise UserError(f"{report.run.name} has trained on since it was measured: try again")


@contextmanager
def _undamaged(run: Run, names: str) -> Iterator[None]:
    """Say of files of the run that cannot be read that they are damaged."""
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{run.folder / names} is damaged: run `eval {run.folder}` again"
        ) from error


def _read(run: Run) -> dict[str, Any]:
    """Return what `eval.json` holds, by the names of the fields of a report."""
    content = json.loads(run.metrics_file.read_text("utf-8"))
    metrics = {name: float(value) for name, value in content["metrics"].items()}
    if (
        "1nn" not in metrics
        or content["dataset"] not in CLASS_NAMES
        or content["similarity"] not in SIMILARITIES
    ):
        raise ValueError("metrics are missing, or of an unknown data set")
    return {
        "dataset": content["dataset"],
        "measured": str(content["images"]),
        "similarity": content["similarity"],
        "unseen": tuple(int(label) for label in content.get("unseen", ())),
        "checkpoint": content["checkpoint"],
        "metrics": metrics,
        "gallery": content.get("gallery"),
        "known": read_points(content),
    }


def read_points(content: Mapping[str, Any]) -> tuple[OperatingPoint, ...]:
    """Return the thresholds in what eval.json holds; none where it is of an older version.

    Raises:
        ValueError, LookupError, TypeError: it holds something else.
    """
    names = [part.name for part in fields(OperatingPoint)]
    rows = content.get("known", ())
    return tuple(OperatingPoint(*(float(row[name]) for name in names)) for row in rows)
