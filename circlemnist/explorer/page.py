"""The page of a run as one HTML file: its numbers, its images and the scripts."""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Template
from PIL import Image

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.export import sheet
from circlemnist.evaluation.metrics import nearest_others
from circlemnist.evaluation.pair_plane import (
    Boundary,
    PairMeans,
    boundary_of,
    pair_means,
    pair_places,
)
from circlemnist.explorer.pad import Pad, PageEmbeddings, gallery_of, in_base64, pad_of
from circlemnist.losses import build_loss
from circlemnist.plots.animation import Times, times_of
from circlemnist.plots.history import steps_of
from circlemnist.plots.kinds import check_suffix
from circlemnist.plots.points import Points
from circlemnist.plots.projection import project_run
from circlemnist.plots.style import DARK, LIGHT, Array, Theme, heading, sample
from circlemnist.process import working
from circlemnist.runs.files import write_text, writing

NEIGHBORS = 5
COLUMNS = 100  # of the sprite that holds all images
SHADES = 16
SCRIPTS = ("network.js", "plot.js", "page.js", "anchor.js", "prepare.js", "pad.js")
PAD_SCRIPTS = 2  # the last of them


@dataclass(frozen=True)
class Space:
    """The test split of a run."""

    points: Points  # (N, 2) or, on the sphere, (N, 3) float, where the images are drawn
    predicted: Array  # (N,) int, class of the nearest training image; its own if that is unseen
    images: Array  # (N, 28, 28) uint8, 255 is full ink
    pairs: Array  # (N, 2) float, their places in the pair plane, s_n and s_p
    means: PairMeans
    neighbors: Array  # (N, 5) int, the nearest other images, nearest first
    boundary: Boundary
    gallery: PageEmbeddings  # the embeddings in the page
    gamma: float | None = None  # where an anchor has a loss by Eq. 6: gamma; m is of the boundary
    frames: Times | None = None  # where there are snapshots
    losses: Array | Sequence[float] = ()  # at the same times
    pad: Pad | str = "the network is not here"  # or in words why there is none


@working("making the page")
def write_page(
    trained: EvaluatedRun, projection: str, theme: Theme | None, out: Path | None = None
) -> Path:
    """Write the page to walk through the embedding space of a run; `plots/explorer.html` in it.

    Args:
        projection: a key of `PROJECTIONS`.
        theme: its colours; None for those that the reader's system asks for.
    """
    path = out or trained.run.plots / "explorer.html"
    check_suffix(path, [".html"], "write the page")
    space, how = space_of(trained, projection)
    title = heading(trained, trained.report.all_images, f"{how}, ")
    title = title.replace("\n", ", ").replace(r"\$", "$")  # not for matplotlib
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, explorer_html(space, title, theme))
    return path


def space_of(trained: EvaluatedRun, projection: str) -> tuple[Space, str]:
    """Return the test split of a run, and in words how its places on the map were made."""
    report, config, boundary = trained.report, trained.config, boundary_of(trained.config)
    arrays, seen = report.arrays, report.seen
    names = [
        f"{name}, unseen" if label in report.unseen else name
        for label, name in enumerate(config.class_names)
    ]
    near = min(NEIGHBORS, len(arrays.labels) - 1)
    pad = pad_of(trained)  # before what takes long: the run may train on meanwhile
    embeddings = torch.from_numpy(arrays.embeddings)
    directions = trained.directions(embeddings)
    positions, how = project_run(trained, arrays.embeddings, projection)
    chosen = np.flatnonzero(seen)[sample(int(seen.sum()))]
    by_anchor = config.loss == "circle" and config.pairs == "anchor"
    frames = None
    if trained.has_snapshots:
        frames, _ = times_of(trained, projection, positions[trained.snapshots.indices])
    space = Space(
        points=Points(positions, arrays.labels, names),
        predicted=np.where(seen, arrays.neighbor_labels[:, 0], arrays.labels),
        images=trained.test_images.numpy(),
        pairs=pair_places(directions.numpy(), arrays.labels),
        means=pair_means(directions[chosen], torch.from_numpy(arrays.labels[chosen]), boundary),
        neighbors=nearest_others(embeddings, near, trained.similarity)[1].numpy(),
        boundary=boundary,
        gallery=gallery_of(trained, pad),
        gamma=config.gamma if by_anchor else None,
        frames=frames,
        losses=_losses(trained) if frames else (),
        pad=pad,
    )
    return space, how


