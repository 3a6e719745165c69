"""A trained run to use: pictures in, classes out; it needs no data set.

run = circlemnist.load("outputs/default")
run.predict("my_digit.png")
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from circlemnist.config import CLASSES, SIDE, Config
from circlemnist.data.classes import CLASS_NAMES
from circlemnist.data.images import named, prepared, read_picture, upright
from circlemnist.errors import UserError
from circlemnist.evaluation.gallery import Gallery, load_gallery
from circlemnist.evaluation.measure import NEIGHBORS
from circlemnist.evaluation.metrics import nearest
from circlemnist.evaluation.points import FAR, OperatingPoint, point_at
from circlemnist.evaluation.results import Report, check_unchanged, load_report
from circlemnist.evaluation.similarity import similarity_of
from circlemnist.evaluation.subspaces import embed_with_features, typicality
from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.models.embedder import Embedder, embed
from circlemnist.runs.run import Run, find_run

AS_IS = ("fashion-mnist", "kmnist")  # their makers did not place an image by its ink as MNIST's did

OneImage = str | Path | Image.Image | Tensor | NDArray[Any]
Images = OneImage | Sequence[OneImage]


class Nearest(NamedTuple):
    """The nearest images of the gallery, nearest first.

    Attributes:
        similarities: (N, K) float32, cosines; minus distances of Center Loss.
        indices: (N, K) int64, of the training images.
        labels: (N, K) int64.
    """

    similarities: Tensor
    indices: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Prediction:
    """What one image is taken for.

    Attributes:
        label: 0-9, the class that most of the nearest have; of a tie the smallest.
        name: of the class.
        agree: how many of the `of` nearest have it.
        of: how many nearest were asked, 20 where the gallery has as many.
        similarity: to the nearest, a cosine; minus a distance of Center Loss.
        typicality: 0-1, how typical it is of the class that it is most typical of.
        known: its typicality is above the threshold.
    """

    label: int
    name: str
    agree: int
    of: int
    similarity: float
    typicality: float
    known: bool


class LoadedRun:
    """A run to predict with.

    Images are given as one or several of:

    - a path, or a Pillow image: prepared as those of MNIST were, or taken as it is, 28 × 28, where
      `as_is` says so (None: with runs on Fashion-MNIST and KMNIST);
    - a tensor or an array (28, 28), (N, 28, 28) or (N, 1, 28, 28), 0 the background, uint8 in
      0-255 or float in 0-1: taken as it is.

    Args:
        run: its folder.
        device: "auto", "cpu", "cuda" or "mps".

    Attributes:
        run: the folder.
        config: the settings that it was trained with.
        embedder: the network, images (N, 1, 28, 28) float32 in 0-1 -> embeddings (N, D).
        gallery: its `embeddings` (G, D) float32 and `labels` (G,) int64, arrays of numpy.

    Raises:
        UserError: a file of the run is missing or damaged, or was not made from its checkpoint.
    """

    def __init__(self, run: Run, device: str = "auto") -> None:
        self.run = run
        self._trained = TrainedRun(run, device=device)
        self.config: Config = self._trained.config
        self.similarity = similarity_of(self.config)
        self.gallery: Gallery = load_gallery(run)
        self._report = self._read_report()
        self.embedder: Embedder = self._trained.embedder
        check_unchanged(run, self._report, self._trained.checkpoint)

    def _read_report(self) -> Report:
        report = load_report(self.run)
        if report is None or not report.known or not report.fits(self.gallery.labels):
            raise UserError(
                f"{self.run.metrics_file} has no thresholds of this checkpoint and gallery: "
                f"`eval {self.run.folder}` writes it"
            )
        return report

    @property
    def metrics(self) -> dict[str, float]:
        """What the run reached by name, shares as 0-1."""
        return self._report.metrics

    @property
    def dataset(self) -> str:
        """Name of the data set that it was trained on."""
        return self._report.dataset

    @cached_property
    def gallery_images(self) -> NDArray[Any]:
        """The images of the gallery, (G, 28, 28) uint8."""
        images = load_gallery(self.run, images=True).images
        assert images is not None
        return images

    @property
    def asked(self) -> int:
        """How many of the nearest are asked for the class."""
        return min(NEIGHBORS, len(self.gallery.labels))

    @property
    def as_is(self) -> bool:
        """Whether pictures are taken as they are where nothing else is asked."""
        return self.dataset in AS_IS

    def point(self, far: float = FAR) -> OperatingPoint:
        """Return the threshold for a rate of false accepts, or the next smaller rate that is kept.

        Raises:
            SettingError: it is not between the least rate that is kept and 1.
        """
        return point_at(self._report.known, far)

    def embed(self, images: Images, as_is: bool | None = None) -> Tensor:
        """Embed images; (N, D) float32 on the device, unit rows but of Center Loss.

        Raises:
            UserError: an image cannot be read or prepared, or has another shape.
        """
        pixels = self.pixels(images, as_is).to(self.embedder.mean.device)
        return embed(self.embedder, pixels, self.config.views)

    def nearest(self, images: Images, k: int = NEIGHBORS, as_is: bool | None = None) -> Nearest:
        """Return the `k` nearest images of the gallery, on the CPU; raises as `embed` does."""
        if not 1 <= k <= len(self.gallery.labels):
            raise UserError(f"k must be from 1 to {len(self.gallery.labels)}, not {k}")
        return self._nearest(self.embed(images, as_is), k)

    def _nearest(self, embeddings: Tensor, k: int) -> Nearest:
        found = nearest(embeddings.cpu(), self._embeddings, k, self.similarity)
        return Nearest(*found, torch.from_numpy(self.gallery.labels)[found[1]])

    @cached_property
    def _embeddings(self) -> Tensor:
        return torch.from_numpy(self.gallery.embeddings)

    def predict(
        self, images: Images, far: float = FAR, as_is: bool | None = None
    ) -> list[Prediction]:
        """Return what each image is taken for; raises as `embed` and `point` do.

        Args:
            far: rate of false accepts of the threshold between known and unknown.
        """
        pixels = self.pixels(images, as_is)
        if not len(pixels):
            return []
        return self.verdicts(*self.compared(pixels), self.point(far).threshold)

    def compared(self, pixels: Tensor) -> tuple[Nearest, Tensor]:
        """Return the `asked` nearest images of the gallery, and how typical each image is.

        Args:
            pixels: (N, 28, 28) uint8, one or more.

        Returns:
            The second is (N,) float32 in 0-1, of the class that an image is most typical of; both
            on the CPU.
        """
        pixels = pixels.to(self.embedder.mean.device)
        embeddings, features = embed_with_features(self.embedder, pixels, self.config.views)
        typical = typicality(features, self.gallery.subspaces).max(1).values
        return self._nearest(embeddings, self.asked), typical

    def verdicts(self, found: Nearest, typicality: Tensor, threshold: float) -> list[Prediction]:
        """Return what the nearest say of each image, and by its typicality if it is known."""
        votes = F.one_hot(found.labels, CLASSES).sum(1)  # (N, C)
        names, of = CLASS_NAMES[self.dataset], found.labels.shape[1]
        return [
            Prediction(label, names[label], agree, of, similarity, typical, typical > threshold)
            for label, agree, similarity, typical in zip(
                votes.argmax(1).tolist(),
                votes.max(1).values.tolist(),
                found.similarities[:, 0].tolist(),
                typicality.tolist(),
                strict=True,
            )
        ]

    def pixels(self, images: Images, as_is: bool | None = None) -> Tensor:
        """Return images as the network takes them, (N, 28, 28) uint8; raises as `embed` does."""
        if isinstance(images, Tensor | np.ndarray):
            return _as_pixels(images)
        if isinstance(images, str | Path | Image.Image):
            images = [images]
        as_is = self.as_is if as_is is None else as_is
        rows = [self._one(image, as_is) for image in images]
        return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, SIDE, SIDE).byte()

    def _one(self, image: OneImage, as_is: bool) -> NDArray[np.uint8]:
        if isinstance(image, Tensor | np.ndarray):
            found = _as_pixels(image)
            if len(found) != 1:
                raise UserError(f"of several images each must be one, not {tuple(image.shape)}")
            pixels: NDArray[np.uint8] = found[0].cpu().numpy()
            return pixels
        if isinstance(image, Image.Image):
            return prepared(upright(image), as_is)
        picture = read_picture(Path(image))
        with named(image):
            return prepared(picture, as_is)


def load(run: str | Path, device: str = "auto") -> LoadedRun:
    """Load a trained run to predict with; no data set is needed.

    Args:
        run: its folder, or its name in `outputs/`.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UserError: there is no such run, or `LoadedRun` cannot be made of it.
    """
    return LoadedRun(find_run(Path("outputs"), str(run)), device)


def _as_pixels(given: Tensor | NDArray[Any]) -> Tensor:
    if isinstance(given, np.ndarray):
        if given.dtype.kind not in "uif":
            raise UserError(f"images must be uint8 in 0-255, or float in 0-1, not {given.dtype}")
        # of this machine's byte order, contiguous and writable, as torch wants them
        given = torch.from_numpy(np.array(given, given.dtype.newbyteorder("="), order="C"))
    images, shape = given, tuple(given.shape)
    if images.ndim == 2:
        images = images[None]
    if images.ndim == 4 and images.shape[1] == 1:
        images = images[:, 0]
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise UserError(f"images must be (N, {SIDE}, {SIDE}), not {shape}: else give Pillow images")
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point() or not ((images >= 0) & (images <= 1)).all():
        raise UserError("images must be uint8 in 0-255, or float in 0-1")
    return (images * 255).round().to(torch.uint8)
