"""What the tests of pictures share: a run to draw."""

from pathlib import Path

import pytest

from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.runs.run import Run


@pytest.fixture
def trained(finished_run: Path) -> TrainedRun:
    return TrainedRun(Run(finished_run))