def _losses(trained: EvaluatedRun) -> Array:
    """Return T losses: of the sample, or where there are class weights of training batches."""
    snapshots, config = trained.snapshots, trained.config
    if config.loss_info.has_class_weights:  # which the snapshots lack
        rows = steps_of(trained.run)
        rows = rows if len(rows) else np.zeros((1, 4))  # no epoch has ended
        values = np.interp(snapshots.steps / trained.steps_an_epoch, rows[:, 0], rows[:, 1])
    else:
        embeddings, labels = trained.seen_snapshots
        loss = build_loss(config.loss, pairs=config.pairs, **config.hyperparameters)
        values = np.array([float(loss(frame, labels)) for frame in embeddings])
    finite: Array = np.nan_to_num(values)  # as JSON takes them
    return finite


def explorer_html(space: Space, title: str, theme: Theme | None = None) -> str:
    """Return a page with the map, the pair plane and their images; a slider if it has frames."""
    here = files(__package__)
    pad = space.pad if isinstance(space.pad, Pad) else None
    scripts = SCRIPTS if pad else SCRIPTS[:-PAD_SCRIPTS]
    html: str = Template((here / "page.html").read_text("utf-8")).render(
        heading=title,
        light=theme or LIGHT,
        dark=theme or DARK,
        scheme="light dark" if theme is None else theme.name,
        css=(here / "page.css").read_text("utf-8"),
        scripts=[(here / name).read_text("utf-8") for name in scripts],
        sprite=_sprite(space.images),
        facts=_json(_facts(space)),
        has_frames=space.frames is not None,
        pad=pad and _json(pad.to_json()),
        without_pad=space.pad,
    )
    return html


def _facts(space: Space) -> dict[str, Any]:
    """Return what the scripts read; arrays of float32 in base64, their rows one after another."""
    points, frames, boundary = space.points, space.frames, space.boundary
    return {
        "names": list(points.names),
        "labels": points.labels.tolist(),
        "predicted": space.predicted.tolist(),
        "neighbors": space.neighbors.ravel().tolist(),
        "dimensions": points.positions.shape[1],
        "positions": _floats(points.positions),
        "pairs": _floats(space.pairs),
        "means": [*map(asdict, frames.means if frames else []), asdict(space.means)],
        "boundary": {
            "name": boundary.name,
            "m": boundary.m,
            "lines": [line[::8].round(3).tolist() for line in boundary.lines()],
        },
        "gamma": space.gamma,
        "gallery": space.gallery.to_json(),
        "captions": [*frames.captions, "all images"] if frames else ["all images"],
        "moving": frames.indices.tolist() if frames else [],
        "moving_positions": _floats(frames.points.positions) if frames else "",
        "moving_pairs": _floats(frames.pairs) if frames else "",
        "losses": list(map(float, space.losses)),
    }


def _floats(array: Array) -> str:
    return in_base64(array.astype("<f4").tobytes())


def _sprite(images: Array) -> str:
    """Return all images on one sheet, as a PNG in base64: 16 shades of how opaque the ink is."""
    picture = Image.fromarray(sheet(images, -(-len(images) // COLUMNS), COLUMNS) // SHADES)
    picture.putpalette(bytes(3 * SHADES))
    opaque = bytes(255 * shade // (SHADES - 1) for shade in range(SHADES))
    content = io.BytesIO()
    # level 9 takes nine times as long, for a page smaller by a few hundredths
    picture.save(content, "png", bits=4, compress_level=6, transparency=opaque)
    return in_base64(content.getvalue())


def _json(content: dict[str, Any]) -> str:
    """Return JSON for a script of the page, in which no tag or comment begins."""
    return json.dumps(content).replace("<", "\\u003c")
