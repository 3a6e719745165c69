"""The ten losses compared by docs/protocol.md, which was declared before it was run.

    python -m benchmarks family search --data-dir data     # 172 trainings; 2 hours
    python -m benchmarks family confirm --data-dir data    # 102 trainings; 1.5 hours
    python -m benchmarks family final --data-dir data      # 100 trainings; 1.5 hours
    python -m benchmarks family picture                    # docs/pictures/trials.png; seconds

Durations are of 2 cores with bfloat16. A training has one thread, so that its bits do not depend
on `--jobs`. `sweep` does not train them, as a box grows and a CSV replaces the run folders.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch.nn.functional as F
from scipy.stats import qmc

from benchmarks import resumed, shared
from benchmarks.resumed import Row
from circlemnist.config import Config
from circlemnist.evaluation.compare import Difference, holm, paired_difference
from circlemnist.evaluation.evaluate import evaluate
from circlemnist.evaluation.metrics import COSINE, similarity_of
from circlemnist.models.embedder import embed
from circlemnist.plots.style import LIGHT, new_figure

GALLERY = 10_000  # images that the validation images are compared with
POINTS = {"bfloat16": 16, "float32": 8}  # of the first box of a loss
GROWTHS = 2  # of a box, each by a quarter of its points
FINALISTS = 5
SEARCH_SEED, CONFIRM_SEEDS, FINAL_SEEDS = 0, (1, 2), tuple(range(10, 20))

Side = tuple[float, float]
LR, WEIGHT_DECAY = (0.02, 0.5), (1e-4, 1e-2)
# m on a linear scale, all else on a logarithmic one; in the order of the search
BOXES: dict[str, dict[str, Side]] = {
    "circle": {"gamma": (16, 256), "m": (0, 0.5), "lr": LR},
    "softmax": {"gamma": (1, 64), "lr": (0.02, 1)},
    "circle-class": {"gamma": (8, 256), "m": (0, 0.5), "lr": LR},
    "center": {"gamma": (1e-4, 0.3), "lr": (0.01, 0.5)},
    "cosface": {"gamma": (4, 128), "m": (0, 0.5), "lr": LR},
    "arcface": {"gamma": (4, 128), "m": (0, 0.8), "lr": LR},
    "sphereface": {"gamma": (4, 64), "m": (2, 5), "lr": LR},
    "adacos": {"lr": (0.02, 1)},
    "contrastive": {"m": (-0.2, 0.6), "lr": (0.05, 2)},
    "triplet": {"m": (0.02, 0.6), "lr": (0.05, 2)},
}
# how far a box may grow; SphereFace with m = 1 is the normalised softmax
MARGINS: dict[str, Side] = dict.fromkeys(["circle", "circle-class", "contrastive"], (-0.9, 0.9))
MARGINS |= {"cosface": (0, 1.9), "arcface": (0, 3), "sphereface": (2, 8), "triplet": (0.02, 2)}


class Point(NamedTuple):
    """The settings that are searched; None for one that the loss does not have."""

    loss: str
    gamma: float | None
    m: float | None
    lr: float
    weight_decay: float
    precision: str


class Result(NamedTuple):
    """A training and its metrics as 0-1, by one similarity; Center Loss has two of them."""

    point: Point
    seed: int
    similarity: str
    map_at_r: float
    one_nn: float
    eer: float


METRICS = ("map@r", "1nn", "eer")  # the first is the primary one


def settings_of(point: Point) -> dict[str, Any]:
    return {name: value for name, value in point._asdict().items() if value is not None}


def in_words(settings: dict[str, Any]) -> str:
    """The names and values of settings, without the loss and the precision."""
    shown = {name: value for name, value in settings.items() if name not in ("loss", "precision")}
    return " ".join(f"{name} {value}" for name, value in shown.items())


def as_row(point: Point, seed: int) -> Row:
    values = {**point._asdict(), "seed": seed}
    return {name: "" if value is None else str(value) for name, value in values.items()}


def parse_row(row: Row) -> tuple[Point, int]:
    gamma, m = (float(row[name]) if row[name] else None for name in ("gamma", "m"))
    numbers = float(row["lr"]), float(row["weight_decay"])
    return Point(row["loss"], gamma, m, *numbers, row["precision"]), int(row["seed"])


def read_results(path: Path, loss: str, precision: str) -> list[Result]:
    """Read the results of a loss in a precision, those of a seed after the other."""
    results = [
        Result(*parse_row(row), row["similarity"], *(float(row[name]) for name in METRICS))
        for row in resumed.read_rows(path)
        if (row["loss"], row["precision"]) == (loss, precision)
    ]
    return sorted(results, key=lambda result: result.seed)


def sobol_points(
    loss: str, box: dict[str, Side], count: int, precision: str, seed: int
) -> list[Point]:
    points = []
    for shares in qmc.Sobol(len(box), seed=seed).random(count).tolist():
        values: dict[str, Any] = {"gamma": None, "m": None}
        for (name, side), share in zip(box.items(), shares, strict=True):
            values[name] = value_at(loss, name, share, side)
        points.append(Point(loss=loss, precision=precision, **values))
    return points


def value_at(loss: str, name: str, share: float, side: Side) -> float:
    """The value at a share, 0-1, of the way through a side of the box, in 3 digits."""
    low, high = side
    if name != "m":
        return float(f"{low * (high / low) ** share:.3g}")
    if loss == "sphereface":  # whole numbers, both ends among them
        return float(low + int(share * (high - low + 1)))
    return round(low + share * (high - low), 3)


def beyond(loss: str, name: str, side: Side, upwards: bool) -> Side | None:
    """Half as much as a side of a box again, beyond one end; None where that end is the last."""
    low, high = side
    if name != "m":
        factor = math.sqrt(high / low)
        return (high, high * factor) if upwards else (low / factor, low)
    least, most = MARGINS[loss]
    step, gap = (2.0, 1.0) if loss == "sphereface" else ((high - low) / 2, 0.0)
    slab = (high + gap, min(high + step, most)) if upwards else (max(low - step, least), low - gap)
    return slab if slab[0] + gap <= slab[1] and slab[0] < most and slab[1] > least else None


def points_to_search(loss: str, results: Sequence[Result], precision: str) -> list[Point]:
    """The points of a loss that its results ask for: of its box, and of what that grew by.

    A box grows beyond the lowest or highest value of a setting where the best point has it.
    """
    box, count = {**BOXES[loss], "weight_decay": WEIGHT_DECAY}, POINTS[precision]
    points = sobol_points(loss, box, count, precision, seed=0)
    for growth in range(1, GROWTHS + 1):
        own = [result for result in results if result.point in points]
        if {result.point for result in own} != set(points):
            break
        bests = {max(rows, key=lambda r: r.map_at_r).point for rows in by_similarity(own).values()}
        ends: list[tuple[str, bool]] = []
        for name in box:
            values = [getattr(point, name) for point in points]
            ends += [(name, False)] * any(getattr(b, name) == min(values) for b in bests)
            ends += [(name, True)] * any(getattr(b, name) == max(values) for b in bests)
        for name, upwards in ends:
            slab = beyond(loss, name, box[name], upwards)
            if slab is not None:
                grown = {**box, name: slab}
                points += sobol_points(loss, grown, count // 4, precision, growth)
                box[name] = (min(slab[0], box[name][0]), max(slab[1], box[name][1]))
    return list(dict.fromkeys(points))


def by_similarity(results: Iterable[Result]) -> dict[str, list[Result]]:
    parts: dict[str, list[Result]] = {}
    for result in results:
        parts.setdefault(result.similarity, []).append(result)
    return parts


def finalists(results: Sequence[Result]) -> list[Point]:
    """The best points of one loss by MAP@R: by each similarity, five."""
    chosen: list[Point] = []
    for rows in by_similarity(results).values():
        rows.sort(key=lambda result: -result.map_at_r)
        chosen += [result.point for result in rows[:FINALISTS]]
    return list(dict.fromkeys(chosen))


def winners(results: Sequence[Result]) -> dict[str, Point]:
    """Of each similarity the point of one loss with the best mean MAP@R; the best of them first."""
    best = []
    for similarity, rows in by_similarity(results).items():
        values: dict[Point, list[float]] = {}
        for result in rows:
            values.setdefault(result.point, []).append(result.map_at_r)
        means = {point: statistics.mean(own) for point, own in values.items()}
        winner = max(means, key=lambda point: means[point])
        best.append((means[winner], similarity, winner))
    best.sort(key=lambda entry: -entry[0])
    return {similarity: winner for _, similarity, winner in best}


def run_training(row: Row, data_dir: Path, validate: bool) -> list[Row]:
    """Train; return the metrics, those of the worst where the loss diverged."""
    (point, seed), dataset = parse_row(row), resumed.load_mnist(data_dir, validate)
    config = Config(dataset="mnist", seed=seed, **settings_of(point))
    config = config.resolve("mnist", len(dataset.train))
    similarities = dict.fromkeys([similarity_of(config), COSINE])
    if (state := resumed.train_alone(config, dataset.train)) is None:
        worst = dict(zip(METRICS, ("0", "0", "1"), strict=True))
        return [row | {"similarity": similarity.name} | worst for similarity in similarities]
    dataset = dataset.first(GALLERY) if validate else dataset
    splits = dataset.train, dataset.test
    gallery, queries = (embed(state.embedder, split.images) for split in splits)
    results = []
    for similarity in similarities:
        if similarity is COSINE:
            gallery, queries = F.normalize(gallery), F.normalize(queries)
        metrics, _ = evaluate(state.embedder, dataset, 1, similarity, (gallery, queries))
        values = {name: f"{metrics[name]:.6f}" for name in METRICS}
        results.append(row | {"similarity": similarity.name} | values)
    return results


def trainings_of(part: str, loss: str, folder: Path, precision: str) -> list[Row]:
    """The trainings of a part, by the results of the part before; for `search` by its own."""
    before = folder / f"{BEFORE[part]}.csv"
    results = read_results(before, loss, precision)
    if part == "search":
        points = points_to_search(loss, results, precision)
        return [as_row(point, SEARCH_SEED) for point in points]
    done = {(result.point, result.seed) for result in results}
    earlier = trainings_of(BEFORE[part], loss, folder, precision)
    if missing := [row for row in earlier if parse_row(row) not in done]:
        problem = f"{before} lacks {len(missing)} of {len(earlier)} trainings of {loss}"
        raise click.UsageError(f"{problem}: run `family {BEFORE[part]}` first")
    if part == "confirm":
        points, seeds = finalists(results), CONFIRM_SEEDS
    else:
        points, seeds = list(dict.fromkeys(winners(results).values())), FINAL_SEEDS
    return [as_row(point, seed) for point in points for seed in seeds]


def print_final(folder: Path, precision: str, losses: Sequence[str] = tuple(BOXES)) -> None:
    """Print each winner, its metrics, and its differences from Circle Loss, which is the first.

    p is of MAP@R alone, corrected for the losses by Holm. The second similarity of Center Loss is
    described, and not tested.
    """
    percents: dict[tuple[str, str], list[list[float]]] = {}  # of each metric, a value a seed
    points: dict[tuple[str, str], Point] = {}
    for loss in losses:
        confirmed, results = (
            read_results(folder / f"{part}.csv", loss, precision) for part in ("confirm", "final")
        )
        for similarity, point in winners(confirmed).items():
            own = [r for r in results if (r.point, r.similarity) == (point, similarity)]
            points[loss, similarity] = point
            percents[loss, similarity] = (100 * np.array([r[3:] for r in own]).T).tolist()
    (first, *others) = points
    gaps = {key: list(map(paired_difference, percents[key], percents[first])) for key in others}
    tested = list({loss: (loss, similarity) for loss, similarity in reversed(others)}.values())
    ps = dict(zip(tested, corrected([gaps[key][0] for key in tested]), strict=True))
    heads = [f"{name}, %" for metric in METRICS for name in (metric, "difference")]
    heads.insert(2, "p")  # of the first metric
    shared.print_head("loss", *heads, "settings")
    for key, point in points.items():
        differences = [in_points(gap) for gap in gaps[key]] if key in gaps else [""] * len(METRICS)
        means = [shared.mean_sd(values, places=2) for values in percents[key]]
        cells = [*chain(*zip(means, differences, strict=True))]
        cells.insert(2, ps.get(key, ""))
        shared.print_row(", by ".join(key), *cells, in_words(settings_of(point)))


def corrected(gaps: Sequence[Difference]) -> list[str]:
    """The p of each difference, corrected for their number by Holm; 1 where there is no spread."""
    return [f"{p:.2g}" for p in holm([1.0 if gap.p is None else gap.p for gap in gaps])]


def in_points(gap: Difference) -> str:
    ends = "" if gap.interval is None else " to ".join(f"{end:+.2f}" for end in gap.interval)
    return f"{gap.mean:+.2f} ({ends})".replace("-", "−")


def draw_trials(folder: Path, precision: str) -> Path:
    """Draw 1-NN against MAP@R of search and confirmation, by cosine, without what diverged.

    The axes are logarithmic, as a few settings of softmax are far from 100 %.
    """
    path = shared.ROOT / "docs" / "pictures" / "trials.png"
    title = "1-NN against MAP@R on 10,000 validation images, a point a training"
    with new_figure(title, LIGHT, 9, 6) as figure:
        axes = figure.subplots()
        for loss, colour in zip(BOXES, LIGHT.classes, strict=True):
            files = (folder / f"{part}.csv" for part in ("search", "confirm"))
            results = chain(*(read_results(file, loss, precision) for file in files))
            own = [r for r in results if r.similarity == "cosine" and r.map_at_r > 0]
            missing = [(100 - 100 * result.map_at_r, 100 - 100 * result.one_nn) for result in own]
            axes.plot(*np.array(missing).reshape(-1, 2).T, ".", color=colour, label=loss)
        axes.set(xscale="log", yscale="log", xlabel="100 − MAP@R, %", ylabel="100 − 1-NN, %")
        axes.set(xticks=(1, 2, 5, 10, 20), yticks=(0.4, 0.6, 0.8, 1, 1.4))
        axes.minorticks_off()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
        axes.legend()
    figure.savefig(path, dpi=110)
    return path


BEFORE = {"search": "search", "confirm": "search", "final": "confirm"}


@click.command()
@click.argument("part", type=click.Choice([*BEFORE, "picture"]))
@shared.choice_option("--loss", BOXES)
@click.option("--precision", type=click.Choice([*POINTS]), default="bfloat16")
@resumed.folder_option
@shared.data_dir_option
@shared.jobs_option
def family(
    part: str, loss: Sequence[str], precision: str, folder: Path, data_dir: Path, jobs: int
) -> None:
    """The ten losses, chosen and compared alike: a part of the protocol."""
    if part == "picture":
        print(draw_trials(folder, precision))
        return
    path = folder / f"{part}.csv"
    run = partial(run_training, data_dir=data_dir, validate=part != "final")
    with resumed.workers(jobs, folder) as pool:
        for name in loss:
            wanted = partial(trainings_of, part, name, folder, precision)
            while resumed.train_missing(path, wanted(), run, pool):
                pass  # a search may have grown its box
    if part == "final" and len(loss) == len(BOXES):
        print_final(folder, precision)
