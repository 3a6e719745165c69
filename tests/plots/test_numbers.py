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
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.pair_plane import beyond, boundary_of, pair_density, pair_places
from circlemnist.explorer.page import space_of
from circlemnist.models.embedder import build_embedder
from circlemnist.plots import animation
from circlemnist.plots.projection import project
from circlemnist.plots.style import LIGHT, Style
from circlemnist.runs.run import Run
from tests.plots.figures import (
    STEPS,
    captioned,
    cells,
    drawn,
    make_run,
    parts,
    places_of,
    unit,
    words,
)

PCA = Style(projection="pca")


@pytest.fixture(scope="session")
def unseen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs") / "unseen"
    make_run(folder, Config(dataset="digits", dim=8, unseen="0,3,8"), snapshots=True)
    return folder


@pytest.fixture
def unseen(unseen_folder: Path) -> EvaluatedRun:
    """A run that left three classes out of its training."""
    return EvaluatedRun(Run(unseen_folder))


@pytest.fixture(params=["all seen", "some unseen"])
def either(
    request: pytest.FixtureRequest, trained: EvaluatedRun, unseen: EvaluatedRun
) -> EvaluatedRun:
    return trained if request.param == "all seen" else unseen


def seen_in(trained: EvaluatedRun, labels: np.ndarray) -> np.ndarray:
    return ~np.isin(labels, trained.config.unseen_classes)


def names_in(trained: EvaluatedRun) -> list[str]:
    unseen = trained.config.unseen_classes
    return [f"{label}, unseen" if label in unseen else f"{label}" for label in range(10)]


def test_heading_names_the_loss_its_knobs_the_epochs_and_1_nn(
    trained: EvaluatedRun, unseen: EvaluatedRun
) -> None:
    _, facts = drawn("confusion", trained).get_suptitle().split("\n")
    accuracy = 100 * trained.report.metrics["1nn"]
    assert facts == f"Circle Loss, gamma 17, m 0.37, 7 epochs, 1-NN {accuracy:.2f} %"
    trained.history = trained.history[:1]
    assert ", 1 epoch, " in drawn("confusion", trained).get_suptitle()
    recall = 100 * unseen.report.metrics["unseen/recall@1"]
    assert drawn("confusion", unseen).get_suptitle().endswith(f"unseen recall@1 {recall:.2f} %")


def test_confusion_counts_rows_by_class_and_columns_by_what_is_nearest(
    either: EvaluatedRun,
) -> None:
    (axes,) = drawn("confusion", either).axes
    arrays = either.report.arrays
    written = {text.get_position(): text.get_text() for text in axes.texts}
    for row in range(10):
        of_class = arrays.neighbor_labels[arrays.labels == row, 0].tolist()
        for column in range(10):
            count = of_class.count(column) if seen_in(either, np.array(row)) else 0
            if row == column and count:
                assert written[column, row] == f"{count}\n{100 * count / len(of_class):.1f} %"
            else:
                assert written.get((column, row), "0") == str(count)


def test_history_has_each_column_in_its_panel(either: EvaluatedRun) -> None:
    figure = drawn("history", either)
    for column in ("loss", "mean_sp", "mean_sn", "lr"):
        (line,) = parts(figure, column)
        assert line.get_ydata().tolist() == [getattr(row, column) for row in either.history]
        assert line.get_xdata().tolist() == list(range(1, 8))
        assert line.axes.get_ylabel() == {"loss": "loss", "lr": "lr"}.get(column, "cosine")
    (legend,) = (axes.get_legend() for axes in figure.axes if axes.get_legend())
    entries = zip(legend.get_texts(), legend.get_lines(), strict=True)
    named = {text.get_text(): to_hex(line.get_color()) for text, line in entries}
    assert named == {"mean $s_p$": LIGHT.same, "mean $s_n$": LIGHT.different}
    (line,) = parts(figure, "1nn")
    np.testing.assert_allclose(line.get_xdata(), 7 * STEPS / 160)
    labels, shares = either.snapshots.labels, []
    chosen = seen_in(either, labels)
    for embeddings in either.snapshots.embeddings[:, chosen].astype(np.float32):
        s = embeddings @ embeddings.T
        np.fill_diagonal(s, -2)
        shares.append((labels[chosen][s.argmax(1)] == labels[chosen]).mean())
    np.testing.assert_allclose(line.get_ydata(), 100 * np.array(shares))


