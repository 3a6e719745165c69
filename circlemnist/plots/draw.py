"""Pictures as files: figures as PNG, SVG or PDF, movies as GIF."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.plots.animation import Movie
from circlemnist.plots.kinds import COMPARED, KINDS, MODULES, Kind, check_suffix
from circlemnist.plots.style import Style
from circlemnist.process import working
from circlemnist.runs.files import atomic_write, writing


def draw_pictures(
    trained: EvaluatedRun | None, kinds: Sequence[str], style: Style, out: Path | None = None
) -> Iterator[Path]:
    """Draw kinds of pictures of a run, and yield the path of each when it is written.

    Args:
        trained: the run; None for kinds that need none, at the default settings.
        out: the file of a single picture; None for the run's `plots/`, or without a run the working
            folder, under a name that has what is not the default of the style.

    Raises:
        UserError: the run, the data or the device is not usable, it has no snapshots to animate,
            or a picture cannot be written, or not in the format of `out`.
    """
    folder = Path() if trained is None else trained.run.plots
    paths = {}
    for name in kinds:
        kind = KINDS[name]
        if out is not None:
            check_suffix(out, kind.formats, f"draw {name}")
        losses = style.losses if "loss" in kind.uses else ()
        paths[name] = out or folder / (_stem(style, kind, name, *losses) + kind.formats[0])
    yield from _drawn(paths, "draw", trained, style)


def draw_group_pictures(
    groups: Sequence[Group], kinds: Sequence[str], style: Style, folder: Path
) -> Iterator[Path]:
    """Draw kinds of `COMPARED` of evaluated groups of runs, and yield the path of each picture.

    Raises:
        UserError: a run's file is damaged, or a picture cannot be written.
    """
    paths = {name: folder / f"{_stem(style, COMPARED[name], name)}.png" for name in kinds}
    yield from _drawn(paths, "draw_groups", groups, style)


def _drawn(paths: dict[str, Path], function: str, shown: Any, style: Style) -> Iterator[Path]:
    """Draw kinds, then write them: where one cannot be drawn, the files are as they were."""
    pictures = {}
    for name, path in paths.items():
        with working(f"drawing {name}"):
            module = import_module(f"circlemnist.plots.{MODULES[name]}")
            pictures[path] = getattr(module, function)(shown, style)
    for path, picture in pictures.items():
        with working(f"writing {path.name}"):
            save(picture, path, style.width)
        yield path


def _stem(style: Style, kind: Kind, *words: str) -> str:
    projected = "projection" in kind.uses and style.projection != "tsne"
    choices = [style.projection] * projected + [style.theme.name] * (style.theme.name != "light")
    return "-".join([*words, *choices])


def save(picture: Figure | Movie, path: Path, width: int) -> None:
    """Write a picture atomically in the format of its suffix, `width` pixels wide.

    An SVG or PDF has the size of the figure.

    Raises:
        UserError: the file cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary, rc_context({"svg.fonttype": "none"}):
            if isinstance(picture, Movie):
                picture.write(temporary, width)
            else:
                picture.draw_without_rendering()  # one pass leaves no room for all of a tick's name
                picture.savefig(temporary, dpi=width / picture.get_figwidth())
