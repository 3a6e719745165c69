"""What the tests of the page share: a run, and a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.runs.run import Run
from tests.explorer.browser import Page, start_browser


@pytest.fixture
def trained(finished_run: Path) -> EvaluatedRun:
    return EvaluatedRun(Run(finished_run))


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page in a wide window."""
    page = start_browser()
    yield page
    page.driver.quit()


@pytest.fixture(scope="module")
def phone() -> Iterator[Page]:
    page = start_browser(phone=True)
    yield page
    page.driver.quit()
