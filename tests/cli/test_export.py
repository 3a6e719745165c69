"""`circlemnist export`: files for programs that have neither this one nor the data set."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.models.embedder import embed
from circlemnist.runs.checkpoint import checksum
from circlemnist.runs.run import Run
from tests.conftest import assert_one_line_error, invoke
from tests.projector import Projector

# run in a folder that holds the file, images.npy and embeddings.npy, with nothing else at hand
ONNX_ALONE = """
import sys
for name in ("torch", "torchvision", "sklearn", "circlemnist"):
    sys.modules[name] = None
import json, numpy, onnxruntime
session = onnxruntime.InferenceSession("embedder.onnx", providers=["CPUExecutionProvider"])
(given,), (embeddings,) = session.get_inputs(), session.get_outputs()
assert (given.name, given.type, given.shape[1:]) == ("images", "tensor(uint8)", [28, 28])
assert (embeddings.name, embeddings.shape[1]) == ("embeddings", 64)
facts = session.get_modelmeta().custom_metadata_map
assert json.loads(facts["classes"]) == list("0123456789")
images, wanted = numpy.load("images.npy"), numpy.load("embeddings.npy")
for images, wanted in ((images, wanted), (images[:1], wanted[:1])):
    (found,) = session.run(None, {"images": images})
    assert numpy.abs(found - wanted).max() <= 1e-5
print(json.dumps(facts))
"""
TORCH_ALONE = """
import sys
for name in ("torchvision", "sklearn", "circlemnist"):
    sys.modules[name] = None
import numpy, torch
network = torch.export.load("embedder.pt2").module()
images, wanted = torch.from_numpy(numpy.load("images.npy")), numpy.load("embeddings.npy")
assert numpy.abs(network(images).detach().numpy() - wanted).max() <= 1e-5
"""


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of a run; its data set cannot be had."""
    folder = shutil.copytree(finished_run, tmp_path / "outputs" / "small")
    config = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(config.replace('"digits"', '"mnist"'))
    return folder


def alone(code: str, run: Path, file: str, folder: Path) -> str:
    """Run `code` in a new process and folder, beside images and what torch makes of them."""
    folder.mkdir()
    shutil.move(run / file, folder / file)
    images = torch.randint(0, 256, (9, 28, 28), dtype=torch.uint8)
    np.save(folder / "images.npy", images.numpy())
    np.save(folder / "embeddings.npy", embed(EvaluatedRun(Run(run)).embedder, images).numpy())
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.slow
def test_onnx_file_runs_with_onnxruntime_alone(run: Path, tmp_path: Path) -> None:
    result = invoke("export", run)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    first, second = result.stdout.splitlines()
    assert first == f"network: {run / 'embedder.onnx'}"
    assert 0 <= float(second.removeprefix("largest difference from torch: ")) <= 1e-5
    facts = json.loads(alone(ONNX_ALONE, run, "embedder.onnx", tmp_path / "elsewhere"))
    assert facts["run"] == "small"
    assert facts["checkpoint"] == checksum(run / "last.pt")
    assert facts["similarity"] == "cosine"
    assert facts["images"] == "(N, 28, 28) uint8, 0 the background and 255 full ink"
    assert facts["embeddings"] == "(N, 64) float32, of length 1"
    settings = json.loads(facts["settings"])
    assert (settings["net"], settings["gamma"], settings["epochs"]) == ("medium", 40, 3)
    assert str(tmp_path) not in json.dumps(facts)


@pytest.mark.slow
def test_program_of_torch_runs_without_this_package(run: Path, tmp_path: Path) -> None:
    result = invoke("export", run, "--format", "torch")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert result.stdout.startswith(f"network: {run / 'embedder.pt2'}\n")
    alone(TORCH_ALONE, run, "embedder.pt2", tmp_path / "elsewhere")


