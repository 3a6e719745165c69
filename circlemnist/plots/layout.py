"""What pictures say and where: headings, captions, names, the panels of several groups."""

import textwrap
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes

from circlemnist.catalog import title_of
from circlemnist.config import Config
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.plots.style import Array

MOST_PANELS = 20
COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4, 9: 3}  # by the number of panels; else 5
SIDES = {1: 7.0, 2: 5.0, 3: 4.2, 4: 3.6, 5: 3.2}  # inches of a panel, by the columns
LETTERS_PER_INCH = 9  # of a caption
SAMPLE = 2_000  # images, of as many points and pairs as a small panel shows
LONGEST_NAME = 24  # letters of a class


def heading(trained: EvaluatedRun, shown: str, how: str = "") -> str:
    """Return two lines: the data set and what is shown of it; how, the settings, and 1-NN."""
    config, report = trained.config, trained.report
    accuracy = f"1-NN {100 * report.metrics['1nn']:.2f} %"
    if report.unseen:
        accuracy += f", unseen recall@1 {100 * report.metrics['unseen/recall@1']:.2f} %"
    return (
        f"{drawn(title_of(report.dataset))}, {shown}\n"
        f"{how}{config.loss_and_values}, {duration(trained)}, {accuracy}"
    )


def drawn(name: str, longest: int = LONGEST_NAME) -> str:
    """Return the name of a class or a folder as it is drawn: not too long, and no formula."""
    short = name if len(name) <= longest else f"{name[: longest - 1]}…"
    return without_formulas(short)


def without_formulas(text: str) -> str:
    """Return a user's text as matplotlib draws it letter by letter: "$" would begin a formula."""
    return text.replace("$", r"\$")


def drawn_names(config: Config, longest: int = LONGEST_NAME) -> list[str]:
    """Return the names of the classes of a run, as they are drawn."""
    return [drawn(name, longest) for name in config.class_names]


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


class Grid:
    """Groups of runs side by side, a panel each, row by row; of many the best ones.

    Attributes:
        groups: those that have a panel.
        selection: which of the groups these are, in words, if not all.
        side: the width of a panel in inches; text has one size, and so fewer panels are narrower.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups, self.selection = list(groups), ""
        if len(groups) > MOST_PANELS:
            accuracies = np.array([group.mean("1nn") for group in groups])
            best = sorted(np.argsort(-accuracies, kind="stable")[:MOST_PANELS])
            self.groups = [groups[place] for place in best]
            self.selection = f", the {MOST_PANELS} of {len(groups)} groups with the best 1-NN"
        self.columns = COLUMNS.get(len(self.groups), max(SIDES))
        self.rows = -(-len(self.groups) // self.columns)
        self.side = SIDES[self.columns]
        self.width = self.columns * self.side

    def caption(self, group: Group) -> str:
        """Return the name of a group, and its 1-NN over the seeds."""
        deviation, mean = group.deviation("1nn"), 100 * group.mean("1nn")
        spread = "" if deviation is None else f" ± {100 * deviation:.2f}"
        lines = textwrap.wrap(without_formulas(group.name), round(LETTERS_PER_INCH * self.side))
        return "\n".join([*lines, f"1-NN {mean:.2f}{spread} %"])

    def images(self, images: Sequence[tuple[str, str]]) -> str:
        """Return in words which images the panels show, by data set and images of each group."""
        parts = []
        for dataset, counted in images:
            count = int(counted.split()[0].replace(",", ""))
            some = f"{SAMPLE:,} of {counted}" if count > SAMPLE else counted
            parts.append(f"{drawn(title_of(dataset))}, {some}")
        several = any(len(group.runs) > 1 for group in self.groups)
        shown = "; ".join(dict.fromkeys(parts))
        return f"{shown}{', the first seed of each' if several else ''}{self.selection}"

    def finish(self, panels: Iterable[Axes], label: str = "") -> None:
        """Number and name the x axes that are the lowest of their column; hide what is no panel."""
        for place, axes in enumerate(panels):
            lowest = place + self.columns >= len(self.groups)
            axes.tick_params(labelbottom=lowest)
            axes.set_xlabel(label if lowest else "")
            if place >= len(self.groups):
                axes.set_axis_off()


def sample(count: int) -> Array:
    """Return the indices of the images to draw, (S,) int: evenly spaced, equal in every run."""
    return np.linspace(0, count - 1, min(count, SAMPLE)).round().astype(int)
