"""Every kind of picture: the marks it should hold, in both themes, of a real small run."""

import csv
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from circlemnist.evaluation.metrics import pair_similarities, roc_curve
from circlemnist.evaluation.pair_plane import pair_density, share_outside
from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.plots import pictures
from circlemnist.plots.confusion import confusion_figure
from circlemnist.plots.history import history_figure
from circlemnist.plots.neighbors import neighbors_figure
from circlemnist.plots.pictures import OF_A_RUN, Style
from circlemnist.plots.similarities import similarities_figure
from circlemnist.plots.style import LIGHT, THEMES, save_figure
from circlemnist.runs.history import Epoch
from circlemnist.runs.run import Run
from tests.conftest import assert_one_line_error, invoke

STILL = [*OF_A_RUN, "gradients"]
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag")


@pytest.fixture
def trained(finished_run: Path) -> TrainedRun:
    return TrainedRun(Run(finished_run))


def drawn(kind: str, trained: TrainedRun, theme: str = "light") -> Figure:
    style = Style(THEMES[theme], projection="pca")
    if kind == "gradients":
        return pictures.gradients(trained.config, style)
    return OF_A_RUN[kind](trained, style)


def words(figure: Figure) -> list[str]:
    texts = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return [text for text in texts if text]


@pytest.mark.parametrize("theme", list(THEMES))
@pytest.mark.parametrize("kind", STILL)
def test_nothing_is_clipped_or_of_another_theme(kind: str, theme: str, trained: TrainedRun) -> None:
    figure = drawn(kind, trained, theme)
    figure.set_dpi(80)
    FigureCanvasAgg(figure).draw()
    edge = figure.bbox
    for text in figure.findobj(lambda artist: hasattr(artist, "get_text")):
        if text.get_text() and text.get_visible() and text.axes is not None:
            box = text.get_window_extent()
            inside = edge.x0 - 1 <= box.x0 <= box.x1 <= edge.x1 + 1
            assert inside or not text.get_in_layout(), text
    assert to_hex(figure.get_facecolor()) == THEMES[theme].paper


@pytest.mark.slow
@pytest.mark.parametrize("kind", STILL)
def test_kind_is_a_picture_of_the_width_asked_for(kind: str, finished_run: Path) -> None:
    for out in ("a.png", "a.svg", "a.pdf"):
        path = finished_run.parent / out
        result = invoke(
            *("plot", finished_run, "--kind", kind, "--projection", "pca"),
            *("--width", 640, "--out", path),
        )
        assert result.exit_code == 0, result.output
        assert result.output == f"picture: {path}\n"
    assert Image.open(finished_run.parent / "a.png").width == 640
    assert "gamma 80" in (finished_run.parent / "a.svg").read_text("utf-8")


@pytest.mark.slow
def test_all_kinds_are_written_into_the_run(watched_run: Path) -> None:
    result = invoke("plot", watched_run, "--kind", "all", "--projection", "pca", "--theme", "dark")
    assert result.exit_code == 0, result.output
    written = {path.name for path in (watched_run / "plots").iterdir()}
    assert {f"{kind}-dark.png" for kind in STILL} | {"animation-dark.gif"} <= written
    assert {"embedding.png", "history.png"} <= written  # at the end of the training


def test_circle_has_the_radius_of_the_margin(trained: TrainedRun) -> None:
    (axes,) = drawn("circle", trained).axes
    (circle,) = (patch for patch in axes.patches if isinstance(patch, Circle))
    assert circle.center == (0, 1)
    assert circle.radius == pytest.approx(2**0.5 * 0.25)
    (image,) = axes.images
    assert image.get_array().sum() == pytest.approx(1)


@pytest.mark.slow
def test_circle_shows_how_the_cloud_moved(watched_run: Path) -> None:
    axes = drawn("circle", TrainedRun(Run(watched_run))).axes
    captions = [a.get_title() for a in axes]
    assert captions[0].startswith("before training\n100.0 %")
    assert captions[-1].startswith("after 4 epochs")
    shares = [float(caption.split("\n")[1].split()[0]) for caption in captions]
    assert shares[-1] < shares[0]


def test_density_equals_a_loop_over_all_triples() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    x = torch.nn.functional.normalize(torch.randn(6, 3, dtype=torch.float64))
    s, bins = x @ x.T, 10
    expected = np.zeros((bins, bins))
    anchors = 0
    for a in range(6):
        positives = [i for i in range(6) if i != a and labels[i] == labels[a]]
        negatives = [i for i in range(6) if labels[i] != labels[a]]
        for p in positives:
            for n in negatives:
                row, column = (min(int((s[a, i] + 1) * bins / 2), bins - 1) for i in (p, n))
                expected[row, column] += 1 / (len(positives) * len(negatives))
        anchors += bool(positives and negatives)
    np.testing.assert_allclose(pair_density(x, labels, bins), expected / anchors, atol=1e-12)