def test_projector_is_what_tensorboard_reads(unseen_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "space"
    result = invoke("export", unseen_run, "--format", "projector", "--out", out)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert result.stdout == f"projector: {out}\n"
    kept = np.load(unseen_run / "embeddings.npz")
    projector = Projector(out)
    assert projector.shape == [360, 64]
    found = np.frombuffer(projector.get("tensor"), np.float32).reshape(360, 64)
    np.testing.assert_array_equal(found, kept["embeddings"])
    header, *rows = projector.get("metadata").decode().splitlines()
    assert header == "class\tnearest"
    pairs = zip(kept["labels"], kept["neighbor_labels"][:, 0], strict=True)
    assert rows == [f"{label}\t{nearest}" for label, nearest in pairs]
    (out / "from_tensorboard.png").write_bytes(projector.get("sprite_image"))
    sprite = np.asarray(Image.open(out / "from_tensorboard.png"))
    assert sprite.shape == (19 * 28, 19 * 28)  # 19² is the first square of 360 or more
    images = EvaluatedRun(Run(unseen_run)).dataset.test.images.numpy()
    for place in (0, 18, 19, 200, 359):
        row, column = divmod(place, 19)
        tile = sprite[row * 28 : row * 28 + 28, column * 28 : column * 28 + 28]
        np.testing.assert_array_equal(255 - tile, images[place])


def test_projector_takes_the_place_of_an_older_one(finished_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "space"
    out.mkdir()
    (out / "vectors.tsv").write_text("old")
    (out / "mine.txt").write_text("kept")
    assert invoke("export", finished_run, "--format", "projector", "--out", out).exit_code == 0
    names = ["metadata.tsv", "mine.txt", "projector_config.pbtxt", "sprite.png", "vectors.tsv"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert (out / "vectors.tsv").read_text().count("\n") == 360
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--format", "onxn"], ["--format", "'onxn'", "onnx"]),
        (["--input", "int8"], ["--input", "uint8"]),
        (["--out", "a.pt2"], ["cannot export onnx into a.pt2", "must end in .onnx"]),
        (["--format", "torch", "--out", "a"], ["must end in .pt2"]),
        (["--format", "projector", "--input", "uint8"], ["--input has no effect", "projector"]),
        (["--format", "torch", "--device", "cpu"], ["--device has no effect", "--format torch"]),
        (["--data-dir", "a"], ["--data-dir has no effect", "--format onnx"]),
        (["--format", "projector", "--out", "a-file"], ["cannot write a-file"]),
        (["--format", "projector", "--out", "a-file/a"], ["cannot write a-file/a"]),
        (["--format", "projector", "--out", "/proc/none"], ["cannot write /proc/none"]),
    ],
    ids=" ".join,
)
def test_wrong_input_is_one_line(
    args: list[str], words: list[str], finished_run: Path, own_folder: Path
) -> None:
    (own_folder / "a-file").touch()
    assert_one_line_error(invoke("export", finished_run, *args), *words)
    assert [path.name for path in own_folder.iterdir()] == ["a-file"]


@pytest.mark.slow
def test_network_that_cannot_be_written_is_one_line(finished_run: Path, own_folder: Path) -> None:
    (own_folder / "folder.pt2").mkdir()
    result = invoke("export", finished_run, "--format", "torch", "--out", "folder.pt2")
    assert_one_line_error(result, "cannot write folder.pt2")
    assert [path.name for path in own_folder.rglob("*")] == ["folder.pt2"]


def test_run_that_is_not_there_and_missing_packages_are_one_line(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_one_line_error(invoke("export", "nothing"), "no run 'nothing'")
    for package in ("onnx", "onnxscript", "onnxruntime"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            words = (f"--format onnx needs the package {package}", "'circlemnist[onnx]'")
            assert_one_line_error(invoke("export", run), *words)
    (run / "last.pt").unlink()
    assert_one_line_error(invoke("export", run, "--format", "torch"), "no checkpoint yet")
