"""Predict with a trained run: pictures in, classes out; it needs no data set.

run = circlemnist.load("outputs/default")
run.predict("my_digit.png")
run.read("my_number.png")
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from circlemnist.catalog import CATALOG, DatasetInfo
from circlemnist.config import SIDE
from circlemnist.data.pictures import Manner, Read, as_pixels, digits_of, picture_files, read_all
from circlemnist.errors import UserError
from circlemnist.evaluation.evaluate import NEIGHBORS, load_embedder
from circlemnist.evaluation.known import embed_with_features, typicality
from circlemnist.evaluation.metrics import nearest, similarity_of
from circlemnist.evaluation.report import (
    Gallery,
    OperatingPoint,
    check_unchanged,
    load_gallery,
    load_report,
    point_at,
)
from circlemnist.models.embedder import embed
from circlemnist.runs.run import Run, find_run

FILES_AT_ONCE = 100

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
        label: index of the class that most of the nearest have; of a tie the smallest.
        name: of the class.
        agree: how many of the `of` nearest have it.
        of: how many nearest were asked, 20 where the gallery has as many.
        similarity: to the nearest, a cosine; minus a distance of Center Loss.
        typicality: 0-1, how typical it is of the class that it is most typical of.
        known: its typicality is above the threshold.
        box: left, top, right and bottom of its ink, as shares of the width and the height of the
            picture that it was found in; None where no digit was looked for.
    """

    label: int
    name: str
    agree: int
    of: int
    similarity: float
    typicality: float
    known: bool
    box: tuple[float, ...] | None = None


@dataclass(frozen=True)
class PredictedDigit:
    """A digit of a picture, what the network gets of it, and what it is taken for."""

    name: str  # the file of the picture
    picture: Image.Image  # as it was given, upright, RGB; large ones made smaller
    pixels: NDArray[np.uint8]  # (28, 28)
    indices: Tensor  # (K,) int64, of the nearest images of the gallery
    labels: Tensor  # (K,) int64
    similarities: Tensor  # (K,) float32
    prediction: Prediction


