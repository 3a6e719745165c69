"""Pictures of groups of runs: the numbers drawn are those of the runs, on common axes."""

import itertools
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread

from circlemnist.config import Config
from circlemnist.evaluation.group import Group, group_runs
from circlemnist.evaluation.pair_plane import boundary_of, pair_density, share_beyond
from circlemnist.evaluation.report import Arrays, Report, save_report
from circlemnist.plots import panels
from circlemnist.plots.draw import draw_group_pictures
from circlemnist.plots.embedding import Space, turn_spaces
from circlemnist.plots.kinds import COMPARED, SIDE_BY_SIDE
from circlemnist.plots.panels import Grid
from circlemnist.plots.points import Points
from circlemnist.plots.style import DARK, LIGHT, Style
from circlemnist.runs.history import Epoch, read_history, write_history
from circlemnist.runs.run import Run
from tests.plots.figures import DIGITS, boxes_of, cloud, words

KINDS = list(COMPARED)
PCA = Style(projection="pca")
IMAGES = 200


def made_up(folder: Path, seed: int, config: Config) -> Report:
    """A run whose embeddings and history are made up, no two alike."""
    run = Run(folder)
    folder.mkdir()
    run.config_file.write_text(config.to_toml())
    embeddings, labels = cloud(config.dim, IMAGES)
    random = np.random.default_rng(seed)
    embeddings = embeddings + random.normal(scale=0.05 * (1 + seed % 4), size=embeddings.shape)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    nearest = np.where(random.random(IMAGES) < 0.05, (labels + 1) % 10, labels)[:, None]
    arrays = Arrays(
        embeddings.astype(np.float32),
        labels,
        np.zeros((IMAGES, 1), np.int32),
        nearest,
        np.ones((IMAGES, 1), np.float32),
    )
    metrics = {"1nn": float((nearest[:, 0] == labels).mean())}
    report = Report(run, config, "digits", "test", "cosine", (), None, metrics, arrays)
    save_report(report)
    values = random.uniform(0.1, 0.9, (3 + seed % 2, 3)).tolist()
    rows = [
        Epoch(e, (1 + seed) * v, sp, -sn, 0.5, 0.1, 1) for e, (v, sp, sn) in enumerate(values, 1)
    ]
    write_history(run.history_file, rows)
    return report


def groups_of(folder: Path, count: int, seeds: int = 1, dim: int = 8) -> list[Group]:
    reports = [
        made_up(
            folder / f"{place}-{seed}",
            10 * seed + place,
            Config(dataset="digits", dim=dim, gamma=float(16 + place), seed=seed),
        )
        for place in range(count)
        for seed in range(seeds)
    ]
    return group_runs(reports)[0]


def drawn(kind: str, groups: Sequence[Group], style: Style = PCA) -> Figure:
    figure = import_module(f"circlemnist.plots.{kind}").draw_groups(groups, style)
    assert isinstance(figure, Figure)
    return figure


def panels_of(figure: Figure) -> list[Axes]:
    """The axes with a caption, in their order."""
    return [axes for axes in figure.axes if axes.get_title()]


def test_the_planes_hold_the_pairs_of_each_run(tmp_path: Path) -> None:
    groups = groups_of(tmp_path, 3)
    figure = drawn("circle", groups)
    captioned = panels_of(figure)
    assert len(captioned) == 3
    scales = set()
    for axes, group in zip(captioned, groups, strict=True):
        arrays = np.load(group.runs[0].run.embeddings_file)
        boundary = boundary_of(group.runs[0].config)
        embeddings, labels = (torch.from_numpy(arrays[key]) for key in ("embeddings", "labels"))
        density = pair_density(embeddings, labels, 100)
        (image,) = axes.images
        np.testing.assert_array_equal(image.get_array(), density)
        scales.add((image.norm.vmin, image.norm.vmax))
        assert axes.get_title().startswith(f"{group.name}\n1-NN {100 * group.mean('1nn'):.2f} %\n")
        assert (
            f"{100 * share_beyond(density, boundary):.1f} % outside the circle" in axes.get_title()
        )
        assert (axes.get_xlim(), axes.get_ylim()) == ((-1, 1), (-1, 1))
    assert len(scales) == 1  # a colour is the same density in all


