"""`train --tensorboard`: what TensorBoard reads back is what was trained."""

import csv
import io
import json
import math
import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from circlemnist.config import Config
from circlemnist.runs.run import Run
from circlemnist.training.tensorboard import OF_EPOCHS, OF_STEPS, Board
from tests.conftest import assert_one_line_error, invoke
from tests.projector import Projector

TRAIN = ("train", "--dataset", "digits", "--net", "tiny", "--epochs", 2, "--quiet")
STEPS = 1437 // 250


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    return events.Reload()


def scalars(events: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events.Scalars(tag)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with event files; tests leave it as it is."""
    outputs = tmp_path_factory.mktemp("outputs")
    result = invoke(*TRAIN, "--outputs", outputs, "--name", "a", "--tensorboard")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return outputs / "a"


def test_scalars_are_those_of_every_step_and_epoch(run: Path) -> None:
    events = read(run / "tensorboard")
    with (run / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    for name in OF_EPOCHS:
        rows = [float(row[name]) for row in history]
        epochs, values = zip(*scalars(events, f"epoch/{name}"), strict=True)
        assert epochs == (1, 2)
        np.testing.assert_allclose(values, rows, rtol=1e-6)
        if name in OF_STEPS:
            steps, values = zip(*scalars(events, f"step/{name}"), strict=True)
            assert steps == tuple(range(1, 2 * STEPS + 1))
            means = np.array(values).reshape(2, STEPS).mean(1)
            np.testing.assert_allclose(means, rows, rtol=1e-5)
    rates = [value for _, value in scalars(events, "step/lr")]
    assert math.isclose(rates[STEPS - 1], float(history[0]["lr"]), rel_tol=1e-6)


def test_metrics_settings_and_pictures_come_at_the_end(run: Path) -> None:
    events = read(run / "tensorboard")
    metrics = json.loads((run / "eval.json").read_text())["metrics"]
    for name, value in metrics.items():
        ((step, written),) = scalars(events, f"measure/{name}")
        assert step == 2 * STEPS
        assert math.isclose(written, value, rel_tol=1e-6)
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = HParamsPluginData.FromString(content).session_start_info
    settings = {
        name: value.string_value
        if value.HasField("string_value")
        else value.bool_value
        if value.HasField("bool_value")
        else value.number_value
        for name, value in start.hparams.items()
    }
    assert settings == tomllib.loads((run / "config.toml").read_text())
    assert events.Tags()["images"] == ["embedding"]
    (event,) = events.Images("embedding")
    shown = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
    drawn = np.asarray(Image.open(run / "plots" / "embedding.png").convert("RGB"))
    np.testing.assert_array_equal(shown, drawn)


def test_projector_shows_the_embeddings(run: Path) -> None:
    projector = Projector(run / "tensorboard")
    tensor = np.frombuffer(projector.get("tensor"), np.float32).reshape(projector.shape)
    np.testing.assert_array_equal(tensor, np.load(run / "embeddings.npz")["embeddings"])
    assert projector.get("sprite_image").startswith(b"\x89PNG")


def test_steps_that_are_done_again_are_there_once(tmp_path: Path) -> None:
    """The first process was killed after step 6, its checkpoint being of step 3."""
    config = Config(dataset="digits", epochs=9)
    for begin, end, value in ((1, 6, 1.0), (4, 8, 2.0)):
        board = Board("quiet", config, 1437, Run(tmp_path))
        for step in range(begin, end + 1):
            board.step(1, step, torch.full((4,), value), 0.1)
        board.close()
    losses = scalars(read(tmp_path / "tensorboard"), "step/loss")
    assert losses == [(step, 1.0 if step < 4 else 2.0) for step in range(1, 9)]


def test_missing_package_is_one_line_and_leaves_nothing_and_is_needed_on_request_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    result = invoke(*TRAIN, "--outputs", tmp_path / "outputs", "--tensorboard")
    assert_one_line_error(result, "--tensorboard", "pip install 'circlemnist[tensorboard]'")
    assert not (tmp_path / "outputs").exists()
    assert invoke(*TRAIN, "--outputs", tmp_path, "--name", "without").exit_code == 0
    assert not (tmp_path / "without" / "tensorboard").exists()


@pytest.mark.slow
def test_folder_that_cannot_be_written_is_one_line(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    shutil.rmtree(copy / "tensorboard")
    (copy / "tensorboard").touch()
    result = invoke("train", "--resume", copy, "--tensorboard")
    assert_one_line_error(result, f"cannot write {copy / 'tensorboard'}")
