"""The history: the steps and epochs that there are."""

from pathlib import Path

import numpy as np
import pytest
import torch

from circlemnist.cli.plot import can_be_drawn
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.history import history_figure, steps_of
from circlemnist.runs.checkpoint import save_checkpoint
from circlemnist.runs.history import Epoch, write_history
from circlemnist.runs.run import Run
from tests.conftest import assert_one_line_error, invoke
from tests.plots.figures import TITLED, make_run, parts


def test_a_history_begins_at_the_first_step_where_the_checkpoint_has_its_steps(
    tmp_path: Path,
) -> None:
    run = make_run(tmp_path / "run").run
    np.testing.assert_array_equal(steps_of(run)[:, 1], [row.loss for row in run.history()])
    save_checkpoint(run.checkpoint_file, {"points": [[0, 9, -0.1, 0.3, 0.5], [1, 7, 0.4, 0, 0.3]]})
    assert steps_of(run).tolist() == [[0, 9, -0.1, 0.3], [1, 7, 0.4, 0]]


def test_one_epoch_has_a_tick_of_its_own() -> None:
    steps = np.array([[1, 0.5, 0.8, 0.1]])
    figure = history_figure([Epoch(1, 0.5, 0.8, 0.1, 0.2, 0.01, 3.0)], steps, None, *TITLED)
    (line,) = parts(figure, "lr")
    low, high = line.axes.get_xlim()
    assert [tick for tick in line.axes.get_xticks() if low <= tick <= high] == [1]


def test_a_run_without_an_epoch_has_no_history(tmp_path: Path) -> None:
    """A training that was stopped in its first."""
    run = make_run(tmp_path / "begun").run
    assert can_be_drawn("history", run)
    assert not can_be_drawn("animation", run)
    write_history(run.history_file, [])
    result = invoke("plot", run.folder, "--kind", "history")
    assert_one_line_error(result, "no epoch", f"--resume {run.folder}")
    assert not can_be_drawn("history", run)


@pytest.mark.parametrize(
    ("epochs", "step", "cursor"), [(0, 3, 3), (2, 28, None), (2, 30, 2)], ids=str
)
def test_an_epoch_has_as_many_steps_wherever_it_was_stopped(
    epochs: int, step: int, cursor: int | None, tmp_path: Path
) -> None:
    order, values = torch.zeros(14, 25).long(), torch.zeros(14, 4)
    begun = {"order": order, "values": values, "step": cursor, "seconds": 1.0} if cursor else None
    rows = [dict.fromkeys(Epoch.__dataclass_fields__, 1)] * epochs
    state = {"step": step, "history": rows, "cursor": begun, "scheduler": {"last_epoch": step}}
    save_checkpoint(Run(tmp_path).checkpoint_file, state)
    assert EvaluatedRun(Run(tmp_path)).steps_an_epoch == 14


def test_steps_of_a_run_without_its_checkpoint_are_those_of_its_snapshots(
    trained: EvaluatedRun,
) -> None:
    assert trained.steps_an_epoch == trained.snapshots.steps[-1] / len(trained.history)


@pytest.mark.parametrize(("count", "has_dots"), [(39, True), (40, False)])
def test_values_are_dots_while_they_are_few(count: int, has_dots: bool) -> None:
    rows = [Epoch(epoch, 1.0, 0.8, 0.1, 0.5, 0.1, 1.0) for epoch in range(1, count + 1)]
    figure = history_figure(rows, np.ones((2, 4)), None, *TITLED)
    (rates,), (losses,) = parts(figure, "lr"), parts(figure, "loss")
    assert (rates.get_markersize() > 0) == has_dots
    assert (losses.get_markersize() > 0, losses.get_linewidth()) == (True, 1.8)
