"""How pictures look: their colours, sizes and lines."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from circlemnist.plots.kinds import WIDTH

Array = NDArray[Any]
TITLE_SHARE = 0.92  # of the width of a figure, at most: letters are wider in small pictures


@dataclass(frozen=True)
class Theme:
    """The colours of a picture, as `#rrggbb`."""

    name: str
    paper: str  # background
    ink: str  # text and axes
    faint: str  # grids
    same: str  # same-class pairs, and correct answers
    different: str  # different-class pairs, and mistakes
    classes: tuple[str, ...]  # ten colours that colour-blind readers distinguish

    @property
    def box(self) -> dict[str, Any]:
        """The box of a text, legible over other things."""
        return {"facecolor": self.paper, "edgecolor": "none", "alpha": 0.75, "pad": 1}


# Paul Tol's "muted" scheme, darkened to a contrast of 3 on white, and black; his "light" scheme, a
# violet and white
LIGHT = Theme(
    *("light", "#ffffff", "#1a1a1a", "#d0d0d0", "#117733", "#882255"),
    classes=(
        *("#392391", "#5999c5", "#30a29a", "#0b690f", "#969412"),
        *("#b58b57", "#a84f5a", "#751142", "#90277e", "#000000"),
    ),
)
DARK = Theme(
    *("dark", "#14171c", "#e8e8e8", "#3c424c", "#44bb99", "#ee8866"),
    classes=(
        *("#77aadd", "#99ddff", "#44bb99", "#bbcc33", "#aaaa00"),
        *("#eedd88", "#ee8866", "#ffaabb", "#8844ee", "#ffffff"),
    ),
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


@dataclass(frozen=True)
class Style:
    """How the user wants a picture."""

    theme: Theme = LIGHT
    projection: str = "tsne"  # a key of `PROJECTIONS`
    width: int = WIDTH  # pixels, of a PNG or GIF
    losses: Sequence[str] = ()  # of the gradients; none for those of the paper and of the run


@contextmanager
def new_figure(title: str, theme: Theme, width: float, height: float) -> Iterator[Figure]:
    """Give an empty figure of that size in inches, whose text is read at 800 px.

    A title that is wider than the figure is written smaller. What is drawn within the block has
    the colours of the theme, and keeps them after it.
    """
    papers = ("figure.facecolor", "axes.facecolor")
    inks = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    settings: dict[Any, Any] = {
        **dict.fromkeys(papers, theme.paper),
        **dict.fromkeys(inks, theme.ink),
        "grid.color": theme.faint,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 12,
        "figure.titlesize": 14,
    }
    with rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        text = figure.suptitle(title)
        while (share := text.get_window_extent().width / figure.bbox.width) > TITLE_SHARE:
            text.set_fontsize(float(text.get_fontsize()) * TITLE_SHARE / share)
        yield figure


def draw_grid(axes: Axes, axis: str = "y") -> None:
    """Draw a thin grid beneath what is drawn: its lines across the axis "x" or "y", or "both"."""
    axes.grid(axis=axis, linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def write(axes: Axes, text: str, place: Any, offset: tuple[float, float], **more: Any) -> None:
    """Write a text beside a place (2,) of the data, moved by points."""
    axes.annotate(text, tuple(place), xytext=offset, textcoords="offset points", **more)


def draw_frame(axes: Axes, color: str, width: float, line: Any = "-") -> None:
    """Frame a panel on its four sides; `line` is a style of matplotlib."""
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=color, linewidth=width, linestyle=line)


def shades(*colors: str) -> LinearSegmentedColormap:
    """Return the colours between `colors`, evenly spaced."""
    return LinearSegmentedColormap.from_list("shades", colors)


def legible(background: Any) -> str:
    """Return black or white, the one that reads better on a colour: of contrast 4.5 or more.

    By the relative luminance of the Web Content Accessibility Guidelines 2.1.
    """
    channels = np.array(to_rgb(background))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"
