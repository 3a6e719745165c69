"""The history: every epoch, and lines that can be told apart."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from circlemnist.cli.plot import can_be_drawn
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.history import history_figure
from circlemnist.runs.arrays import Snapshots
from circlemnist.runs.checkpoint import save_checkpoint
from circlemnist.runs.history import Epoch
from circlemnist.runs.run import Run
from tests.conftest import assert_one_line_error, invoke
from tests.plots.figures import TITLED, boxes_of


@pytest.mark.parametrize(("sp", "sn"), [(0.98, 0.93), (0.1, 0.12), (0.9, -0.1)])
@pytest.mark.parametrize("known", [True, False])
def test_history_names_its_lines_apart(sp: float, sn: float, known: bool) -> None:
    x = np.arange(1, 4)
    rows = [Epoch(epoch, float(epoch), sp, sn, 0.5, float(epoch), 1.0) for epoch in x.tolist()]
    figure = history_figure(rows, (x, x / 3) if known else None, *TITLED)
    boxes = boxes_of(figure, figure.axes[1].texts)
    assert len(boxes) == 2
    assert not boxes[0].overlaps(boxes[1])


def test_one_epoch_has_a_tick_of_its_own() -> None:
    figure = history_figure([Epoch(1, 0.5, 0.8, 0.1, 0.2, 0.01, 3.0)], None, *TITLED)
    axes = figure.axes[-1]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_a_run_without_an_epoch_has_no_history(finished_run: Path, tmp_path: Path) -> None:
    """A training that was stopped in its first."""
    run = Run(shutil.copytree(finished_run, tmp_path / "begun"))
    header, *_ = run.history_file.read_text("utf-8").splitlines()
    run.history_file.write_text(f"{header}\n")
    assert_one_line_error(
        invoke("plot", run.folder, "--kind", "history"), "no epoch", f"--resume {run.folder}"
    )
    assert not can_be_drawn("history", run)
    assert can_be_drawn("history", Run(finished_run))
    assert not can_be_drawn("animation", Run(finished_run))


@pytest.mark.parametrize(
    ("epochs", "step", "cursor"), [(0, 3, 3), (2, 28, None), (2, 30, 2)], ids=str
)
def test_an_epoch_has_as_many_steps_wherever_it_was_stopped(
    epochs: int, step: int, cursor: int | None, tmp_path: Path
) -> None:
    begun = None if cursor is None else {"order": torch.zeros(14, 25).long(), "step": cursor}
    state = {"step": step, "history": [{}] * epochs, "cursor": begun}
    save_checkpoint(Run(tmp_path).checkpoint_file, state)
    assert EvaluatedRun(Run(tmp_path)).steps_an_epoch == 14


def test_steps_of_a_run_without_its_checkpoint_are_those_of_its_snapshots(
    finished_run: Path, tmp_path: Path
) -> None:
    run = Run(shutil.copytree(finished_run, tmp_path / "kept"))
    run.checkpoint_file.unlink()
    trained = EvaluatedRun(run)
    nothing = np.zeros(0)
    trained.snapshots = Snapshots(np.array([0, 9, 28]), nothing, nothing, nothing)
    assert trained.steps_an_epoch == 28 / len(trained.history)
