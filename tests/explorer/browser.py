"""A page in a real browser: what is asked of it, and a pointer to feel."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

PAGE_SECONDS = 30


class Page:
    """A page in the browser."""

    file: Path

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path, width: int | None = 1280, height: int = 900) -> None:
        """Open a page in a window of that size; None for a window that has a size of its own."""
        if width:
            self.driver.set_window_size(width, height)
        self.driver.get(path.as_uri())
        self.until("document.body.dataset.ready === 'yes' && Bokeh.documents[0].is_idle")
        self.until(f"({self.view('space')}).frame.bbox.width > 100")

    def errors(self) -> list[Any]:
        """What went wrong since this was asked for the last time."""
        return [line for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]

    def ask(self, expression: str) -> Any:
        return self.driver.execute_script(f"return {expression}")

    def do(self, statement: str) -> None:
        self.driver.execute_script(statement)

    def until(self, condition: str) -> None:
        end = time.monotonic() + PAGE_SECONDS
        while not self.ask(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.05)

    def model(self, name: str) -> str:
        return f"Bokeh.documents[0].get_model_by_name('{name}')"

    def view(self, name: str) -> str:
        return f"""((plot) => Bokeh.index.get_one ? Bokeh.index.find_one(plot)
          : Object.values(Bokeh.index).find((view) => view.model === plot))({self.model(name)})"""

    def place(self, index: int) -> tuple[float, float]:
        """Where a point of the scatter plot is on the screen."""
        x, y = self.ask(
            f"""(() => {{
              const view = {self.view("space")}, data = {self.model("points")}.data;
              const box = view.el.getBoundingClientRect();
              return [box.x + view.frame.x_scale.compute(data.x[{index}]),
                      box.y + view.frame.y_scale.compute(data.y[{index}])];
            }})()"""
        )
        return x, y

    def pointer(self, *steps: tuple[str, float, float], kind: str = "mouse") -> None:
        from selenium.webdriver.common.actions.action_builder import ActionBuilder
        from selenium.webdriver.common.actions.pointer_input import PointerInput

        actions = ActionBuilder(self.driver, mouse=PointerInput(kind, kind), duration=20)
        for what, x, y in steps:
            actions.pointer_action.move_to_location(round(x), round(y))
            if what != "move":
                getattr(actions.pointer_action, what)()
        actions.perform()

    def draw(self, *strokes: list[tuple[float, float]], kind: str = "mouse") -> None:
        """Draw on the pad with a mouse, pen or finger; places from 0 to 1, right and down."""
        for stroke in strokes:
            x, y, width, height = self.ask(
                "(({x, y, width, height}) => [x, y, width, height])"
                "(document.getElementById('paper').getBoundingClientRect())"
            )
            places = [(x + width * right, y + height * down) for right, down in stroke]
            self.pointer(
                ("pointer_down", *places[0]),
                *(("move", *place) for place in places[1:]),
                ("pointer_up", *places[-1]),
                kind=kind,
            )


def start_browser(phone: bool = False) -> Page:
    """Start a headless Chromium, in a window as large as a phone's or in one that is wide.

    What it logs and what it asks of the network is kept.
    """
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
    if phone:
        metrics = {"width": 390, "height": 844, "pixelRatio": 2, "touch": True}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    try:
        driver = webdriver.Chrome(options, webdriver.ChromeService(driver_path))
    except WebDriverException as error:
        pytest.skip(f"chromium does not start here: {error.msg}")
    return Page(driver)