def test_the_histories_hold_every_epoch_of_every_seed(tmp_path: Path) -> None:
    groups = groups_of(tmp_path, 4, seeds=2)
    figure = drawn("history", groups)
    upper = panels_of(figure)
    lower = [axes for axes in figure.axes if axes.lines and axes not in upper]
    assert (len(upper), len(lower)) == (4, 4)
    for cosines, loss, group in zip(upper, lower, groups, strict=True):
        for place, measured in enumerate(group.runs):
            rows = read_history(measured.run.history_file)
            sp, sn, losses = (*cosines.lines[2 * place : 2 * place + 2], loss.lines[place])
            np.testing.assert_array_equal(sp.get_ydata(), [row.mean_sp for row in rows])
            np.testing.assert_array_equal(sn.get_ydata(), [row.mean_sn for row in rows])
            np.testing.assert_array_equal(losses.get_ydata(), [row.loss for row in rows])
            assert (to_hex(sp.get_color()), to_hex(sn.get_color())) == (LIGHT.same, LIGHT.different)
        assert len(cosines.lines) == 4
    assert len({axes.get_ylim() for axes in upper}) == 1
    assert len({axes.get_xlim() for axes in (*upper, *lower)}) == 1
    # a loss has its own scale
    assert len({axes.get_ylim() for axes in lower}) == 4


def test_the_embeddings_are_those_of_the_first_seed_turned_to_lie_alike(tmp_path: Path) -> None:
    groups = groups_of(tmp_path, 3, seeds=2)
    figure = drawn("embedding", groups)
    captioned = panels_of(figure)
    positions = [np.asarray(axes.collections[0].get_offsets()) for axes in captioned]
    for points, group in zip(positions, groups, strict=True):
        embeddings = np.load(group.runs[0].run.embeddings_file)["embeddings"].astype(float)
        centred = embeddings - embeddings.mean(0)
        values = np.linalg.svd(centred, compute_uv=False)
        # PCA, turned and moved: the same spread along the two axes
        moved = points - points.mean(0)
        np.testing.assert_allclose(np.linalg.svd(moved, compute_uv=False), values[:2], rtol=1e-3)
    # the same class is at the same side in all
    centres = [
        [points[np.arange(IMAGES) % 10 == c].mean(0) for c in range(10)] for points in positions
    ]
    for other in centres[1:]:
        assert np.sum(np.asarray(centres[0]) * other) > 0
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in captioned}) == 1
    assert all(np.abs(points).max() <= captioned[0].get_xlim()[1] for points in positions)
    assert any("the first seed of each\nPCA of 8-D" in text for text in words(figure))


def test_projections_are_turned_and_mirrored_and_nothing_else() -> None:
    positions, labels = cloud(2)
    positions = positions * (3, 1)  # longer than wide
    turn = np.array([[0.0, 1.0], [1.0, 0.0]])  # a mirror, too
    spaces = [
        Space(Points(where, of, DIGITS), ("digits", "200 images"), "t-SNE of 8-D", projected, True)
        for where, of, projected in (
            (positions, labels, True),
            (positions @ turn + 5, labels, True),
            (positions @ turn, labels[::-1], True),
            (positions @ turn + 5, labels, False),
        )
    ]
    first, second, other, native = (space.points.positions for space in turn_spaces(spaces))
    middle = (positions.max(0) + positions.min(0)) / 2
    np.testing.assert_allclose(first, positions - middle)
    np.testing.assert_allclose(second, first, atol=1e-9)
    np.testing.assert_allclose(other, first @ turn, atol=1e-9)  # of other images: left as it lies
    np.testing.assert_array_equal(native, positions @ turn + 5)


@pytest.mark.parametrize(("dim", "axes_of_each"), [(2, 1), (3, 2)])
def test_planes_and_spheres_are_drawn_as_they_are(
    tmp_path: Path, dim: int, axes_of_each: int
) -> None:
    groups = groups_of(tmp_path, 2, dim=dim)
    figure = drawn("embedding", groups)
    assert len(figure.axes) == 2 * axes_of_each
    assert any(f"\n{dim}-D" in text for text in words(figure))
    if dim == 2:
        for axes, group in zip(figure.axes, groups, strict=True):
            embeddings = np.load(group.runs[0].run.embeddings_file)["embeddings"]
            np.testing.assert_allclose(axes.collections[0].get_offsets(), embeddings)


