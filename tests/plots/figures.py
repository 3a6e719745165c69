"""What is in a figure; and runs to draw, whose numbers are made up."""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.evaluation.report import Arrays, Report, save_report
from circlemnist.plots.kinds import MODULES
from circlemnist.plots.style import LIGHT, Style, Theme
from circlemnist.runs.arrays import Snapshots
from circlemnist.runs.history import Epoch, write_history
from circlemnist.runs.run import Run

TITLED = ("the title\nthe subtitle", LIGHT)
DIGITS = tuple("0123456789")
CLOTHES = (
    *("T-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
STEPS = np.array([0, 10, 40, 90, 160])  # of snapshots, over seven epochs


def drawn(
    kind: str, shown: EvaluatedRun | list[Group] | None, theme: Theme = LIGHT, **wishes: Any
) -> Figure:
    """A kind of picture, of a run or of groups side by side."""
    module = import_module(f"circlemnist.plots.{MODULES[kind]}")
    draw = module.draw_groups if isinstance(shown, list) else module.draw
    return draw(shown, Style(theme, **{"projection": "pca", **wishes}))


def parts(within: Figure | Axes, name: str) -> list[Any]:
    """The parts of a picture that have a name, which no legend shows."""
    return within.findobj(lambda artist: artist.get_label() == f"_{name}")


def classes_of(part: Any) -> list[int]:
    """The class of each point, by its colour in the light theme."""
    return [LIGHT.classes.index(to_hex(color)) for color in np.asarray(part.get_facecolors())]


def places_of(figure: Figure, labels: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Where images are drawn (N, 2), in the colours of their labels, unseen ones as triangles."""
    places = np.full((len(labels), 2), np.nan)
    for part in parts(figure, "points"):
        chosen = ~seen if len(part.get_paths()[0].vertices) == 4 else seen
        assert classes_of(part) == labels[chosen].tolist()
        places[chosen] = part.get_offsets()
    return places


def captioned(figure: Figure) -> dict[str, Axes]:
    """The panels that have a caption, by its first line."""
    return {axes.get_title().split("\n")[0]: axes for axes in figure.axes if axes.get_title()}


def cells(figure: Figure) -> dict[tuple[int, int], Axes]:
    """Panels by row and column."""
    specs = {axes: axes.get_subplotspec() for axes in figure.axes}
    return {(spec.rowspan.start, spec.colspan.start): axes for axes, spec in specs.items() if spec}


def words(figure: Figure) -> set[str]:
    """All that is written in it."""
    return {text.get_text() for text in figure.findobj(Text)} - {""}


def boxes_of(figure: Figure, texts: Iterable[Text]) -> list[Bbox]:
    """Where texts are, in pixels."""
    FigureCanvasAgg(figure).draw()
    return [text.get_window_extent() for text in texts if text.get_text()]


def cloud(dim: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows (N, D) about ten directions, and which of these (N,)."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % 10
    points = random.normal(size=(10, dim))[labels] + 0.1 * random.normal(size=(n, dim))
    return points / np.linalg.norm(points, axis=1, keepdims=True), labels


def unit(random: np.random.Generator, *shape: int) -> np.ndarray:
    rows = random.normal(size=shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@cache
def digits() -> Dataset:
    return load_dataset("digits", Path())


def make_run(
    folder: Path, config: Config | None = None, count: int = 360, snapshots: bool = False
) -> Report:
    """A run on digits that no training made, in which no two numbers are alike; its report.

    Args:
        count: of its test images, the first ones; more of them than there are come twice.
    """
    config = config or Config(dataset="digits", gamma=17, m=0.37, seed=13, net="tiny", dim=8)
    random = np.random.default_rng([config.seed, int(config.gamma or 0)])
    dataset = digits().used_by(config)
    labels, of_gallery = np.resize(dataset.test.labels, count), dataset.train.labels.numpy()
    spread = random.uniform(0.5, 2)
    embeddings = unit(random, 10, config.dim)[labels] + spread * unit(random, count, config.dim)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    neighbors = random.integers(len(of_gallery), size=(count, 20))
    right = random.random((count, 20)) < 0.7
    right[np.isin(labels, config.unseen_classes)] = False
    for image in np.flatnonzero(right.any(1)):
        same = np.flatnonzero(of_gallery == labels[image])
        neighbors[image, right[image]] = random.choice(same, right[image].sum())
    similarities = -np.sort(-random.random((count, 20)).astype(np.float32), 1)
    arrays = Arrays(
        embeddings, labels, neighbors.astype(np.int32), of_gallery[neighbors], similarities
    )
    accuracy, *others = random.uniform(0.5, 1, 4).tolist()
    names = ("20nn", "map@r", "unseen/recall@1")
    metrics = {"1nn": accuracy, **dict(zip(names, others, strict=True))}
    run = Run(folder)
    folder.mkdir(parents=True)
    run.config_file.write_text(config.to_toml())
    about = ("digits", "test", "cosine", config.unseen_classes, None)
    report = Report(run, config, *about, metrics, arrays)
    save_report(report)
    rows = random.uniform(0.1, 0.9, (7, 4)).tolist()
    write_history(
        run.history_file,
        [Epoch(e, 9 * a, b, -c, 0.5, d, 1) for e, (a, b, c, d) in enumerate(rows, 1)],
    )
    if snapshots:
        chosen = random.choice(count, 40, replace=False)
        moving = unit(random, len(STEPS), 40, config.dim).astype(np.float16)
        np.savez(run.snapshots_file, **vars(Snapshots(STEPS, chosen, labels[chosen], moving)))
    return report


def groups_of(
    folder: Path, count: int, seeds: int = 1, dim: int = 8, images: int = 360
) -> list[Group]:
    """Groups that differ by their gamma, of runs that no training made."""
    groups = []
    for gamma in range(16, 16 + count):
        configs = [
            Config(dataset="digits", dim=dim, gamma=float(gamma), seed=seed)
            for seed in range(seeds)
        ]
        runs = [make_run(folder / f"{gamma}-{dim}-{c.seed}", c, images) for c in configs]
        metrics = {run.config.seed: run.metrics for run in runs}
        groups.append(Group(f"gamma {gamma}", {"gamma": float(gamma)}, metrics, runs))
    return groups
