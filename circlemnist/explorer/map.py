"""The map and the pair plane of the explorer, with their controls and the slider, in Bokeh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.core.properties import field
from bokeh.layouts import row
from bokeh.models.annotations import Legend, LegendItem
from bokeh.models.callbacks import CustomJS
from bokeh.models.css import InlineStyleSheet
from bokeh.models.filters import Filter, IndexFilter, IntersectionFilter
from bokeh.models.ranges import Range1d
from bokeh.models.renderers import GlyphRenderer
from bokeh.models.sources import CDSView, ColumnDataSource
from bokeh.models.tools import HoverTool
from bokeh.models.ui import UIElement
from bokeh.models.widgets import Div, Slider, TextInput, Toggle
from bokeh.plotting import figure

from circlemnist.explorer.pad import Pad
from circlemnist.plots.points import MOST_NAMES, TEN, Points
from circlemnist.plots.style import Array, Theme

TOOLS = "pan,wheel_zoom,box_zoom,lasso_select,box_select,reset"
DOTS: dict[str, Any] = {"size": 5, "alpha": 0.75, "nonselection_alpha": 0.08, "line_color": None}
# by tens of classes, beside the colours
MARKERS = ("circle", "square", "triangle", "star", "inverted_triangle", "plus", "hex", "diamond")
LEGEND_ROWS = 18
RINGS: dict[str, Any] = {"size": 10, "fill_color": None, "nonselection_line_alpha": 0.1}


@dataclass(frozen=True)
class Frames:
    """The embeddings of a sample at T times of the training."""

    captions: Sequence[str]  # T words, of the times
    points: Points  # (T, S, 2) float, those that move
    indices: Array  # (S,) int, their images


@dataclass(frozen=True)
class Space:
    """The test split of a run."""

    points: Points  # (N, 2) float, where the images are drawn
    predicted: Array  # (N,) int, class of the nearest training image; its own if that is unseen
    images: Array  # (N, 28, 28) uint8, 255 is full ink
    directions: Array  # (N, D) float, the embeddings at unit length
    neighbors: Array  # (N, 5) int, the nearest other images, nearest first
    boundary: Sequence[Array]  # lines of the decision boundary, (L, 2) float, columns s_n and s_p
    frames: Frames | None = None  # where there are snapshots
    pad: Pad | str = "the network is not here"  # or in words why there is none


def draw_plots(space: Space, theme: Theme) -> tuple[list[UIElement], CustomJS]:
    """Build the plots over one source, so that a selection in one shows in the other.

    The elements are named as their places in `page.html`; the script runs when the page is ready.
    """
    points, frames = space.points, space.frames
    (x, y), (sn, sp) = points.positions.T, pair_places(space.directions, points.labels)
    columns = {"x": x, "y": y, "sn": sn, "sp": sp}
    single = {name: column.astype(np.float32) for name, column in columns.items()}
    source = ColumnDataSource(single, name="points")
    source.selected.js_on_change("indices", CustomJS(code="explorer.selectImages(cb_obj.indices)"))
    classes = range(len(points.names))
    filters = [IndexFilter(indices=np.flatnonzero(points.labels == c).tolist()) for c in classes]
    wrong = IndexFilter(indices=np.flatnonzero(points.labels != space.predicted).tolist())
    # closed while the points of an earlier time are shown in place of all
    gate = IndexFilter(indices=list(range(len(points.labels))))
    gated = [IntersectionFilter(operands=[chosen, gate]) for chosen in filters]

    everything = np.concatenate([points.positions, *(frames.points.positions if frames else [])])
    low, high = everything.min(0), everything.max(0)
    margin = 0.05 * (high - low) + 1e-6
    (left, bottom), (right, top) = (low - margin).tolist(), (high + margin).tolist()
    scatter = _plot("space", (left, right), (bottom, top), theme, height=520)
    scatter.axis.visible = scatter.grid.visible = False
    dots, rings = _draw_images(scatter, ("x", "y"), source, gated, wrong, theme)

    pair_plane = _plot("pair_plane", (-1, 1), (-1, 1.05), theme, height=360)
    pair_plane.xaxis.axis_label = "s_n, to the next class"
    pair_plane.yaxis.axis_label = "s_p, to its own"
    pair_dots, _ = _draw_images(pair_plane, ("sn", "sp"), source, filters, wrong, theme)
    for line in space.boundary:
        pair_plane.line(*line.T, color=theme.ink, line_width=1.5)
    pair_plane.scatter([0], [1], marker="star", size=14, color=theme.ink)
    for class_dots, class_pair_dots in zip(dots, pair_dots, strict=True):
        class_dots.js_link("visible", class_pair_dots, "visible")

    controls, models = _controls(points.names[-1], theme)
    roots = [controls, scatter, pair_plane]
    models |= {"filters": filters, "wrong": wrong, "gate": gate, "classes": dots, "rings": rings}
    if frames is not None:
        time, time_models = _movie(scatter, frames, theme)
        roots, models = [*roots, time], models | time_models
    if len(points.names) <= MOST_NAMES:  # of more, the search box finds a class
        _add_legend(scatter, points.names, dots, theme)
    if isinstance(space.pad, Pad):
        models |= {"plot": scatter, "points": source}
    return roots, CustomJS(args=models, code=f"explorer.start({{{', '.join(models)}}})")


def pair_places(directions: Array, labels: Array) -> tuple[Array, Array]:
    """Return (N,) s_n and s_p: the place of each image in the pair plane.

    s_p is its mean cosine to its own class, and s_n the highest one to another class. They are
    NaN where there is no other image, or no other class.
    """
    counts = np.bincount(labels, minlength=labels.max() + 1).astype(float)
    sums = np.stack([directions[labels == label].sum(0) for label in range(len(counts))])  # (C, D)
    rows = np.arange(len(labels))
    cosines = directions @ sums.T  # (N, C), summed over each class
    with np.errstate(divide="ignore", invalid="ignore"):
        sp = (cosines[rows, labels] - 1) / (counts[labels] - 1)
        means = cosines / counts
    means[rows, labels] = -np.inf
    means[:, counts == 0] = -np.inf
    sn = means.max(1)
    return np.where(np.isfinite(sn), sn, np.nan), np.where(counts[labels] > 1, sp, np.nan)


def _draw_images(
    plot: Any,
    columns: tuple[str, str],
    source: ColumnDataSource,
    filters: Sequence[Filter],
    wrong: Filter,
    theme: Theme,
) -> tuple[list[GlyphRenderer[Any]], GlyphRenderer[Any]]:
    """Draw a dot for each image, by class, and a ring about a mistake; a pointer shows a card."""
    x, y = map(field, columns)
    dots = [
        plot.scatter(
            x, y, source=source, view=CDSView(filter=chosen), **_mark(label, theme), **DOTS
        )
        for label, chosen in enumerate(filters)
    ]
    ringed = CDSView(filter=wrong)
    rings = plot.scatter(x, y, source=source, view=ringed, line_color=theme.ink, **RINGS)
    hovered = CustomJS(code="explorer.point(cb_data.index.indices[0])")
    plot.add_tools(HoverTool(renderers=dots, tooltips=None, callback=hovered))
    tapped = "explorer.tap(plot, source.data.{}, source.data.{}, cb_obj)".format(*columns)
    plot.js_on_event("tap", CustomJS(args={"plot": plot, "source": source}, code=tapped))
    plot.js_on_event("mouseleave", CustomJS(code="explorer.point()"))
    return dots, rings


def _mark(label: int, theme: Theme) -> dict[str, str]:
    return {"color": theme.color(label), "marker": MARKERS[label // TEN % len(MARKERS)]}


def _controls(example: str, theme: Theme) -> tuple[UIElement, dict[str, Any]]:
    search = TextInput(
        placeholder=f"class, e.g. {example}",
        title="Show only",
        width=200,
        name="search",
        stylesheets=[InlineStyleSheet(css=f":host {{ color: {theme.ink}; }}")],
    )
    mistakes = Toggle(label="Only mistakes", name="mistakes", align="end")
    search.js_on_change("value_input", CustomJS(code="explorer.filter()"))
    mistakes.js_on_change("active", CustomJS(code="explorer.filter()"))
    return row(search, mistakes, name="controls"), {"search": search, "mistakes": mistakes}


def _plot(
    name: str, x: tuple[float, float], y: tuple[float, float], theme: Theme, height: int
) -> Any:
    plot = figure(
        name=name,
        height=height,
        sizing_mode="stretch_width",
        x_range=Range1d(start=x[0], end=x[1]),
        y_range=Range1d(start=y[0], end=y[1]),
        tools=TOOLS,
        active_scroll="wheel_zoom",
        output_backend="webgl",
        background_fill_color=theme.paper,
        border_fill_color=theme.paper,
        outline_line_color=theme.faint,
    )
    plot.toolbar.logo = None
    plot.grid.grid_line_color = theme.faint
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = theme.ink
    plot.axis.minor_tick_line_color = None
    plot.axis.major_label_text_color = plot.axis.axis_label_text_color = theme.ink
    plot.axis.axis_label_text_font_style = "normal"
    plot.axis.major_label_text_font_size = plot.axis.axis_label_text_font_size = "13px"
    return plot


def _add_legend(
    plot: Any, names: Sequence[str], classes: list[GlyphRenderer[Any]], theme: Theme
) -> None:
    # keys of a point that is nowhere: dots that are all filtered out have no key
    keys = [
        plot.scatter([np.nan], [np.nan], **_mark(label, theme), **DOTS)
        for label in range(len(names))
    ]
    rows = zip(names, classes, keys, strict=True)
    legend = Legend(
        items=[LegendItem(label=name, renderers=[dots, key]) for name, dots, key in rows],
        click_policy="hide",
        inactive_fill_color=theme.paper,
        background_fill_color=theme.paper,
        background_fill_alpha=0.7,
        border_line_color=None,
        label_text_color=theme.ink,
        label_text_font_size="14px",
        glyph_width=22,
        glyph_height=22,
        ncols=-(-len(names) // LEGEND_ROWS),
    )
    plot.add_layout(legend, "right")


def _movie(plot: Any, frames: Frames, theme: Theme) -> tuple[UIElement, dict[str, Any]]:
    """Return the slider over the training, in a row and by name, and the points that it moves."""
    last = len(frames.captions)
    x, y = frames.points.positions[-1].astype(np.float32).T
    colors = frames.points.colors(theme).tolist()
    source = ColumnDataSource({"x": x, "y": y, "color": colors}, name="moving")
    selected = CustomJS(code="explorer.selectMoving(cb_obj.indices)")
    source.selected.js_on_change("indices", selected)
    moved = IndexFilter(indices=list(range(len(x))))
    dots: dict[str, Any] = {"color": "color", "source": source, "view": CDSView(filter=moved)}
    moving = plot.scatter("x", "y", size=8, visible=False, **dots)
    span: dict[str, Any] = {"start": 0, "end": last, "value": last, "step": 1, "width": 320}
    slider = Slider(title=None, show_value=False, name="slider", **span)
    play = Toggle(label="Play", name="play", width=80)
    ink: dict[str, str | None] = {"color": theme.ink, "font-size": "15px"}
    caption = Div(text="all images", styles=ink, name="caption")
    slider.js_on_change("value", CustomJS(code="explorer.time(cb_obj.value)"))
    play.js_on_change("active", CustomJS(code="explorer.play(cb_obj.active)"))
    models: dict[str, Any] = {"slider": slider, "play": play, "caption": caption}
    models |= {"moving": moving, "moved": moved, "source": source}
    return row(play, slider, caption, name="time"), models
