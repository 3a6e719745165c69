"""Evaluate a run: embed the splits of its data set, compute the metrics, keep the report."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, Split, load_dataset
from circlemnist.data.further import check_learned
from circlemnist.errors import UserError
from circlemnist.evaluation import metrics
from circlemnist.evaluation.gallery import Gallery, load_gallery, save_gallery
from circlemnist.evaluation.known import (
    class_subspaces,
    embed_with_features,
    operating_points,
    strange,
    typicality,
    validation,
)
from circlemnist.evaluation.metrics import COSINE, Similarity, similarity_of
from circlemnist.evaluation.report import (
    Arrays,
    OperatingPoint,
    Report,
    check_unchanged,
    load_report,
    save_report,
)
from circlemnist.evaluation.unseen import few_shot, few_shot_indices, rejection
from circlemnist.models.embedder import Embedder, build_embedder, embed
from circlemnist.models.precision import resolve_device
from circlemnist.runs.arrays import Snapshots, load_snapshots
from circlemnist.runs.checkpoint import checksum, restore_from
from circlemnist.runs.history import Epoch
from circlemnist.runs.run import Run

NEIGHBORS = 20
COSINE_METRICS = ("precision@0.75", "recall@0.75", "mean_sp", "mean_sn")


class Embedded(NamedTuple):
    """Embeddings of the training split, (G, D) float, and of the test split, (Q, D)."""

    gallery: Tensor
    queries: Tensor


class Typical(NamedTuple):
    """What is typical of each class, (C, K, F) float16, and the thresholds of it."""

    subspaces: NDArray[np.float16]
    points: tuple[OperatingPoint, ...]


def evaluate(
    embedder: Embedder,
    dataset: Dataset,
    views: int = 1,
    similarity: Similarity = COSINE,
    embedded: Embedded | None = None,
) -> tuple[dict[str, float], Arrays]:
    """Evaluate the test split: against the training split as gallery, and within itself.

    Where classes are unseen, all this is of the images of the others; of the unseen there are
    the metrics within themselves, as `unseen/…`, and those of `few_shot` and `rejection`.

    Args:
        embedder: on the device to compute on.
        views: of each image, as for `embed`.
        similarity: how embeddings are compared; `COSINE_METRICS` are of cosines always.
        embedded: both splits, where they are already.

    Returns:
        Name → value, shares as 0-1, and what is kept of each image.
    """
    device = embedder.mean.device
    gallery, queries = embedded or (
        embed(embedder, split.images.to(device), views) for split in (dataset.train, dataset.test)
    )
    if device.type == "mps":  # which has no float64
        gallery, queries = gallery.cpu(), queries.cpu()
    train, test = dataset.train.to(gallery.device), dataset.test.to(queries.device)
    similarities, neighbors = metrics.nearest(queries, gallery, NEIGHBORS, similarity)
    neighbor_labels = train.labels[neighbors]
    arrays = Arrays(
        queries.cpu().numpy(),
        test.labels.cpu().numpy(),
        neighbors.int().cpu().numpy(),
        neighbor_labels.cpu().numpy(),
        similarities.float().cpu().numpy(),
    )
    labels, unseen = test.labels, torch.zeros(len(test), dtype=torch.bool, device=queries.device)
    of_unseen: dict[str, float] = {}
    if dataset.unseen is not None:
        others = dataset.unseen.to(gallery.device)
        unseen = torch.isin(labels, others.labels)
        pool_labels = torch.cat([train.labels, others.labels])
        # of the many images of unseen classes, those alone that an index takes
        taken = few_shot_indices(pool_labels).unique() - len(train)
        taken = taken[taken >= 0]
        beside = gallery.new_zeros(len(others), gallery.shape[1])
        beside[taken] = embed(embedder, others.images[taken].to(device), views).to(gallery.device)
        pool = torch.cat([gallery, beside]), pool_labels
        within = metrics_within(queries[unseen], labels[unseen], similarity)
        of_unseen = {f"unseen/{name}": value for name, value in within.items()}
        of_unseen |= few_shot((queries, labels), pool, unseen, similarity)
        of_unseen |= rejection(similarities[:, 0], unseen)
    queries, labels, neighbor_labels = queries[~unseen], labels[~unseen], neighbor_labels[~unseen]
    values = {
        "1nn": metrics.knn_accuracy(neighbor_labels, labels, k=1),
        "20nn": metrics.knn_accuracy(neighbor_labels, labels, k=NEIGHBORS),
        "centroid": metrics.centroid_accuracy(queries, labels, gallery, train.labels),
        **metrics_within(queries, labels, similarity),
        **of_unseen,
    }
    return values, arrays


def metrics_within(queries: Tensor, labels: Tensor, similarity: Similarity) -> dict[str, float]:
    """Return retrieval and verification within one set: embeddings (N, D) and labels (N,)."""
    values = {
        **metrics.retrieval(queries, labels, similarity),
        **metrics.verification(metrics.pair_similarities(queries, labels, similarity)),
    }
    if similarity is not COSINE:
        cosines = metrics.pair_similarities(F.normalize(queries), labels)
        by_cosine = metrics.verification(cosines)
        values |= {name: by_cosine[name] for name in COSINE_METRICS}
    return values


def load_embedder(run: Run, config: Config, device: str) -> tuple[Embedder, str | None]:
    """Return the network of a run's newest checkpoint, on the device, and its SHA-256.

    Raises:
        UserError: the checkpoint or the device is not usable.
    """
    # ahead of loading: should the file change now, the run is evaluated again later
    checkpoint = checksum(run.checkpoint_file)
    embedder = build_embedder(config)

    def restore(state: dict[str, Any]) -> None:
        check_learned(state["objective"], config)
        embedder.load_state_dict(state["embedder"])

    restore_from(run.checkpoint_file, restore)
    return embedder.to(resolve_device(device)), checkpoint


class EvaluatedRun:
    """A run with its data set, its network and its report, each loaded when it is first needed.

    Each part raises UserError where its file, the data or the device is not usable.

    Args:
        run: its folder.
        data_dir: folder of the data sets; None for the one that the run was trained with.
        device: "auto", "cpu", "cuda" or "mps".
        config, dataset, network: what is loaded already; the network with its SHA-256.
    """

    def __init__(
        self,
        run: Run,
        data_dir: str | None = None,
        device: str = "auto",
        *,
        config: Config | None = None,
        dataset: Dataset | None = None,
        network: tuple[Embedder, str | None] | None = None,
    ) -> None:
        self.run, self._data_dir, self._device = run, data_dir, device
        loaded = {"config": config, "dataset": dataset, "_network": network}
        vars(self).update({name: part for name, part in loaded.items() if part is not None})

    @cached_property
    def config(self) -> Config:
        """The settings of the run."""
        return self.run.config()

    @cached_property
    def history(self) -> list[Epoch]:
        """A row an epoch."""
        return self.run.history()

    @cached_property
    def dataset(self) -> Dataset:
        """The images it was trained with and is evaluated on."""
        return load_dataset(self.config.dataset, self._data_folder).used_by(self.config)

    @cached_property
    def test_images(self) -> Tensor:
        """The images it is evaluated on, (N, 28, 28) uint8."""
        return self.dataset.test.images

    @property
    def _data_folder(self) -> Path:
        return Path(self._data_dir or self.config.data_dir)

    @cached_property
    def _network(self) -> tuple[Embedder, str | None]:
        embedder, checkpoint = load_embedder(self.run, self.config, self._device)
        if "report" in vars(self):
            check_unchanged(self.report, checkpoint)
        return embedder, checkpoint

    @cached_property
    def embedder(self) -> Embedder:
        """The network of the newest checkpoint, on the device; see `check_unchanged`."""
        return self._network[0]

    @cached_property
    def report(self) -> Report:
        """The report kept in the run, or a new one where it has none of its checkpoint."""
        return load_report(self.run) or self.evaluate()

    def evaluate(self, gallery: int | None = None) -> Report:
        """Evaluate the newest checkpoint on the test split, and keep the report in the run.

        Args:
            gallery: how many of the training images to compare with, the first ones; None for all.
        """
        dataset = self.dataset.first(gallery)
        (embedder, checkpoint), config = self._network, self.config
        embedded, (subspaces, points) = self._embedded(dataset)
        compared_with = Gallery(
            embedded.gallery.float().cpu().numpy(),
            dataset.train.labels.numpy(),
            subspaces,
            dataset.train.images.numpy(),
        )
        with ThreadPoolExecutor(1) as writer:  # to pack images is the work of one core
            saved = writer.submit(save_gallery, self.run, compared_with, checkpoint)
            values, arrays = evaluate(embedder, dataset, config.views, self.similarity, embedded)
        saved.result()
        about = (dataset.name, dataset.measured, self.similarity.name, config.unseen_classes)
        report = Report(
            *(self.run, config, *about, checkpoint, values, arrays),
            gallery=len(dataset.train),
            known=points,
        )
        save_report(report)
        self.report = report
        return report

    @cached_property
    def typical(self) -> Typical:
        """The subspaces of the classes and the thresholds, as kept in the run.

        Where it has none of its checkpoint they are computed as `evaluate` does, and not kept.
        """
        report = self.report
        if report.known:
            with suppress(UserError):  # it has no gallery, or one of an older version
                gallery = load_gallery(self.run)
                if report.fits(gallery.labels):
                    return Typical(gallery.subspaces, report.known)
        return self._embedded(self.dataset.first(report.gallery))[1]

    def _embedded(self, dataset: Dataset) -> tuple[Embedded, Typical]:
        """Embed both splits, and by the features met on the way say what is typical of a class."""
        train = dataset.train
        gallery, features = self._embed_with_features(train.images)
        checked = validation(len(train))
        subspaces = class_subspaces(features, train.labels.masked_fill(checked, -1))
        known = typicality(features[checked], subspaces).max(1).values
        del features  # hundreds of megabytes
        strangers = strange(Split(train.images[checked], train.labels[checked]))
        unknown = typicality(self._embed_with_features(strangers)[1], subspaces).max(1).values
        queries, _ = self._embed_with_features(dataset.test.images)
        return Embedded(gallery, queries), Typical(subspaces, operating_points(known, unknown))

    def _embed_with_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        images = images.to(self.embedder.mean.device)
        return embed_with_features(self.embedder, images, self.config.views)

    @cached_property
    def snapshots(self) -> Snapshots:
        """Embeddings of a sample while it trained."""
        return load_snapshots(self.run.snapshots_file)

    @cached_property
    def has_snapshots(self) -> bool:
        return self.run.snapshots_file.exists()

    @cached_property
    def steps_an_epoch(self) -> float:
        """How many steps of training an epoch has, by the checkpoint, else by the snapshots."""
        if not self.run.checkpoint_file.exists():
            return max(int(self.snapshots.steps[-1]) / max(len(self.history), 1), 1.0)
        steps = 0.0

        def read(state: dict[str, Any]) -> None:
            nonlocal steps
            cursor, epochs = state["cursor"], len(state["history"])
            steps = state["step"] / max(epochs, 1) if cursor is None else len(cursor["order"])

        restore_from(self.run.checkpoint_file, read)
        return max(steps, 1.0)

    @property
    def similarity(self) -> Similarity:
        """How its embeddings are compared."""
        return similarity_of(self.config)

    @cached_property
    def centers(self) -> Tensor | None:
        """The centres (C, D) of Center Loss in the newest checkpoint; None of other losses."""
        if self.config.loss != "center":
            return None
        centers: list[Tensor] = []
        restore_from(
            self.run.checkpoint_file,
            lambda state: centers.append(state["objective"]["loss.centers"]),
        )
        return centers[0]

    @property
    def test_points(self) -> tuple[Tensor, Tensor]:
        """Embeddings (N, D) float32 and labels (N,) int64 of the test images of seen classes."""
        return self._points(self.report.seen)

    @property
    def unseen_points(self) -> tuple[Tensor, Tensor]:
        """The same of the classes that were left out of training."""
        return self._points(~self.report.seen)

    def _points(self, chosen: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        arrays = self.report.arrays
        return torch.from_numpy(arrays.embeddings[chosen]), torch.from_numpy(arrays.labels[chosen])

    def directions(self, embeddings: Tensor) -> Tensor:
        """Return embeddings (N, D) at unit length, so that their products are cosines."""
        return embeddings if self.config.member.on_sphere else F.normalize(embeddings)
