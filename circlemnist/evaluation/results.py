"""What was measured of a run, and its files: `eval.json` and `embeddings.npz`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from circlemnist.config import CLASSES
from circlemnist.data.classes import CLASS_NAMES
from circlemnist.errors import UserError
from circlemnist.evaluation.points import OperatingPoint, read_points
from circlemnist.evaluation.similarity import SIMILARITIES
from circlemnist.runs.checkpoint import checksum
from circlemnist.runs.npz import read_npz
from circlemnist.runs.run import Run
from circlemnist.runs.whole_files import replacing, write_text


@dataclass(frozen=True)
class Arrays:
    """What is kept of each image of the test split, in its order, as `embeddings.npz`.

    Attributes:
        embeddings: (N, D) float32, unit rows if they are compared by cosine.
        labels: (N,) int64.
        neighbors: (N, K) int32, indices of the nearest training images, nearest first.
        neighbor_labels: (N, K) int64, their labels; the first is the 1-NN prediction.
        neighbor_similarities: (N, K) float32, how alike they are, descending.
    """

    embeddings: NDArray[Any]
    labels: NDArray[Any]
    neighbors: NDArray[Any]
    neighbor_labels: NDArray[Any]
    neighbor_similarities: NDArray[Any]

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


@dataclass(frozen=True)
class Report:
    """What a run's embedder makes of the test split, as in `eval.json`.

    Attributes:
        run: name of the run.
        dataset: name of the data set.
        measured: which of its images: "test", or "held-out training".
        similarity: how embeddings are compared, a key of `SIMILARITIES`.
        unseen: the classes that were left out of training, ascending.
        checkpoint: SHA-256 of the checkpoint that was measured, hexadecimal.
        metrics: name → value; shares as 0-1, `mean_sp` and `mean_sn` as cosines.
        gallery: how many training images these were compared with; None where that is not known.
        known: thresholds of "its class is in the gallery", at rates of false accepts.
    """

    run: str
    dataset: str
    measured: str
    similarity: str
    unseen: tuple[int, ...]
    checkpoint: str | None
    metrics: dict[str, float]
    gallery: int | None = field(default=None, kw_only=True)
    known: tuple[OperatingPoint, ...] = field(default=(), kw_only=True)

    def fits(self, labels: NDArray[Any]) -> bool:
        """Tell whether a gallery of labels (G,) has as many images as were compared with."""
        return self.gallery in (None, len(labels))

    def to_json(self) -> str:
        """Return what was measured, of what and how, as an object; shares as 0-1."""
        content = {
            "run": self.run,
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


@dataclass(frozen=True)
class Evaluation(Report):
    """A report, and what it is of: `arrays`, image by image."""

    arrays: Arrays

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which images (N,) are of the classes that were trained on."""
        return ~np.isin(self.arrays.labels, self.unseen)

    @property
    def counted(self) -> str:
        """How many images of seen classes were measured, and which, in words."""
        of = " of seen classes" if self.unseen else ""
        return f"{int(self.seen.sum()):,} {self.measured} images{of}"

    @property
    def counted_all(self) -> str:
        """How many images there are of all classes, in words."""
        unseen = f", {int((~self.seen).sum()):,} of unseen classes" if self.unseen else ""
        return f"{len(self.arrays.labels):,} {self.measured} images{unseen}"


ReportT = TypeVar("ReportT", bound=Report)


def save_evaluation(run: Run, evaluation: Evaluation) -> None:
    """Keep an evaluation in the run.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        with replacing(run.embeddings_file) as temporary:
            indices = np.arange(len(evaluation.arrays.labels))
            np.savez(temporary, indices=indices, **vars(evaluation.arrays))
        write_text(run.metrics_file, evaluation.to_json() + "\n")
    except OSError as error:
        raise UserError(f"cannot write into {run.folder}: {error.strerror}") from error


def load_report(run: Run) -> Report | None:
    """Return the report kept in a run, or None where it has none of its checkpoint.

    Raises:
        UserError: it is damaged.
    """
    if not run.metrics_file.exists():
        return None
    with _undamaged(run, run.metrics_file.name):
        return _of_checkpoint(run, Report(**_read(run)))


def load_evaluation(run: Run) -> Evaluation | None:
    """Return the evaluation kept in a run, or None where it has none of its checkpoint.

    Where the checkpoint is gone, its evaluation is what there is.

    Raises:
        UserError: a file of it is damaged.
    """
    if not (run.embeddings_file.exists() and run.metrics_file.exists()):
        return None
    with _undamaged(run, f"{run.embeddings_file.name} or {run.metrics_file.name}"):
        report = _read(run)
        arrays = Arrays(**read_npz(run.embeddings_file, [each.name for each in fields(Arrays)]))
        arrays.check()
        return _of_checkpoint(run, Evaluation(**report, arrays=arrays))


def check_unchanged(run: Run, measured: Report, checkpoint: str | None) -> None:
    """Raise UserError where a run has trained on since what is known of it was measured.

    Args:
        checkpoint: SHA-256 of the one that its network is taken from.
    """
    if measured.checkpoint != checkpoint:
        raise UserError(f"{run.name} has trained on since it was measured: try again")


def _of_checkpoint(run: Run, found: ReportT) -> ReportT | None:
    return found if checksum(run.checkpoint_file) in (None, found.checkpoint) else None


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
    """What `eval.json` holds, by the names of the fields of a report."""
    report = json.loads(run.metrics_file.read_text("utf-8"))
    metrics = {name: float(value) for name, value in report["metrics"].items()}
    if (
        "1nn" not in metrics
        or report["dataset"] not in CLASS_NAMES
        or report["similarity"] not in SIMILARITIES
    ):
        raise ValueError("measures are missing, or of an unknown data set")
    return {
        "run": run.name,
        "dataset": report["dataset"],
        "measured": str(report["images"]),
        "similarity": report["similarity"],
        "unseen": tuple(int(label) for label in report.get("unseen", ())),
        "checkpoint": report["checkpoint"],
        "metrics": metrics,
        "gallery": report.get("gallery"),
        "known": read_points(report),
    }
