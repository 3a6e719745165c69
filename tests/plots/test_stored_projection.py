"""The projection of a run, computed once and kept in its folder."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots import projection
from circlemnist.plots.projection import project_run
from circlemnist.runs.checkpoint import load_checkpoint, save_checkpoint
from circlemnist.runs.run import Run
from tests.conftest import invoke


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Run:
    return Run(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The method of each projection that is computed; a quick one stands in for it."""
    methods: list[str] = []

    def quick(embeddings: np.ndarray, method: str, seed: int, native: int) -> tuple[object, str]:
        methods.append(method)
        return embeddings[:, :2] + len(methods), "another"

    monkeypatch.setattr(projection, "project", quick)
    return methods


def kept(run: Run) -> np.ndarray:
    with np.load(run.folder / "projection-tsne.npz") as file:
        return np.asarray(file["points"])


def points_of(run: Run) -> np.ndarray:
    trained = EvaluatedRun(run)
    return project_run(trained, trained.report.arrays.embeddings, "tsne")[0]


def plot(run: Run, *args: object) -> Result:
    result = invoke("plot", run.folder, *args)
    assert result.exit_code == 0, result.output
    return result


def test_pictures_of_a_run_share_one_projection(run: Run, computed: list[str]) -> None:
    plot(run)
    first = (run.plots / "embedding.png").read_bytes()
    plot(run, "--theme", "dark")
    plot(run, "--out", run.folder / "space.svg")
    plot(run, "--width", 600)
    assert invoke("explore", run.folder).exit_code == 0
    assert computed == ["tsne"]
    plot(run)
    assert (run.plots / "embedding.png").read_bytes() == first


def test_points_are_those_of_the_first_time_and_words_too(run: Run) -> None:
    trained = EvaluatedRun(run)
    embeddings = trained.report.arrays.embeddings
    points, how = project_run(trained, embeddings, "tsne")
    assert how == "t-SNE of 64-D"
    np.testing.assert_array_equal(kept(run), points)
    again, the_same = project_run(trained, embeddings, "tsne")
    np.testing.assert_array_equal(again, points)
    assert the_same == how


def test_another_split_or_method_is_another_projection(run: Run, computed: list[str]) -> None:
    plot(run)
    plot(run, "--split", "both")
    plot(run, "--projection", "pca")
    plot(run, "--split", "both", "--theme", "dark")
    plot(run)
    assert computed == ["tsne", "tsne", "pca"]


def test_projection_of_another_checkpoint_is_not_used(run: Run, computed: list[str]) -> None:
    plot(run)
    state = load_checkpoint(run.checkpoint_file)
    for weights in state["embedder"].values():
        weights *= 2 if weights.is_floating_point() and weights.ndim == 4 else 1
    save_checkpoint(run.checkpoint_file, state)
    plot(run)
    plot(run)
    assert computed == ["tsne", "tsne"]


def test_projection_of_another_seed_is_not_used(run: Run, computed: list[str]) -> None:
    plot(run)
    settings = run.config_file.read_text()
    run.config_file.write_text(settings.replace("seed = 0", "seed = 1"))
    plot(run)
    assert computed == ["tsne", "tsne"]


@pytest.mark.parametrize("fault", ["cut", "noise", "empty", "folder", "others", "nan"])
def test_damaged_projection_is_computed_again(fault: str, run: Run, computed: list[str]) -> None:
    plot(run)
    good, path = kept(run), run.folder / "projection-tsne.npz"
    with np.load(path) as file:
        of = file["of"]
    content = path.read_bytes()
    if fault == "folder":
        path.unlink()
        path.mkdir()
    elif fault == "others":
        np.savez(path, of=of, points=good[:5])
    elif fault == "nan":
        np.savez(path, of=of, points=good * np.nan)
    else:
        path.write_bytes({"cut": content[:1000], "noise": b"\x00 noise", "empty": b""}[fault])
    plot(run)
    assert len(computed) == 2
    if fault != "folder":
        np.testing.assert_allclose(kept(run), good + 1, rtol=1e-5)


def test_projection_that_cannot_be_kept_is_drawn(
    run: Run, computed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(projection, "atomic_write", full)
    plot(run, "--out", tmp_path / "space.png")
    plot(run, "--out", tmp_path / "space.png")
    assert computed == ["tsne", "tsne"]
    assert not (run.folder / "projection-tsne.npz").exists()


def test_few_dimensions_and_pca_are_not_kept(run: Run) -> None:
    plot(run, "--projection", "pca")
    assert not list(run.folder.glob("projection-*"))
