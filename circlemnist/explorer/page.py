"""The page of a run as one HTML file: its numbers, its images and the scripts."""

import base64
import io
import json
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
from circlemnist.evaluation.pair_plane import boundary_of, pair_means, pair_places
from circlemnist.explorer.pad import pad_of
from circlemnist.plots.animation import times_of
from circlemnist.plots.history import steps_of
from circlemnist.plots.kinds import check_suffix
from circlemnist.plots.layout import heading, sample
from circlemnist.plots.projection import project_run
from circlemnist.plots.style import DARK, LIGHT, Array, Theme
from circlemnist.process import working
from circlemnist.runs.files import write_text, writing

NEIGHBORS = 5
COLUMNS = 100  # of the sprite that holds all images
SHADES = 16
SCRIPTS = ("network.js", "losses.js", "plot.js", "page.js", "anchor.js")
PAD_SCRIPTS = ("prepare.js", "pad.js")


@dataclass(frozen=True)
class Space:
    """The test split of a run as the page shows it."""

    facts: dict[str, Any]  # what the scripts read
    images: Array  # (N, 28, 28) uint8, 255 is full ink
    pad: dict[str, Any] | str  # what `pad.js` reads, or in words why there is none


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
    pad = pad_of(trained)  # before what takes long: the run may train on meanwhile
    embeddings = torch.from_numpy(arrays.embeddings)
    directions = trained.directions(embeddings)
    positions, how = project_run(trained, arrays.embeddings, projection)
    scale = float(np.abs(arrays.embeddings).max()) or 1.0
    near = min(NEIGHBORS, len(arrays.labels) - 1)
    chosen = np.flatnonzero(seen)[sample(int(seen.sum()))]
    means = pair_means(directions[chosen], torch.from_numpy(arrays.labels[chosen]), boundary)
    by_anchor = config.loss == "circle" and config.pairs == "anchor"  # each has a loss by Eq. 6
    facts: dict[str, Any] = {
        "names": [
            f"{name}, unseen" if label in report.unseen else name
            for label, name in enumerate(config.class_names)
        ],
        "labels": arrays.labels,
        # an unseen class, which no training image has, is no mistake
        "predicted": np.where(seen, arrays.neighbor_labels[:, 0], arrays.labels),
        "neighbors": nearest_others(embeddings, near, trained.similarity)[1].tolist(),
        "dimensions": positions.shape[1],
        "positions": positions.astype(np.float32),
        "pairs": pair_places(directions.numpy(), arrays.labels).astype(np.float32),
        "boundary": {
            "name": boundary.name,
            "m": boundary.m,
            "lines": [line[::8].round(3).tolist() for line in boundary.lines()],
        },
        "gamma": config.gamma if by_anchor else None,
        "embeddings": (arrays.embeddings / scale).astype(np.float16),
        "scale": scale,
        "similarity": trained.similarity.name,
    }
    times = None
    if trained.has_snapshots:
        times, _ = times_of(trained, projection, positions[trained.snapshots.indices])
    facts |= {
        "captions": [*(times.captions if times else ()), "all images"],
        "means": [*map(asdict, times.means if times else ()), asdict(means)],
        "moving": times.indices if times else [],
        "moving_positions": times.points.positions.astype(np.float32) if times else "",
        "moving_pairs": times.pairs.astype(np.float32) if times else "",
        "losses": _losses(trained) if times else [],
    }
    return Space(facts, trained.test_images.numpy(), pad), how


def _losses(trained: EvaluatedRun) -> list[float]:
    """Return the losses of training batches at the times of the snapshots."""
    rows = steps_of(trained.run)
    rows = rows if len(rows) else np.zeros((1, 4))  # no epoch has ended
    epochs = trained.snapshots.steps / trained.steps_an_epoch
    values: list[float] = np.nan_to_num(np.interp(epochs, rows[:, 0], rows[:, 1])).tolist()
    return values  # finite, as JSON takes them


def explorer_html(space: Space, title: str, theme: Theme | None = None) -> str:
    """Return a page with the map, the pair plane and their images; a slider if it has times."""
    here = files(__package__)
    has_pad = isinstance(space.pad, dict)
    scripts = SCRIPTS + PAD_SCRIPTS * has_pad
    html: str = Template((here / "page.html").read_text("utf-8")).render(
        heading=title,
        names=space.facts["names"],
        light=theme or LIGHT,
        dark=theme or DARK,
        scheme="light dark" if theme is None else theme.name,
        css=(here / "page.css").read_text("utf-8"),
        scripts=[(here / name).read_text("utf-8") for name in scripts],
        sprite=_sprite(space.images),
        facts=script_json(space.facts),
        has_times=len(space.facts["captions"]) > 1,
        pad=script_json(space.pad) if has_pad else "",
        without_pad=space.pad,
    )
    return html


def _sprite(images: Array) -> str:
    """Return all images on one sheet, as a PNG in base64: 16 shades of how opaque the ink is."""
    picture = Image.fromarray(sheet(images, -(-len(images) // COLUMNS), COLUMNS) // SHADES)
    picture.putpalette(bytes(3 * SHADES))
    opaque = bytes(255 * shade // (SHADES - 1) for shade in range(SHADES))
    content = io.BytesIO()
    # level 9 takes nine times as long, for a page smaller by a few hundredths
    picture.save(content, "png", bits=4, compress_level=6, transparency=opaque)
    return base64.b64encode(content.getvalue()).decode()


def script_json(content: Any) -> str:
    """Return JSON for a script of a page, in which no tag or comment begins.

    Arrays are flat: numbers with a fraction in base64, their bits as they are, others as a list.
    """
    return json.dumps(content, ensure_ascii=False, default=_flat).replace("<", "\\u003c")


def _flat(array: Array) -> Any:
    is_float = array.dtype.kind == "f"
    return base64.b64encode(array.tobytes()).decode() if is_float else array.ravel().tolist()
