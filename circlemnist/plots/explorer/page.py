"""Bokeh's plots and the page around them, as one HTML file."""

import base64
import io
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.events import DocumentReady
from bokeh.resources import Resources
from jinja2 import Template
from numpy.typing import NDArray
from PIL import Image

from circlemnist.evaluation.metrics import nearest_others
from circlemnist.plots.explorer.views import Frames, draw_views
from circlemnist.plots.style import Theme

Array = NDArray[Any]
COLUMNS = 100  # of the sheet that holds all images
NEIGHBORS = 5


def explorer_html(
    points: Array,
    labels: Array,
    predicted: Array,
    images: Array,
    names: Sequence[str],
    embeddings: Array,
    title: str,
    m: float,
    theme: Theme,
    frames: Frames | None = None,
) -> str:
    """Return a page with the points, the (s_n, s_p) plane, and the images behind them.

    Args:
        points: (N, 2) float, where each image is drawn.
        labels: (N,) int, index into `names`.
        predicted: (N,) int, class of the nearest training image; a mistake where it differs.
        images: (N, 28, 28) uint8, 255 is full ink.
        names: of the classes, at most ten.
        embeddings: (N, D) float, unit rows; neighbours and the plane are computed from them.
        title: of the page.
        m: margin, for the decision circle.
        frames: for a slider over the training, where there are snapshots.
    """
    views = draw_views(
        points, labels, predicted, names, *plane(embeddings, labels), m, theme, frames
    )
    document = Document()
    for root in views.roots():
        document.add_root(root)
    document.js_on_event(DocumentReady, views.start)
    facts = {
        "names": list(names),
        "labels": labels.tolist(),
        "predicted": predicted.tolist(),
        "neighbors": neighbors(embeddings).ravel().tolist(),
        "captions": [] if frames is None else list(frames.captions),
        "frames": "" if frames is None else _base64(frames.positions.astype("<f4").tobytes()),
    }
    here = files("circlemnist.plots.explorer")
    return file_html(
        document,
        Resources(mode="inline"),
        title=title,
        template=Template((here / "page.html").read_text("utf-8")),
        template_variables={
            "heading": title,
            "theme": theme,
            "css": (here / "page.css").read_text("utf-8"),
            "js": (here / "page.js").read_text("utf-8"),
            "sprite": _sprite(images, theme),
            # a closing tag within would end the script
            "facts": json.dumps(facts).replace("</", "<\\/"),
            "has_frames": frames is not None,
        },
    )


def plane(embeddings: Array, labels: Array) -> tuple[Array, Array]:
    """Return (N,) s_n and s_p: mean cosines of each image to the next class and to its own.

    The next class is the other one to which the mean cosine is highest. An image alone in its
    class has an s_p of NaN, and an s_n of NaN if there is no other class.
    """
    counts = np.bincount(labels, minlength=labels.max() + 1).astype(float)
    sums = np.stack([embeddings[labels == label].sum(0) for label in range(len(counts))])  # (C, D)
    rows = np.arange(len(labels))
    cosines = embeddings @ sums.T  # (N, C), summed over each class
    with np.errstate(divide="ignore", invalid="ignore"):
        sp = (cosines[rows, labels] - 1) / (counts[labels] - 1)
        means = cosines / counts
    means[rows, labels] = -np.inf
    means[:, counts == 0] = -np.inf
    sn = means.max(1)
    return np.where(np.isfinite(sn), sn, np.nan), np.where(counts[labels] > 1, sp, np.nan)


def neighbors(embeddings: Array) -> Array:
    """Return (N, 5) int: the nearest other images of each, nearest first."""
    return nearest_others(torch.from_numpy(embeddings), NEIGHBORS)[1].numpy()


def _sprite(images: Array, theme: Theme) -> str:
    """All images on one sheet in 16 shades from paper to ink, as a PNG in base64."""
    rows = -(-len(images) // COLUMNS)
    sheet = np.zeros((rows * COLUMNS, 28, 28), np.uint8)
    sheet[: len(images)] = images
    whole = sheet.reshape(rows, COLUMNS, 28, 28).swapaxes(1, 2).reshape(rows * 28, COLUMNS * 28)
    picture = Image.fromarray(whole // 16)
    picture.putpalette(_shades(theme))
    content = io.BytesIO()
    picture.save(content, "png", bits=4, optimize=True)
    return _base64(content.getvalue())


def _shades(theme: Theme) -> bytes:
    paper, ink = (np.frombuffer(bytes.fromhex(c[1:]), np.uint8) for c in (theme.paper, theme.ink))
    share = np.linspace(0, 1, 16)[:, None]
    return bytes((paper * (1 - share) + ink * share).round().astype(np.uint8).ravel().tolist())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
