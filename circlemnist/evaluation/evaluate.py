"""Evaluate a run: embed the splits of its data set, compute the metrics, keep the report."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from circlemnist.catalog import CATALOG
from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.data.extra_classes import check_objective, objective_name, trained_classes
from circlemnist.errors import UserError
from circlemnist.evaluation import known, metrics
from circlemnist.evaluation.metrics import COSINE, Similarity, similarity_of
from circlemnist.evaluation.report import (
    Arrays,
    Gallery,
    OperatingPoint,
    Report,
    check_unchanged,
    load_gallery,
    load_report,
    save_gallery,
    save_report,
)
from circlemnist.models.embedder import Embedder, build_embedder, embed
from circlemnist.models.precision import resolve_device
from circlemnist.process import working
from circlemnist.runs.arrays import Snapshots, load_snapshots
from circlemnist.runs.checkpoint import checksum, restore_from
from circlemnist.runs.history import Epoch
from circlemnist.runs.run import Run

NEIGHBORS = 20
COSINE_METRICS = ("precision@0.75", "recall@0.75", "mean_sp", "mean_sn")
# the subspace of each class, (C, K, F), and the thresholds of typicality
Typical = tuple[NDArray[np.float16], tuple[OperatingPoint, ...]]


def evaluate(
    embedder: Embedder,
    dataset: Dataset,
    views: int,
    similarity: Similarity = COSINE,
    embedded: tuple[Tensor, Tensor] | None = None,
) -> tuple[dict[str, float], Arrays]:
    """Return the metrics of the test split, against the training split and within itself.

    These metrics are of seen classes. The unseen classes have `unseen/…`, within themselves, and
    those of `few_shot` and `rejection`. `views` are the test-time augmentation; `embedded` are the
    training split (G, D) and the test split (Q, D), if they are embedded already.
    """
    device = embedder.mean.device
    gallery, queries = embedded or (
        embed(embedder, split.images.to(device), views) for split in (dataset.train, dataset.test)
    )
    if device.type == "mps":  # it has no float64
        gallery, queries = gallery.cpu(), queries.cpu()
    train, test = dataset.train.to(gallery.device), dataset.test.to(queries.device)
    count = min(NEIGHBORS, len(gallery))
    similarities, neighbors = metrics.nearest(queries, gallery, count, similarity)
    neighbor_labels = train.labels[neighbors]
    arrays = Arrays(
        queries.cpu().numpy(),
        test.labels.cpu().numpy(),
        neighbors.int().cpu().numpy(),
        neighbor_labels.cpu().numpy(),
        similarities.float().cpu().numpy(),
    )
    labels, unseen = test.labels, torch.zeros(len(test), dtype=torch.bool, device=queries.device)
    unseen_metrics: dict[str, float] = {}
    if dataset.unseen is not None:
        others = dataset.unseen.to(gallery.device)
        unseen = torch.isin(labels, others.labels)
        within = metrics_within(queries[unseen], labels[unseen], similarity)
        unseen_metrics = {f"unseen/{name}": value for name, value in within.items()}
        pool_labels = torch.cat([train.labels, others.labels])
        if metrics.has_few_shot(pool_labels):
            # embed only the images of unseen classes that are in an index
            chosen = metrics.few_shot_indices(pool_labels).unique() - len(train)
            chosen = chosen[chosen >= 0]
            pool = torch.cat([gallery, gallery.new_zeros(len(others), gallery.shape[1])])
            images = others.images[chosen].to(device)
            pool[len(train) + chosen] = embed(embedder, images, views).to(pool.device)
            index = pool, pool_labels
            unseen_metrics |= metrics.few_shot((queries, labels), index, unseen, similarity)
        unseen_metrics |= metrics.rejection(similarities[:, 0], unseen)
    queries, labels, neighbor_labels = queries[~unseen], labels[~unseen], neighbor_labels[~unseen]
    values = {
        "1nn": metrics.knn_accuracy(neighbor_labels, labels, k=1),
        "20nn": metrics.knn_accuracy(neighbor_labels, labels, k=NEIGHBORS),
        "centroid": metrics.centroid_accuracy(queries, labels, gallery, train.labels),
        **metrics_within(queries, labels, similarity),
    }
    return values | unseen_metrics, arrays


def metrics_within(queries: Tensor, labels: Tensor, similarity: Similarity) -> dict[str, float]:
    """Return retrieval and verification within one set; `COSINE_METRICS` are always of cosines."""
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
    """Return the network of a run's newest checkpoint, on the device, and its SHA-256."""
    # before loading: if the file changes meanwhile, the run is evaluated again later
    checkpoint = checksum(run.checkpoint_file)
    embedder = build_embedder(config)
    learned = objective_name(config.loss, trained_classes(config))

    def restore(state: dict[str, Any]) -> None:
        check_objective(state["objective"]["_extra_state"], learned)
        embedder.load_state_dict(state["embedder"])

    restore_from(run.checkpoint_file, restore)
    return embedder.to(resolve_device(device)), checkpoint


