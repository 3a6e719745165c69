"""The page of a run as one HTML file: Bokeh's plots, the images and the scripts."""

import io
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.events import DocumentReady
from bokeh.resources import Resources
from jinja2 import Template
from PIL import Image

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.export import sheet
from circlemnist.evaluation.metrics import nearest_others
from circlemnist.evaluation.pair_plane import boundary_of
from circlemnist.explorer.map import Frames, Space, draw_plots
from circlemnist.explorer.pad import Pad, in_base64, pad_of
from circlemnist.plots.kinds import check_suffix
from circlemnist.plots.points import Points
from circlemnist.plots.projection import native_dimensions, project_frames, project_run
from circlemnist.plots.style import Array, Style, Theme, heading, snapshot_captions
from circlemnist.process import working
from circlemnist.runs.files import write_text, writing

NEIGHBORS = 5
COLUMNS = 100  # of the sprite that holds all images


@working("making the page")
def write_page(trained: EvaluatedRun, style: Style, out: Path | None = None) -> Path:
    """Write the page to walk through the embedding space of a run; `plots/explorer.html` in it."""
    path = out or trained.run.plots / "explorer.html"
    check_suffix(path, [".html"], "write the page")
    space, how = space_of(trained, style)
    title = (
        heading(trained, trained.report.all_images, f"{how}, ")
        .replace("\n", ", ")
        .replace(r"\$", "$")
    )
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, explorer_html(space, title, style.theme))
    return path


def space_of(trained: EvaluatedRun, style: Style) -> tuple[Space, str]:
    """Return the test split of a run, and in words how its places on the map were made."""
    report, config = trained.report, trained.config
    arrays = report.arrays
    names = [
        f"{name}, unseen" if label in report.unseen else name
        for label, name in enumerate(config.class_names)
    ]
    near = min(NEIGHBORS, len(arrays.labels) - 1)
    pad = pad_of(trained)  # before what takes long: the run may train on meanwhile
    embeddings = torch.from_numpy(arrays.embeddings)
    positions, how = project_run(trained, arrays.embeddings, style.projection)
    if positions.shape[1] > 2:
        how += ", seen from one side"
    frames = None
    if trained.has_snapshots:
        snapshots, last = trained.snapshots, positions[trained.snapshots.indices, :2]
        snapshot_embeddings = snapshots.embeddings.astype(np.float32)
        moving, _ = project_frames(
            snapshot_embeddings, style.projection, config.seed, native_dimensions(config), last=last
        )
        points = Points(moving[..., :2], snapshots.labels, names)
        frames = Frames(snapshot_captions(trained), points, snapshots.indices)
    space = Space(
        points=Points(positions[:, :2], arrays.labels, names),
        predicted=np.where(report.seen, arrays.neighbor_labels[:, 0], arrays.labels),
        images=trained.test_images.numpy(),
        directions=trained.directions(embeddings).numpy(),
        neighbors=nearest_others(embeddings, near, trained.similarity)[1].numpy(),
        boundary=boundary_of(config).lines(),
        frames=frames,
        pad=pad,
    )
    return space, how


def explorer_html(space: Space, title: str, theme: Theme) -> str:
    """Return a page with the map, the pair plane and their images; a slider if it has frames."""
    roots, start = draw_plots(space, theme)
    document = Document()
    for root in roots:
        document.add_root(root)
    document.js_on_event(DocumentReady, start)
    points, frames = space.points, space.frames
    facts = {
        "names": list(points.names),
        "labels": points.labels.tolist(),
        "predicted": space.predicted.tolist(),
        "neighbors": space.neighbors.ravel().tolist(),
        "captions": list(frames.captions) if frames else [],
        "frames": in_base64(frames.points.positions.astype("<f4").tobytes()) if frames else "",
        "moving": frames.indices.tolist() if frames else [],
    }
    here = files("circlemnist.explorer")
    pad = space.pad if isinstance(space.pad, Pad) else None
    scripts = ("network.js", "prepare.js", "page.js", *(["pad.js"] if pad else []))
    return file_html(
        document,
        Resources(mode="inline"),
        title=title,
        template=Template((here / "page.html").read_text("utf-8")),
        template_variables={
            "heading": title,
            "theme": theme,
            "css": (here / "page.css").read_text("utf-8"),
            "scripts": [(here / name).read_text("utf-8") for name in scripts],
            "sprite": _sprite(space.images, theme),
            "facts": _json(facts),
            "has_frames": frames is not None,
            "pad": pad and _json(pad.to_json()),
            "without_pad": space.pad,
        },
    )


def _sprite(images: Array, theme: Theme) -> str:
    """Return all images on one sheet in 16 shades from paper to ink, as a PNG in base64."""
    picture = Image.fromarray(sheet(images, -(-len(images) // COLUMNS), COLUMNS) // 16)
    paper, ink = (np.frombuffer(bytes.fromhex(c[1:]), np.uint8) for c in (theme.paper, theme.ink))
    share = np.linspace(0, 1, 16)[:, None]
    picture.putpalette((paper * (1 - share) + ink * share).round().astype(np.uint8).tobytes())
    content = io.BytesIO()
    # level 9 takes nine times as long, for a page smaller by a few hundredths
    picture.save(content, "png", bits=4, compress_level=6)
    return in_base64(content.getvalue())


def _json(content: dict[str, Any]) -> str:
    """Return JSON for a script of the page, in which a closing tag would end it."""
    return json.dumps(content).replace("</", "<\\/")