def test_neighbors_are_of_the_hardest_with_their_own_images(either: EvaluatedRun) -> None:
    arrays, dataset = either.report.arrays, either.dataset
    like = arrays.neighbor_labels == arrays.labels[:, None]
    hardest = sorted(
        np.flatnonzero(seen_in(either, arrays.labels)),
        key=lambda i: (like[i, 0], like[i, :7].sum(), like[i].mean(), i),
    )[:8]
    panels = cells(drawn("neighbors", either))
    assert set(panels) == {(row, column) for row in range(8) for column in range(8)}
    for row, query in enumerate(hardest):
        shown = [panels[row, column].images[0].get_array() for column in range(8)]
        np.testing.assert_array_equal(shown[0], dataset.test.images[query])
        nearest = "" if like[query, 0] else f" → {arrays.neighbor_labels[query, 0]}"
        assert panels[row, 0].get_xlabel() == f"{arrays.labels[query]}{nearest}"
        np.testing.assert_array_equal(shown[1:], dataset.train.images[arrays.neighbors[query, :7]])
        for place, cosine in enumerate(arrays.neighbor_similarities[query, :7]):
            axes, label = panels[row, place + 1], arrays.neighbor_labels[query, place]
            assert axes.get_xlabel() == f"{label}  {cosine:.2f}"
            edge = LIGHT.same if label == arrays.labels[query] else LIGHT.different
            assert to_hex(axes.spines["left"].get_edgecolor()) == edge


def test_similarities_are_those_of_the_pairs(either: EvaluatedRun) -> None:
    figure = drawn("similarities", either)
    seen = either.report.seen
    rows = {0: seen} if seen.all() else {0: seen, 1: ~seen}
    panels = cells(figure)
    assert len(panels) == 2 * len(rows)
    for row, chosen in rows.items():
        x, labels = either.report.arrays.embeddings[chosen], either.report.arrays.labels[chosen]
        pairs = np.triu_indices(len(x), 1)
        s, alike = (x @ x.T)[pairs], (labels[:, None] == labels)[pairs]
        area = 100 * roc_auc_score(alike, s)
        assert panels[row, 1].get_title() == f"area under the curve {area:.2f} %"
        histograms = {patch.get_label(): patch for patch in panels[row, 0].patches}
        for name, of_kind, color in (
            ("same-class pairs", alike, LIGHT.same),
            ("different-class pairs", ~alike, LIGHT.different),
        ):
            counts, _ = np.histogram(s[of_kind], np.linspace(-1, 1, 101))
            values = histograms[name].get_data().values
            np.testing.assert_allclose(values, counts / of_kind.sum(), atol=3 / of_kind.sum())
            assert to_hex(histograms[name].get_edgecolor()) == color
    titles = {axes.get_title() for axes in panels.values()}
    assert ({"seen classes", "unseen classes"} <= titles) is bool(len(rows) - 1)


def test_pair_plane_is_of_the_run(either: EvaluatedRun) -> None:
    figure, boundary = drawn("circle", either), boundary_of(either.config)
    panels = captioned(figure)
    times = ["before training", *(f"epoch {7 * step / 160:.2f}" for step in STEPS[1:-1])]
    assert list(panels) == [*times, "after 7 epochs"]  # few snapshots come once
    labels = either.snapshots.labels
    chosen = seen_in(either, labels)
    moving = torch.from_numpy(either.snapshots.embeddings[:, chosen]).float()
    moving = torch.nn.functional.normalize(moving, dim=-1)
    densities = [pair_density(x, torch.from_numpy(labels[chosen]), 80) for x in moving[:-1]]
    densities.append(pair_density(*either.points(either.report.seen)))
    for axes, density in zip(panels.values(), densities, strict=True):
        (image,) = parts(axes, "density")
        np.testing.assert_array_equal(image.get_array(), density)
        assert image.origin == "lower"
    last = panels["after 7 epochs"]
    share = f"{100 * beyond(density, boundary).sum():.1f} % outside the circle"
    centres = (np.arange(len(density)) + 0.5) * 2 / len(density) - 1
    radius = 2**0.5 * either.config.m
    outside = density * (np.hypot(centres, centres[:, None] - 1) > radius)
    sn, sp = ((outside * s).sum() / outside.sum() for s in (centres, centres[:, None]))
    assert last.get_title() == f"after 7 epochs\n{share}\nabout $s_n$ {sn:.2f}, $s_p$ {sp:.2f}"
    (circle,) = parts(last, "boundary")
    radii = np.hypot(circle.get_xdata(), np.asarray(circle.get_ydata()) - 1)
    np.testing.assert_allclose(radii, 2**0.5 * either.config.m, atol=1e-3)
    assert f"at first of {chosen.sum()}\n" in figure.get_suptitle()


