"""Pictures as files: figures as PNG, SVG or PDF, movies as GIF."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.plots.animation import Movie
from circlemnist.plots.kinds import COMPARED, KINDS, MODULES, VECTOR, Kind, check_suffix
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
    drawn = []
    for name in kinds:
        kind = KINDS[name]
        if out is None:
            losses = style.losses if "loss" in kind.uses else ()
            stem = _stem(style, kind, name, *losses)
            paths = [folder / (stem + suffix) for suffix in kind.formats if suffix not in VECTOR]
        else:
            check_suffix(out, kind.formats, f"draw {name}")
            paths = [out]
        with working(f"drawing {name}"):
            picture = import_module(f"circlemnist.plots.{MODULES[name]}").draw(trained, style)
        drawn += [(picture, path) for path in paths]
    yield from _saved(drawn, style)


def draw_group_pictures(
    groups: Sequence[Group], kinds: Sequence[str], style: Style, folder: Path
) -> Iterator[Path]:
    """Draw kinds of `COMPARED` of evaluated groups of runs, and yield the path of each picture.

    Raises:
        UserError: a run's file is damaged, or a picture cannot be written.
    """
    drawn = []
    for name in kinds:
        with working(f"drawing {name}"):
            picture = import_module(f"circlemnist.plots.{MODULES[name]}").draw_groups(groups, style)
        drawn.append((picture, folder / f"{_stem(style, COMPARED[name], name)}.png"))
    yield from _saved(drawn, style)


def _saved(drawn: Sequence[tuple[Figure | Movie, Path]], style: Style) -> Iterator[Path]:
    """Write pictures when all are drawn: where one cannot be, the files are as they were."""
    for picture, path in drawn:
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
