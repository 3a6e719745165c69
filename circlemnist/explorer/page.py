"""Bokeh's plots and the page around them, as one HTML file."""

import io
import json
from importlib.resources import files
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.events import DocumentReady
from bokeh.resources import Resources
from jinja2 import Template
from PIL import Image

from circlemnist.explorer.pad import Pad, in_base64
from circlemnist.explorer.plots import draw_plots
from circlemnist.explorer.space import Space
from circlemnist.plots.style import Array, Theme

COLUMNS = 100  # of the sheet that holds all images


def explorer_html(space: Space, title: str, theme: Theme) -> str:
    """Return a page with the points, the pair plane, and the images behind them.

    Where there are snapshots it has a slider over the training.
    """
    plots = draw_plots(space, theme)
    document = Document()
    for root in plots.roots:
        document.add_root(root)
    document.js_on_event(DocumentReady, plots.start)
    points, frames = space.points, space.frames
    moving = b"" if frames is None else frames.points.positions.astype("<f4").tobytes()
    facts = {
        "names": list(points.names),
        "labels": points.labels.tolist(),
        "predicted": space.predicted.tolist(),
        "neighbors": space.neighbors.ravel().tolist(),
        "captions": [] if frames is None else list(frames.captions),
        "frames": in_base64(moving),
        "moving": [] if frames is None else frames.indices.tolist(),
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
    """All images on one sheet in 16 shades from paper to ink, as a PNG in base64."""
    rows = -(-len(images) // COLUMNS)
    sheet = np.zeros((rows * COLUMNS, 28, 28), np.uint8)
    sheet[: len(images)] = images
    whole = sheet.reshape(rows, COLUMNS, 28, 28).swapaxes(1, 2).reshape(rows * 28, COLUMNS * 28)
    picture = Image.fromarray(whole // 16)
    picture.putpalette(_shades(theme))
    content = io.BytesIO()
    # the most that can be would take nine times as long, for a page smaller by a few hundredths
    picture.save(content, "png", bits=4, compress_level=6)
    return in_base64(content.getvalue())


def _shades(theme: Theme) -> bytes:
    paper, ink = (np.frombuffer(bytes.fromhex(c[1:]), np.uint8) for c in (theme.paper, theme.ink))
    share = np.linspace(0, 1, 16)[:, None]
    return bytes((paper * (1 - share) + ink * share).round().astype(np.uint8).ravel().tolist())


def _json(content: dict[str, Any]) -> str:
    """As text for a script of the page, which a closing tag within would end."""
    return json.dumps(content).replace("</", "<\\/")
