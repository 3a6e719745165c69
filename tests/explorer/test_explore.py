"""What the explorer computes for its page, and what it refuses; all without a browser."""

import base64
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.known import embed_with_features
from circlemnist.evaluation.pair_plane import pair_places
from circlemnist.evaluation.predict import load
from circlemnist.explorer.pad import hand, plain_network
from circlemnist.models.embedder import Embedder
from circlemnist.runs.checkpoint import load_checkpoint
from circlemnist.runs.run import Run
from tests.conftest import assert_one_line_error, invoke


def test_pair_places_are_of_the_own_class_and_the_next() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(30, 8))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    labels = np.append(np.arange(29) % 3, 4)  # nobody in 3, one alone in 4
    s = x @ x.T
    sn, sp = pair_places(x, labels).T
    for i in range(29):
        own = [s[i, j] for j in range(30) if j != i and labels[j] == labels[i]]
        others = [s[i, labels == c].mean() for c in (0, 1, 2, 4) if c != labels[i]]
        assert sp[i] == pytest.approx(np.mean(own))
        assert sn[i] == pytest.approx(max(others))
    assert np.isnan(sp[29])


def test_run_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert_one_line_error(invoke("explore", "--outputs", tmp_path), "train one first")


def test_page_has_a_name_that_a_browser_opens(finished_run: Path, tmp_path: Path) -> None:
    """It is refused ahead of the work."""
    wrong = invoke("explore", finished_run, "--out", tmp_path / "page.txt")
    assert_one_line_error(wrong, "cannot write the page into", "must end in .html")
    assert not (tmp_path / "page.txt").exists()


def test_layer_that_the_page_does_not_know_is_refused() -> None:
    embedder = Embedder(nn.Sequential(nn.Flatten(), nn.Linear(784, 8, bias=False), nn.Sigmoid()))
    with pytest.raises(TypeError, match="Sigmoid"):
        plain_network(embedder)


def json_of(html: str, name: str) -> dict[str, Any]:
    """What a page holds for its scripts."""
    (content,) = re.findall(rf'id="{name}">(.*?)</script>', html)
    facts: dict[str, Any] = json.loads(content)
    return facts


def numbers(text: str, *shape: int, kind: str = "<f4") -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind).astype(float).reshape(shape)


@pytest.fixture(scope="module", params=["watched_run", "unseen_run"])
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[EvaluatedRun, str]:
    """A run, and its page."""
    run, out = request.getfixturevalue(request.param), tmp_path_factory.mktemp("page") / "page.html"
    result = invoke("explore", run, "--projection", "pca", "--theme", "dark", "--out", out)
    assert (result.exit_code, result.output) == (0, f"page: {out}\n")
    return EvaluatedRun(Run(run)), out.read_text("utf-8")


