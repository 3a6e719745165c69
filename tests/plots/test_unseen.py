"""Pictures tell unseen classes from seen ones, and count mistakes among the seen."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from torch import Tensor

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import group_runs
from circlemnist.explorer.page import write_page
from circlemnist.plots import animation, embedding, pair_plane
from circlemnist.plots.style import LIGHT, Style
from circlemnist.runs.run import Run
from tests.conftest import invoke
from tests.plots.figures import boxes_of, drawn, words

UNSEEN = (0, 3, 8)


@pytest.fixture
def unseen(unseen_run: Path) -> EvaluatedRun:
    return EvaluatedRun(Run(unseen_run))


def test_unseen_points_are_triangles(unseen: EvaluatedRun) -> None:
    figure = drawn("embedding", unseen)
    (legend,) = figure.legends
    entries = zip(legend.legend_handles, legend.get_texts(), strict=True)
    markers = {text.get_text(): handle.get_marker() for handle, text in entries}
    for label in range(10):
        name = f"{label}, unseen" if label in UNSEEN else str(label)
        assert markers[name] == ("^" if label in UNSEEN else "o")
    clouds = [part for part in figure.axes[0].collections if isinstance(part, PathCollection)]
    labels = unseen.report.arrays.labels
    count = int(np.isin(labels, UNSEEN).sum())
    sizes = {len(cloud.get_paths()[0].vertices): len(cloud.get_offsets()) for cloud in clouds[:2]}
    assert sizes == {4: count, max(sizes): len(labels) - count}
    assert "105 of unseen classes" in figure.get_suptitle()
    recall = unseen.report.metrics["unseen/recall@1"]
    assert f"unseen recall@1 {100 * recall:.2f} %" in figure.get_suptitle()


def test_similarities_of_the_unseen_have_a_row_of_their_own(
    unseen: EvaluatedRun, unseen_run: Path
) -> None:
    figure = drawn("similarities", unseen)
    metrics = json.loads((unseen_run / "eval.json").read_text())["metrics"]
    left, right, left_below, right_below = figure.axes
    assert (left.get_title(), left_below.get_title()) == ("seen classes", "unseen classes")
    for axes, name in ((right, "roc_auc"), (right_below, "unseen/roc_auc")):
        assert axes.get_title() == f"area under the curve {100 * metrics[name]:.2f} %"


def test_mistakes_are_of_seen_classes(unseen: EvaluatedRun) -> None:
    arrays = unseen.report.arrays
    seen = ~np.isin(arrays.labels, UNSEEN)
    wrong = int((arrays.neighbor_labels[seen, 0] != arrays.labels[seen]).sum())
    assert wrong > 0
    assert f"{wrong} wrong" in words(drawn("embedding", unseen))
    counts = [
        int(text.get_text().split("\n")[0]) for text in drawn("confusion", unseen).axes[0].texts
    ]
    assert sum(counts) == seen.sum()
    queries = [axes.get_xlabel() for axes in drawn("neighbors", unseen).axes[::8]]
    assert queries
    assert not set(queries) & set(map(str, UNSEEN))


def test_what_moved_is_told_apart_and_pairs_are_of_the_seen_from_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("--dataset", "digits", "--net", "tiny", "--epochs", 1, "--unseen", "0,3,8")
    place = ("--snapshots", "--quiet", "--outputs", tmp_path, "--name", "run")
    assert invoke("train", *args, *place).exit_code == 0
    trained = EvaluatedRun(Run(tmp_path / "run"))
    labels = trained.snapshots.labels
    of_seen = int((~np.isin(labels, UNSEEN)).sum())
    paired: set[int] = set()
    density = pair_plane.pair_density

    def watched(embeddings: Tensor, labels: Tensor, *more: int) -> np.ndarray:
        paired.update(labels.tolist())
        return density(embeddings, labels, *more)

    monkeypatch.setattr(pair_plane, "pair_density", watched)
    assert f"at first of {of_seen}\n" in drawn("circle", trained).get_suptitle()
    assert paired == set(range(10)) - set(UNSEEN)
    movie = animation.draw(trained, Style(LIGHT, projection="pca"))
    for frame in (0, movie.frames - 1):
        movie.show(frame)
        triangles = [
            len(part.get_offsets())
            for part in movie.figure.axes[0].collections
            if len(part.get_paths()[0].vertices) == 4
        ]
        assert triangles == [len(labels) - of_seen]


def test_page_names_them_and_takes_none_for_a_mistake(unseen: EvaluatedRun, tmp_path: Path) -> None:
    page = write_page(unseen, Style(LIGHT, projection="pca"), tmp_path / "page.html").read_text()
    assert "3, unseen" in page
    assert "4, unseen" not in page
    arrays = unseen.report.arrays
    found = re.search(r'"predicted": ?(\[[\d, ]+\])', page)
    assert found is not None
    predicted = np.array(json.loads(found[1]))
    seen = ~np.isin(arrays.labels, UNSEEN)
    np.testing.assert_array_equal(predicted[~seen], arrays.labels[~seen])
    np.testing.assert_array_equal(predicted[seen], arrays.neighbor_labels[seen, 0])


def test_runs_of_other_unseen_classes_side_by_side(tmp_path: Path) -> None:
    """A heading that fits; triangles in each panel; a legend that holds for all of them."""
    names = []
    for unseen in ("0,3,8", "1,2"):
        names.append(tmp_path / unseen)
        args = ("--dataset", "digits", "--net", "tiny", "--epochs", 1, "--unseen", unseen)
        place = ("--quiet", "--outputs", tmp_path, "--name", unseen)
        assert invoke("train", *args, *place).exit_code == 0
    runs = [EvaluatedRun(Run(name)) for name in names]
    groups, _ = group_runs([run.report for run in runs])
    style = Style(LIGHT, projection="pca")
    figure = embedding.draw_groups(groups, style)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [str(label) for label in range(10)]
    for axes in figure.axes:
        vertices = {len(part.get_paths()[0].vertices) for part in axes.collections}
        assert len(vertices) == 2
    alone = embedding.draw_groups(groups[:1], style)
    assert alone.get_suptitle().startswith("scikit-learn digits, 360 test images, 105 of unseen")
    (heading,) = boxes_of(figure, [figure._suptitle])
    assert 0 <= heading.x0 < heading.x1 <= figure.bbox.width
