"""What the tests of pictures share: a run to draw."""

from pathlib import Path

import pytest

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.runs.run import Run


@pytest.fixture
def trained(finished_run: Path) -> EvaluatedRun:
    return EvaluatedRun(Run(finished_run))
