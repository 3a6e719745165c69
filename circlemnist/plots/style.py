"""The style of pictures, in light and in dark, and what they share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from circlemnist.plots.kinds import WIDTH

Array = NDArray[Any]
DOT = 9  # of a legend, in points
TITLE_SHARE = 0.92  # of the width of a figure, at most: letters are wider in small pictures


@dataclass(frozen=True)
class Theme:
    """The colours of a picture, as `#rrggbb`.

    Attributes:
        name: "light" or "dark".
        paper: background.
        ink: text, axes, the circle.
        faint: grids and what is in the background.
        like: within-class pairs, and what is right.
        unlike: between-class pairs, and what is wrong.
        classes: ten colours that colour-blind readers tell apart.
    """

    name: str
    paper: str
    ink: str
    faint: str
    like: str
    unlike: str
    classes: tuple[str, ...]


# Paul Tol's "muted" scheme and black; his "light" scheme, a violet and white
LIGHT = Theme(
    name="light",
    paper="#ffffff",
    ink="#1a1a1a",
    faint="#d0d0d0",
    like="#117733",
    unlike="#882255",
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
    like="#44bb99",
    unlike="#ee8866",
    classes=(
        *("#77aadd", "#99ddff", "#44bb99", "#bbcc33", "#aaaa00"),
        *("#eedd88", "#ee8866", "#ffaabb", "#8844ee", "#ffffff"),
    ),
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


@dataclass(frozen=True)
class Style:
    """How a picture is wanted.

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


@dataclass(frozen=True)
class Blank:
    """A picture before anything is drawn: its title, and the colours to draw with."""

    title: str
    theme: Theme

    @contextmanager
    def figure(self, width: float, height: float) -> Iterator[Figure]:
        """Give an empty figure of that size in inches, whose text is read at 800 px.

        A title that is wider than the figure is written smaller.

        What is drawn within the block has the colours of the theme, and keeps them after it.
        """
        papers = ("figure.facecolor", "axes.facecolor")
        inks = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
        settings: dict[Any, Any] = {
            **dict.fromkeys(papers, self.theme.paper),
            **dict.fromkeys(inks, self.theme.ink),
            "grid.color": self.theme.faint,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "font.size": 12,
            "figure.titlesize": 14,
        }
        with rc_context(settings):
            figure = Figure(figsize=(width, height), layout="constrained")
            title = figure.suptitle(self.title)
            while (share := title.get_window_extent().width / figure.bbox.width) > TITLE_SHARE:
                title.set_fontsize(float(title.get_fontsize()) * TITLE_SHARE / share)
            yield figure


@dataclass(frozen=True)
class Points:
    """Images as points, each in the colour of its class.

    Attributes:
        positions: (N, 2) or (N, 3) float; (T, N, 2) or (T, N, 3) where they move.
        labels: (N,) int, index into `names`.
        names: of the classes, at most ten.
        unseen: labels of classes that were left out of training, drawn as triangles.
    """

    positions: Array
    labels: Array
    names: Sequence[str]
    unseen: Sequence[int] = ()

    def where(self, chosen: Array) -> "Points":
        """Return the points for which `chosen`, (N,) bool, is true."""
        return Points(self.positions[chosen], self.labels[chosen], self.names, self.unseen)

    def by_marker(self) -> Iterator[tuple[str, "Points"]]:
        """Give the points of seen and of unseen classes, those there are, with their marker."""
        unseen = np.isin(self.labels, self.unseen)
        for marker, chosen in (("o", ~unseen), ("^", unseen)):
            if chosen.any():
                yield marker, self.where(chosen)

    def colors(self, theme: Theme) -> Array:
        """Return the colour of each point (N,), as text."""
        found: Array = np.asarray(theme.classes)[self.labels]
        return found

    def write_legend(self, figure: Figure, theme: Theme, more: Sequence[Line2D] = ()) -> None:
        """Put a dot and a name for each class, and `more` like these, to the right of a figure."""
        dots = [
            Line2D(
                [],
                [],
                color=color,
                label=f"{name}, unseen" if label in self.unseen else name,
                marker="^" if label in self.unseen else "o",
                linestyle="",
                markersize=DOT,
            )
            for label, (name, color) in enumerate(zip(self.names, theme.classes, strict=False))
        ]
        figure.legend(handles=[*dots, *more], loc="outside right center", handletextpad=0.1)


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
