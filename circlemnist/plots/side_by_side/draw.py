"""Pictures of groups of runs as files."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from circlemnist.evaluation.group import Group
from circlemnist.plots.draw import save
from circlemnist.plots.style import Style


def draw_groups(
    groups: Sequence[Group], kinds: Sequence[str], style: Style, folder: Path
) -> Iterator[Path]:
    """Draw pictures of groups, and give the path of each when it is written.

    Args:
        groups: measured, one or more.
        kinds: keys of `COMPARED`.
        style: of all of them.
        folder: where they go; made where it is not there.

    Raises:
        UserError: a run's file is damaged, or a picture cannot be written.
    """
    for kind in kinds:
        figure = import_module(f"circlemnist.plots.side_by_side.{kind}").draw(groups, style)
        theme = "" if style.theme.name == "light" else f"-{style.theme.name}"
        path = folder / f"{kind}{theme}.png"
        save(figure, path, style.width)
        yield path
