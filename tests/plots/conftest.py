"""What the tests of pictures share: a run to draw, which no training made."""

from pathlib import Path

import pytest

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.runs.run import Run
from tests.plots.figures import make_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with snapshots; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("outputs") / "run"
    make_run(folder, snapshots=True)
    return folder


@pytest.fixture
def trained(run: Path) -> EvaluatedRun:
    return EvaluatedRun(Run(run))
