"""What the tests of pictures share: a run to draw, and a browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.runs.run import Run
from tests.plots.browser import Page


@pytest.fixture
def trained(finished_run: Path) -> TrainedRun:
    return TrainedRun(Run(finished_run))


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A headless Chromium; what is logged and asked of the network is checked at the end."""
    chromium, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver_path):
        pytest.skip("there is no chromium with chromedriver here")
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"),
        *("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    try:
        driver = webdriver.Chrome(options, webdriver.ChromeService(driver_path))
    except WebDriverException as error:
        pytest.skip(f"chromium does not start here: {error.msg}")
    yield Page(driver)
    driver.quit()
