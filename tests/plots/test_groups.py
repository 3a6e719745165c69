"""Pictures of groups of runs: the numbers drawn are those of the runs, on common axes."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from circlemnist.config import Config
from circlemnist.evaluation.group import Group, group_runs
from circlemnist.evaluation.pair_plane import beyond, boundary_of, pair_density
from circlemnist.evaluation.report import load_report
from circlemnist.plots.embedding import turn_like
from circlemnist.plots.kinds import COMPARED, SIDE_BY_SIDE
from circlemnist.plots.layout import Grid
from circlemnist.plots.points import Points
from circlemnist.plots.style import DARK, LIGHT
from tests.plots.figures import (
    DIGITS,
    boxes_of,
    captioned,
    classes_of,
    cloud,
    drawn,
    groups_of,
    make_run,
    parts,
    words,
)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Group]:
    """Three groups of two seeds."""
    return groups_of(tmp_path_factory.mktemp("outputs"), 3, seeds=2)


def test_the_planes_hold_the_pairs_of_each_run(three: list[Group]) -> None:
    panels = captioned(drawn("circle", three))
    assert list(panels) == [group.name for group in three]
    scales = set()
    for axes, group in zip(panels.values(), three, strict=True):
        report = group.runs[0]
        embeddings, labels = map(torch.from_numpy, (report.arrays.embeddings, report.labels))
        density = pair_density(embeddings, labels, 100)
        (image,) = parts(axes, "density")
        np.testing.assert_array_equal(image.get_array(), density)
        scales.add((image.norm.vmin, image.norm.vmax))
        share = 100 * beyond(density, boundary_of(report.config)).sum()
        mean, deviation = 100 * group.mean("1nn"), 100 * group.values("1nn").std(ddof=1)
        _, accuracy, outside, _ = axes.get_title().split("\n")
        assert accuracy == f"1-NN {mean:.2f} ± {deviation:.2f} %"
        assert outside == f"{share:.1f} % outside the circle"
        assert (axes.get_xlim(), axes.get_ylim()) == ((-1, 1), (-1, 1))
    assert len(scales) == 1  # a colour is the same density in all


def test_the_histories_hold_every_epoch_of_every_seed(three: list[Group]) -> None:
    figure = drawn("history", three)
    panels = captioned(figure)
    lower = [line.axes for line in parts(figure, "loss")][:: len(three[0].runs)]
    for cosine, loss, group in zip(panels.values(), lower, three, strict=True):
        histories = [report.run.history() for report in group.runs]
        for axes, column, color in (
            (cosine, "mean_sp", LIGHT.same),
            (cosine, "mean_sn", LIGHT.different),
            (loss, "loss", LIGHT.ink),
        ):
            curves = parts(axes, column)
            expected = [[getattr(row, column) for row in rows] for rows in histories]
            assert [curve.get_ydata().tolist() for curve in curves] == expected
            assert {to_hex(curve.get_color()) for curve in curves} == {color}
    assert len({axes.get_ylim() for axes in panels.values()}) == 1
    assert len({axes.get_xlim() for axes in (*panels.values(), *lower)}) == 1
    assert len({axes.get_ylim() for axes in lower}) == 3  # a loss has its own scale
    FigureCanvasAgg(figure).draw()
    bottom = min(axes.get_tightbbox().y0 for axes in lower)
    assert figure.legends[0].get_window_extent().y1 <= bottom


def test_the_embeddings_are_those_of_the_first_seed_turned_to_lie_alike(three: list[Group]) -> None:
    figure = drawn("embedding", three)
    panels = captioned(figure).values()
    positions = [np.concatenate([p.get_offsets() for p in parts(a, "points")]) for a in panels]
    for points, group in zip(positions, three, strict=True):
        embeddings = group.runs[0].arrays.embeddings.astype(float)
        values = np.linalg.svd(embeddings - embeddings.mean(0), compute_uv=False)
        # PCA, turned and moved: the same spread along the two axes
        moved = points - points.mean(0)
        np.testing.assert_allclose(np.linalg.svd(moved, compute_uv=False), values[:2], rtol=1e-3)
    # the same class is at the same side in all
    labels = three[0].runs[0].labels
    first, *others = [
        np.stack([points[labels == label].mean(0) for label in range(10)]) for points in positions
    ]
    assert all(np.sum(first * other) > 0 for other in others)
    ((xlim, ylim),) = {(axes.get_xlim(), axes.get_ylim()) for axes in panels}
    assert xlim == ylim
    assert all(np.abs(points).max() <= xlim[1] for points in positions)
    assert any("the first seed of each\nPCA of 8-D" in text for text in words(figure))


@pytest.mark.parametrize("turn", [[[0.0, 1.0], [1.0, 0.0]], [[0.6, 0.8], [-0.8, 0.6]]])
def test_projections_are_turned_and_mirrored_and_nothing_else(turn: list[list[float]]) -> None:
    positions, labels = cloud(2)
    positions = positions * (3, 1)  # longer than wide
    first = turn_like(Points(positions, labels, DIGITS), None)
    second = turn_like(Points(positions @ turn + 5, labels, DIGITS), first)
    other = turn_like(Points(positions @ turn, labels[::-1], DIGITS), first)
    middle = (positions.max(0) + positions.min(0)) / 2
    np.testing.assert_allclose(first.positions, positions - middle)
    np.testing.assert_allclose(second.positions, first.positions, atol=1e-9)
    # of other images: left as it lies
    spread = np.ptp(first.positions @ turn, axis=0)
    np.testing.assert_allclose(np.ptp(other.positions, axis=0), spread, atol=1e-9)


def test_planes_and_spheres_are_drawn_as_they_are_and_say_which_is_which(tmp_path: Path) -> None:
    groups = [group for dim in (8, 2, 3) for group in groups_of(tmp_path, 1, dim=dim)]
    figure = drawn("embedding", groups)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert [title.splitlines()[-1] for title in titles] == ["PCA of 8-D", "2-D", "3-D"]
    assert len(figure.axes) == 4  # two of the sphere
    _, plane, *_ = parts(figure, "points")
    np.testing.assert_allclose(plane.get_offsets(), groups[1].runs[0].arrays.embeddings)


def test_embeddings_of_any_length_do_not_shrink_the_others(tmp_path: Path) -> None:
    groups = groups_of(tmp_path, 3)
    run = groups[2].runs[0].run
    run.config_file.write_text(Config(dataset="digits", loss="center", dim=8).to_toml())
    arrays = dict(np.load(run.embeddings_file))
    arrays["embeddings"] *= 100
    np.savez(run.embeddings_file, **arrays)
    panels = captioned(drawn("embedding", groups)).values()
    first, second, third = (axes.get_xlim()[1] for axes in panels)
    assert first == second < 2
    assert third > 50


def test_runs_of_other_unseen_classes_have_triangles_and_one_legend(tmp_path: Path) -> None:
    """A heading that fits; triangles in each panel; a legend that holds for all of them."""
    configs = [Config(dataset="digits", dim=8, unseen=unseen) for unseen in ("0,3,8", "1,2")]
    reports = [make_run(tmp_path / config.unseen, config) for config in configs]
    groups, _ = group_runs(reports)
    figure = drawn("embedding", groups)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(DIGITS)
    assert [dot.get_color() for dot in legend.legend_handles] == list(LIGHT.classes)
    looks = {(dot.get_marker(), dot.get_linestyle()) for dot in legend.legend_handles}
    assert looks == {("o", "None")}  # no line goes through them
    for axes in captioned(figure).values():
        assert len({len(part.get_paths()[0].vertices) for part in parts(axes, "points")}) == 2
    alone = drawn("embedding", groups[:1]).get_suptitle()
    assert alone.startswith("scikit-learn digits, 360 test images, 105 of unseen")
    (heading,) = boxes_of(figure, [figure._suptitle])  # type: ignore[attr-defined]
    assert 0 <= heading.x0 < heading.x1 <= figure.bbox.width


@pytest.mark.parametrize("kind", COMPARED)
@pytest.mark.parametrize("count", [2, 10])
def test_captions_do_not_overlap_and_pictures_are_of_their_theme(
    kind: str, count: int, tmp_path: Path
) -> None:
    groups = groups_of(tmp_path, count, seeds=2 if count == 2 else 1)
    figure = drawn(kind, groups, DARK)
    panels = captioned(figure)
    assert list(panels) == [group.name for group in groups]
    suptitle = figure._suptitle  # type: ignore[attr-defined]
    boxes = boxes_of(figure, [suptitle, *(axes.title for axes in panels.values())])
    assert len(boxes) == count + 1
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    # at its width in pixels, a letter of eleven points has ten pixels or more
    assert 11 / 72 * SIDE_BY_SIDE / figure.get_figwidth() >= 10
    assert to_hex(figure.get_facecolor()) == DARK.paper
    assert {to_hex(axes.title.get_color()) for axes in panels.values()} == {DARK.ink}


def test_more_groups_than_can_be_read_are_the_best(tmp_path: Path) -> None:
    groups = groups_of(tmp_path, 22)
    worst = sorted(groups, key=lambda group: group.mean("1nn"))[:2]
    grid = Grid(groups)
    assert grid.groups == [group for group in groups if group not in worst]
    images = grid.images([(g.runs[0].dataset, g.runs[0].counted) for g in grid.groups])
    assert images == (
        "scikit-learn digits, 360 test images, the 20 of 22 groups with the best 1-NN"
    )


@pytest.mark.parametrize("kind", ["circle", "history"])
def test_the_lowest_panel_of_each_column_has_numbers(kind: str, tmp_path: Path) -> None:
    """Five panels in two rows of three: the last column ends above the others."""
    figure = drawn(kind, groups_of(tmp_path, 5))
    FigureCanvasAgg(figure).draw()
    panels = list(captioned(figure).values())
    below = [axes for axes in figure.axes if axes.axison and axes not in panels] or panels
    numbered = [any(tick.get_visible() for tick in axes.get_xticklabels()) for axes in below]
    assert numbered == [False, False, True, True, True]


def test_of_many_images_a_sample_is_drawn(tmp_path: Path) -> None:
    groups = groups_of(tmp_path, 2, dim=2, images=3_000)
    chosen = np.linspace(0, 2_999, 2_000).round().astype(int)
    figure = drawn("embedding", groups)
    assert any("2,000 of 3,000 test images" in text for text in words(figure))
    report = load_report(groups[1].runs[0].run)
    assert report is not None
    (dots,) = parts(captioned(figure)[groups[1].name], "points")
    np.testing.assert_allclose(dots.get_offsets(), report.arrays.embeddings[chosen])
    # of fewer images they are larger; none has a rim
    assert (dots.get_sizes().tolist(), list(dots.get_linewidths())) == ([15], [0])
    assert classes_of(dots) == report.arrays.labels[chosen].tolist()