def test_share_beyond_counts_what_is_outside() -> None:
    density = np.zeros((20, 20))
    density[19, 10] = 0.75  # s_p 0.95, s_n 0.05
    density[10, 19] = 0.25  # s_p 0.05, s_n 0.95
    assert share_outside(density, 0.25) == pytest.approx(0.25)
    assert share_outside(density, 0.01) == pytest.approx(1)
    assert share_outside(density, 0.99) == pytest.approx(0)


@pytest.mark.parametrize("epochs", [1, 6, 100])
def test_history_holds_every_epoch(epochs: int) -> None:
    x = np.arange(1, epochs + 1)
    values = np.linspace(1, 0.1, epochs).tolist()
    rows = [Epoch(i, v, v, v, v, v, v) for i, v in enumerate(values, 1)]
    figure = history_figure(rows, (np.array([0.0, epochs]), np.array([0.5, 1])), "a", LIGHT)
    for axes, count in zip(figure.axes, (1, 2, 1, 1), strict=True):
        assert len(axes.lines) == count
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), x)
    np.testing.assert_array_equal(figure.axes[3].lines[0].get_ydata(), [50, 100])


def test_history_is_that_of_the_run(trained: TrainedRun, finished_run: Path) -> None:
    with (finished_run / "history.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert drawn("history", trained).axes[0].lines[0].get_ydata().tolist() == losses


def test_similarities_are_those_of_the_evaluation(trained: TrainedRun, finished_run: Path) -> None:
    left, right = drawn("similarities", trained).axes
    metrics = json.loads((finished_run / "eval.json").read_text())["metrics"]
    assert f"area under the curve {100 * metrics['roc_auc']:.2f} %" in right.get_title()
    curve, point = right.lines
    assert point.get_ydata()[0] == pytest.approx(100 * (1 - metrics["eer"]))
    assert (np.diff(curve.get_ydata()) >= 0).all()
    for steps in left.patches:
        assert steps.get_data().values.sum() == pytest.approx(1)


def test_neighbors_are_framed_by_being_right(trained: TrainedRun) -> None:
    figure = drawn("neighbors", trained)
    arrays = trained.evaluation.arrays
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 8 * 8
    first_wrong = arrays.neighbor_labels[:, 0] != arrays.labels
    dashed = [axes for axes in shown[1::8] if axes.spines["left"].get_linestyle() != "-"]
    assert len(dashed) == min(8, first_wrong.sum())


def test_confusion_counts_what_the_metric_counts(trained: TrainedRun, finished_run: Path) -> None:
    figure = drawn("confusion", trained)
    metrics = json.loads((finished_run / "eval.json").read_text())["metrics"]
    (axes,) = figure.axes
    right = [int(text.get_text().split("\n")[0]) for text in axes.texts if "%" in text.get_text()]
    wrong = [int(text.get_text()) for text in axes.texts if "%" not in text.get_text()]
    assert sum(right) == round(360 * metrics["1nn"])
    assert sum(right) + sum(wrong) == 360


def test_confusion_has_room_for_long_names() -> None:
    counts = np.diag(np.full(9, 900)) + np.arange(81).reshape(9, 9)
    figure = confusion_figure(counts, CLOTHES, "title", LIGHT)
    FigureCanvasAgg(figure).draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert min(box.x0 for box in boxes) >= 0
    assert {"T-shirt", "sneaker"} <= {*words(figure)}


@pytest.mark.parametrize("split", ["train", "both"])
def test_other_splits_are_drawn(split: str, trained: TrainedRun) -> None:
    figure = OF_A_RUN["embedding"](trained, Style(LIGHT, "pca", split))
    (axes,) = figure.axes
    counts = [len(points.get_offsets()) for points in axes.collections]
    wrong = (trained.evaluation.arrays.neighbor_labels[:, 0] != trained.test_labels.numpy()).sum()
    assert counts == {"train": [1437], "both": [1437, 360, wrong]}[split]
    assert "of 1,437 training images" in figure.get_suptitle()


@pytest.mark.slow
def test_animation_moves_every_point(watched_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "space.gif"
    result = invoke("plot", watched_run, "--kind", "animation", "--width", 300, "--out", out)
    assert result.exit_code == 0, result.output
    movie = Image.open(out)
    assert movie.width == 300
    assert movie.n_frames >= 60
    first = np.asarray(movie.convert("RGB"))
    movie.seek(59)
    assert (np.asarray(movie.convert("RGB")) != first).any()


def test_animation_without_snapshots_is_one_line(finished_run: Path) -> None:
    result = invoke("plot", finished_run, "--kind", "animation")
    assert_one_line_error(result, "no snapshots", "--snapshots")


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("--kind", "all", "--out", "a.png"), "--out takes one picture"),
        (("--kind", "circle", "--kind", "history", "--out", "a.png"), "--out takes one picture"),
        (("--kind", "animation", "--out", "a.png"), "end it in .gif"),
        (("--kind", "circle", "--out", "a.gif"), "must end in .png, .svg, .pdf"),
        (("--kind", "cirle"), "'cirle' is not one of"),
        (("--width", "20"), "200<=x<=10000"),
    ],
)
def test_wrong_wishes_are_one_line(args: tuple[str, ...], word: str, watched_run: Path) -> None:
    assert_one_line_error(invoke("plot", watched_run, *args), word)


