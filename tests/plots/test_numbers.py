"""What pictures say is what was measured: a run in which no two numbers are alike."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.offsetbox import AnnotationBbox
from sklearn.metrics import roc_auc_score

from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, Split
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.pair_plane import boundary_of, pair_density
from circlemnist.evaluation.report import Arrays, Report
from circlemnist.explorer.page import space_of
from circlemnist.models.embedder import build_embedder
from circlemnist.plots import animation, embedding
from circlemnist.plots.projection import project
from circlemnist.plots.style import LIGHT, Style
from circlemnist.runs.arrays import Snapshots
from circlemnist.runs.history import Epoch
from circlemnist.runs.run import Run
from tests.plots.figures import drawn, words

TEST, TRAIN, K, EPOCHS, TIMES, SAMPLE = 120, 300, 20, 7, 5, 40


def unit(random: np.random.Generator, *shape: int) -> np.ndarray:
    rows = random.normal(size=shape).astype(np.float32)
    found: np.ndarray = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return found


@pytest.fixture
def made(tmp_path: Path) -> EvaluatedRun:
    random = np.random.default_rng(0)

    def split(count: int) -> Split:
        images = torch.from_numpy(random.integers(256, size=(count, 28, 28)).astype(np.uint8))
        return Split(images, torch.from_numpy(random.integers(10, size=count)))

    train, test = split(TRAIN), split(TEST)
    neighbors = random.integers(TRAIN, size=(TEST, K)).astype(np.int32)
    like = [random.choice(np.flatnonzero(train.labels == label), K) for label in test.labels]
    right = random.random((TEST, K)) < 0.7
    neighbors[right] = np.array(like)[right]
    arrays = Arrays(
        unit(random, TEST, 8),
        test.labels.numpy(),
        neighbors,
        train.labels.numpy()[neighbors],
        -np.sort(-random.random((TEST, K)).astype(np.float32), 1),
    )
    metrics = {"1nn": 0.9123, "20nn": 0.8456, "centroid": 0.7789, "map@r": 0.6012}
    made = EvaluatedRun(Run(tmp_path))
    made.config = Config(dataset="digits", gamma=17, m=0.37, seed=3, net="tiny", dim=8)
    made.dataset = Dataset("digits", train, test)
    made.report = Report(
        made.run, made.config, "digits", "test", "cosine", (), None, metrics, arrays
    )
    made.embedder = build_embedder(made.config)
    made.history = [Epoch(e, 8 - e, e / 10, -e / 20, e / 30, e / 1000, 1.0) for e in range(1, 8)]
    indices = random.choice(TEST, SAMPLE, replace=False)
    made.snapshots = Snapshots(
        np.array([0, 10, 40, 90, 160]),
        indices,
        arrays.labels[indices],
        unit(random, TIMES, SAMPLE, 8).astype(np.float16),
    )
    made.has_snapshots, made.steps_an_epoch = False, 160 / 7
    return made


def one_nn_of(snapshots: Snapshots, kept: np.ndarray) -> np.ndarray:
    """The 1-NN of some of the images among themselves, at each time."""
    labels, found = snapshots.labels[kept], []
    for embeddings in snapshots.embeddings[:, kept].astype(np.float32):
        s = embeddings @ embeddings.T
        np.fill_diagonal(s, -2)
        found.append((labels[s.argmax(1)] == labels).mean())
    return np.array(found)


def test_heading_names_the_loss_its_knobs_the_epochs_and_1_nn(made: EvaluatedRun) -> None:
    _, facts = drawn("confusion", made).get_suptitle().split("\n")
    assert facts == "Circle Loss, gamma 17, m 0.37, 7 epochs, 1-NN 91.23 %"
    made.history = made.history[:1]
    assert ", 1 epoch, " in drawn("confusion", made).get_suptitle()


def test_confusion_counts_rows_by_class_and_columns_by_what_is_nearest(made: EvaluatedRun) -> None:
    (axes,) = drawn("confusion", made).axes
    arrays = made.report.arrays
    written = {text.get_position(): text.get_text() for text in axes.texts}
    for row in range(10):
        of_class = [int(n[0]) for n in arrays.neighbor_labels[arrays.labels == row]]
        for column in range(10):
            count = of_class.count(column)
            if row == column:
                assert written[column, row] == f"{count}\n{100 * count / len(of_class):.1f} %"
            elif count:
                assert written[column, row] == str(count)
            else:
                assert (column, row) not in written


def test_history_has_each_column_in_its_panel(made: EvaluatedRun) -> None:
    made.has_snapshots = True
    loss, cosines, lr, one_nn = drawn("history", made).axes
    for axes, keys in ((loss, ["loss"]), (cosines, ["mean_sp", "mean_sn"]), (lr, ["lr"])):
        for line, key in zip(axes.lines, keys, strict=True):
            assert line.get_ydata().tolist() == [getattr(row, key) for row in made.history]
            assert line.get_xdata().tolist() == list(range(1, 8))
    named = {text.get_text(): text.xy[1] for text in cosines.texts}
    assert named == {"mean $s_p$": 0.7, "mean $s_n$": -0.35}
    epochs, shares = one_nn.lines[0].get_data()
    np.testing.assert_allclose(epochs, 7 * made.snapshots.steps / 160)
    np.testing.assert_allclose(shares, 100 * one_nn_of(made.snapshots, np.full(SAMPLE, True)))


def test_history_is_of_the_seen_classes(made: EvaluatedRun) -> None:
    made.has_snapshots, made.config = True, replace(made.config, unseen="0,4,5,8")
    of_seen = ~np.isin(made.snapshots.labels, [0, 4, 5, 8])
    shares = drawn("history", made).axes[3].lines[0].get_ydata()
    np.testing.assert_allclose(shares, 100 * one_nn_of(made.snapshots, of_seen))


def test_neighbors_are_of_the_hardest_with_their_own_images(made: EvaluatedRun) -> None:
    arrays, dataset = made.report.arrays, made.dataset
    like = arrays.neighbor_labels == arrays.labels[:, None]
    hardest = sorted(range(TEST), key=lambda i: (like[i, 0], like[i, :7].sum(), like[i].mean(), i))[
        :8
    ]
    panels = [axes for axes in drawn("neighbors", made).axes if axes.images]
    for row, query in enumerate(hardest):
        first, *others = panels[8 * row : 8 * row + 8]
        np.testing.assert_array_equal(first.images[0].get_array(), dataset.test.images[query])
        for place, axes in enumerate(others):
            index = arrays.neighbors[query, place]
            np.testing.assert_array_equal(axes.images[0].get_array(), dataset.train.images[index])
            cosine = arrays.neighbor_similarities[query, place]
            label = dataset.train.labels[index].item()
            assert axes.get_xlabel() == f"{label}  {cosine:.2f}"
            edge = LIGHT.same if label == arrays.labels[query] else LIGHT.different
            assert to_hex(axes.spines["left"].get_edgecolor()) == edge


def test_similarities_are_those_of_the_pairs(made: EvaluatedRun) -> None:
    figure = drawn("similarities", made)
    x, labels = made.report.arrays.embeddings, made.report.arrays.labels
    pairs = np.triu_indices(TEST, 1)
    s, alike = (x @ x.T)[pairs], (labels[:, None] == labels)[pairs]
    area = roc_auc_score(alike, s)
    assert f"area under the curve {100 * area:.2f} %" in words(figure)
    drawn_of = {patch.get_label(): patch for patch in figure.axes[0].patches}
    for name, of_kind, color in (
        ("within a class", alike, LIGHT.same),
        ("between classes", ~alike, LIGHT.different),
    ):
        counts, _ = np.histogram(s[of_kind], np.linspace(-1, 1, 101))
        values = drawn_of[name].get_data().values
        np.testing.assert_allclose(values, counts / of_kind.sum(), atol=1.1 / of_kind.sum())
        assert to_hex(drawn_of[name].get_edgecolor()) == color


def test_circle_is_of_the_run(made: EvaluatedRun) -> None:
    made.has_snapshots = True
    panels = drawn("circle", made).axes
    embeddings = torch.from_numpy(made.report.arrays.embeddings)
    density = pair_density(embeddings, torch.from_numpy(made.report.arrays.labels))
    *_, last = (axes for axes in panels if axes.images)
    np.testing.assert_array_equal(last.images[0].get_array(), density)
    # of the middle of each bin, rows by s_p from the lower edge
    centres = (np.arange(200) + 0.5) / 100 - 1
    beyond = boundary_of(made.config).excess(centres, centres[:, None]) > 0
    share = f"{100 * density[beyond].sum():.1f} % outside the circle"
    assert last.get_title() == f"after 7 epochs\n{share}"
    assert last.images[0].origin == "lower"
    first = pair_density(
        torch.from_numpy(made.snapshots.embeddings[0]).float(),
        torch.from_numpy(made.snapshots.labels),
        80,
    )
    np.testing.assert_allclose(panels[0].images[0].get_array(), first, atol=1e-3)
    assert panels[0].get_title().startswith("before training\n")
    assert panels[3].get_title().startswith("epoch 3.94\n")  # 90 of 160 steps


def test_animation_of_a_sphere_says_from_where_it_is_seen(made: EvaluatedRun) -> None:
    assert "seen from" not in animation.draw(made, Style(projection="pca")).figure.get_suptitle()
    rows = unit(np.random.default_rng(0), TIMES, SAMPLE, 3).astype(np.float16)
    made.config = replace(made.config, dim=3)
    made.snapshots = replace(made.snapshots, embeddings=rows)
    assert "3-D, seen from one side, " in animation.draw(made, Style()).figure.get_suptitle()


def test_circle_has_each_of_few_snapshots_once(made: EvaluatedRun) -> None:
    made.has_snapshots = True
    some = {name: getattr(made.snapshots, name)[:3] for name in ("steps", "embeddings")}
    made.snapshots = replace(made.snapshots, **some)
    titles = [axes.get_title().split("\n")[0] for axes in drawn("circle", made).axes]
    assert titles == ["before training", "epoch 0.44", "after 7 epochs"]


def test_embedding_rings_the_mistakes_and_shows_the_surest(
    made: EvaluatedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "TRAIN_POINTS", 60)
    arrays = made.report.arrays
    figure = embedding.draw(made, Style(projection="pca", split="both"))
    behind, points, rings = figure.axes[0].collections
    train = made.dataset.train.labels.numpy()[np.linspace(0, TRAIN - 1, 60).astype(int)]
    for shown, labels in ((points, arrays.labels), (behind, train)):
        colors = [to_hex(color) for color in shown.get_facecolors()]
        assert colors == [LIGHT.classes[label] for label in labels]
    wrong = np.flatnonzero(arrays.neighbor_labels[:, 0] != arrays.labels)
    offsets = np.asarray(points.get_offsets())
    assert sorted(np.asarray(rings.get_offsets()).tolist()) == sorted(offsets[wrong].tolist())
    assert f"{len(wrong)} wrong" in words(figure)
    votes = {i: (arrays.neighbor_labels[i] == arrays.labels[i]).mean() for i in wrong}
    worst = sorted(wrong, key=lambda i: (votes[i], -arrays.neighbor_similarities[i, 0]))[:6]
    boxes = [each for each in figure.axes[0].artists if isinstance(each, AnnotationBbox)]
    for box, index in zip(boxes, worst, strict=True):
        np.testing.assert_array_equal(box.offsetbox.get_data(), made.dataset.test.images[index])
        np.testing.assert_array_equal(box.xy, offsets[index])


def test_animation_goes_from_the_first_snapshot_to_the_last(made: EvaluatedRun) -> None:
    made.has_snapshots = True
    movie = animation.draw(made, Style(projection="pca"))
    (axes,) = movie.figure.axes
    (dots,) = axes.collections
    embeddings = made.snapshots.embeddings.astype(np.float32)
    last, _ = project(embeddings[-1], "pca", 0)
    seen = {}
    for frame in (0, 15, movie.frames - 1):
        movie.show(frame)
        seen[frame] = (np.asarray(dots.get_offsets()).copy(), axes.texts[0].get_text())
    np.testing.assert_allclose(seen[59][0], last, atol=1e-5)
    assert [seen[frame][1] for frame in (0, 15, 59)] == [
        "before training",
        "epoch 0.44",
        "epoch 7.00",
    ]
    # 15 of 59 ways through 4 intervals is a little after the first of them
    share = 15 * 4 / 59 - 1
    axes_of_last = np.linalg.lstsq(embeddings[-1] - embeddings[-1].mean(0), last, rcond=None)[0]
    one, two = ((embeddings[t] - embeddings[-1].mean(0)) @ axes_of_last for t in (1, 2))
    np.testing.assert_allclose(seen[15][0], one * (1 - share) + two * share, atol=1e-3)
    colors = [to_hex(color) for color in dots.get_facecolors()]
    assert colors == [LIGHT.classes[label] for label in made.snapshots.labels]


@pytest.mark.parametrize("loss", ["circle", "center"])
def test_page_is_given_what_was_measured(loss: str, made: EvaluatedRun) -> None:
    """The neighbours of images off the sphere are by distance, their places by the cosine."""
    arrays = made.report.arrays
    lengths = np.random.default_rng(1).uniform(0.1, 9, (TEST, 1)).astype(np.float32)
    if loss == "center":
        arrays = replace(arrays, embeddings=arrays.embeddings * lengths)
        made.config = Config(dataset="digits", loss=loss, dim=8)
        made.report = replace(made.report, per_image=arrays)
    made.has_snapshots = True
    space, how = space_of(made, Style(projection="pca"))
    assert how == "PCA of 8-D"
    x = arrays.embeddings.astype(float)
    s = -((x[:, None] - x) ** 2).sum(-1)
    np.fill_diagonal(s, -np.inf)
    np.testing.assert_array_equal(space.neighbors, np.argsort(-s, 1)[:, :5])
    np.testing.assert_allclose(np.linalg.norm(space.directions, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(space.predicted, arrays.neighbor_labels[:, 0])
    np.testing.assert_array_equal(space.points.labels, arrays.labels)
    np.testing.assert_array_equal(space.images, made.dataset.test.images)
    assert space.frames is not None
    np.testing.assert_array_equal(space.frames.points.labels, made.snapshots.labels)
    np.testing.assert_array_equal(space.boundary[0], boundary_of(made.config).lines()[0])
    assert space.frames.captions[-1] == "epoch 7.00"


@pytest.mark.slow
def test_movie_of_the_page_ends_where_its_images_are(made: EvaluatedRun) -> None:
    made.has_snapshots = True
    space, _ = space_of(made, Style(projection="tsne"))
    assert space.frames is not None
    there = space.points.positions[made.snapshots.indices]
    np.testing.assert_array_equal(space.frames.points.positions[-1], there)
