"""The plots and controls of the explorer, in Bokeh."""

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
from circlemnist.explorer.space import Frames, Space, pair_places
from circlemnist.plots.style import Array, Theme

TOOLS = "pan,wheel_zoom,box_zoom,lasso_select,box_select,reset"
DOTS: dict[str, Any] = {"size": 5, "alpha": 0.75, "nonselection_alpha": 0.08, "line_color": None}
RINGS: dict[str, Any] = {"size": 10, "fill_color": None, "nonselection_line_alpha": 0.1}

CARD = "explorer.point(cb_data.index.indices[0])"


@dataclass(frozen=True)
class Plots:
    """What the page is made of.

    Attributes:
        roots: each named as its place in `page.html`: controls, space, pair_plane, and time where
            there are frames.
        start: to run when the page is ready.
    """

    roots: list[UIElement]
    start: CustomJS


def draw_plots(space: Space, theme: Theme) -> Plots:
    """Build the plots over one source, so that a selection in one shows in the other."""
    points, frames, data = space.points, space.frames, _source(space)
    classes = range(len(points.names))
    kept = [IndexFilter(indices=np.flatnonzero(points.labels == c).tolist()) for c in classes]
    wrong = IndexFilter(indices=np.flatnonzero(points.labels != space.predicted).tolist())
    # closed while the points of an earlier time are shown in place of all
    gate = IndexFilter(indices=list(range(len(points.labels))))
    both = [IntersectionFilter(operands=[each, gate]) for each in kept]

    everything = [points.positions, *([] if frames is None else frames.points.positions)]
    scatter = _plot("space", *_ranges(np.concatenate(everything)), theme, height=520)
    scatter.axis.visible = scatter.grid.visible = False
    shown, rings = _draw_images(scatter, ("x", "y"), data, both, wrong, theme)

    square = Range1d(start=-1, end=1), Range1d(start=-1, end=1.05)
    pair_plane = _plot("pair_plane", *square, theme, height=360)
    pair_plane.xaxis.axis_label = "s_n, to the next class"
    pair_plane.yaxis.axis_label = "s_p, to its own"
    beside, _ = _draw_images(pair_plane, ("sn", "sp"), data, kept, wrong, theme)
    _boundary(pair_plane, space.boundary, theme)
    for one, other in zip(shown, beside, strict=True):
        one.js_link("visible", other, "visible")

    controls, given = _controls(points.names[-1], theme)
    roots = [controls, scatter, pair_plane]
    given |= {"filters": kept, "wrong": wrong, "gate": gate, "classes": shown, "rings": rings}
    if frames is not None:
        time, more = _movie(scatter, frames, theme)
        roots, given = [*roots, time], given | more
    scatter.add_layout(_legend(scatter, points.names, shown, theme), "right")
    if isinstance(space.pad, Pad):
        given |= {"plot": scatter, "points": data}
    return Plots(roots, CustomJS(args=given, code=f"explorer.start({{{', '.join(given)}}})"))


def _source(space: Space) -> ColumnDataSource:
    x, y = space.points.positions.T
    sn, sp = pair_places(space.directions, space.points.labels)
    columns = {"x": x, "y": y, "sn": sn, "sp": sp}
    single = {name: column.astype(np.float32) for name, column in columns.items()}
    source = ColumnDataSource(single, name="points")
    source.selected.js_on_change("indices", CustomJS(code="explorer.chosen(cb_obj.indices)"))
    return source


def _draw_images(
    plot: Any,
    columns: tuple[str, str],
    source: ColumnDataSource,
    kept: Sequence[Filter],
    wrong: Filter,
    theme: Theme,
) -> tuple[list[GlyphRenderer[Any]], GlyphRenderer[Any]]:
    """A dot for each image, by class, and a ring about each mistake; the pointer shows a card."""
    x, y = map(field, columns)
    dots = [
        plot.scatter(x, y, source=source, view=CDSView(filter=of), color=color, **DOTS)
        for of, color in zip(kept, theme.classes, strict=False)
    ]
    ringed = CDSView(filter=wrong)
    rings = plot.scatter(x, y, source=source, view=ringed, line_color=theme.ink, **RINGS)
    plot.add_tools(HoverTool(renderers=dots, tooltips=None, callback=CustomJS(code=CARD)))
    given = {"plot": plot, "source": source}
    tapped = "explorer.tap(plot, source.data.{}, source.data.{}, cb_obj)".format(*columns)
    plot.js_on_event("tap", CustomJS(args=given, code=tapped))
    plot.js_on_event("mouseleave", CustomJS(code="explorer.point()"))
    return dots, rings


def _controls(example: str, theme: Theme) -> tuple[UIElement, dict[str, Any]]:
    """The search and the switch, in a row and by name; labels in the colours of the page."""
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


def _ranges(points: Array) -> tuple[Range1d, Range1d]:
    low, high = points.min(0), points.max(0)
    margin = 0.05 * (high - low) + 1e-6
    (left, bottom), (right, top) = (low - margin).tolist(), (high + margin).tolist()
    return Range1d(start=left, end=right), Range1d(start=bottom, end=top)


def _plot(name: str, x: Range1d, y: Range1d, theme: Theme, height: int) -> Any:
    plot = figure(
        name=name,
        height=height,
        sizing_mode="stretch_width",
        x_range=x,
        y_range=y,
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


def _boundary(plot: Any, lines: Sequence[Array], theme: Theme) -> None:
    """The decision boundary and the optimum."""
    for line in lines:
        plot.line(*line.T, color=theme.ink, line_width=1.5)
    plot.scatter([0], [1], marker="star", size=14, color=theme.ink)


def _legend(
    plot: Any, names: Sequence[str], classes: list[GlyphRenderer[Any]], theme: Theme
) -> Legend:
    # of a point that is nowhere: dots of which none is let through have no key
    keys = [
        plot.scatter([np.nan], [np.nan], color=color, **DOTS)
        for _, color in zip(names, theme.classes, strict=False)
    ]
    rows = zip(names, classes, keys, strict=True)
    return Legend(
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
    )


def _movie(plot: Any, frames: Frames, theme: Theme) -> tuple[UIElement, dict[str, Any]]:
    """The points that move, and what moves them."""
    last = len(frames.captions)
    x, y = frames.points.positions[-1].astype(np.float32).T
    colors = frames.points.colors(theme).tolist()
    source = ColumnDataSource({"x": x, "y": y, "color": colors}, name="moving")
    chosen = CustomJS(code="explorer.chosenEarly(cb_obj.indices)")
    source.selected.js_on_change("indices", chosen)
    moved = IndexFilter(indices=list(range(len(x))))
    dots: dict[str, Any] = {"color": "color", "source": source, "view": CDSView(filter=moved)}
    moving = plot.scatter("x", "y", size=8, visible=False, **dots)
    slider = Slider(
        start=0,
        end=last,
        value=last,
        step=1,
        title=None,
        show_value=False,
        width=320,
        name="slider",
    )
    play = Toggle(label="Play", name="play", width=80)
    ink: dict[str, str | None] = {"color": theme.ink, "font-size": "15px"}
    caption = Div(text="all images", styles=ink, name="caption")
    slider.js_on_change("value", CustomJS(code="explorer.time(cb_obj.value)"))
    play.js_on_change("active", CustomJS(code="explorer.play(cb_obj.active)"))
    models: dict[str, Any] = {"slider": slider, "play": play, "caption": caption}
    models |= {"moving": moving, "moved": moved, "source": source}
    return row(play, slider, caption, name="time"), models
