"""How pictures look, in light and in dark, and how they are saved."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from circlemnist.errors import UserError
from circlemnist.runs.whole_files import replacing, writing

FORMATS = (".png", ".svg", ".pdf")
WIDTH = 1200  # pixels of a PNG


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
        *("#eedd88", "#ee8866", "#ffaabb", "#cc88ee", "#ffffff"),
    ),
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


def shades(*colors: str) -> LinearSegmentedColormap:
    """Return the colours between `colors`, evenly spaced."""
    return LinearSegmentedColormap.from_list("shades", colors)


def class_handles(names: Sequence[str], theme: Theme, size: float) -> list[Line2D]:
    """Return what a legend of the classes is made of: a dot and a name each."""
    return [
        Line2D([], [], color=color, label=name, marker="o", linestyle="", markersize=size)
        for name, color in zip(names, theme.classes, strict=False)
    ]


def class_colors(labels: NDArray[Any], theme: Theme) -> NDArray[Any]:
    """Return the colour of each label (N,), as text."""
    colors: NDArray[Any] = np.asarray(theme.classes)[labels]
    return colors


@contextmanager
def themed(theme: Theme) -> Iterator[None]:
    """Within, figures that are made have the colours of the theme and text that is read at 800 px.

    A figure keeps its look after the block.
    """
    with rc_context(
        {
            "figure.facecolor": theme.paper,
            "axes.facecolor": theme.paper,
            "savefig.facecolor": theme.paper,
            "text.color": theme.ink,
            "axes.labelcolor": theme.ink,
            "axes.edgecolor": theme.ink,
            "xtick.color": theme.ink,
            "ytick.color": theme.ink,
            "grid.color": theme.faint,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "font.size": 12,
            "figure.titlesize": 14,
        }
    ):
        yield


def check_format(path: Path) -> None:
    """Raise UserError where `path` has no suffix of a format that can be drawn."""
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"cannot draw into {path}: the name must end in {', '.join(FORMATS)}")


def save_figure(figure: Figure, path: Path, width: int = WIDTH) -> None:
    """Write a figure as PNG, SVG or PDF, by the suffix of `path`, atomically.

    Args:
        width: of a PNG, in pixels; SVG and PDF have the size of the figure.

    Raises:
        UserError: another suffix, or the file cannot be written.
    """
    check_format(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, rc_context({"svg.fonttype": "none"}):
            figure.savefig(temporary, dpi=width / figure.get_figwidth())
