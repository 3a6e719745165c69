"""The style of pictures, in light and in dark."""

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
DASHES = (0, (2, 1.2))


@dataclass(frozen=True)
class Theme:
    """The colours of a picture, as `#rrggbb`.

    Attributes:
        name: "light" or "dark".
        paper: background.
        ink: text, axes, the circle.
        faint: grids and what is in the background.
        same: same-class pairs, and correct answers.
        different: different-class pairs, and mistakes.
        classes: ten colours that colour-blind readers distinguish.
    """

    name: str
    paper: str
    ink: str
    faint: str
    same: str
    different: str
    classes: tuple[str, ...]


# Paul Tol's "muted" scheme and black; his "light" scheme, a violet and white
LIGHT = Theme(
    name="light",
    paper="#ffffff",
    ink="#1a1a1a",
    faint="#d0d0d0",
    same="#117733",
    different="#882255",
    classes=(
        *("#332288", "#88ccee", "#44aa99", "#117733", "#999933"),
        *("#ddcc77", "#cc6677", "#882255", "#aa4499", "#000000"),
    ),
)
DARK = Theme(
    name="dark",
    paper="#14171c",
    ink="#e8e8e8",
    faint="#3c424c",
    same="#44bb99",
    different="#ee8866",
    classes=(
        *("#77aadd", "#99ddff", "#44bb99", "#bbcc33", "#aaaa00"),
        *("#eedd88", "#ee8866", "#ffaabb", "#8844ee", "#ffffff"),
    ),
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


@dataclass(frozen=True)
class Style:
    """How the user wants a picture.

    Attributes:
        theme: its colours.
        projection: a key of `kinds.PROJECTIONS`, for embeddings of more than three dimensions.
        split: "test", "train" or "both", the images of the scatter plot.
        width: in pixels, of a PNG, GIF or MP4.
        losses: keys of `FAMILY`, of the gradients; none for those of the paper and of the run.
    """

    theme: Theme = LIGHT
    projection: str = "tsne"
    split: str = "test"
    width: int = WIDTH
    losses: Sequence[str] = ()


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


def draw_image(
    axes: Axes, image: Array, colors: LinearSegmentedColormap | None, caption: str, size: int
) -> None:
    """Draw an image of bytes with a caption of that size below; a coloured one without `colors`."""
    axes.imshow(image, cmap=colors, vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(caption, fontsize=size, labelpad=3)


def frame_image(axes: Axes, right: bool, theme: Theme) -> None:
    """Frame an image: in thick dashes where it is wrong or unknown."""
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=theme.same if right else theme.different)
        spine.set(linestyle="-" if right else DASHES, linewidth=1.8 if right else 2.6)


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