def test_embedding_rings_the_mistakes_and_shows_the_surest(either: EvaluatedRun) -> None:
    arrays = either.report.arrays
    figure, seen = drawn("embedding", either), seen_in(either, arrays.labels)
    positions = places_of(figure, arrays.labels, seen)
    np.testing.assert_allclose(positions, project(arrays.embeddings, "pca", 0)[0])
    wrong = np.flatnonzero((arrays.neighbor_labels[:, 0] != arrays.labels) & seen)
    (rings,) = parts(figure, "mistakes")
    assert sorted(np.asarray(rings.get_offsets()).tolist()) == sorted(positions[wrong].tolist())
    assert f"{len(wrong)} wrong" in words(figure)
    votes = {i: (arrays.neighbor_labels[i] == arrays.labels[i]).mean() for i in wrong}
    worst = sorted(wrong, key=lambda i: (votes[i], -arrays.neighbor_similarities[i, 0]))[:6]
    boxes = figure.findobj(AnnotationBbox)
    images = {tuple(box.xy): box.offsetbox.get_data() for box in boxes}
    assert len(images) == 6
    for index in worst:
        shown = images[tuple(positions[index])]
        np.testing.assert_array_equal(shown, either.dataset.test.images[index])
    (legend,) = figure.legends
    entries = zip(legend.get_texts(), legend.legend_handles, strict=True)
    markers = {text.get_text(): handle.get_marker() for text, handle in entries}
    for name in names_in(either):
        assert markers[name] == ("^" if "unseen" in name else "o")
    assert ("of unseen classes" in figure.get_suptitle()) is not seen.all()


def test_animation_goes_from_the_first_snapshot_to_the_last(either: EvaluatedRun) -> None:
    movie, snapshots = animation.draw(either, PCA), either.snapshots
    embeddings = snapshots.embeddings.astype(np.float32)
    seen = seen_in(either, snapshots.labels)
    last, _ = project(embeddings[-1], "pca", 0)
    shown, captions = {}, []
    for frame in (0, 7, 8, 15, animation.FRAMES - 1):
        movie.show(frame)
        shown[frame] = places_of(movie.figure, snapshots.labels, seen)
        captions.append(words(movie.figure) & {"before training", "epoch 0.44", "epoch 7.00"})
    # half of the way from the first snapshot to the second is between two frames
    assert captions == [*[{"before training"}] * 2, *[{"epoch 0.44"}] * 2, {"epoch 7.00"}]
    np.testing.assert_allclose(shown[59], last, atol=1e-5)
    title = movie.figure.get_suptitle()
    assert title.startswith("scikit-learn digits, 40 test images\nPCA of 8-D, Circle Loss, gamma")
    directions = embeddings[-1] / np.linalg.norm(embeddings[-1], axis=1, keepdims=True)
    for cloud, chosen in zip(parts(movie.figure, "pairs"), (seen, ~seen), strict=False):
        places = pair_places(directions, snapshots.labels)[chosen]
        np.testing.assert_allclose(cloud.get_offsets(), places, atol=1e-5)
    density = pair_density(*map(torch.from_numpy, (directions[seen], snapshots.labels[seen])))
    share = f"{100 * beyond(density, boundary_of(either.config)).sum():.1f} % of pairs outside"
    assert any(text.startswith(share) for text in words(movie.figure))
    # 15 of 59 ways through 4 intervals is a little after the first of them
    share = 15 * 4 / 59 - 1
    axes_of_last = np.linalg.lstsq(embeddings[-1] - embeddings[-1].mean(0), last, rcond=None)[0]
    one, two = ((embeddings[t] - embeddings[-1].mean(0)) @ axes_of_last for t in (1, 2))
    np.testing.assert_allclose(shown[15], one * (1 - share) + two * share, atol=1e-3)
    farthest = np.abs((embeddings - embeddings[-1].mean(0)) @ axes_of_last).max()
    space, plane = (parts(movie.figure, name)[0].axes for name in ("points", "pairs"))
    limits = [*space.get_xlim(), *space.get_ylim()]
    np.testing.assert_allclose(limits, np.array([-1, 1, -1, 1]) * 1.05 * farthest, rtol=1e-3)
    (left, right), (bottom, top) = plane.get_xlim(), plane.get_ylim()
    assert right == top == 1.05
    assert max(left, bottom) < np.nanmin(places)


