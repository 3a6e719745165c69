"""What the page needs to say where a drawing lies: the network, and embeddings to set it beside."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from circlemnist.errors import UserError
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.report import point_at
from circlemnist.explorer.network import PlainNetwork, plain_network
from circlemnist.models.embedder import SHIFTED_VIEWS
from circlemnist.plots.projection import native_dimensions
from circlemnist.plots.style import Array

ROOM = 9e6  # characters of the page, for weights, subspaces and embeddings
FEWEST = 100  # images to set a drawing beside
WIDEST_PEN = 0.25  # of the box


@dataclass(frozen=True)
class Pad:
    """How the page embeds a drawing, and tells what is near it.

    Attributes:
        network: of the run.
        views: (row, column) of each view in an image with a border of one pixel.
        unit: embeddings have unit length.
        box: pixels, the longer side of the ink of an image.
        pen: pixels, the width of its strokes.
        indices: (G,) int, the images that a drawing is compared with, of those on the page.
        embeddings: (G, D) float, theirs.
        similarity: "cosine", or "distance".
        subspaces: (C, K, F) float16, of the features of the classes.
        threshold: a known drawing is more typical of a class than this.
        known: (C,) bool, which classes the network was trained on.
        exact: the first two numbers of an embedding are its place on the map.
    """

    network: PlainNetwork
    views: tuple[tuple[int, int], ...]
    unit: bool
    box: int
    pen: float
    indices: Array
    embeddings: Array
    similarity: str
    subspaces: Array
    threshold: float
    known: Array
    exact: bool

    def to_json(self) -> dict[str, Any]:
        """Return what `pad.js` reads: numbers of 32 bits of the network, of 16 of the others.

        Embeddings are divided by `scale`, which is the largest number of them.
        """
        scale = float(np.abs(self.embeddings).max()) or 1.0
        return {
            "layers": self.network.layers,
            "numbers": in_base64(self.network.numbers.tobytes()),
            "featuring": self.network.featuring,
            "views": self.views,
            "unit": self.unit,
            "box": self.box,
            "pen": self.pen,
            "indices": self.indices.tolist(),
            "embeddings": in_base64((self.embeddings / scale).astype("<f2").tobytes()),
            "scale": scale,
            "similarity": self.similarity,
            "subspaces": in_base64(self.subspaces.astype("<f2").tobytes()),
            "threshold": self.threshold,
            "known": self.known.tolist(),
            "exact": self.exact,
        }


def pad_of(trained: EvaluatedRun) -> Pad | str:
    """Return the pad of a run, or why there is none, in words."""
    try:
        embedder = trained.embedder
        subspaces, points = trained.typical
    except UserError as error:
        return str(error)
    network, arrays = plain_network(embedder), trained.report.arrays
    count, dim = arrays.embeddings.shape
    room = ROOM - 4 / 3 * (network.numbers.nbytes + subspaces.nbytes)
    most = int(room / (8 / 3 * dim))
    if most < FEWEST:
        return f"the network, of {len(network.numbers):,} weights, is too large for a page"
    indices = np.linspace(0, count - 1, min(count, most)).round().astype(int)
    seen = trained.report.seen
    box, pen = hand(trained.test_images.numpy())
    return Pad(
        network=network,
        views=SHIFTED_VIEWS[: trained.config.views],
        unit=trained.config.loss_info.on_sphere,
        box=box,
        pen=pen,
        indices=indices,
        embeddings=arrays.embeddings[indices],
        similarity=trained.similarity.name,
        subspaces=subspaces,
        threshold=point_at(points).threshold,
        known=np.isin(np.arange(len(trained.config.class_names)), arrays.labels[seen]),
        exact=dim <= native_dimensions(trained.config),
    )


def hand(images: Array) -> tuple[int, float]:
    """Return how images (N, 28, 28) uint8 are written: the medians of two lengths, in pixels.

    They are the longer side of the box about the ink; and the width of a stroke, which has an edge
    on either side: twice the ink over the sum of its slopes, at most `WIDEST_PEN` of the box.
    """
    ink = images[images.max((1, 2)) > 0].astype(np.float32)
    sides = []
    for axis in (1, 2):
        inked = ink.max(axis) > 0  # (N, 28)
        sides.append(28 - inked.argmax(1) - inked[:, ::-1].argmax(1))
    box = int(np.median(np.maximum(*sides)))
    slopes = np.hypot(*np.gradient(np.pad(ink, ((0, 0), (1, 1), (1, 1))), axis=(1, 2)))
    pen = float(np.median(2 * ink.sum((1, 2)) / slopes.sum((1, 2))))
    return box, min(pen, WIDEST_PEN * box)


def in_base64(content: bytes) -> str:
    """Return bytes as text that a page carries."""
    return base64.b64encode(content).decode()