def test_save_figure_writes_what_is_asked(trained: TrainedRun, tmp_path: Path) -> None:
    save_figure(drawn("confusion", trained), tmp_path / "a.png", width=321)
    assert Image.open(tmp_path / "a.png").width == 321


def boxes_of(figure: Figure, texts: list[Text]) -> list[Bbox]:
    FigureCanvasAgg(figure).draw()
    return [text.get_window_extent() for text in texts if text.get_text()]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [7, 8])
def test_neighbors_with_long_names_do_not_touch(columns: int) -> None:
    names = [*CLOTHES, "ankle boot"]
    images = np.zeros((10, columns, 28, 28), np.uint8)
    figure = neighbors_figure(
        images[:, 0],
        names,
        images,
        [[names[(row + column) % 10] for column in range(columns)] for row in range(10)],
        np.eye(10, columns, dtype=bool),
        np.full((10, columns), 0.98),
        "title",
        LIGHT,
    )
    boxes = boxes_of(figure, [axes.xaxis.label for axes in figure.axes])
    assert len(boxes) == 10 * (columns + 1)
    assert all(figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1 for box in boxes)
    rows = [boxes[at : at + columns + 1] for at in range(0, len(boxes), columns + 1)]
    for row in rows:
        assert all(left.x1 < right.x0 for left, right in pairwise(row))
    solid = [a for a in figure.axes if a.spines["left"].get_linestyle() == "-"]
    assert len(solid) == 10 + columns  # the queries, and one right in each column


@pytest.mark.parametrize(("noise", "good"), [(1e-3, True), (0.15, True), (100.0, False)])
def test_roc_shows_its_point_in_its_panel(noise: float, good: bool) -> None:
    labels = torch.arange(300) % 10
    noisy = torch.eye(10)[labels] + noise * torch.randn(
        300, 10, generator=torch.Generator().manual_seed(0)
    )
    pairs = pair_similarities(torch.nn.functional.normalize(noisy), labels)
    curve = roc_curve(pairs)
    figure = similarities_figure(pairs, curve, "title", LIGHT)
    left, right = figure.axes
    legend = right.get_legend()
    (box,) = boxes_of(figure, legend.get_texts())
    assert right.bbox.x0 <= box.x0 <= box.x1 <= right.bbox.x1
    assert legend.get_texts()[0].get_text() == f"equal error rate {100 * curve.equal_error:.2f} %"
    (x,), (y,) = right.lines[1].get_data()
    assert right.get_xlim()[0] <= x <= right.get_xlim()[1]
    assert right.get_ylim()[0] < y < right.get_ylim()[1]
    assert right.get_ylim()[0] <= 90
    assert (curve.equal_error < 0.1) is good
    assert left.bbox.width > 0.3 * figure.bbox.width


@pytest.mark.parametrize(("sp", "sn"), [(0.98, 0.93), (0.1, 0.12), (0.9, -0.1)])
@pytest.mark.parametrize("known", [True, False])
def test_history_names_its_lines_apart(sp: float, sn: float, known: bool) -> None:
    x = np.arange(1, 4)
    rows = [Epoch(epoch, float(epoch), sp, sn, 0.5, float(epoch), 1.0) for epoch in x.tolist()]
    figure = history_figure(rows, (x, x / 3) if known else None, "title", LIGHT)
    boxes = boxes_of(figure, figure.axes[1].texts)
    assert len(boxes) == 2
    assert not boxes[0].overlaps(boxes[1])
