"""Embed the splits of a data set and measure the embedding of the test split."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from circlemnist import metrics
from circlemnist.atomic import replacing, write_text
from circlemnist.data import Dataset, Split
from circlemnist.errors import UserError
from circlemnist.model import Embedder
from circlemnist.report import as_json
from circlemnist.run import Run

BATCH = 500


@dataclass(frozen=True)
class Evaluation:
    """What a run's embedder makes of the test split.

    Attributes:
        run: name of the run.
        dataset: name of the data set.
        measured: which of its images: "test", or "held-out training".
        metrics: name → value; shares as 0-1, `mean_sp` and `mean_sn` as cosines.
        embeddings: (N, D) float32, unit rows, in the order of the test split.
        labels: (N,) int64.
    """

    run: str
    dataset: str
    measured: str
    metrics: dict[str, float]
    embeddings: np.ndarray
    labels: np.ndarray


def embed(embedder: Embedder, split: Split) -> Tensor:
    """Return the embeddings (N, D) float32 of a split that lies on the embedder's device."""
    training = embedder.training
    embedder.eval()
    with torch.inference_mode():
        embeddings = torch.cat(
            [embedder(block[:, None].float() / 255) for block in split.images.split(BATCH)]
        )
    embedder.train(training)
    return embeddings


def measure(run: str, embedder: Embedder, dataset: Dataset) -> Evaluation:
    """Measure the test split: against the training split as gallery, and within itself.

    Args:
        run: name of the run, which the result carries.
        embedder: on the device to compute on.
    """
    device = embedder.mean.device
    train, test = dataset.train.to(device), dataset.test.to(device)
    gallery, queries = embed(embedder, train), embed(embedder, test)
    neighbors = metrics.neighbor_labels(queries, gallery, train.labels, k=20)
    measures = {
        "1nn": metrics.knn_accuracy(neighbors, test.labels, k=1),
        "20nn": metrics.knn_accuracy(neighbors, test.labels, k=20),
        "centroid": metrics.centroid_accuracy(queries, test.labels, gallery, train.labels),
        **metrics.retrieval(queries, test.labels),
        **metrics.verification(metrics.pair_similarities(queries, test.labels)),
    }
    return Evaluation(
        run,
        dataset.name,
        dataset.measured,
        measures,
        queries.cpu().numpy(),
        test.labels.cpu().numpy(),
    )


def save_evaluation(run: Run, evaluation: Evaluation) -> None:
    """Keep an evaluation in the run: `eval.json` and `embeddings.npz`.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        with replacing(run.embeddings_file) as temporary:
            np.savez(
                temporary,
                embeddings=evaluation.embeddings,
                labels=evaluation.labels,
                indices=np.arange(len(evaluation.labels)),
            )
        write_text(run.metrics_file, as_json(evaluation) + "\n")
    except OSError as error:
        raise UserError(f"cannot write into {run.folder}: {error.strerror}") from error


def load_evaluation(run: Run) -> Evaluation | None:
    """Return the evaluation kept in a run, or None where it has none of its newest checkpoint.

    Raises:
        UserError: a file of it is damaged.
    """
    kept = (run.embeddings_file, run.metrics_file)
    if not all(file.exists() and newer(file, run.checkpoint_file) for file in kept):
        return None
    try:
        report = json.loads(run.metrics_file.read_text("utf-8"))
        with np.load(run.embeddings_file, allow_pickle=False) as arrays:
            return Evaluation(
                run.name,
                report["dataset"],
                report["images"],
                report["metrics"],
                arrays["embeddings"],
                arrays["labels"],
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{run.embeddings_file} or {run.metrics_file.name} is damaged: "
            f"run `circlemnist eval {run.folder}` again"
        ) from error


def newer(file: Path, other: Path) -> bool:
    """Tell whether `file` is at least as new as `other`, or `other` is not there."""
    return not other.exists() or file.stat().st_mtime_ns >= other.stat().st_mtime_ns
