"""The plots and controls of the explorer, in Bokeh."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.core.properties import field
from bokeh.layouts import row
from bokeh.models.callbacks import CustomJS
from bokeh.models.css import InlineStyleSheet
from bokeh.models.filters import Filter, IndexFilter, IntersectionFilter
from bokeh.models.ranges import Range1d
from bokeh.models.renderers import DataRenderer
from bokeh.models.sources import CDSView, ColumnDataSource
from bokeh.models.tools import HoverTool
from bokeh.models.ui import UIElement
from bokeh.models.widgets import Div, Slider, TextInput, Toggle
from bokeh.plotting import figure
from numpy.typing import NDArray

from circlemnist.plots.style import Theme

Array = NDArray[Any]
TOOLS = "pan,wheel_zoom,box_zoom,lasso_select,box_select,reset"
DOTS: dict[str, Any] = {"size": 5, "alpha": 0.75, "nonselection_alpha": 0.08, "line_color": None}
RINGS: dict[str, Any] = {"size": 10, "fill_color": None, "nonselection_line_alpha": 0.1}


@dataclass(frozen=True)
class Frames:
    """The space as it formed.

    Attributes:
        captions: T words, of the times.
        positions: (T, S, 2) float.
        labels: (S,) int, of the points that move.
    """

    captions: Sequence[str]
    positions: Array
    labels: Array


@dataclass(frozen=True)
class Views:
    """What the page is made of; each root is named as its place in `page.html`.

    Attributes:
        controls, space, plane: search and switch, the scatter plot, the (s_n, s_p) plane.
        time: slider and button, where there are frames.
        start: to run when the page is ready.
    """

    controls: UIElement
    space: UIElement
    plane: UIElement
    time: UIElement | None
    start: CustomJS

    def roots(self) -> list[UIElement]:
        """All that is there."""
        return [root for root in (self.controls, self.space, self.plane, self.time) if root]


def draw_views(
    points: Array,
    labels: Array,
    predicted: Array,
    names: Sequence[str],
    sn: Array,
    sp: Array,
    m: float,
    theme: Theme,
    frames: Frames | None,
) -> Views:
    """Build the plots over one source, so that a selection in one shows in the other."""
    source = ColumnDataSource(
        {
            "x": points[:, 0].astype(np.float32),
            "y": points[:, 1].astype(np.float32),
            "sn": sn.astype(np.float32),
            "sp": sp.astype(np.float32),
            "label": labels.astype(np.int32),
        },
        name="points",
    )
    filters = [IndexFilter(indices=np.flatnonzero(labels == c).tolist()) for c in range(len(names))]
    wrong = IndexFilter(indices=np.flatnonzero(labels != predicted).tolist())
    everything = points if frames is None else np.concatenate([points, *frames.positions])
    space = _plot("space", *_ranges(everything), theme, height=520)
    space.axis.visible = space.grid.visible = False
    plane = _plot("plane", Range1d(start=-1, end=1), Range1d(start=-1, end=1.05), theme, height=360)
    plane.xaxis.axis_label, plane.yaxis.axis_label = "s_n, to the next class", "s_p, to its own"
    # closed while the points of an earlier time are shown in place of all
    gate = IndexFilter(indices=list(range(len(labels))))
    shown, beside = [], []
    for label, (name, kept) in enumerate(zip(names, filters, strict=True)):
        dots = DOTS | {"color": theme.classes[label]}
        both = IntersectionFilter(operands=[kept, gate])
        shown.append(_points(space, "x", "y", source, both, legend_label=name, **dots))
        beside.append(_points(plane, "sn", "sp", source, kept, **dots))
    for one, other in zip(shown, beside, strict=True):
        one.js_link("visible", other, "visible")
    rings = [
        _points(plot, x, y, source, wrong, line_color=theme.ink, **RINGS)
        for plot, x, y in ((space, "x", "y"), (plane, "sn", "sp"))
    ]
    _circle(plane, m, theme)
    for plot, renderers in ((space, shown), (plane, beside)):
        hover = HoverTool(renderers=renderers, tooltips=None, callback=CustomJS(code=CARD))
        plot.add_tools(hover)
        plot.js_on_event("mouseleave", CustomJS(code="explorer.card(null)"))
    source.selected.js_on_change("indices", CustomJS(code="explorer.sheet(cb_obj.indices)"))
    _legend(space, theme)

    search = TextInput(
        placeholder="class, e.g. " + names[-1],
        title="Show only",
        width=160,
        name="search",
        stylesheets=[_widget(theme)],
    )
    mistakes = Toggle(label="Only mistakes", name="mistakes", align="end")
    search.js_on_change("value_input", CustomJS(code="explorer.filter()"))
    mistakes.js_on_change("active", CustomJS(code="explorer.filter()"))
    given: dict[str, Any] = {
        "search": search,
        "mistakes": mistakes,
        "filters": filters,
        "wrong": wrong,
        "gate": gate,
        "classes": shown,
        "rings": rings[0],
    }
    time = None
    if frames is not None:
        time, more = _movie(space, frames, theme)
        given |= more
    start = CustomJS(args=given, code=f"explorer.start({{{', '.join(given)}}})")
    return Views(row(search, mistakes, name="controls"), space, plane, time, start)


CARD = "explorer.card(cb_data.index.indices.length ? cb_data.index.indices[0] : null)"


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


def _points(
    plot: Any, x: str, y: str, source: ColumnDataSource, kept: Filter, **look: Any
) -> DataRenderer:
    points: DataRenderer = plot.scatter(
        field(x), field(y), source=source, view=CDSView(filter=kept), **look
    )
    return points


def _circle(plot: Any, m: float, theme: Theme) -> None:
    """The decision circle, as a line so that both axes may be scaled, and the optimum."""
    turn = np.linspace(0, 2 * np.pi, 181)
    radius = math.sqrt(2) * abs(m)
    plot.line(radius * np.cos(turn), 1 + radius * np.sin(turn), color=theme.ink, line_width=1.5)
    plot.scatter([0], [1], marker="star", size=14, color=theme.ink)


def _legend(plot: Any, theme: Theme) -> None:
    legend = plot.legend[0]
    legend.click_policy = "hide"
    legend.background_fill_color, legend.background_fill_alpha = theme.paper, 0.7
    legend.border_line_color = None
    legend.label_text_color, legend.label_text_font_size = theme.ink, "14px"
    legend.glyph_width = legend.glyph_height = 22
    plot.add_layout(legend, "right")


def _movie(plot: Any, frames: Frames, theme: Theme) -> tuple[UIElement, dict[str, Any]]:
    """The points that move, and what moves them."""
    last = len(frames.captions)
    x, y = frames.positions[-1].astype(np.float32).T
    colors = [theme.classes[label] for label in frames.labels]
    source = ColumnDataSource({"x": x, "y": y, "color": colors}, name="moving")
    moving = plot.scatter("x", "y", color="color", source=source, size=8, visible=False)
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
    caption = Div(
        text="all images", styles={"color": theme.ink, "font-size": "15px"}, name="caption"
    )
    slider.js_on_change("value", CustomJS(code="explorer.time(cb_obj.value)"))
    play.js_on_change("active", CustomJS(code="explorer.play(cb_obj.active)"))
    models = {
        "slider": slider,
        "play": play,
        "caption": caption,
        "moving": moving,
        "source": source,
    }
    return row(play, slider, caption, name="time"), models


def _widget(theme: Theme) -> InlineStyleSheet:
    """Labels of inputs in the colours of the page."""
    return InlineStyleSheet(css=f":host {{ color: {theme.ink}; }}")