class EvaluatedRun:
    """A run with its data set, its network and its report, each loaded when it is first needed.

    A part raises UserError where its file, the data or the device is not usable. `config`,
    `dataset` and `network`, with the SHA-256 of its checkpoint, may be loaded already.
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
        self._config, self._dataset, self._network = config, dataset, network

    @cached_property
    def config(self) -> Config:
        return self._config or self.run.config()

    @cached_property
    def history(self) -> list[Epoch]:
        return self.run.history()

    @cached_property
    def dataset(self) -> Dataset:
        config = self.config
        folder = Path(self._data_dir or config.data_dir)
        if self._dataset is not None:
            return self._dataset
        dataset = load_dataset(config.dataset, folder, config=config).used_by(config)
        check_pictures(self.run, dataset)
        return dataset

    @property
    def test_images(self) -> Tensor:
        return self.dataset.test.images

    @cached_property
    def network(self) -> tuple[Embedder, str | None]:
        """The network of the newest checkpoint, on the device, and the checkpoint's SHA-256."""
        return self._network or load_embedder(self.run, self.config, self._device)

    @cached_property
    def embedder(self) -> Embedder:
        """The same network; UserError where the report is of another checkpoint."""
        embedder, checkpoint = self.network
        check_unchanged(self.report, checkpoint)
        return embedder

    @cached_property
    def report(self) -> Report:
        """The report in the run, or a new one where that is missing or of another checkpoint."""
        return load_report(self.run) or self.evaluate()

    def evaluate(self, gallery: int | None = None) -> Report:
        """Evaluate the newest checkpoint, and keep the report and the gallery in the run.

        The gallery is the first so many training images, all of them where `gallery` is None.
        """
        dataset, config, similarity = self.dataset.first(gallery), self.config, self.similarity
        embedder, checkpoint = self.network
        embedded, (subspaces, points) = embed_splits(embedder, dataset, config)
        images, labels = (part.numpy() for part in (dataset.train.images, dataset.train.labels))
        compared = Gallery(embedded[0].float().cpu().numpy(), labels, subspaces, images)
        # to compress images is the work of one core
        with working("evaluating"), ThreadPoolExecutor(1) as writer:
            saved = writer.submit(save_gallery, self.run, compared, checkpoint)
            values, arrays = evaluate(embedder, dataset, config.views, similarity, embedded)
        saved.result()
        self.report = Report(
            run=self.run,
            config=config,
            dataset=dataset.name,
            split_name=dataset.split_name,
            similarity=similarity.name,
            unseen=config.unseen_classes,
            checkpoint=checkpoint,
            metrics=values,
            per_image=arrays,
            gallery=len(dataset.train),
            known=points,
        )
        save_report(self.report)
        return self.report

    @cached_property
    def typical(self) -> Typical:
        """The subspaces and thresholds in the run; computed where those do not fit the report."""
        report = self.report
        with suppress(UserError):  # it has no gallery, or one of an older version
            gallery = load_gallery(self.run)
            if report.known and report.fits(gallery.labels):
                return gallery.subspaces, report.known
        return embed_splits(self.embedder, self.dataset.first(report.gallery), self.config)[1]

    @cached_property
    def snapshots(self) -> Snapshots:
        return load_snapshots(self.run.snapshots_file)

    @cached_property
    def seen_snapshots(self) -> tuple[Tensor, Tensor]:
        """Embeddings (T, S, D) float32 and labels (S,) int64 of the snapshots of seen classes."""
        seen = ~np.isin(self.snapshots.labels, self.config.unseen_classes)
        embeddings = torch.from_numpy(self.snapshots.embeddings[:, seen]).float()
        return embeddings, torch.from_numpy(self.snapshots.labels[seen])

    @cached_property
    def has_snapshots(self) -> bool:
        return self.run.snapshots_file.exists()

    @cached_property
    def steps_an_epoch(self) -> float:
        """The training steps of an epoch, by the checkpoint, else by the snapshots."""
        if not self.run.checkpoint_file.exists():
            return max(int(self.snapshots.steps[-1]) / max(len(self.history), 1), 1.0)

        def steps(state: dict[str, Any]) -> float:
            cursor, epochs = state["cursor"], len(state["history"])
            return state["step"] / max(epochs, 1) if cursor is None else len(cursor["order"])

        return max(restore_from(self.run.checkpoint_file, steps), 1.0)

    @cached_property
    def centers(self) -> Tensor | None:
        """The centres (C, D) of Center Loss in the newest checkpoint; None of other losses."""
        if self.config.loss != "center":
            return None
        path = self.run.checkpoint_file
        centers: Tensor = restore_from(path, lambda state: state["objective"]["loss.centers"])
        return centers

    @property
    def similarity(self) -> Similarity:
        return similarity_of(self.config)

    def points(self, chosen: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        """Return embeddings and labels of the test images for which `chosen` (N,) is true."""
        arrays = self.report.arrays
        return torch.from_numpy(arrays.embeddings[chosen]), torch.from_numpy(arrays.labels[chosen])

    def directions(self, embeddings: Tensor) -> Tensor:
        """Return embeddings (N, D) at unit length, so that their products are cosines."""
        return embeddings if self.config.loss_info.on_sphere else F.normalize(embeddings)


def check_pictures(run: Run, dataset: Dataset) -> None:
    """Raise UserError where a run was trained on other pictures of a folder than are there now."""
    if dataset.name in CATALOG:
        return
    if run.environment().get("dataset_sha256") not in (None, dataset.checksum()):
        raise UserError(
            f"the pictures in {dataset.name} have changed since {run.name} was trained: "
            "`train` a new run"
        )


@working("embedding the images")
def embed_splits(
    embedder: Embedder, dataset: Dataset, config: Config
) -> tuple[tuple[Tensor, Tensor], Typical]:
    """Embed both splits, (G, D) and (Q, D), and find what is typical of each class."""

    def embedded(images: Tensor) -> tuple[Tensor, Tensor]:
        images = images.to(embedder.mean.device)
        return known.embed_with_features(embedder, images, config.views)

    train = dataset.train
    gallery, features = embedded(train.images)
    validation = known.validation(train.labels)
    fitted_to = train.labels.masked_fill(validation, -1)
    subspaces = known.class_subspaces(features, fitted_to, len(config.class_names))
    typicality = known.typicality(features[validation], subspaces).max(1).values
    del features  # hundreds of megabytes
    mixed = known.mixed_halves(train.where(validation))
    typicality_of_mixed = known.typicality(embedded(mixed)[1], subspaces).max(1).values
    queries, _ = embedded(dataset.test.images)
    return (gallery, queries), (subspaces, known.operating_points(typicality, typicality_of_mixed))
