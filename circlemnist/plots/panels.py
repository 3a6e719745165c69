"""The panels of a picture: where they go, and what is written above them."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from circlemnist.data.datasets import DISPLAY_NAMES
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.plots.style import Array

MOST = 20  # panels of a picture
COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4, 9: 3}
WIDEST = 5  # columns of ten panels and more
SIDES = {1: 7.0, 2: 5.0, 3: 4.2, 4: 3.6, 5: 3.2}  # inches of a panel, by the columns
LETTERS_PER_INCH = 9  # of a caption
SAMPLE = 2_000  # images, of as many points and pairs as a small panel shows
LONGEST = 75  # letters of a heading that fit above two panels


def heading(trained: EvaluatedRun, shown: str, how: str = "") -> str:
    """Return two lines: the data set and what is shown of it; how, and the facts.

    The facts are the settings that matter, and how good the embedding is.
    """
    config, evaluation = trained.config, trained.report
    accuracy = f"1-NN {100 * evaluation.metrics['1nn']:.2f} %"
    if evaluation.unseen:
        accuracy += f", unseen recall@1 {100 * evaluation.metrics['unseen/recall@1']:.2f} %"
    return (
        f"{DISPLAY_NAMES[evaluation.dataset]}, {shown}\n"
        f"{how}{config.described}, {duration(trained)}, {accuracy}"
    )


def duration(trained: EvaluatedRun) -> str:
    """Return how long a run has trained, in words."""
    epochs = len(trained.history)
    return f"{epochs} epoch{'' if epochs == 1 else 's'}"


def snapshot_captions(trained: EvaluatedRun) -> list[str]:
    """Return the time of each snapshot, in words."""
    return [
        "before training" if step == 0 else f"epoch {step / trained.steps_an_epoch:.2f}"
        for step in trained.snapshots.steps.tolist()
    ]


@dataclass(frozen=True)
class Grid:
    """The panels of several groups in rows and columns, filled row by row."""

    count: int

    @property
    def columns(self) -> int:
        return COLUMNS.get(self.count, WIDEST)

    @property
    def rows(self) -> int:
        return -(-self.count // self.columns)

    @property
    def side(self) -> float:
        """The width of a panel in inches; text has one size, and so fewer panels are narrower."""
        return SIDES[self.columns]

    @property
    def width(self) -> float:
        """The width of all columns in inches."""
        return self.columns * self.side

    def place(self, panel: int) -> tuple[int, int]:
        """Return the row and the column of a panel."""
        return divmod(panel, self.columns)

    def is_lowest(self, panel: int) -> bool:
        """Tell whether no panel is below."""
        return panel + self.columns >= self.count


def number_lowest(panels: Iterable[Axes], grid: Grid) -> None:
    """Number the x axes that are the lowest of their column, where an axis is shared."""
    for panel, axes in enumerate(panels):
        axes.tick_params(labelbottom=grid.is_lowest(panel))


def best_groups(groups: Sequence[Group]) -> tuple[list[Group], str]:
    """Return the groups that have a panel, and in words that these are the best, if not all."""
    if len(groups) <= MOST:
        return list(groups), ""
    order = sorted(range(len(groups)), key=lambda place: groups[place].mean("1nn"), reverse=True)
    best = [groups[place] for place in sorted(order[:MOST])]
    return best, f", the {MOST} of {len(groups)} groups with the best 1-NN"


def group_caption(group: Group, grid: Grid, more: str = "") -> str:
    """Return the name of a group, its 1-NN over the seeds, and `more`."""
    deviation, mean = group.deviation("1nn"), 100 * group.mean("1nn")
    spread = "" if deviation is None else f" ± {100 * deviation:.2f}"
    lines = textwrap.wrap(group.name, round(LETTERS_PER_INCH * grid.side))
    return "\n".join([*lines, f"1-NN {mean:.2f}{spread} %{more}"])


def sample(count: int) -> Array:
    """Return the indices of the images to draw, (S,) int: evenly spaced, equal in every run."""
    return np.linspace(0, count - 1, min(count, SAMPLE)).round().astype(int)


def sample_in_words(groups: Sequence[Group], images: Sequence[tuple[str, str]]) -> str:
    """Return in words which images the panels show.

    Args:
        images: the data set and the evaluated images of each group, in words.
    """
    parts = []
    for dataset, counted in images:
        count = int(counted.split()[0].replace(",", ""))
        some = f"{SAMPLE:,} of {counted}" if count > SAMPLE else counted
        parts.append(f"{DISPLAY_NAMES[dataset]}, {some}")
    shown = "; ".join(dict.fromkeys(parts))
    if len(shown) >= LONGEST:  # two data sets fill a line
        shown = "images of its own each"
    first = ", the first seed of each" if any(len(group.runs) > 1 for group in groups) else ""
    return f"{shown}{first}"
