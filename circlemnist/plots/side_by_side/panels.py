"""Where the panels of groups go, and what is written above them."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from circlemnist.data.classes import DISPLAY_NAMES
from circlemnist.evaluation.group import Group
from circlemnist.plots.style import Array

MOST = 20  # panels of a picture
COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4, 9: 3}
WIDEST = 5  # columns of ten panels and more
PANEL = {1: 7.0, 2: 5.0, 3: 4.2, 4: 3.6, 5: 3.2}  # inches of a panel, by the columns
LETTERS_AN_INCH = 9  # of a caption
SAMPLE = 2_000  # images, of as many points and pairs as a small panel shows
LONGEST = 75  # letters of a heading that fit above two panels


@dataclass(frozen=True)
class Grid:
    """Panels in rows and columns, filled row by row.

    Attributes:
        count: of panels.
        columns: of them beside each other.
    """

    count: int
    columns: int

    @classmethod
    def of(cls, count: int) -> "Grid":
        """Return the grid for so many panels."""
        return cls(count, COLUMNS.get(count, WIDEST))

    @property
    def rows(self) -> int:
        return -(-self.count // self.columns)

    @property
    def side(self) -> float:
        """The width of a panel in inches; text has one size, and so fewer panels are narrower."""
        return PANEL[self.columns]

    @property
    def width(self) -> float:
        """The width of all of them in inches."""
        return self.columns * self.side

    def place(self, panel: int) -> tuple[int, int]:
        """Return the row and the column of a panel."""
        return divmod(panel, self.columns)

    def is_lowest(self, panel: int) -> bool:
        """Tell whether no panel is below."""
        return panel + self.columns >= self.count


def drawn(groups: Sequence[Group]) -> tuple[list[Group], str]:
    """Return the groups that have a panel, and in words that these are the best, if not all are."""
    if len(groups) <= MOST:
        return list(groups), ""
    best = sorted(groups, key=lambda group: group.mean("1nn"), reverse=True)[:MOST]
    kept = [group for group in groups if any(group is each for each in best)]
    return kept, f", the {MOST} of {len(groups)} groups with the best 1-NN"


def caption(group: Group, grid: Grid, more: str = "") -> str:
    """Return the name of a group, what it reached over its seeds, and `more`."""
    deviation, mean = group.deviation("1nn"), 100 * group.mean("1nn")
    spread = "" if deviation is None else f" ± {100 * deviation:.2f}"
    lines = textwrap.wrap(group.name, round(LETTERS_AN_INCH * grid.side))
    return "\n".join([*lines, f"1-NN {mean:.2f}{spread} %{more}"])


def sample(count: int) -> Array:
    """Return which of `count` images are drawn, (S,) int: evenly spaced, alike in every run."""
    return np.linspace(0, count - 1, min(count, SAMPLE)).round().astype(int)


def sampled(groups: Sequence[Group], images_of: Sequence[tuple[str, str]] | None = None) -> str:
    """Return in words what the panels show of what was measured.

    Args:
        images_of: the data set and the images of each group, in words; None for those measured.
    """
    if images_of is None:
        images_of = [group.runs[0].images for group in groups]
    images = "; ".join(
        dict.fromkeys(f"{DISPLAY_NAMES[dataset]}, {_of(counted)}" for dataset, counted in images_of)
    )
    first = ", the first seed of each" if any(len(group.runs) > 1 for group in groups) else ""
    # two of them fill a line
    shown = images if len(images) < LONGEST else "images of its own each"
    return f"{shown}{first}"


def _of(counted: str) -> str:
    count = int(counted.split()[0].replace(",", ""))
    return f"{SAMPLE:,} of {counted}" if count > SAMPLE else counted


def number_lowest(panels: Iterable[Axes], grid: Grid) -> None:
    """Number the x axes that are the lowest of their column, where an axis is shared."""
    for place, axes in enumerate(panels):
        axes.tick_params(labelbottom=grid.is_lowest(place))