def test_page_holds_what_its_run_has(written: tuple[EvaluatedRun, str]) -> None:
    trained, html = written
    facts = json_of(html, "facts")
    x, labels = trained.report.arrays.embeddings, trained.report.arrays.labels
    seen, unseen = trained.report.seen, trained.config.unseen_classes
    assert facts["names"] == [
        f"{label}, unseen" * (label in unseen) or str(label) for label in range(10)
    ]
    assert facts["labels"] == labels.tolist()
    nearest = np.where(seen, trained.report.arrays.neighbor_labels[:, 0], labels)
    assert facts["predicted"] == nearest.tolist()
    s = x @ x.T - 9 * np.eye(len(x))
    neighbors = np.reshape(facts["neighbors"], (-1, 5))
    np.testing.assert_allclose(np.take_along_axis(s, neighbors, 1), -np.sort(-s)[:, :5], atol=1e-6)
    np.testing.assert_allclose(numbers(facts["pairs"], -1, 2), pair_places(x, labels), atol=1e-6)
    places = numbers(facts["positions"], len(x), facts["dimensions"])
    sizes = [np.linalg.svd(rows - rows.mean(0), compute_uv=False)[:2] for rows in (places, x)]
    np.testing.assert_allclose(*sizes, rtol=1e-3)
    same = (labels[:, None] == labels)[seen][:, seen]
    of_seen, means = s[seen][:, seen], facts["means"][-1]
    assert means["sp"] == pytest.approx(of_seen[same & (of_seen > -2)].mean(), abs=1e-3)
    assert means["sn"] == pytest.approx(of_seen[~same].mean(), abs=1e-3)
    assert (facts["gamma"], facts["boundary"]["name"], facts["boundary"]["m"]) == (
        40,
        "circle",
        0.028,
    )
    for line in map(np.array, facts["boundary"]["lines"]):
        np.testing.assert_allclose(np.hypot(line[:, 0], line[:, 1] - 1), 0.028 * 2**0.5, atol=2e-3)
    held = numbers(facts["embeddings"], *x.shape, kind="<f2") * facts["scale"]
    np.testing.assert_allclose(held, x, atol=1e-3)
    assert facts["similarity"] == "cosine"
    (sprite,) = re.findall(r"data:image/png;base64,([^\"]*)", html)
    with Image.open(io.BytesIO(base64.b64decode(sprite))) as sheet:
        ink = np.asarray(sheet.convert("RGBA"))[..., 3].reshape(-1, 28, 100, 28).swapaxes(1, 2)
    shades = ink.reshape(-1, 28, 28)[: len(x)] / 17
    np.testing.assert_array_equal(shades, trained.test_images.numpy() // 16)
    assert f"<title>scikit-learn digits, {trained.report.all_images}, PCA of 64-D, " in html
    assert ("color-scheme: dark;" in html, 'id="slider"' in html) == (True, trained.has_snapshots)
    if not trained.has_snapshots:
        assert (facts["captions"], facts["moving"], facts["losses"]) == (["all images"], [], [])
        return
    snapshots = trained.snapshots
    times, count, _ = snapshots.embeddings.shape
    assert facts["captions"][0] == "before training"
    assert facts["captions"][-2:] == ["epoch 4.00", "all images"]
    assert facts["moving"] == snapshots.indices.tolist()
    pairs = numbers(facts["moving_pairs"], times, count, 2)
    places = numbers(facts["moving_positions"], times, count, 2)
    frames = F.normalize(torch.from_numpy(snapshots.embeddings).float(), dim=-1)
    last = snapshots.embeddings[-1].astype(float)
    sizes = [np.linalg.svd(x - x.mean(0), compute_uv=False)[:2] for x in (places[-1], last)]
    np.testing.assert_allclose(*sizes, rtol=1e-3)
    for time, frame in enumerate(frames):
        np.testing.assert_allclose(
            pairs[time], pair_places(frame.numpy(), snapshots.labels), atol=1e-5
        )
    epochs, losses = np.array(load_checkpoint(trained.run.checkpoint_file)["points"]).T[:2]
    times_of_frames = snapshots.steps / trained.steps_an_epoch
    np.testing.assert_allclose(facts["losses"], np.interp(times_of_frames, epochs, losses))
    assert len(facts["means"]) == times + 1


def through(layers: list[dict[str, Any]], numbers: np.ndarray, x: torch.Tensor) -> torch.Tensor:
    """Images (N, 1, 28, 28) through the layers of a page, by torch's own functions."""
    rest = torch.from_numpy(numbers)

    def take(*shape: int) -> torch.Tensor:
        nonlocal rest
        taken, rest = rest.split([math.prod(shape), len(rest) - math.prod(shape)])
        return taken.reshape(shape)

    for layer in layers:
        match layer["kind"]:
            case "affine":
                shape = (-1, *[1] * (x.ndim - 2))
                scale, shift = (take(layer["channels"]).reshape(shape) for _ in range(2))
                x = scale * x + shift
            case "convolution":
                bias, kernel = take(layer["channels"]), (layer["kernel"], layer["kernel"])
                weight = take(layer["channels"], x.shape[1], *kernel)
                x = F.conv2d(x, weight, bias, layer["stride"], layer["padding"])
            case "linear":
                x = x.flatten(1)
                bias = take(layer["size"])
                x = F.linear(x, take(layer["size"], x.shape[1]), bias)
            case "pool":
                x = F.max_pool2d(x, 2)
            case "relu":
                x = F.relu(x)
            case "normalise":
                x = layer["length"] * F.normalize(x.flatten(1))
    return x


def test_pad_on_the_page_is_that_of_its_run(written: tuple[EvaluatedRun, str]) -> None:
    trained, html = written
    pad, predictor = json_of(html, "pad-facts"), load(trained.run.folder)
    subspaces = predictor.gallery.subspaces
    held = numbers(pad["subspaces"], *subspaces.shape, kind="<f2")
    np.testing.assert_array_equal(held, subspaces)
    assert pad["known"] == [label not in trained.config.unseen_classes for label in range(10)]
    assert pad["threshold"] == predictor.point().threshold
    assert (pad["box"], pad["pen"]) == hand(trained.test_images.numpy())
    assert (pad["unit"], pad["exact"], pad["views"]) == (True, False, [[1, 1]])
    images = trained.test_images[:20]
    layers, weights, x = pad["layers"], numbers(pad["numbers"], -1), images[:, None] / 255
    embeddings, features = embed_with_features(trained.embedder, images)
    torch.testing.assert_close(
        through(layers, weights, x.double()), embeddings.double(), atol=1e-4, rtol=0
    )
    inner = through(layers[: pad["featuring"]], weights, x.double()).flatten(1)
    torch.testing.assert_close(F.normalize(inner), features.double(), atol=1e-4, rtol=0)