def test_animation_of_a_sphere_says_from_where_it_is_seen(trained: EvaluatedRun) -> None:
    assert "seen from" not in animation.draw(trained, PCA).figure.get_suptitle()
    rows = unit(np.random.default_rng(0), len(STEPS), 40, 3).astype(np.float16)
    trained.config = replace(trained.config, dim=3)
    trained.snapshots = replace(trained.snapshots, embeddings=rows)
    assert "3-D, seen from one side, " in animation.draw(trained, PCA).figure.get_suptitle()


@pytest.mark.parametrize("kind", ["circle", "center", "unseen", "arcface"])
def test_page_is_given_what_was_measured(
    kind: str, trained: EvaluatedRun, unseen: EvaluatedRun
) -> None:
    """The neighbours of images off the sphere are by distance, their places by the cosine."""
    trained = unseen if kind == "unseen" else trained
    arrays = trained.report.arrays
    trained.embedder = build_embedder(trained.config)
    if kind == "center":
        lengths = np.random.default_rng(1).uniform(0.1, 9, (360, 1)).astype(np.float32)
        arrays = replace(arrays, embeddings=arrays.embeddings * lengths)
        trained.config = Config(dataset="digits", loss="center", dim=8)
        trained.report = replace(trained.report, per_image=arrays)
    if kind == "arcface":  # whose class weights the snapshots lack
        trained.config = Config(dataset="digits", loss="arcface", dim=8)
    space, how = space_of(trained, "pca")
    facts = space.facts
    assert how == "PCA of 8-D"
    x = arrays.embeddings.astype(float)
    s = -((x[:, None] - x) ** 2).sum(-1)
    np.fill_diagonal(s, -np.inf)
    nearest = np.take_along_axis(s, np.array(facts["neighbors"]), 1)
    np.testing.assert_allclose(nearest, -np.sort(-s, 1)[:, :5], rtol=1e-4)
    directions = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(facts["pairs"], pair_places(directions, arrays.labels), atol=1e-5)
    # an unseen class, which no training image has, is no mistake
    predicted = np.where(trained.report.seen, arrays.neighbor_labels[:, 0], arrays.labels)
    np.testing.assert_array_equal(facts["predicted"], predicted)
    assert facts["names"] == names_in(trained)
    np.testing.assert_array_equal(facts["labels"], arrays.labels)
    np.testing.assert_array_equal(space.images, trained.dataset.test.images)
    np.testing.assert_array_equal(facts["moving"], trained.snapshots.indices)
    assert facts["boundary"]["name"] == boundary_of(trained.config).name
    assert facts["captions"][-2:] == ["epoch 7.00", "all images"]


@pytest.mark.slow
def test_movie_of_the_page_ends_where_its_images_are(trained: EvaluatedRun) -> None:
    trained.embedder = build_embedder(trained.config)
    facts = space_of(trained, "tsne")[0].facts
    there = facts["positions"][trained.snapshots.indices]
    np.testing.assert_array_equal(facts["moving_positions"][-1], there)