class Predictor:
    """A run to predict with.

    Images are given as one or several of:

    - a path, or a Pillow image: prepared as those of MNIST were, or taken as it is, 28 × 28, where
      `as_is` says so (None: with runs on Fashion-MNIST and KMNIST; with runs on a folder, they are
      made as its pictures were);
    - a tensor or an array (28, 28), (N, 28, 28) or (N, 1, 28, 28), 0 the background, uint8 in
      0-255 or float in 0-1: taken as it is.

    Args:
        device: "auto", "cpu", "cuda" or "mps".

    Attributes:
        run: its folder.
        config: the settings that it was trained with.
        dataset: name of the data set that it was trained on.
        metrics: of the run by name, shares as 0-1.
        as_is: pictures are taken as they are where nothing else is asked.
        points: thresholds of known and unknown, by false-accept rate.
        embedder: the network, images (N, 1, 28, 28) float32 in 0-1 -> embeddings (N, D).
        gallery: its `embeddings` (G, D) float32 and `labels` (G,) int64, arrays of numpy.

    Raises:
        UserError: a file of the run is missing or damaged, or was not made from its checkpoint.
    """

    def __init__(self, run: Run, device: str = "auto") -> None:
        self.run, self.config = run, run.config()
        self.similarity = similarity_of(self.config)
        self.gallery: Gallery = load_gallery(run)
        report = load_report(run, per_image=False)
        if report is None or not report.known or not report.fits(self.gallery.labels):
            raise UserError(
                f"{run.metrics_file} has no thresholds of this checkpoint and gallery: "
                f"`eval {run.folder}` writes it"
            )
        self.dataset, self.metrics, self.points = report.dataset, report.metrics, report.known
        self._info = CATALOG.get(self.dataset, DatasetInfo(self.dataset))
        self.as_is = not self._info.is_placed
        self.embedder, checkpoint = load_embedder(run, self.config, device)
        check_unchanged(report, checkpoint)

    @cached_property
    def gallery_images(self) -> NDArray[Any]:
        """The images of the gallery, (G, 28, 28) uint8."""
        images = load_gallery(self.run, images=True).images
        assert images is not None
        return images

    def point(self, far: float | None = None) -> OperatingPoint:
        """Return the threshold for a false-accept rate, or the next smaller rate that is kept.

        Raises:
            SettingError: it is not between the least rate that is kept and 1.
        """
        return point_at(self.points, far)

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
        gallery = torch.from_numpy(self.gallery.embeddings)
        similarities, indices = nearest(embeddings.cpu(), gallery, k, self.similarity)
        return Nearest(similarities, indices, torch.from_numpy(self.gallery.labels)[indices])

    def predict(
        self, images: Images, far: float | None = None, as_is: bool | None = None
    ) -> list[Prediction]:
        """Return what each image is taken for; raises as `embed` and `point` do.

        Args:
            far: false-accept rate of the threshold between known and unknown; None for the least
                that rejects no more than 3 % of the digits.
        """
        pixels = self.pixels(images, as_is)
        if not len(pixels):
            return []
        return self._classify(pixels, self.point(far).threshold, [None] * len(pixels))[1]

    def read(
        self,
        picture: OneImage,
        far: float | None = None,
        as_is: bool | None = None,
        one: bool = False,
    ) -> list[Prediction]:
        """Find the digits of a picture, and return what each is taken for, in reading order.

        Args:
            far: as for `predict`.
            one: there is only one digit. Arrays have one, and so have pictures that are taken as
                they are, or for runs on other data sets than digits.

        Raises:
            UserError, SettingError: as `predict` does.
        """
        if isinstance(picture, Tensor | np.ndarray):
            return self.predict([picture], far)
        digits = digits_of(picture, self._manner(as_is, one))
        pixels = torch.from_numpy(np.stack([digit.image for digit in digits]))
        boxes = [digit.box for digit in digits]
        return self._classify(pixels, self.point(far).threshold, boxes)[1]

    def _manner(self, as_is: bool | None, one: bool = True) -> Manner:
        if as_is is None and self.dataset not in CATALOG:
            return Manner("placed" if self.config.prepare else "fitted", one=True)
        as_is = self.as_is if as_is is None else as_is
        one = one or not self._info.is_digits
        return Manner("as is" if as_is else "placed", one, self._info.side)

    def predict_files(
        self, paths: Sequence[Path], threshold: float, as_is: bool | None = None, one: bool = False
    ) -> Iterator[list[PredictedDigit] | str]:
        """Predict files and folders of them, in order; "-" is standard input.

        Returns:
            The digits of each, or one line of what is wrong with it.
        """
        files = list(picture_files(paths))
        pictures = read_all(files, self._manner(as_is, one))
        with (
            closing(pictures),
            tqdm(total=len(files), unit=" images", disable=None, leave=False) as bar,
        ):
            named = zip(map(str, files), pictures, strict=True)
            while part := list(islice(named, FILES_AT_ONCE)):
                predicted = self._predict_pictures(part, threshold)
                bar.clear()  # what is made of these is printed where it stands
                yield from predicted
                bar.update(len(part))

    def _predict_pictures(
        self, pictures: Sequence[tuple[str, Read | str]], threshold: float
    ) -> Iterator[list[PredictedDigit] | str]:
        """Predict pictures that were read, by name, all at once."""
        digits = [d for _, read in pictures if not isinstance(read, str) for d in read[1]]
        if digits:
            pixels = torch.from_numpy(np.stack([d.image for d in digits]))
            near, predictions = self._classify(pixels, threshold, [d.box for d in digits])
            rows = zip(near.indices, near.labels, near.similarities, predictions, strict=True)
        for name, read in pictures:
            if isinstance(read, str):
                yield read
            else:
                picture, own = read
                yield [PredictedDigit(name, picture, d.image, *next(rows)) for d in own]

    def _classify(
        self, pixels: Tensor, threshold: float, boxes: Sequence[tuple[float, ...] | None]
    ) -> tuple[Nearest, list[Prediction]]:
        """Return the nearest of images (N, 28, 28) uint8 that vote, and what each is taken for."""
        pixels = pixels.to(self.embedder.mean.device)
        embeddings, features = embed_with_features(self.embedder, pixels, self.config.views)
        near = self._nearest(embeddings, min(NEIGHBORS, len(self.gallery.labels)))
        names, asked = self.config.class_names, near.labels.shape[1]
        votes = F.one_hot(near.labels, len(names)).sum(1)  # (N, C)
        rows = zip(
            votes.argmax(1).tolist(),
            votes.max(1).values.tolist(),
            near.similarities[:, 0].tolist(),
            typicality(features, self.gallery.subspaces).max(1).values.tolist(),
            boxes,
            strict=True,
        )
        return near, [
            Prediction(label, names[label], agree, asked, similarity, score, score > threshold, box)
            for label, agree, similarity, score, box in rows
        ]

    def pixels(self, images: Images, as_is: bool | None = None) -> Tensor:
        """Return images as the network takes them, (N, 28, 28) uint8; raises as `embed` does."""
        if isinstance(images, Tensor | np.ndarray):
            return as_pixels(images)
        if isinstance(images, str | bytes) or not isinstance(images, Sequence):
            images = [images]
        rows = [self._pixels_of(image, as_is) for image in images]
        return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, SIDE, SIDE).byte()

    def _pixels_of(self, image: OneImage, as_is: bool | None) -> NDArray[np.uint8]:
        if isinstance(image, Tensor | np.ndarray):
            rows = as_pixels(image)
            if len(rows) != 1:
                raise UserError(f"of several images each must be one, not {tuple(image.shape)}")
            pixels: NDArray[np.uint8] = rows[0].cpu().numpy()
            return pixels
        return digits_of(image, self._manner(as_is))[0].image


def load(run: str | Path, device: str = "auto") -> Predictor:
    """Load a trained run to predict with; no data set is needed.

    Args:
        run: its folder, or its name in `outputs/`.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UserError: there is no such run, or `Predictor` cannot be made of it.
    """
    return Predictor(find_run(Path("outputs"), str(run)), device)