def test_projections_of_several_kinds_say_which_is_which(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    groups = [*groups_of(tmp_path / "a", 1), *groups_of(tmp_path / "b", 1, dim=3)]
    captioned = panels_of(drawn("embedding", groups))
    assert [axes.get_title().splitlines()[-1] for axes in captioned] == ["PCA of 8-D", "3-D"]


def test_embeddings_of_any_length_do_not_shrink_the_others(tmp_path: Path) -> None:
    groups = groups_of(tmp_path, 3)
    last = groups[2].runs[0]
    config = Config(dataset="digits", loss="center", dim=8)
    last.run.config_file.write_text(config.to_toml())
    arrays = dict(np.load(last.run.embeddings_file))
    arrays["embeddings"] *= 100
    np.savez(last.run.embeddings_file, **arrays)
    first, second, third = (axes.get_xlim()[1] for axes in panels_of(drawn("embedding", groups)))
    assert first == second < 2
    assert third > 50


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [2, 10])
def test_captions_do_not_overlap(tmp_path: Path, kind: str, count: int) -> None:
    groups = groups_of(tmp_path, count, seeds=2 if count == 2 else 1)
    figure = drawn(kind, groups)
    captioned = panels_of(figure)
    assert [axes.get_title().split("\n")[0] for axes in captioned] == [
        group.name for group in groups
    ]
    assert figure.get_suptitle()
    suptitle = figure._suptitle  # type: ignore[attr-defined]
    boxes = boxes_of(figure, [suptitle, *(axes.title for axes in captioned)])
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    # at its width in pixels, a letter of eleven points has ten pixels or more
    assert 11 / 72 * SIDE_BY_SIDE / figure.get_figwidth() >= 10


def test_more_groups_than_can_be_read_are_the_best(tmp_path: Path) -> None:
    groups = groups_of(tmp_path, 22)
    figure = drawn("circle", groups)
    worst = sorted(group.mean("1nn") for group in groups)[:2]
    kept = [axes.get_title().split("\n")[0] for axes in panels_of(figure)]
    assert len(kept) == 20
    left = [group for group in groups if group.name not in kept]
    assert max(group.mean("1nn") for group in left) <= min(
        group.mean("1nn") for group in groups if group.name in kept
    )
    assert sorted(group.mean("1nn") for group in left) == worst
    assert any("the 20 of 22 groups with the best 1-NN" in text for text in words(figure))


@pytest.mark.parametrize("kind", KINDS)
def test_dark_pictures_are_dark(tmp_path: Path, kind: str) -> None:
    figure = drawn(kind, groups_of(tmp_path, 2), Style(DARK, "pca"))
    assert to_hex(figure.get_facecolor()) == DARK.paper
    assert {to_hex(axes.title.get_color()) for axes in panels_of(figure)} == {DARK.ink}


def test_pictures_are_files_of_the_width_asked_for(tmp_path: Path) -> None:
    style, folder = Style(DARK, "pca", width=SIDE_BY_SIDE), tmp_path / "pictures"
    groups = groups_of(tmp_path, 2)
    paths = list(draw_group_pictures(groups, ["history"], style, folder))
    assert paths == [folder / "history-dark.png"]
    assert imread(paths[0]).shape[1] == SIDE_BY_SIDE


@pytest.mark.parametrize("kind", ["circle", "history"])
def test_the_lowest_panel_of_each_column_has_numbers(tmp_path: Path, kind: str) -> None:
    """Five panels in two rows of three: the last column ends above the others."""
    figure = drawn(kind, groups_of(tmp_path, 5))
    FigureCanvasAgg(figure).draw()
    captioned = panels_of(figure)
    below = [axes for axes in figure.axes if axes.axison and axes not in captioned] or captioned
    numbered = [any(t.get_visible() for t in axes.get_xticklabels()) for axes in below]
    assert numbered == [False, False, True, True, True]


def test_of_many_images_a_sample_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panels, "SAMPLE", 50)
    groups = groups_of(tmp_path, 2, dim=2)
    chosen = np.linspace(0, IMAGES - 1, 50).round().astype(int)
    figure = drawn("embedding", groups)
    assert any("50 of 200 test images" in text for text in words(figure))
    arrays = np.load(groups[1].runs[0].run.embeddings_file)
    dots = panels_of(figure)[1].collections[0]
    np.testing.assert_allclose(dots.get_offsets(), arrays["embeddings"][chosen])
    colors = [to_hex(color) for color in np.asarray(dots.get_facecolors())]
    assert colors == [LIGHT.classes[label] for label in arrays["labels"][chosen]]
    arrays = np.load(groups[0].runs[0].run.embeddings_file)
    some = (torch.from_numpy(arrays[key][chosen]) for key in ("embeddings", "labels"))
    (image,) = panels_of(drawn("circle", groups))[0].images
    np.testing.assert_array_equal(image.get_array(), pair_density(*some, 100))


def test_a_grid_has_room_for_all() -> None:
    for count in range(1, 21):
        grid = Grid(count)
        places = {grid.place(panel) for panel in range(count)}
        assert len(places) == count
        assert all(row < grid.rows and column < grid.columns for row, column in places)
        lowest = {grid.place(panel)[1] for panel in range(count) if grid.is_lowest(panel)}
        assert lowest == set(range(min(count, grid.columns)))
