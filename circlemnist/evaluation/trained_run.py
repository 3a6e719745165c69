"""A trained run: its settings, network, data and measures, each loaded when it is first needed."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, Split, load_dataset
from circlemnist.data.further import check_learned
from circlemnist.errors import UserError
from circlemnist.evaluation.gallery import Gallery, load_gallery, save_gallery
from circlemnist.evaluation.known import operating_points
from circlemnist.evaluation.measure import Embedded, measure
from circlemnist.evaluation.points import OperatingPoint
from circlemnist.evaluation.results import (
    Evaluation,
    check_unchanged,
    load_evaluation,
    save_evaluation,
)
from circlemnist.evaluation.similarity import Similarity, similarity_of
from circlemnist.evaluation.subspaces import class_subspaces, embed_with_features, typicality
from circlemnist.models.device import resolve_device
from circlemnist.models.embedder import Embedder, build_embedder
from circlemnist.runs.checkpoint import checksum, restore_from
from circlemnist.runs.history import Epoch
from circlemnist.runs.run import Run
from circlemnist.runs.snapshots import Snapshots, load_snapshots

Typical = tuple[NDArray[np.float16], tuple[OperatingPoint, ...]]


@dataclass
class TrainedRun:
    """A run and what belongs to it.

    Attributes:
        run: the run.
        data_dir: folder of the data sets; None for the one that the run was trained with.
        device: "auto", "cpu", "cuda" or "mps".
        checkpoint: SHA-256 of the checkpoint that the embedder was loaded from.

    What is known already may be assigned. Each part raises UserError where its file, the data or
    the device is not usable.
    """

    run: Run
    data_dir: str | None = None
    device: str = "auto"
    checkpoint: str | None = field(default=None, init=False)

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
        """The images it was trained with and is measured on."""
        return load_dataset(self.config.dataset, self._data_folder).used_by(self.config)

    @cached_property
    def test_images(self) -> torch.Tensor:
        """The images it is measured on, (N, 28, 28) uint8."""
        return self.dataset.test.images

    @property
    def _data_folder(self) -> Path:
        return Path(self.data_dir or self.config.data_dir)

    @cached_property
    def embedder(self) -> Embedder:
        """The network of the newest checkpoint, on the device; see `check_unchanged`."""
        # ahead of loading: should the file change now, the run is measured again later
        self.checkpoint = checksum(self.run.checkpoint_file)
        if "evaluation" in vars(self):
            check_unchanged(self.run, self.evaluation, self.checkpoint)
        embedder = build_embedder(self.config)

        def restore(state: dict[str, Any]) -> None:
            check_learned(state["objective"], self.config)
            embedder.load_state_dict(state["embedder"])

        restore_from(self.run.checkpoint_file, restore)
        return embedder.to(resolve_device(self.device))

    @cached_property
    def evaluation(self) -> Evaluation:
        """The evaluation kept in the run, or a new one where it has none of its checkpoint."""
        return load_evaluation(self.run) or self.measured()

    def measured(self, gallery: int | None = None) -> Evaluation:
        """Measure the newest checkpoint on the test split, and keep the result in the run.

        Args:
            gallery: how many of the training images to compare with, the first ones; None for all.
        """
        dataset = self.dataset.first(gallery)
        embedder, views = self.embedder, self.config.views
        embedded, (subspaces, points) = self._embedded(dataset)
        of = (self.run.name, dataset.name, dataset.measured, self.similarity.name)
        what = (*of, self.config.unseen_classes, self.checkpoint)
        kept = Gallery(
            embedded.gallery.float().cpu().numpy(),
            dataset.train.labels.numpy(),
            subspaces,
            dataset.train.images.numpy(),
        )
        with ThreadPoolExecutor(1) as writer:  # to pack images is the work of one core
            saved = writer.submit(save_gallery, self.run, kept, self.checkpoint)
            found = measure(embedder, dataset, views, self.similarity, embedded)
        saved.result()
        evaluation = Evaluation(*what, *found, gallery=len(dataset.train), known=points)
        save_evaluation(self.run, evaluation)
        return evaluation

    @cached_property
    def typical(self) -> Typical:
        """The subspaces of the classes and the thresholds, as kept in the run.

        Where it has none of its checkpoint they are computed as `measured` does, and not kept.
        """
        evaluation = self.evaluation
        if evaluation.known:
            with suppress(UserError):  # it has no gallery, or one of an older version
                gallery = load_gallery(self.run)
                if evaluation.fits(gallery.labels):
                    return gallery.subspaces, evaluation.known
        return self._embedded(self.dataset.first(evaluation.gallery))[1]

    def _embedded(self, dataset: Dataset) -> tuple[Embedded, Typical]:
        """Embed both splits, and by the features met on the way say what is typical of a class."""
        gallery, of_gallery = self._embed_with_features(dataset.train)
        subspaces = class_subspaces(of_gallery, dataset.train.labels)
        del of_gallery  # hundreds of megabytes
        queries, of_queries = self._embed_with_features(dataset.test)
        found = typicality(of_queries, subspaces)
        points = operating_points(found, dataset.test.labels, self.config.unseen_classes)
        return Embedded(gallery, queries), (subspaces, points)

    def _embed_with_features(self, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
        images = split.images.to(self.embedder.mean.device)
        return embed_with_features(self.embedder, images, self.config.views)

    @cached_property
    def snapshots(self) -> Snapshots:
        """What was seen while it trained."""
        return load_snapshots(self.run.snapshots_file)

    @cached_property
    def has_snapshots(self) -> bool:
        """Whether anything was."""
        return self.run.snapshots_file.exists()

    @cached_property
    def steps_an_epoch(self) -> float:
        """How many steps of training an epoch has, by the checkpoint, else by the snapshots."""
        if not self.run.checkpoint_file.exists():
            return max(int(self.snapshots.steps[-1]) / max(len(self.history), 1), 1.0)
        found: list[float] = []

        def read(state: dict[str, Any]) -> None:
            cursor, epochs = state["cursor"], len(state["history"])
            if cursor is not None:
                found.append(len(cursor["order"]))
            else:
                found.append(state["step"] / max(epochs, 1))

        restore_from(self.run.checkpoint_file, read)
        return max(found[0], 1.0)

    @property
    def similarity(self) -> Similarity:
        """How its embeddings are compared."""
        return similarity_of(self.config)

    @cached_property
    def centers(self) -> torch.Tensor | None:
        """The centres (C, D) of Center Loss in the newest checkpoint; None of other losses."""
        if self.config.loss != "center":
            return None
        found: list[torch.Tensor] = []
        restore_from(
            self.run.checkpoint_file,
            lambda state: found.append(state["objective"]["loss.centers"]),
        )
        return found[0]

    @property
    def test_points(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings (N, D) float32 and labels (N,) int64 of the test images of seen classes."""
        return self._points(self.evaluation.seen)

    @property
    def unseen_points(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The same of the classes that were left out of training."""
        return self._points(~self.evaluation.seen)

    def _points(self, chosen: NDArray[np.bool_]) -> tuple[torch.Tensor, torch.Tensor]:
        arrays = self.evaluation.arrays
        return torch.from_numpy(arrays.embeddings[chosen]), torch.from_numpy(arrays.labels[chosen])

    def directions(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return embeddings (N, D) at unit length, so that their products are cosines."""
        return embeddings if self.config.member.on_sphere else F.normalize(embeddings)
